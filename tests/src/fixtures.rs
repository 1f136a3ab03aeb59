//! Reads the golden data of Keras: `fixtures/README.md` says what is in each file.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use glassbox_engine::Float;
use glassbox_engine::model::{Network, WeightLayout};
use glassbox_engine::optimizers::{Adam, Hyperparameter, Optimizer, Schedule};
use glassbox_engine::shape::Shape;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value as Json;

/// The version of the files that these tests read.
pub const FORMAT: &str = "glassbox-fixture-1";

/// A file of the fixtures.
#[must_use]
pub fn path(file: &str) -> PathBuf {
    // A test that was built elsewhere is told where they are.
    let folder = std::env::var_os("GLASSBOX_FIXTURES").map(PathBuf::from);
    folder.unwrap_or_else(|| [env!("CARGO_MANIFEST_DIR"), "..", "fixtures"].iter().collect()).join(file)
}

/// A file as it stands.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn text(file: &str) -> String {
    let path = path(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A JSON file of ours: of the version that the tests read.
///
/// # Panics
/// If it cannot be read, is no JSON or of another version.
#[must_use]
pub fn json(file: &str) -> Json {
    let json: Json = serde_json::from_str(&text(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    check_format(file, json["format"].as_str()).unwrap_or_else(|error| panic!("{error}"));
    json
}

/// That a file is of the version that the tests read; if not, how to make it so.
fn check_format(file: &str, format: Option<&str>) -> Result<(), String> {
    if format == Some(FORMAT) {
        return Ok(());
    }
    let stem = file.split(['.', '/']).next().unwrap_or(file);
    Err(format!(
        "fixtures/{file} has format {}, the tests read {FORMAT}: run \
         `keras-env/bin/python fixtures/generate.py --only {stem}` (fixtures/README.md has the environment)",
        format.unwrap_or("none"),
    ))
}

/// A number as our files write it: JSON has no NaN and no infinities, so these are strings.
///
/// # Panics
/// If it is neither.
#[must_use]
pub fn number(json: &Json) -> f64 {
    match json {
        Json::Number(number) => number.as_f64().expect("a double"),
        Json::String(text) => text.parse().unwrap_or_else(|_| panic!("{text:?} is no number")),
        other => panic!("{other} is no number"),
    }
}

/// An array of numbers.
///
/// # Panics
/// If it is none.
#[must_use]
pub fn numbers(json: &Json) -> Vec<f64> {
    array(json).iter().map(number).collect()
}

/// A whole number, not negative.
///
/// # Panics
/// If it is none.
#[must_use]
pub fn integer(json: &Json) -> usize {
    json.as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or_else(|| panic!("{json} is no count"))
}

/// A string.
///
/// # Panics
/// If it is none.
#[must_use]
pub fn string(json: &Json) -> &str {
    json.as_str().unwrap_or_else(|| panic!("{json} is no string"))
}

/// An array.
///
/// # Panics
/// If it is none.
#[must_use]
pub fn array(json: &Json) -> &[Json] {
    json.as_array().unwrap_or_else(|| panic!("{json} is no array"))
}

/// An optimiser, as a file states it: `class_name`, and the hyperparameters by Keras's names.
///
/// # Panics
/// If it is none, or a hyperparameter that has a default is absent.
#[must_use]
pub fn optimizer(json: &Json) -> Optimizer {
    let class = string(&json["class_name"]);
    let mut optimizer = Optimizer::named(class).unwrap_or_else(|| panic!("{class} is no optimiser"));
    let defaults: Vec<&str> = optimizer.hyperparameters().into_iter().map(|(name, _)| name).collect();
    for name in optimizer.arguments() {
        let value = match &json[name] {
            Json::Null if !defaults.contains(&name) => continue,
            Json::Bool(flag) => Hyperparameter::Flag(*flag),
            object @ Json::Object(_) => Hyperparameter::Schedule(schedule(object)),
            value => Hyperparameter::Number(number(value)),
        };
        optimizer.set(name, value).expect("its own");
    }
    optimizer
}

/// A schedule, as a file states it: `class_name`, and the arguments by Keras's names; those that have a default may be
/// absent.
///
/// # Panics
/// If it is none.
#[must_use]
pub fn schedule(json: &Json) -> Schedule {
    serde_json::from_value(json.clone()).unwrap_or_else(|error| panic!("{json} is no schedule: {error}"))
}

/// Adam's hyperparameters, as a file states them.
#[must_use]
pub fn adam(json: &Json) -> Adam {
    Adam {
        learning_rate: number(&json["learning_rate"]).into(),
        beta_1: number(&json["beta_1"]),
        beta_2: number(&json["beta_2"]),
        epsilon: number(&json["epsilon"]),
        ..Adam::default()
    }
}

/// A shape without the batch: two axes, or one.
///
/// # Panics
/// If there are more.
#[must_use]
pub fn shape(axes: &[usize]) -> Shape {
    match axes {
        [units] => Shape::units(*units),
        [steps, channels] => Shape::new(*steps, *channels),
        _ => panic!("{axes:?} has neither one axis nor two"),
    }
}

/// A model whose only layer has this `class_name` and `config`, and of which every sample has this shape.
///
/// # Errors
/// If the engine refuses it.
pub fn one_layer(class: &str, config: &Json, input: Shape) -> glassbox_engine::Result<Network> {
    let layer = |class: &str, config: &Json| serde_json::json!({"class_name": class, "config": config});
    let batch_shape: Json =
        std::iter::once(Json::Null).chain(input.axes().into_iter().map(Json::from)).collect();
    let input = serde_json::json!({"batch_shape": batch_shape, "dtype": "float32"});
    let layers = [layer("InputLayer", &input), layer(class, config)];
    let model =
        serde_json::json!({"class_name": "Sequential", "config": {"name": "model", "layers": layers}});
    Network::from_json(&model.to_string())
}

/// The tensors of a safetensors file and what it says of them.
#[derive(Debug)]
pub struct Tensors {
    file: String,
    metadata: HashMap<String, String>,
    tensors: HashMap<String, Tensor>,
}

/// A tensor: its shape, and its values row by row. All three types of number fit into `f64`.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values.
    pub values: Vec<f64>,
}

impl Tensors {
    /// Reads a file.
    ///
    /// # Panics
    /// If it cannot be read, is no safetensors file or of another version.
    #[must_use]
    pub fn read(file: &str) -> Self {
        let path = path(file);
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (_, header) =
            SafeTensors::read_metadata(&bytes).unwrap_or_else(|error| panic!("{file}: {error}"));
        let metadata = header.metadata().clone().unwrap_or_default();
        check_format(file, metadata.get("format").map(String::as_str))
            .unwrap_or_else(|error| panic!("{error}"));
        let tensors = SafeTensors::deserialize(&bytes).unwrap_or_else(|error| panic!("{file}: {error}"));
        let tensors = tensors.iter().map(|(name, view)| {
            let data = view.data();
            let values = match view.dtype() {
                Dtype::F64 => data.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect(),
                Dtype::F32 => {
                    data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes).into()).collect()
                }
                Dtype::U8 => data.iter().map(|byte| f64::from(*byte)).collect(),
                other => panic!("{file}: {name} is {other:?}"),
            };
            (name.to_string(), Tensor { shape: view.shape().to_vec(), values })
        });
        Self { file: file.into(), metadata, tensors: tensors.collect() }
    }

    /// An entry of the metadata.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn metadata(&self, key: &str) -> &str {
        self.metadata.get(key).unwrap_or_else(|| panic!("{}: no metadata {key}", self.file))
    }

    /// An entry of the metadata that is JSON.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn metadata_json(&self, key: &str) -> Json {
        serde_json::from_str(self.metadata(key))
            .unwrap_or_else(|error| panic!("{}, {key}: {error}", self.file))
    }

    /// Adam's hyperparameters, from the metadata.
    ///
    /// # Panics
    /// If there are none.
    #[must_use]
    pub fn adam(&self, key: &str) -> Optimizer {
        Optimizer::Adam(adam(&self.metadata_json(key)))
    }

    /// A tensor, if there is one of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// A tensor.
    ///
    /// # Panics
    /// If there is none of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> &Tensor {
        self.find(name).unwrap_or_else(|| panic!("{}: no tensor {name}", self.file))
    }

    /// A flat vector of weights: the tensors `{prefix}{weight}`, in the order of the model.
    ///
    /// # Panics
    /// If one is missing or of another shape.
    #[must_use]
    pub fn flat(&self, prefix: &str, layout: &WeightLayout) -> Vec<f64> {
        let tensors = layout.tensors().iter().flat_map(|weight| {
            let tensor = self.get(&format!("{prefix}{}", weight.name));
            assert_eq!(tensor.shape, weight.shape, "{prefix}{}", weight.name);
            tensor.values.clone()
        });
        tensors.collect()
    }
}

impl Tensor {
    /// The values in another type that must hold them exactly: an input, the same for `f32` and `f64`.
    ///
    /// # Panics
    /// If one would be rounded.
    #[must_use]
    pub fn exactly<F: Float>(&self) -> Vec<F> {
        exactly(&self.values)
    }
}

/// The values in another type that must hold them exactly.
///
/// # Panics
/// If one would be rounded.
#[must_use]
pub fn exactly<F: Float>(values: &[f64]) -> Vec<F> {
    let exact = |value: f64| {
        let narrow = F::of(value);
        assert!(narrow.wide() == value, "{value} is no {}", F::NAME);
        narrow
    };
    values.iter().map(|value| exact(*value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_names_the_script_to_run() {
        assert_eq!(check_format("fit.safetensors", Some(FORMAT)), Ok(()));
        let error = check_format("fit.safetensors", Some("glassbox-fixture-0")).unwrap_err();
        assert!(
            error.contains("has format glassbox-fixture-0, the tests read glassbox-fixture-1"),
            "{error}"
        );
        assert!(error.contains("fixtures/generate.py --only fit`"), "{error}");
        assert!(
            check_format("architectures/index.json", None).unwrap_err().contains("--only architectures`")
        );
    }

    #[test]
    fn numbers_that_json_lacks_are_strings() {
        let json = serde_json::json!([1.5, "NaN", "Infinity", "-Infinity"]);
        let values = numbers(&json);
        assert!(values[1].is_nan());
        assert_eq!((values[0], values[2], values[3]), (1.5, f64::INFINITY, f64::NEG_INFINITY));
    }

    /// The decimal text of a double gives that double back, in every digit.
    #[test]
    fn doubles_are_read_to_the_bit() {
        let mut draws = crate::cases::draws(3);
        for _ in 0..2000 {
            let value = draws.normal() * 10f64.powi(draws.below(40) as i32 - 20);
            let read: f64 = serde_json::from_str(&format!("{value:?}")).unwrap();
            assert_eq!(read.to_bits(), value.to_bits(), "{value:?}");
        }
    }

    #[test]
    #[should_panic(expected = "is no f32")]
    fn an_input_that_f32_would_round_is_refused() {
        let _ = exactly::<f32>(&[0.1]);
    }
}
