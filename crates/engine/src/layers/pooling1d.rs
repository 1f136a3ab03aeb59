//! Pooling over time.

use serde_json::Value as Json;

use super::{Call, Config, FromConfig, KERAS, Layer, input_of_steps, require_positive};
use crate::error::{Error, Result};
use crate::geometry::{Geometry, GeometrySpec, Padding};
use crate::program::{Pooling, Tape, Value};
use crate::shape::Shape;
use crate::text::excerpt;

/// The linear map whose steps meet as those of a pooling do.
fn geometry(
    layer: &dyn Layer,
    input: Shape,
    [pool_size, strides]: [usize; 2],
    padding: Padding,
) -> Result<Geometry> {
    require_positive(layer, &[("pool_size", pool_size), ("strides", strides)])?;
    if padding == Padding::Causal {
        return Err(Error::Argument {
            layer: layer.class_name().into(),
            argument: "padding".into(),
            found: padding.name().into(),
            expected: "valid or same".into(),
        });
    }
    let refused = |problem: String| Error::Input { layer: layer.class_name().into(), input, problem };
    let (out_steps, pad_left) = padding.resolve(input.steps, pool_size, strides).ok_or_else(|| {
        refused(format!(
            "a window of {pool_size} steps is longer than its {} steps; shorten it or use padding \"same\"",
            input.steps
        ))
    })?;
    let spec = GeometrySpec {
        in_steps: input.steps,
        in_channels: input.channels,
        out_steps,
        out_channels: input.channels,
        taps: pool_size,
        stride: strides,
        dilation: 1,
        pad_left,
    };
    Geometry::new(spec).map_err(|_| {
        refused(
            "the padded input is larger than any memory; lower pool_size, strides or the input's size".into(),
        )
    })
}

/// Takes the arguments of both classes, of which one has a default for its size.
fn arguments(config: &mut Config, default_size: Option<usize>) -> Result<(usize, usize, Padding)> {
    let pool_size = match default_size {
        Some(size) if !config.entries.contains_key("pool_size") => size,
        _ => config.single("pool_size")?,
    };
    let strides = match config.entries.get("strides") {
        Some(Json::Null) | None => pool_size,
        Some(_) => config.single("strides")?,
    };
    config.find("strides");
    // In lower case only, unlike that of a convolution.
    let padding = match config.entries.contains_key("padding") {
        true => config.text("padding")?,
        false => Padding::Valid.name().into(),
    };
    let known = [Padding::Valid, Padding::Same].into_iter().find(|known| known.name() == padding);
    let padding =
        known.ok_or_else(|| config.wrong("padding", "valid or same", &excerpt(&padding).to_string()))?;
    config.only_channels_last()?;
    Ok((pool_size, strides, padding))
}

/// Defines the layer of a pooling: its class, the pooling, the size of a window if JSON has none, and what it is.
macro_rules! pooling_layer {
    ($class:ident, $pooling:expr, $default_size:expr, $(#[$documentation:meta])*) => {
        $(#[$documentation])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $class {
            /// Steps in a window.
            pub pool_size: usize,
            /// Steps between the starts of two windows.
            pub strides: usize,
            /// Treatment of the ends of the signal, `Valid` or `Same`. Padding is no part of a window.
            pub padding: Padding,
        }

        impl $class {
            /// Creates the layer with windows of `pool_size` steps, one after the other, and `valid` padding.
            #[must_use]
            pub fn new(pool_size: usize) -> Self {
                Self { pool_size, strides: pool_size, padding: Padding::Valid }
            }

            /// Sets the strides.
            #[must_use]
            pub fn strides(self, strides: usize) -> Self {
                Self { strides, ..self }
            }

            /// Sets the padding.
            #[must_use]
            pub fn padding(self, padding: Padding) -> Self {
                Self { padding, ..self }
            }

            fn geometry(&self, input: Shape) -> Result<Geometry> {
                geometry(self, input, [self.pool_size, self.strides], self.padding)
            }
        }

        impl Layer for $class {
            fn class_name(&self) -> &'static str {
                Self::CLASS_NAME
            }

            fn package(&self) -> &'static str {
                KERAS
            }

            fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
                Ok(self.geometry(input_of_steps(self, inputs)?)?.output())
            }

            fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
                let x = call.x();
                let geometry = self.geometry(tape.shape(x)).expect("the model was built with this shape");
                tape.pool($pooling, geometry, x)
            }

            fn config(&self) -> Config {
                Config::default()
                    .with("pool_size", [self.pool_size].as_slice())
                    .with("padding", self.padding.name())
                    .with("strides", [self.strides].as_slice())
                    .with("data_format", "channels_last")
            }
        }

        impl FromConfig for $class {
            const CLASS_NAME: &'static str = stringify!($class);
            const PACKAGE: &'static str = KERAS;

            fn from_config(config: &mut Config) -> Result<Self> {
                let (pool_size, strides, padding) = arguments(config, $default_size)?;
                Ok(Self { pool_size, strides, padding })
            }
        }
    };
}

pooling_layer! {
    MaxPooling1D, Pooling::Max, Some(2),
    /// The maximum of each window of a channel
    /// ([`keras.layers.MaxPooling1D`](https://keras.io/api/layers/pooling_layers/max_pooling1d/)).
    ///
    /// The gradient goes to the maximum; to the first of several, as in TensorFlow. A NaN in a window is its maximum.
    ///
    /// # Shapes
    /// * input `(batch, steps, channels)`
    /// * output `(batch, out_steps, channels)`, out_steps by [`Padding::resolve`]
    ///
    /// ```
    /// use glassbox_engine::layers::{Layer, MaxPooling1D};
    /// use glassbox_engine::shape::Shape;
    ///
    /// assert_eq!(MaxPooling1D::new(2).output_shape(&[Shape::new(288, 32)])?, Shape::new(144, 32));
    /// # Ok::<(), glassbox_engine::Error>(())
    /// ```
}

pooling_layer! {
    AveragePooling1D, Pooling::Average, None,
    /// The mean of each window of a channel
    /// ([`keras.layers.AveragePooling1D`](https://keras.io/api/layers/pooling_layers/average_pooling1d/)). Steps of
    /// padding do not count, as in TensorFlow.
    ///
    /// # Shapes
    /// * input `(batch, steps, channels)`
    /// * output `(batch, out_steps, channels)`, out_steps by [`Padding::resolve`]
}
