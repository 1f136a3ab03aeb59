//! A recurrence in both directions.

use std::borrow::Cow;

use serde_json::Value as Json;

use super::{Call, Config, FromConfig, GRU, KERAS, LSTM, Layer, Registry, WeightSpec};
use crate::error::{Error, Result};
use crate::geometry::{Geometry, GeometrySpec};
use crate::index_map::IndexMap;
use crate::model::{snake_case, write_layer};
use crate::program::{Pooling, Tape, Value};
use crate::shape::Shape;

/// A recurrent layer over the steps forwards, and one backwards
/// ([`keras.layers.Bidirectional`](https://keras.io/api/layers/recurrent_layers/bidirectional/)).
///
/// # Shapes
/// * input `(batch, steps, channels)`
/// * output that of the layer, with twice the channels if both outputs are concatenated
/// * weights those of both layers, each with the name of its layer before its own: `forward_lstm.kernel`
///
/// ```
/// use glassbox_engine::layers::{Bidirectional, LSTM, Layer, Merge};
/// use glassbox_engine::shape::Shape;
///
/// let layer = Bidirectional::new(LSTM::new(16).return_sequences(true));
/// assert_eq!(layer.output_shape(&[Shape::new(288, 1)])?, Shape::new(288, 32));
/// let layer = Bidirectional::new(LSTM::new(16)).merge_mode(Merge::Sum);
/// assert_eq!(layer.output_shape(&[Shape::new(288, 1)])?, Shape::units(16));
/// # Ok::<(), glassbox_engine::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Bidirectional {
    /// The layers, the forward one first, and their names.
    layers: [(String, Recurrent); 2],
    merge_mode: Merge,
}

/// A layer that [`Bidirectional`] can wrap.
#[derive(Debug, Clone, PartialEq)]
pub enum Recurrent {
    /// Long short-term memory.
    LSTM(LSTM),
    /// Gated recurrent unit.
    GRU(GRU),
}

/// How [`Bidirectional`] merges both outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Merge {
    /// Side by side: twice the channels.
    #[default]
    Concat,
    /// Their sum.
    Sum,
    /// Their product, element by element.
    Mul,
    /// Their mean.
    Ave,
}

impl Merge {
    const ALL: [Self; 4] = [Self::Concat, Self::Sum, Self::Mul, Self::Ave];

    /// Keras's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Concat => "concat",
            Self::Sum => "sum",
            Self::Mul => "mul",
            Self::Ave => "ave",
        }
    }
}

impl From<LSTM> for Recurrent {
    fn from(layer: LSTM) -> Self {
        Self::LSTM(layer)
    }
}

impl From<GRU> for Recurrent {
    fn from(layer: GRU) -> Self {
        Self::GRU(layer)
    }
}

impl Recurrent {
    /// The layer.
    #[must_use]
    pub fn layer(&self) -> &dyn Layer {
        match self {
            Self::LSTM(layer) => layer,
            Self::GRU(layer) => layer,
        }
    }

    fn reversed(self) -> Self {
        match self {
            Self::LSTM(layer) => LSTM { go_backwards: !layer.go_backwards, ..layer }.into(),
            Self::GRU(layer) => GRU { go_backwards: !layer.go_backwards, ..layer }.into(),
        }
    }

    /// `units`, `return_sequences` and `go_backwards`.
    fn arguments(&self) -> (usize, bool, bool) {
        match *self {
            Self::LSTM(LSTM { units, return_sequences, go_backwards, .. })
            | Self::GRU(GRU { units, return_sequences, go_backwards, .. }) => {
                (units, return_sequences, go_backwards)
            }
        }
    }
}

impl Bidirectional {
    /// Creates the wrapper of a layer, and of a copy of it that takes the steps in the other direction. Both outputs
    /// are concatenated.
    #[must_use]
    pub fn new(layer: impl Into<Recurrent>) -> Self {
        let layer = layer.into();
        Self::of(layer.clone(), layer.reversed())
    }

    /// Creates the wrapper of two layers. Their directions must differ, and their units and `return_sequences` must be
    /// the same.
    #[must_use]
    pub fn of(layer: impl Into<Recurrent>, backward_layer: impl Into<Recurrent>) -> Self {
        let named = |prefix: &str, layer: Recurrent| {
            (format!("{prefix}{}", snake_case(layer.layer().class_name())), layer)
        };
        let layers = [named("forward_", layer.into()), named("backward_", backward_layer.into())];
        Self { layers, merge_mode: Merge::default() }
    }

    /// Sets how both outputs are merged.
    #[must_use]
    pub fn merge_mode(self, merge_mode: Merge) -> Self {
        Self { merge_mode, ..self }
    }

    /// Both layers, the forward one first.
    pub fn layers(&self) -> impl Iterator<Item = &Recurrent> {
        self.layers.iter().map(|(_, layer)| layer)
    }
}

impl Layer for Bidirectional {
    fn class_name(&self) -> &'static str {
        Self::CLASS_NAME
    }

    fn package(&self) -> &'static str {
        KERAS
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let [(_, forward), (_, backward)] = &self.layers;
        let (units, return_sequences, go_backwards) = forward.arguments();
        let expected = (units, return_sequences, !go_backwards);
        let shown = |(units, return_sequences, go_backwards): (usize, bool, bool)| {
            format!("units {units}, return_sequences {return_sequences}, go_backwards {go_backwards}")
        };
        if backward.arguments() != expected {
            return Err(Error::Argument {
                layer: Self::CLASS_NAME.into(),
                argument: "backward_layer".into(),
                found: shown(backward.arguments()),
                expected: shown(expected),
            });
        }
        backward.layer().output_shape(inputs)?;
        let output = forward.layer().output_shape(inputs)?;
        match self.merge_mode {
            Merge::Concat => Ok(output.with_channels(2 * units)),
            Merge::Sum | Merge::Mul | Merge::Ave => Ok(output),
        }
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
        let weights = self.layers.iter().flat_map(|(name, layer)| {
            let own = layer.layer().weights(inputs).into_iter();
            own.map(move |spec| WeightSpec { name: Cow::Owned(format!("{name}.{}", spec.name)), ..spec })
        });
        weights.collect()
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        let [(_, forward), (_, backward)] = &self.layers;
        let first = forward.layer().weights(&[tape.shape(call.x())]).len();
        let (of_forward, of_backward) = call.weights.split_at(first);
        let part = |weights: &[_]| Call { weights: weights.to_vec(), ..call.clone() };
        let y = forward.layer().forward(tape, &part(of_forward));
        let mut turned = backward.layer().forward(tape, &part(of_backward));
        let shape = tape.shape(y);
        let (_, return_sequences, _) = forward.arguments();
        if return_sequences {
            turned = tape.index_map(IndexMap::reversed(shape), vec![turned]);
        }
        let side_by_side = IndexMap::joined_channels(&[shape, shape]);
        match self.merge_mode {
            Merge::Concat => tape.index_map(side_by_side, vec![y, turned]),
            Merge::Sum => tape.add(y, turned),
            Merge::Mul => tape.multiply(y, turned),
            Merge::Ave => {
                // The mean of each two steps, where those of both outputs alternate.
                let both = tape.index_map(side_by_side, vec![y, turned]);
                let pairs = Shape::new(2 * shape.steps, shape.channels);
                let pairs = tape.index_map(IndexMap::reshaped(tape.shape(both), pairs), vec![both]);
                let mean = tape.pool(Pooling::Average, pairs_of(shape), pairs);
                tape.index_map(IndexMap::reshaped(tape.shape(mean), shape), vec![mean])
            }
        }
    }

    fn config(&self) -> Config {
        let [layer, backward_layer] = self.layers.each_ref().map(|(name, layer)| {
            let mut document = write_layer(name, layer.layer());
            let (_, return_sequences, _) = layer.arguments();
            // Keras sets it; without masks it has no effect.
            document["config"]["zero_output_for_mask"] = return_sequences.into();
            document
        });
        Config::default()
            .with("merge_mode", self.merge_mode.name())
            .with("layer", layer)
            .with("backward_layer", backward_layer)
    }
}

/// Windows of two steps, one after the other, whose output has this shape.
fn pairs_of(output: Shape) -> Geometry {
    let spec = GeometrySpec {
        in_steps: 2 * output.steps,
        in_channels: output.channels,
        out_steps: output.steps,
        out_channels: output.channels,
        taps: 2,
        stride: 2,
        dilation: 1,
        pad_left: 0,
    };
    Geometry::new(spec).expect("smaller than the gates of both layers")
}

impl FromConfig for Bidirectional {
    const CLASS_NAME: &'static str = "Bidirectional";
    const PACKAGE: &'static str = KERAS;

    fn from_config(config: &mut Config) -> Result<Self> {
        Self::from_config_with(config, &Registry::default())
    }

    fn from_config_with(config: &mut Config, registry: &Registry) -> Result<Self> {
        let read = |config: &mut Config, key: &str| {
            let (name, layer) = config.layer(key, registry)?;
            let layer = layer
                .recurrent()
                .ok_or_else(|| config.unsupported(key, &layer.class_name().into(), "LSTM and GRU are"))?;
            Ok::<_, Error>((name.unwrap_or_else(|| snake_case(layer.layer().class_name())), layer))
        };
        let prefixed =
            |prefix: &str, name: &str| format!("{prefix}{}", name.strip_prefix(prefix).unwrap_or(name));
        let (name, layer) = read(config, "layer")?;
        let backward = match config.find_some("backward_layer") {
            Some(object) => {
                config.entries.insert("backward_layer".into(), object);
                read(config, "backward_layer")?
            }
            None => (prefixed("backward_", &name), layer.clone().reversed()),
        };
        config.only("weights", &Json::Null)?;
        let merge_mode = match config.entries.contains_key("merge_mode") {
            false => Merge::Concat,
            true => {
                let name = config.take("merge_mode")?;
                let found = Merge::ALL.into_iter().find(|mode| name == mode.name());
                found
                    .ok_or_else(|| config.unsupported("merge_mode", &name, "concat, sum, mul and ave are"))?
            }
        };
        Ok(Self { layers: [(prefixed("forward_", &name), layer), backward], merge_mode })
    }
}
