//! Branches that meet, element by element.

use super::{Call, Config, FromConfig, KERAS, Layer, single_input};
use crate::error::{Error, Result};
use crate::program::{Tape, Value};
use crate::shape::Shape;

/// The shape of several inputs, which all have it.
fn common_shape(layer: &str, inputs: &[Shape]) -> Result<Shape> {
    let [first, others @ ..] = inputs else {
        return Err(too_few(layer, inputs.len()));
    };
    let shape = single_input(layer, &[*first])?;
    if others.is_empty() {
        return Err(too_few(layer, 1));
    }
    match others.iter().find(|other| **other != shape) {
        None => Ok(shape),
        Some(other) => {
            let problem = format!(
                "its first input has shape {shape}; inputs are not broadcast, so give all of them the same shape"
            );
            Err(Error::Input { layer: layer.into(), input: *other, problem })
        }
    }
}

fn too_few(layer: &str, found: usize) -> Error {
    Error::Argument {
        layer: layer.into(),
        argument: "the number of inputs".into(),
        found: found.to_string(),
        expected: "at least 2".into(),
    }
}

/// Defines a layer that folds its inputs with an instruction, the first two first.
macro_rules! merge_layer {
    ($class:ident, $instruction:ident, $(#[$documentation:meta])*) => {
        $(#[$documentation])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $class;

        impl Layer for $class {
            fn class_name(&self) -> &'static str {
                Self::CLASS_NAME
            }

            fn package(&self) -> &'static str {
                KERAS
            }

            fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
                common_shape(Self::CLASS_NAME, inputs)
            }

            fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
                let merge = |y, x: &Value| tape.$instruction(y, *x);
                call.inputs[1..].iter().fold(call.inputs[0], merge)
            }
        }

        impl FromConfig for $class {
            const CLASS_NAME: &'static str = stringify!($class);
            const PACKAGE: &'static str = KERAS;

            fn from_config(_: &mut Config) -> Result<Self> {
                Ok(Self)
            }
        }
    };
}

merge_layer! {
    Add, add,
    /// The sum of two or more inputs of one shape
    /// ([`keras.layers.Add`](https://keras.io/api/layers/merging_layers/add/)). Keras also broadcasts axes of length 1;
    /// here such inputs are refused.
    ///
    /// # Shapes
    /// * inputs and output `(batch, steps, channels)`
    ///
    /// ```
    /// use glassbox_engine::layers::{Add, Layer};
    /// use glassbox_engine::shape::Shape;
    ///
    /// let shape = Shape::new(288, 32);
    /// assert_eq!(Add.output_shape(&[shape, shape])?, shape);
    /// assert!(Add.output_shape(&[shape, Shape::new(288, 1)]).is_err());
    /// # Ok::<(), glassbox_engine::Error>(())
    /// ```
}

merge_layer! {
    Multiply, multiply,
    /// The product of two or more inputs of one shape
    /// ([`keras.layers.Multiply`](https://keras.io/api/layers/merging_layers/multiply/)). Keras also broadcasts axes of
    /// length 1; here such inputs are refused.
    ///
    /// # Shapes
    /// * inputs and output `(batch, steps, channels)`
}
