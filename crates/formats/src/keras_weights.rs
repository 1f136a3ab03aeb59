//! The weights of Keras 3, `model.weights.h5`: an HDF5 file with a dataset for each variable.
//!
//! | datasets | |
//! |---|---|
//! | `layers/conv1d/vars/0`, `/1`, ... | the weights of a layer, in the order in which Keras makes them |
//! | `layers/lstm/cell/vars/0`, ... | those of a recurrent layer |
//! | `layers/bidirectional/forward_layer/cell/vars/0`, `.../backward_layer/...` | those of both of its layers |
//! | `layers/time_distributed/layer/vars/0`, ... | those of its layer |
//! | `layers/sequential/layers/dense/vars/0`, ... | those of a model within the model |
//! | `optimizer/vars/0`, ... | the optimiser: its steps, its learning rate unless that is a schedule, its numbers for each weight |
//!
//! A layer's group has the name of its class, not that of the layer; a second layer of a class has `conv1d_1`. Keras also
//! writes groups without a dataset, and the names of layers as attributes. Neither is needed to read a file, and neither is
//! written here.

use std::collections::{BTreeMap, BTreeSet};

use glassbox_engine::layers::Layer;
use glassbox_engine::model::{Network, WeightInfo, snake_case};
use glassbox_engine::optimizers::{LearningRate, Optimizer};
use glassbox_engine::text::listed;

use crate::hdf5::{Dataset, Group, Object, Values};
use crate::model_file::Training;
use crate::tensor_file::TensorFileError;

/// The module of Keras's own layers.
const KERAS: &str = "keras.layers";

type Result<T> = std::result::Result<T, TensorFileError>;

/// The paths of a model's weights, in the order of its layout.
#[must_use]
pub fn paths(model: &Network) -> Vec<String> {
    let mut paths = vec![];
    push_paths("layers", model, model.layout().tensors(), &mut paths);
    paths
}

fn push_paths(prefix: &str, model: &Network, tensors: &[WeightInfo], paths: &mut Vec<String>) {
    let mut used: BTreeMap<String, usize> = BTreeMap::new();
    for named in model.layers() {
        let class = snake_case(named.layer.class_name());
        let before = used.entry(class.clone()).and_modify(|count| *count += 1).or_insert(0);
        let name = if *before == 0 { class } else { format!("{class}_{before}") };
        let (layer, tensors) = (&*named.layer, &tensors[named.weights.clone()]);
        push_layer(&format!("{prefix}/{name}"), layer, tensors, paths);
    }
}

fn push_layer(prefix: &str, layer: &dyn Layer, tensors: &[WeightInfo], paths: &mut Vec<String>) {
    if let Some(model) = layer.network() {
        return push_paths(&format!("{prefix}/layers"), model, tensors, paths);
    }
    match (layer.package(), layer.class_name()) {
        (KERAS, "Bidirectional") => {
            // Each begins with its kernel; one of them may lack a bias.
            let backward = tensors.iter().rposition(|tensor| tensor.name.ends_with(".kernel"));
            let forward = backward.unwrap_or(tensors.len());
            push_variables(&format!("{prefix}/forward_layer/cell"), &tensors[..forward], paths);
            push_variables(&format!("{prefix}/backward_layer/cell"), &tensors[forward..], paths);
        }
        (KERAS, "TimeDistributed") => push_variables(&format!("{prefix}/layer"), tensors, paths),
        (KERAS, "LSTM" | "GRU") => push_variables(&format!("{prefix}/cell"), tensors, paths),
        _ => push_variables(prefix, tensors, paths),
    }
}

/// Keras numbers the variables of a layer that are trained before the others.
fn push_variables(prefix: &str, tensors: &[WeightInfo], paths: &mut Vec<String>) {
    let trained = tensors.iter().filter(|tensor| tensor.trained).count();
    let (mut next, mut next_other) = (0, trained);
    for tensor in tensors {
        let number = if tensor.trained { &mut next } else { &mut next_other };
        paths.push(format!("{prefix}/vars/{number}"));
        *number += 1;
    }
}

/// The file of a model's weights, and of its optimiser's state if it has one.
///
/// # Panics
/// If a flat vector does not have the length of the model's layout.
#[must_use]
pub fn write(model: &Network, weights: &[f32], training: Option<&Training>) -> Group {
    let mut root = Group::default();
    let tensors = model.layout().tensors();
    for (path, tensor) in paths(model).iter().zip(tensors) {
        root.insert(path, values_of(tensor, weights));
    }
    if let Some(training) = training {
        let mut variables =
            vec![number(Values::Integer(vec![i64::try_from(training.step).unwrap_or(i64::MAX)]))];
        if let LearningRate::Constant(rate) = training.optimizer.learning_rate() {
            variables.push(number(Values::F32(vec![rate as f32])));
        }
        let slots = variables_of(&training.optimizer, tensors);
        variables.extend(slots.iter().map(|(slot, tensor)| values_of(tensor, &training.slots[*slot])));
        for (index, variable) in variables.into_iter().enumerate() {
            root.insert(&format!("{OPTIMIZER}/{index}"), variable);
        }
    }
    root
}

const OPTIMIZER: &str = "optimizer/vars";

fn number(values: Values) -> Dataset {
    Dataset { shape: vec![], values }
}

fn values_of(tensor: &WeightInfo, flat: &[f32]) -> Dataset {
    Dataset { shape: tensor.shape.clone(), values: Values::F32(flat[tensor.range.clone()].to_vec()) }
}

/// The optimiser's variables for weights, in Keras's order: the slot and the weight of each.
fn variables_of<'a>(optimizer: &Optimizer, tensors: &'a [WeightInfo]) -> Vec<(usize, &'a WeightInfo)> {
    let trained = || tensors.iter().filter(|tensor| tensor.trained);
    // Adam makes both moments of a weight together, all others are made slot by slot.
    let together = if matches!(optimizer, Optimizer::Adam(_) | Optimizer::AdamW(_)) { 2 } else { 0 };
    let first = trained().flat_map(|tensor| (0..together).map(move |slot| (slot, tensor)));
    let rest =
        (together..optimizer.slots().len()).flat_map(|slot| trained().map(move |tensor| (slot, tensor)));
    first.chain(rest).collect()
}

/// Reads the weights of a model, flat in its layout. `file` is for error messages.
///
/// # Errors
/// If a variable is missing, has another shape, or is not finite, or the file has variables of layers that the model does
/// not have.
pub fn read_weights(root: &Group, model: &Network, file: &str) -> Result<Vec<f32>> {
    let (paths, tensors) = (paths(model), model.layout().tensors());
    let mut flat = vec![];
    for (path, tensor) in paths.iter().zip(tensors) {
        let variable = root.object(path).ok_or_else(|| TensorFileError::MissingTensor {
            file: file.into(),
            tensor: format!("{path} ({})", tensor.name),
            shape: tensor.shape.clone(),
            unused: listed(others(root, &paths)),
        })?;
        flat.extend(values(variable, path, &tensor.shape, file)?);
    }
    let others = others(root, &paths);
    match others.is_empty() {
        true => Ok(flat),
        false => Err(TensorFileError::ExtraTensors { file: file.into(), tensors: listed(others) }),
    }
}

/// Some of the variables of layers that are not among `paths`, but for the state of random generators.
fn others(root: &Group, paths: &[String]) -> Vec<String> {
    fn walk(group: &Group, path: &mut String, known: &BTreeSet<&str>, found: &mut Vec<String>) {
        const ENOUGH: usize = 20;
        let length = path.len();
        for (name, member) in &group.members {
            path.push('/');
            path.push_str(name);
            match member {
                Object::Group(_) if name == "seed_generator" => {}
                Object::Group(inner) => walk(inner, path, known, found),
                _ if found.len() < ENOUGH && !known.contains(&**path) => found.push(path.clone()),
                _ => {}
            }
            path.truncate(length);
        }
    }
    let known = paths.iter().map(String::as_str).collect();
    let mut found = vec![];
    if let Some(layers) = root.group("layers") {
        walk(layers, &mut "layers".into(), &known, &mut found);
    }
    found
}

/// Reads the state of an optimiser, whose hyperparameters are those of `optimizer`: the optimiser with the learning rate
/// that the file has, the number of steps done, and the slots. `file` is for error messages.
///
/// # Errors
/// If the file has other variables than this optimiser.
pub fn read_optimizer(
    root: &Group,
    model: &Network,
    optimizer: &Optimizer,
    file: &str,
) -> Result<(Optimizer, u64, Vec<Vec<f32>>)> {
    let (mut optimizer, layout) = (optimizer.clone(), model.layout());
    let mut slots = vec![vec![0.0; layout.len()]; optimizer.slots().len()];
    let Some(group) = root.group(OPTIMIZER) else { return Ok((optimizer, 0, slots)) };
    let class = optimizer.class_name();
    let missing = |index: usize| TensorFileError::MissingTensor {
        file: file.into(),
        tensor: format!("{OPTIMIZER}/{index} ({class})"),
        shape: vec![],
        unused: "none".into(),
    };
    let variable = |index: usize| group.members.get(&index.to_string()).ok_or_else(|| missing(index));
    let step = match variable(0)? {
        Object::Dataset(Dataset { values: Values::Integer(values), .. }) if values.len() == 1 => {
            u64::try_from(values[0])
                .map_err(|_| bad(file, 0, values[0], "the number of steps, not negative"))?
        }
        _ => return Err(wrong_type(file, &format!("{OPTIMIZER}/0"), "no integer")),
    };
    let constant = match optimizer.learning_rate() {
        LearningRate::Constant(rate) => Some(rate),
        LearningRate::Schedule(_) => None,
    };
    if let Some(rate) = constant {
        let [found] = values(variable(1)?, &format!("{OPTIMIZER}/1"), &[], file)?[..] else {
            return Err(missing(1));
        };
        // That of the configuration has all digits, unless it was changed since.
        if found != rate as f32 {
            let shortest: f64 = found.to_string().parse().expect("the text of a finite number");
            optimizer.set_learning_rate(shortest);
        }
    }
    let first = 1 + usize::from(constant.is_some());
    // Before the first step of a model that was never built there are none.
    if group.members.len() > first {
        let variables = variables_of(&optimizer, layout.tensors());
        let expected = first + variables.len();
        if group.members.len() != expected {
            let found = group.members.len();
            return Err(TensorFileError::ExtraTensors {
                file: file.into(),
                tensors: format!("{found} variables in {OPTIMIZER}, where {class} has {expected} of them,"),
            });
        }
        for (index, (slot, tensor)) in variables.into_iter().enumerate() {
            let index = first + index;
            let values = values(variable(index)?, &format!("{OPTIMIZER}/{index}"), &tensor.shape, file)?;
            slots[slot][tensor.range.clone()].copy_from_slice(&values);
        }
    }
    Ok((optimizer, step, slots))
}

fn bad(file: &str, index: usize, found: impl ToString, expected: &str) -> TensorFileError {
    TensorFileError::BadKey {
        file: file.into(),
        key: format!("{OPTIMIZER}/{index}"),
        found: found.to_string(),
        expected: expected.into(),
        advice: "save the model again",
    }
}

/// The finite values of a variable of this shape.
pub(crate) fn values(variable: &Object, path: &str, shape: &[usize], file: &str) -> Result<Vec<f32>> {
    let dataset = match variable {
        Object::Dataset(dataset) => dataset,
        Object::Group(_) => return Err(wrong_type(file, path, "a group")),
        Object::Other(found) => return Err(wrong_type(file, path, found)),
    };
    if dataset.shape != shape {
        return Err(TensorFileError::WrongShape {
            file: file.into(),
            tensor: path.into(),
            found: dataset.shape.clone(),
            expected: shape.to_vec(),
        });
    }
    let wide: Vec<f64>;
    let values = match &dataset.values {
        Values::F32(values) => {
            wide = values.iter().map(|value| f64::from(*value)).collect();
            values.clone()
        }
        Values::F64(values) => {
            wide = values.clone();
            values.iter().map(|value| *value as f32).collect()
        }
        Values::Integer(_) => return Err(wrong_type(file, path, "integers")),
    };
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(values),
        Some(index) => {
            let (file, tensor) = (file.into(), path.into());
            Err(TensorFileError::NotFinite { file, tensor, index, value: wide[index] })
        }
    }
}

fn wrong_type(file: &str, path: &str, found: &str) -> TensorFileError {
    TensorFileError::WrongType { file: file.into(), tensor: path.into(), found: found.into() }
}
