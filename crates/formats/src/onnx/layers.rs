//! The operators of each layer.

use glassbox_engine::layers::{Activation, Config, FromConfig as _, Layer};
use glassbox_engine::model::WeightInfo;
use glassbox_engine::shape::Shape;
use serde_json::Value as Json;

use super::graph::Attribute::{Float, Floats, Int, Ints, Text, Texts};
use super::graph::Graph;

type Result<T> = std::result::Result<T, String>;

/// A call of a layer.
pub(super) struct Call<'a> {
    /// The names of the signals that it reads.
    pub(super) inputs: &'a [String],
    /// Their shapes.
    pub(super) shapes: &'a [Shape],
    pub(super) output: Shape,
    /// The layer's tensors.
    pub(super) tensors: &'a [WeightInfo],
    /// The weights of the whole model.
    pub(super) weights: &'a [f32],
}

impl<'a> Call<'a> {
    fn x(&self) -> &'a str {
        &self.inputs[0]
    }

    /// A tensor of this name within its layer, if there is one.
    fn tensor(&self, name: &str) -> Option<(&'a WeightInfo, &'a [f32])> {
        let named = |tensor: &&WeightInfo| tensor.name.rsplit('.').next() == Some(name);
        self.tensors.iter().find(named).map(|tensor| (tensor, &self.weights[tensor.range.clone()]))
    }

    /// Adds a tensor as it is, and returns its name.
    fn constant(&self, graph: &mut Graph, name: &str) -> Option<String> {
        let (tensor, values) = self.tensor(name)?;
        Some(graph.floats(&tensor.name, &tensor.shape, values))
    }
}

/// Adds a call of a layer, and returns the name of its output.
pub(super) fn add(graph: &mut Graph, layer: &dyn Layer, call: &Call<'_>) -> Result<String> {
    let config = config_of(layer);
    if layer.package() != "keras.layers" {
        return Err(format!("the class {} has no operator in ONNX", layer.class_name()));
    }
    let x = call.x();
    let last = call.output.channels;
    Ok(match layer.class_name() {
        "Dense" => dense(graph, &config, call)?,
        "TimeDistributed" => distributed(graph, &config["layer"], call)?,
        "Conv1D" => convolution(graph, &config, call, false)?,
        "Conv1DTranspose" => convolution(graph, &config, call, true)?,
        "LSTM" | "GRU" => recurrence(graph, layer.class_name(), &config, call, false)?,
        "Bidirectional" => bidirectional(graph, &config, call)?,
        "MaxPooling1D" => pool(graph, "MaxPool", &config, call),
        "AveragePooling1D" => pool(graph, "AveragePool", &config, call),
        "LayerNormalization" => layer_normalization(graph, &config, call),
        "BatchNormalization" => batch_normalization(graph, &config, call),
        "Dropout" | "SpatialDropout1D" => x.to_owned(),
        "Flatten" | "Reshape" => reshape(graph, x, call.output),
        "RepeatVector" => {
            let signal = reshape(graph, x, Shape::new(1, last));
            tile(graph, &signal, &[1, call.output.steps as i64, 1])
        }
        "UpSampling1D" => {
            let apart = graph.ints(&[-1, call.shapes[0].steps as i64, 1, last as i64]);
            let signal = graph.add("Reshape", &[x, &apart], vec![]);
            let signal = tile(graph, &signal, &[1, 1, integer(&config["size"]), 1]);
            reshape(graph, &signal, call.output)
        }
        "ZeroPadding1D" => {
            let [left, right] = ends(&config["padding"]);
            let pads = graph.ints(&[0, left, 0, 0, right, 0]);
            graph.add("Pad", &[x, &pads], vec![])
        }
        "Cropping1D" => {
            let [left, _] = ends(&config["cropping"]);
            slice(graph, x, left, left + call.output.steps as i64, 1)
        }
        "Concatenate" => {
            let inputs: Vec<&str> = call.inputs.iter().map(String::as_str).collect();
            graph.add("Concat", &inputs, vec![("axis", Int(config["axis"].as_i64().unwrap_or(-1)))])
        }
        "Add" => merge(graph, "Add", call),
        "Multiply" => merge(graph, "Mul", call),
        "ReLU" => activation(graph, Activation::Relu, x),
        "LeakyReLU" => {
            activation(graph, Activation::LeakyRelu { negative_slope: number(&config["negative_slope"]) }, x)
        }
        "ELU" => activation(graph, Activation::Elu { alpha: number(&config["alpha"]) }, x),
        Activation::CLASS_NAME => activation(graph, activation_of(&config, "activation")?, x),
        class => return Err(format!("the class {class} is not exported to ONNX")),
    })
}

/// The arguments of a layer, as Keras's JSON has them.
fn config_of(layer: &dyn Layer) -> Json {
    serde_json::from_str(&layer.config().to_string()).expect("JSON of ours")
}

fn integer(value: &Json) -> i64 {
    value.as_i64().or_else(|| value.get(0)?.as_i64()).unwrap_or(1)
}

fn number(value: &Json) -> f64 {
    value.as_f64().expect("a number of ours")
}

/// Two numbers, `[1, 2]`, or one for both.
fn ends(value: &Json) -> [i64; 2] {
    match value.as_array().map(Vec::as_slice) {
        Some([left, right]) => [integer(left), integer(right)],
        _ => [integer(value); 2],
    }
}

fn activation_of(config: &Json, key: &str) -> Result<Activation> {
    let mut arguments = Config::default().with("activation", config[key].clone());
    Activation::from_config(&mut arguments).map_err(|problem| problem.to_string())
}

fn activation(graph: &mut Graph, activation: Activation, x: &str) -> String {
    match activation {
        Activation::Linear => x.to_owned(),
        Activation::Relu => graph.add("Relu", &[x], vec![]),
        Activation::LeakyRelu { negative_slope } => {
            graph.add("LeakyRelu", &[x], vec![("alpha", Float(negative_slope as f32))])
        }
        Activation::Elu { alpha } => graph.add("Elu", &[x], vec![("alpha", Float(alpha as f32))]),
        Activation::Selu => graph.add("Selu", &[x], vec![]),
        Activation::Tanh => graph.add("Tanh", &[x], vec![]),
        Activation::Sigmoid => graph.add("Sigmoid", &[x], vec![]),
        Activation::Softplus => graph.add("Softplus", &[x], vec![]),
        Activation::Silu => {
            let sigmoid = graph.add("Sigmoid", &[x], vec![]);
            graph.add("Mul", &[x, &sigmoid], vec![])
        }
        Activation::Gelu { approximate } => {
            let approximate = if approximate { "tanh" } else { "none" };
            graph.add("Gelu", &[x], vec![("approximate", Text(approximate))])
        }
    }
}

fn transpose(graph: &mut Graph, x: &str, axes: &[i64]) -> String {
    graph.add("Transpose", &[x], vec![("perm", Ints(axes.to_vec()))])
}

/// The same values in another shape.
fn reshape(graph: &mut Graph, x: &str, shape: Shape) -> String {
    let axes: Vec<i64> =
        std::iter::once(-1).chain(shape.axes().into_iter().map(|axis| axis as i64)).collect();
    let axes = graph.ints(&axes);
    graph.add("Reshape", &[x, &axes], vec![])
}

fn tile(graph: &mut Graph, x: &str, times: &[i64]) -> String {
    let times = graph.ints(times);
    graph.add("Tile", &[x, &times], vec![])
}

/// The steps from `start` to `end`, in steps of `by`.
fn slice(graph: &mut Graph, x: &str, start: i64, end: i64, by: i64) -> String {
    let [start, end, axis, by] = [start, end, 1, by].map(|number| graph.ints(&[number]));
    graph.add("Slice", &[x, &start, &end, &axis, &by], vec![])
}

fn merge(graph: &mut Graph, kind: &'static str, call: &Call<'_>) -> String {
    let first = call.x().to_owned();
    call.inputs[1..].iter().fold(first, |y, x| graph.add(kind, &[&y, x], vec![]))
}

fn dense(graph: &mut Graph, config: &Json, call: &Call<'_>) -> Result<String> {
    let kernel = call.constant(graph, "kernel").expect("a dense layer has a kernel");
    let mut y = graph.add("MatMul", &[call.x(), &kernel], vec![]);
    if let Some(bias) = call.constant(graph, "bias") {
        y = graph.add("Add", &[&y, &bias], vec![]);
    }
    Ok(activation(graph, activation_of(config, "activation")?, &y))
}

/// A layer for each step by itself: the operators act on the last axis, whatever axes are before it.
fn distributed(graph: &mut Graph, layer: &Json, call: &Call<'_>) -> Result<String> {
    let (class, config) = (layer["class_name"].as_str().unwrap_or_default(), &layer["config"]);
    let x = call.x();
    Ok(match class {
        "Dense" => dense(graph, config, call)?,
        "Dropout" => x.to_owned(),
        "LayerNormalization" => layer_normalization(graph, config, call),
        "BatchNormalization" => batch_normalization(graph, config, call),
        "ReLU" => activation(graph, Activation::Relu, x),
        "LeakyReLU" => {
            activation(graph, Activation::LeakyRelu { negative_slope: number(&config["negative_slope"]) }, x)
        }
        "ELU" => activation(graph, Activation::Elu { alpha: number(&config["alpha"]) }, x),
        Activation::CLASS_NAME => activation(graph, activation_of(config, "activation")?, x),
        class => return Err(format!("the class {class} in TimeDistributed is not exported to ONNX")),
    })
}

/// The padding before and after of `same`: as many windows as strides, as TensorFlow divides it.
fn same(steps: usize, window: i64, stride: i64) -> [i64; 2] {
    let steps = steps as i64;
    let all =
        ((steps.div_euclid(stride) + i64::from(steps % stride != 0) - 1) * stride + window - steps).max(0);
    [all / 2, all - all / 2]
}

/// A convolution or its transpose, on channels before steps.
fn convolution(graph: &mut Graph, config: &Json, call: &Call<'_>, transposed: bool) -> Result<String> {
    let (tensor, values) = call.tensor("kernel").expect("a convolution has a kernel");
    let [taps, a, b] = tensor.shape[..] else { return Err(format!("a kernel of shape {:?}", tensor.shape)) };
    let (stride, dilation) = (integer(&config["strides"]), integer(&config["dilation_rate"]));
    let window = (taps as i64 - 1) * dilation + 1;
    // Both operators have the last of Keras's axes first: (out, in, taps), and of the transpose (in, out, taps).
    let mut kernel = vec![0.0; values.len()];
    for (index, value) in values.iter().enumerate() {
        let (tap, first, second) = (index / (a * b), index / b % a, index % b);
        kernel[(second * a + first) * taps + tap] = *value;
    }
    let kernel = graph.floats(&tensor.name, &[b, a, taps], &kernel);
    let steps = if transposed { call.output.steps } else { call.shapes[0].steps };
    let pads = match config["padding"].as_str() {
        Some("same") => same(steps, window, stride),
        Some("causal") => [window - 1, 0],
        _ => [0, 0],
    };
    let mut attributes = vec![
        ("kernel_shape", Ints(vec![taps as i64])),
        ("strides", Ints(vec![stride])),
        ("dilations", Ints(vec![dilation])),
        ("pads", Ints(pads.to_vec())),
    ];
    if transposed {
        // A kernel that is shorter than its stride leaves steps at the end.
        attributes.push(("output_padding", Ints(vec![(stride - window).max(0)])));
    }
    let x = transpose(graph, call.x(), &[0, 2, 1]);
    let bias = call.constant(graph, "bias");
    let inputs: Vec<&str> = [x.as_str(), &kernel].into_iter().chain(bias.as_deref()).collect();
    let y = graph.add(if transposed { "ConvTranspose" } else { "Conv" }, &inputs, attributes);
    let y = transpose(graph, &y, &[0, 2, 1]);
    Ok(activation(graph, activation_of(config, "activation")?, &y))
}

fn pool(graph: &mut Graph, kind: &'static str, config: &Json, call: &Call<'_>) -> String {
    let (window, stride) = (integer(&config["pool_size"]), integer(&config["strides"]));
    let pads = match config["padding"].as_str() {
        Some("same") => same(call.shapes[0].steps, window, stride),
        _ => [0, 0],
    };
    let attributes = vec![
        ("kernel_shape", Ints(vec![window])),
        ("strides", Ints(vec![stride])),
        ("pads", Ints(pads.to_vec())),
    ];
    let x = transpose(graph, call.x(), &[0, 2, 1]);
    let y = graph.add(kind, &[&x], attributes);
    transpose(graph, &y, &[0, 2, 1])
}

fn layer_normalization(graph: &mut Graph, config: &Json, call: &Call<'_>) -> String {
    let epsilon = Float(number(&config["epsilon"]) as f32);
    let channels = call.output.channels;
    let scale = call.constant(graph, "gamma");
    let scale = scale
        .unwrap_or_else(|| graph.floats(&format!("ones[{channels}]"), &[channels], &vec![1.0; channels]));
    let shift = call.constant(graph, "beta");
    let inputs: Vec<&str> = [call.x(), &scale].into_iter().chain(shift.as_deref()).collect();
    graph.add("LayerNormalization", &inputs, vec![("axis", Int(-1)), ("epsilon", epsilon)])
}

/// A factor and a summand for each channel: those of the moving statistics.
fn batch_normalization(graph: &mut Graph, config: &Json, call: &Call<'_>) -> String {
    let epsilon = number(&config["epsilon"]);
    let values = |name: &str| call.tensor(name).map(|(_, values)| values);
    let (mean, variance) = (values("moving_mean"), values("moving_variance"));
    let (Some(mean), Some(variance)) = (mean, variance) else { unreachable!("it has moving statistics") };
    let (mut factors, mut summands) = (vec![], vec![]);
    for channel in 0..call.output.channels {
        let at = |name: &str, default: f64| values(name).map_or(default, |values| f64::from(values[channel]));
        let factor = at("gamma", 1.0) / (f64::from(variance[channel]) + epsilon).sqrt();
        factors.push(factor as f32);
        summands.push((at("beta", 0.0) - f64::from(mean[channel]) * factor) as f32);
    }
    let layer = call.tensors[0].name.rsplit_once('.').map_or("", |(layer, _)| layer);
    let factors = graph.floats(&format!("{layer}.factor"), &[factors.len()], &factors);
    let summands = graph.floats(&format!("{layer}.summand"), &[summands.len()], &summands);
    let y = graph.add("Mul", &[call.x(), &factors], vec![]);
    graph.add("Add", &[&y, &summands], vec![])
}

/// Both recurrences, merged. Keras reverses the sequence of the one that goes backwards.
fn bidirectional(graph: &mut Graph, config: &Json, call: &Call<'_>) -> Result<String> {
    let backward = call.tensors.iter().rposition(|tensor| tensor.name.ends_with(".kernel")).unwrap_or(0);
    let (forward, backward) = call.tensors.split_at(backward);
    let merge_mode = config["merge_mode"].as_str().unwrap_or_default();
    let channels = call.output.channels / if merge_mode == "concat" { 2 } else { 1 };
    let output = call.output.with_channels(channels);
    let mut signals = vec![];
    for (key, tensors, reversed) in [("layer", forward, false), ("backward_layer", backward, true)] {
        let inner = &config[key];
        let call = Call { tensors, output, ..*call };
        let class = if inner["class_name"] == "LSTM" { "LSTM" } else { "GRU" };
        signals.push(recurrence(graph, class, &inner["config"], &call, reversed)?);
    }
    let both: Vec<&str> = signals.iter().map(String::as_str).collect();
    Ok(match merge_mode {
        "sum" => graph.add("Add", &both, vec![]),
        "mul" => graph.add("Mul", &both, vec![]),
        "ave" => graph.add("Mean", &both, vec![]),
        _ => graph.add("Concat", &both, vec![("axis", Int(-1))]),
    })
}

/// The name of an activation within a recurrence, and its arguments `alpha` and `beta`.
fn inner_activation(activation: Activation) -> Result<(&'static str, Option<f32>, Option<f32>)> {
    Ok(match activation {
        Activation::Linear => ("Affine", Some(1.0), Some(0.0)),
        Activation::Relu => ("Relu", None, None),
        Activation::LeakyRelu { negative_slope } => ("LeakyRelu", Some(negative_slope as f32), None),
        Activation::Elu { alpha } => ("Elu", Some(alpha as f32), None),
        Activation::Tanh => ("Tanh", None, None),
        Activation::Sigmoid => ("Sigmoid", None, None),
        Activation::Softplus => ("Softplus", None, None),
        other => return Err(format!("{} within a recurrent layer has no operator in ONNX", other.name())),
    })
}

/// An LSTM or a GRU. `reversed` reverses its sequence of outputs.
fn recurrence(
    graph: &mut Graph,
    class: &'static str,
    config: &Json,
    call: &Call<'_>,
    reversed: bool,
) -> Result<String> {
    // The gates in the order of the operator, by their place in Keras's: input, forget, cell, output.
    let order: &[usize] = if class == "LSTM" { &[0, 3, 1, 2] } else { &[0, 1, 2] };
    let units = integer(&config["units"]) as usize;
    let (gates, channels) = (order.len(), call.shapes[0].channels);
    let all = gates * units;
    // From (inputs, gates of units) to (gates of units, inputs).
    let kernel = |graph: &mut Graph, name: &str, inputs: usize| {
        let (tensor, values) = call.tensor(name).expect("a recurrent layer has kernels");
        let rows = order.iter().flat_map(|gate| gate * units..(gate + 1) * units);
        let values: Vec<f32> =
            rows.flat_map(|row| (0..inputs).map(move |input| values[input * all + row])).collect();
        graph.floats(&tensor.name, &[1, all, inputs], &values)
    };
    let (kernel, recurrent) = (kernel(graph, "kernel", channels), kernel(graph, "recurrent_kernel", units));
    let bias = call.tensor("bias").map(|(tensor, values)| {
        // Of the inputs, then of the state; Keras has the latter only in a GRU that resets after the product.
        let both = values.iter().copied().chain(std::iter::repeat(0.0)).take(2 * all).collect::<Vec<f32>>();
        let part = |part: usize| {
            order.iter().flat_map(move |gate| part * all + gate * units..part * all + (gate + 1) * units)
        };
        let values: Vec<f32> = part(0).chain(part(1)).map(|at| both[at]).collect();
        graph.floats(&tensor.name, &[1, 2 * all], &values)
    });
    let (gate, cell) = (activation_of(config, "recurrent_activation")?, activation_of(config, "activation")?);
    let activations = if class == "LSTM" { vec![gate, cell, cell] } else { vec![gate, cell] };
    let activations = activations.into_iter().map(inner_activation).collect::<Result<Vec<_>>>()?;
    let backwards = config["go_backwards"] == true;
    let mut attributes = vec![
        ("hidden_size", Int(units as i64)),
        ("direction", Text(if backwards { "reverse" } else { "forward" })),
        ("activations", Texts(activations.iter().map(|(name, ..)| *name).collect())),
    ];
    let alphas: Vec<f32> = activations.iter().filter_map(|(_, alpha, _)| *alpha).collect();
    let betas: Vec<f32> = activations.iter().filter_map(|(.., beta)| *beta).collect();
    for (name, values) in [("activation_alpha", alphas), ("activation_beta", betas)] {
        if !values.is_empty() {
            attributes.push((name, Floats(values)));
        }
    }
    if class == "GRU" {
        attributes.push(("linear_before_reset", Int(i64::from(config["reset_after"] == true))));
    }
    let x = transpose(graph, call.x(), &[1, 0, 2]);
    let inputs: Vec<&str> = [x.as_str(), &kernel, &recurrent].into_iter().chain(bias.as_deref()).collect();
    if config["return_sequences"] != true {
        // The state after the last step: (1, batch, units).
        let state = graph.add_with(class, &inputs, attributes, 1);
        let axis = graph.ints(&[0]);
        return Ok(graph.add("Squeeze", &[&state, &axis], vec![]));
    }
    // (steps, 1, batch, units), in the order of the steps also if it goes backwards.
    let y = graph.add(class, &inputs, attributes);
    let axis = graph.ints(&[1]);
    let y = graph.add("Squeeze", &[&y, &axis], vec![]);
    let y = transpose(graph, &y, &[1, 0, 2]);
    Ok(match backwards == reversed {
        true => y,
        false => slice(graph, &y, -1, i64::MIN, -1),
    })
}
