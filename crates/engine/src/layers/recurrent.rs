//! Code that LSTM and GRU share.

use serde_json::{Value as Json, json};

use super::convolution::initializer;
use super::{Activation, Call, Config, Layer, WeightSpec, require_positive, single_input};
use crate::error::{Error, Result};
use crate::index_map::IndexMap;
use crate::initializers::Initializer;
use crate::program::{Pointwise, Tape, Value};
use crate::recurrent::{Cell, Returned};
use crate::shape::Shape;

/// The arguments that both layers have, besides those of the cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) use_bias: bool,
    pub(super) return_sequences: bool,
    pub(super) go_backwards: bool,
}

/// Defines what both layers set and give in the same way. `$kind` are the equations of `$layer`.
macro_rules! recurrent_layer {
    ($class:ident, $layer:ident => $kind:expr) => {
        impl $class {
            /// Sets `activation`, the function of the candidate.
            #[must_use]
            pub fn activation(self, activation: Activation) -> Self {
                Self { activation, ..self }
            }

            /// Sets `recurrent_activation`, the function of the gates.
            #[must_use]
            pub fn recurrent_activation(self, recurrent_activation: Activation) -> Self {
                Self { recurrent_activation, ..self }
            }

            /// Adds or omits the bias.
            #[must_use]
            pub fn use_bias(self, use_bias: bool) -> Self {
                Self { use_bias, ..self }
            }

            /// Returns all steps or the last.
            #[must_use]
            pub fn return_sequences(self, return_sequences: bool) -> Self {
                Self { return_sequences, ..self }
            }

            /// Sets the direction.
            #[must_use]
            pub fn go_backwards(self, go_backwards: bool) -> Self {
                Self { go_backwards, ..self }
            }

            fn cell(&self) -> $crate::recurrent::Cell {
                let $layer = self;
                let Self { units, activation, recurrent_activation, .. } = *self;
                $crate::recurrent::Cell { kind: $kind, units, activation, recurrent_activation }
            }

            fn options(&self) -> Options {
                let Self { use_bias, return_sequences, go_backwards, .. } = *self;
                Options { use_bias, return_sequences, go_backwards }
            }
        }
    };
}

pub(super) use recurrent_layer;

/// The shape of the output: `(steps, units)`, or `(units)` of the last step.
///
/// # Errors
/// If an argument is out of range, or the input has no steps or is too large.
pub(super) fn output_shape(
    layer: &dyn Layer,
    inputs: &[Shape],
    cell: &Cell,
    return_sequences: bool,
) -> Result<Shape> {
    let input = single_input(layer.class_name(), inputs)?;
    require_positive(layer, &[("units", cell.units)])?;
    cell.activation.validate(layer.class_name())?;
    cell.recurrent_activation.validate(layer.class_name())?;
    let refused =
        |problem: &str| Error::Input { layer: layer.class_name().into(), input, problem: problem.into() };
    if input.rank() != 2 {
        return Err(refused("it has no steps; put RepeatVector before it"));
    }
    let widest = cell.units.checked_mul(12).map(|channels| Shape::new(input.steps, channels));
    let fits = widest.is_some_and(|shape| shape.is_possible())
        && cell.product(input.channels, input.steps, 0).is_ok()
        && cell.product(cell.units, input.steps, 1).is_ok();
    if !fits {
        return Err(refused(
            "the gates of all steps, or a kernel, are larger than any memory; lower the units",
        ));
    }
    Ok(if return_sequences { Shape::new(input.steps, cell.units) } else { Shape::units(cell.units) })
}

/// The weights: W, U, and the bias if there is one.
pub(super) fn weights(cell: &Cell, input: Shape, bias: Option<Initializer>) -> Vec<WeightSpec> {
    let (units, columns) = (cell.units, cell.columns());
    let mut weights = vec![
        WeightSpec::new("kernel", vec![input.channels, columns], Initializer::GlorotUniform),
        WeightSpec::new("recurrent_kernel", vec![units, columns], Initializer::Orthogonal),
    ];
    let shape = if cell.reset_after() { vec![2, columns] } else { vec![columns] };
    weights.extend(bias.map(|initializer| WeightSpec::new("bias", shape, initializer)));
    weights
}

/// Records `z = x W + b`, the recurrence, and the hidden states that the layer returns. What repeats one row at all
/// steps, as RepeatVector does, is multiplied once.
pub(super) fn forward(tape: &mut Tape, call: &Call, cell: Cell, options: Options) -> Value {
    let x = call.x();
    let shape = tape.shape(x);
    let (x, rows) = match tape.repeated_row(x) {
        Some(row) => (row, 1),
        None if options.go_backwards => (tape.index_map(IndexMap::reversed(shape), vec![x]), shape.steps),
        None => (x, shape.steps),
    };
    let bias = call.weights.get(2).copied();
    let (of_z, of_recurrence) = if cell.reset_after() { (None, bias) } else { (bias, None) };
    let geometry = cell.product(shape.channels, rows, 0).expect("the model was built with this shape");
    let z = tape.apply(geometry, call.weights[0], x, of_z.map(Pointwise::AddBias).into_iter().collect());
    let trace = tape.recur(cell, shape.steps, (call.weights[1], of_recurrence), z);
    let returned = if options.return_sequences { Returned::All } else { Returned::Last };
    tape.index_map(returned.of(&cell, shape.steps), vec![trace])
}

/// The arguments before those of the cell.
pub(super) fn with_options(config: Config, cell: &Cell, options: Options) -> Config {
    config
        .with("return_sequences", options.return_sequences)
        .with("return_state", false)
        .with("go_backwards", options.go_backwards)
        .with("stateful", false)
        .with("unroll", false)
        .with("zero_output_for_mask", false)
        .with("units", cell.units)
        .with("activation", cell.activation.to_json())
        .with("recurrent_activation", cell.recurrent_activation.to_json())
        .with("use_bias", options.use_bias)
        .with("kernel_initializer", Initializer::GlorotUniform.config())
        .with("recurrent_initializer", Initializer::Orthogonal.config())
        .with("bias_initializer", Initializer::Zeros.config())
}

/// The arguments after those of the cell, of which the engine supports one value only.
pub(super) fn with_fixed_arguments(config: Config) -> Config {
    let config = FIXED.iter().fold(config, |config, argument| config.with(argument, Json::Null));
    config.with("dropout", 0.0).with("recurrent_dropout", 0.0).with("seed", Json::Null)
}

const FIXED: [&str; 7] = [
    "kernel_regularizer",
    "recurrent_regularizer",
    "bias_regularizer",
    "activity_regularizer",
    "kernel_constraint",
    "recurrent_constraint",
    "bias_constraint",
];

/// Takes the arguments that both layers have: the units, T and S, and the options.
pub(super) fn take(config: &mut Config) -> Result<(usize, [Activation; 2], Options)> {
    let units = config.integer("units")?;
    let functions = [
        config.activation_or("activation", Activation::Tanh)?,
        config.activation_or("recurrent_activation", Activation::Sigmoid)?,
    ];
    let options = Options {
        use_bias: config.flag("use_bias")?,
        return_sequences: config.is_set("return_sequences")?,
        go_backwards: config.is_set("go_backwards")?,
    };
    for argument in ["return_state", "stateful", "unroll"] {
        config.only(argument, &json!(false))?;
    }
    // Without masks it has no effect.
    config.is_set("zero_output_for_mask")?;
    for argument in ["dropout", "recurrent_dropout"] {
        let rate = config.number_or(argument, 0.0)?;
        if rate != 0.0 {
            return Err(config.unsupported(
                argument,
                &rate.into(),
                "0 is, and a Dropout layer before this one",
            ));
        }
    }
    // The seed is that of dropout within the layer; Keras reads `implementation`, of Keras 2, and ignores it.
    for argument in ["seed", "implementation"] {
        config.find(argument);
    }
    for argument in FIXED {
        config.only(argument, &Json::Null)?;
    }
    initializer(config, "kernel_initializer", &["GlorotUniform", "glorot_uniform"], false)?;
    let orthogonal = ["Orthogonal", "OrthogonalInitializer", "orthogonal"];
    initializer(config, "recurrent_initializer", &orthogonal, true)?;
    initializer(config, "bias_initializer", &["Zeros", "zeros", "zero"], options.use_bias)?;
    Ok((units, functions, options))
}
