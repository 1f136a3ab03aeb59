//! Layers that rearrange the elements of their inputs, and compute nothing: each is an [`IndexMap`].

use serde_json::{Value as Json, json};

use super::config::abridged;
use super::{Call, Config, FromConfig, KERAS, Layer, input_of_steps, require_positive, single_input};
use crate::error::{Error, Result};
use crate::index_map::IndexMap;
use crate::program::{Tape, Value};
use crate::shape::Shape;

/// Repeats its input at each of `n` steps
/// ([`keras.layers.RepeatVector`](https://keras.io/api/layers/reshaping_layers/repeat_vector/)).
///
/// # Shapes
/// * input `(batch, units)`
/// * output `(batch, n, units)`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepeatVector {
    /// The number of steps.
    pub n: usize,
}

impl RepeatVector {
    /// Creates the layer.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self { n }
    }

    fn map(&self, inputs: &[Shape]) -> Result<IndexMap> {
        require_positive(self, &[("n", self.n)])?;
        let input = single_input(Self::CLASS_NAME, inputs)?;
        if input.rank() != 1 {
            return Err(refused(self, input, "it repeats a signal without steps, (batch, units)"));
        }
        possible(self, input, Shape::new(self.n, input.channels))?;
        Ok(IndexMap::repeated(input, self.n))
    }
}

/// Repeats each step `size` times
/// ([`keras.layers.UpSampling1D`](https://keras.io/api/layers/reshaping_layers/up_sampling1d/)).
///
/// # Shapes
/// * input `(batch, steps, channels)`
/// * output `(batch, steps * size, channels)`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpSampling1D {
    /// The number of times that each step is repeated.
    pub size: usize,
}

impl UpSampling1D {
    /// Creates the layer; Keras's default is 2.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self { size }
    }

    fn map(&self, inputs: &[Shape]) -> Result<IndexMap> {
        require_positive(self, &[("size", self.size)])?;
        let input = input_of_steps(self, inputs)?;
        possible(self, input, Shape::new(input.steps.saturating_mul(self.size), input.channels))?;
        Ok(IndexMap::repeated(input, self.size))
    }
}

/// Adds steps of zeros before and after its input
/// ([`keras.layers.ZeroPadding1D`](https://keras.io/api/layers/reshaping_layers/zero_padding1d/)).
///
/// # Shapes
/// * input `(batch, steps, channels)`
/// * output `(batch, left + steps + right, channels)`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZeroPadding1D {
    /// The number of steps to add before the first step and after the last one.
    pub padding: (usize, usize),
}

impl ZeroPadding1D {
    /// Creates the layer; Keras's default is 1 step on each side.
    #[must_use]
    pub fn new(left: usize, right: usize) -> Self {
        Self { padding: (left, right) }
    }

    fn map(&self, inputs: &[Shape]) -> Result<IndexMap> {
        let input = input_of_steps(self, inputs)?;
        let (left, right) = self.padding;
        let steps = left.saturating_add(input.steps).saturating_add(right);
        possible(self, input, Shape::new(steps, input.channels))?;
        Ok(IndexMap::padded(input, left, right))
    }
}

/// Removes steps at both ends of its input
/// ([`keras.layers.Cropping1D`](https://keras.io/api/layers/reshaping_layers/cropping1d/)).
///
/// # Shapes
/// * input `(batch, steps, channels)`
/// * output `(batch, steps - left - right, channels)`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cropping1D {
    /// The number of steps to remove before the first step that is kept and after the last one.
    pub cropping: (usize, usize),
}

impl Cropping1D {
    /// Creates the layer; Keras's default is 1 step on each side.
    #[must_use]
    pub fn new(left: usize, right: usize) -> Self {
        Self { cropping: (left, right) }
    }

    fn map(&self, inputs: &[Shape]) -> Result<IndexMap> {
        let input = input_of_steps(self, inputs)?;
        let (left, right) = self.cropping;
        let end = input.steps.checked_sub(right).filter(|end| left < *end);
        let end = end.ok_or_else(|| Error::Argument {
            layer: Self::CLASS_NAME.into(),
            argument: "cropping".into(),
            found: format!("[{left}, {right}]"),
            expected: format!("fewer than the {} steps of the input in total", input.steps),
        })?;
        Ok(IndexMap::part(input, left..end, 0..input.channels))
    }
}

/// The same values without steps
/// ([`keras.layers.Flatten`](https://keras.io/api/layers/reshaping_layers/flatten/)).
///
/// # Shapes
/// * input `(batch, steps, channels)` or `(batch, units)`
/// * output `(batch, steps * channels)` or `(batch, units)`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flatten;

impl Flatten {
    fn map(&self, inputs: &[Shape]) -> Result<IndexMap> {
        let input = single_input(Self::CLASS_NAME, inputs)?;
        possible(self, input, input)?;
        Ok(IndexMap::reshaped(input, Shape::units(input.len())))
    }
}

/// The same values in another shape
/// ([`keras.layers.Reshape`](https://keras.io/api/layers/reshaping_layers/reshape/)).
///
/// # Shapes
/// * input: any
/// * output: `target_shape`, with the batch in front
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reshape {
    /// The length of each axis without the batch; `None`, which is -1 in Keras, for one that follows from the others.
    pub target_shape: Vec<Option<usize>>,
}

impl Reshape {
    /// Creates the layer for a given shape, such as `(24, 2)` or, without steps, `48`.
    #[must_use]
    pub fn new(target_shape: impl Into<Shape>) -> Self {
        Self { target_shape: target_shape.into().axes().into_iter().map(Some).collect() }
    }

    fn map(&self, inputs: &[Shape]) -> Result<IndexMap> {
        let input = single_input(Self::CLASS_NAME, inputs)?;
        possible(self, input, input)?;
        let known = self.target_shape.iter().flatten().try_fold(1usize, |len, axis| len.checked_mul(*axis));
        let open = known.filter(|known| *known > 0).map_or(0, |known| input.len() / known);
        let axes: Vec<usize> = self.target_shape.iter().map(|axis| axis.unwrap_or(open)).collect();
        let output = match (self.target_shape.iter().filter(|axis| axis.is_none()).count(), &axes[..]) {
            (0 | 1, [units]) => Some(Shape::units(*units)),
            (0 | 1, [steps, channels]) => Some(Shape::new(*steps, *channels)),
            _ => None,
        };
        let output = output.ok_or_else(|| Error::Argument {
            layer: Self::CLASS_NAME.into(),
            argument: "target_shape".into(),
            found: self.shape_json().to_string(),
            expected: "[units] or [steps, channels], of which one may be -1".into(),
        })?;
        if !output.is_possible() || output.len() != input.len() {
            let problem = format!("its {} values do not fit target_shape {}", input.len(), self.shape_json());
            return Err(refused(self, input, &problem));
        }
        Ok(IndexMap::reshaped(input, output))
    }

    fn shape_json(&self) -> Json {
        self.target_shape.iter().map(|axis| axis.map_or(json!(-1), Json::from)).collect()
    }
}

/// Joins its inputs along an axis
/// ([`keras.layers.Concatenate`](https://keras.io/api/layers/merging_layers/concatenate/)).
///
/// # Shapes
/// * inputs, two or more: `(batch, steps, channels)` or `(batch, units)`, the same but for the joined axis
/// * output: the same shape, with the sum of the lengths of the joined axis
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concatenate {
    /// The axis: 0 is the batch, which cannot be joined; negative axes count from the last one, -1.
    pub axis: i64,
}

impl Default for Concatenate {
    /// Joins the channels.
    fn default() -> Self {
        Self { axis: -1 }
    }
}

impl Concatenate {
    /// Creates the layer; Keras's default is -1, the channels.
    #[must_use]
    pub fn new(axis: i64) -> Self {
        Self { axis }
    }

    fn map(&self, inputs: &[Shape]) -> Result<IndexMap> {
        let [first, _, ..] = inputs else {
            return Err(Error::Argument {
                layer: Self::CLASS_NAME.into(),
                argument: "the number of inputs".into(),
                found: inputs.len().to_string(),
                expected: "at least 2".into(),
            });
        };
        let axes = first.rank() as i64;
        let axis = if self.axis < 0 { self.axis + axes + 1 } else { self.axis };
        if !(1..=axes).contains(&axis) {
            return Err(Error::Argument {
                layer: Self::CLASS_NAME.into(),
                argument: "axis".into(),
                found: self.axis.to_string(),
                expected: format!("1 to {axes}, or -{axes} to -1, for inputs of rank {axes}"),
            });
        }
        let of_channels = axis == axes;
        let mut output = *first;
        for input in inputs {
            let fits = input.rank() == first.rank()
                && if of_channels { input.steps == first.steps } else { input.channels == first.channels };
            if !fits || input.is_empty() {
                let other = first.batch("batch");
                return Err(refused(
                    self,
                    *input,
                    &format!("it cannot be joined to {other} along axis {axis}"),
                ));
            }
        }
        for input in &inputs[1..] {
            let joined = if of_channels { &mut output.channels } else { &mut output.steps };
            *joined = joined.saturating_add(if of_channels { input.channels } else { input.steps });
        }
        possible(self, *first, output)?;
        Ok(if of_channels { IndexMap::joined_channels(inputs) } else { IndexMap::joined_steps(inputs) })
    }
}

/// Checks that an output could fit into some memory, before an index map computes with its length.
fn possible(layer: &dyn Layer, input: Shape, output: Shape) -> Result<()> {
    match output.is_possible() {
        true => Ok(()),
        false => Err(refused(layer, input, "its output is larger than any memory")),
    }
}

fn refused(layer: &dyn Layer, input: Shape, problem: &str) -> Error {
    Error::Input { layer: layer.class_name().into(), input, problem: problem.into() }
}

/// Implements [`Layer`] for a class whose method `map` makes its index map.
macro_rules! layer_of_index_map {
    ($($class:ident |$layer:ident| $config:expr;)*) => {
        $(impl Layer for $class {
            fn class_name(&self) -> &'static str {
                Self::CLASS_NAME
            }

            fn package(&self) -> &'static str {
                KERAS
            }

            fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
                Ok(self.map(inputs)?.output())
            }

            fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
                let inputs: Vec<Shape> = call.inputs.iter().map(|x| tape.shape(*x)).collect();
                let map = self.map(&inputs).expect("the model was built with these shapes");
                tape.index_map(map, call.inputs.clone())
            }

            fn config(&self) -> Config {
                let $layer = self;
                $config
            }
        })*
    };
}

layer_of_index_map! {
    RepeatVector |layer| Config::default().with("n", layer.n);
    UpSampling1D |layer| Config::default().with("size", layer.size);
    ZeroPadding1D |layer| {
        Config::default().with("padding", pair(layer.padding)).with("data_format", "channels_last")
    };
    Cropping1D |layer| Config::default().with("cropping", pair(layer.cropping));
    Flatten |_layer| Config::default().with("data_format", "channels_last");
    Reshape |layer| Config::default().with("target_shape", layer.shape_json());
    Concatenate |layer| Config::default().with("axis", layer.axis);
}

fn pair((left, right): (usize, usize)) -> Json {
    json!([left, right])
}

impl FromConfig for RepeatVector {
    const CLASS_NAME: &'static str = "RepeatVector";
    const PACKAGE: &'static str = KERAS;

    fn from_config(config: &mut Config) -> Result<Self> {
        Ok(Self { n: config.integer("n")? })
    }
}

impl FromConfig for UpSampling1D {
    const CLASS_NAME: &'static str = "UpSampling1D";
    const PACKAGE: &'static str = KERAS;

    fn from_config(config: &mut Config) -> Result<Self> {
        Ok(Self { size: config.integer_or("size", 2)? })
    }
}

impl FromConfig for ZeroPadding1D {
    const CLASS_NAME: &'static str = "ZeroPadding1D";
    const PACKAGE: &'static str = KERAS;

    fn from_config(config: &mut Config) -> Result<Self> {
        let layer = Self { padding: config.pair_or_ones("padding")? };
        config.only_channels_last()?;
        Ok(layer)
    }
}

impl FromConfig for Cropping1D {
    const CLASS_NAME: &'static str = "Cropping1D";
    const PACKAGE: &'static str = KERAS;

    fn from_config(config: &mut Config) -> Result<Self> {
        Ok(Self { cropping: config.pair_or_ones("cropping")? })
    }
}

impl FromConfig for Flatten {
    const CLASS_NAME: &'static str = "Flatten";
    const PACKAGE: &'static str = KERAS;

    fn from_config(config: &mut Config) -> Result<Self> {
        config.only_channels_last()?;
        Ok(Self)
    }
}

impl FromConfig for Reshape {
    const CLASS_NAME: &'static str = "Reshape";
    const PACKAGE: &'static str = KERAS;

    fn from_config(config: &mut Config) -> Result<Self> {
        let value = config.take("target_shape")?;
        let axis = |axis: &Json| match axis.as_i64() {
            Some(-1) => Some(None),
            Some(axis @ 0..=0xFFFF_FFFF) => Some(Some(axis as usize)),
            _ => None,
        };
        let axes = value.as_array().and_then(|axes| axes.iter().map(axis).collect::<Option<Vec<_>>>());
        let wrong =
            || config.wrong("target_shape", "an array of whole numbers, or -1 for one", &abridged(&value));
        Ok(Self { target_shape: axes.ok_or_else(wrong)? })
    }
}

impl FromConfig for Concatenate {
    const CLASS_NAME: &'static str = "Concatenate";
    const PACKAGE: &'static str = KERAS;

    fn from_config(config: &mut Config) -> Result<Self> {
        let Some(value) = config.find("axis") else { return Ok(Self::default()) };
        let axis = value.as_i64().filter(|axis| axis.unsigned_abs() <= u64::from(u32::MAX));
        Ok(Self { axis: axis.ok_or_else(|| config.wrong("axis", "a whole number", &abridged(&value)))? })
    }
}
