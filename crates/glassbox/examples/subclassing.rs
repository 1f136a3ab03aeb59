//! A layer and a whole model as types of one's own, which say their forward pass once.
//!
//! Keras has three ways to build a model: a sequence of layers, a graph of them, and a subclass of `Layer` or `Model` with
//! a method `call`. This is the third. A type that implements [`Layer`] records its forward pass, here by calling other
//! layers; the backward pass is derived. Such types are saved, and loaded through a [`Registry`].
//!
//! ```sh
//! cargo run --release -p glassbox --example subclassing
//! ```

use glassbox::gradient_check::GradientCheck;
use glassbox::layers::{Call, Config, FromConfig, Layer, Registry, WeightSpec};
use glassbox::prelude::*;
use glassbox::program::{Tape, Value};
use glassbox::{EngineError, shape::Shape};

/// A residual block: `y = x + convolution(relu(convolution(x)))`.
#[derive(Debug)]
struct Residual {
    /// Taps of both convolutions.
    kernel_size: usize,
}

impl Residual {
    fn layers(&self, channels: usize) -> Layers {
        let convolution = Conv1D::new(channels, self.kernel_size).padding(Same);
        vec![("first", Box::new(convolution.clone().activation(Relu))), ("second", Box::new(convolution))]
    }
}

impl Layer for Residual {
    fn class_name(&self) -> &'static str {
        Self::CLASS_NAME
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
        weights_of(&self.layers(inputs[0].channels), inputs[0])
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        let x = call.x();
        let change = call_all(&self.layers(tape.shape(x).channels), tape, call);
        tape.add(x, change)
    }

    fn config(&self) -> Config {
        Config::default().with("kernel_size", self.kernel_size)
    }
}

impl FromConfig for Residual {
    const CLASS_NAME: &'static str = "Residual";

    fn from_config(config: &mut Config) -> Result<Self, EngineError> {
        Ok(Self { kernel_size: config.integer("kernel_size")? })
    }
}

/// A whole model: a window becomes a code of a few numbers, and is made from it again.
#[derive(Debug)]
struct Autoencoder {
    /// The length of the code.
    code: usize,
}

impl Autoencoder {
    fn layers(&self, window: Shape) -> Layers {
        let half = Shape::new(window.steps / 2, 8);
        vec![
            ("down", Box::new(Conv1D::new(8, 5).strides(2).padding(Same).activation(Relu))),
            ("into", Box::new(Residual { kernel_size: 3 })),
            ("flat", Box::new(Flatten)),
            ("code", Box::new(Dense::new(self.code).activation(Tanh))),
            ("back", Box::new(Dense::new(half.len()).activation(Relu))),
            ("steps", Box::new(Reshape::new(half))),
            ("out_of", Box::new(Residual { kernel_size: 3 })),
            ("up", Box::new(Conv1DTranspose::new(window.channels, 5).strides(2).padding(Same))),
        ]
    }
}

impl Layer for Autoencoder {
    fn class_name(&self) -> &'static str {
        Self::CLASS_NAME
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
        weights_of(&self.layers(inputs[0]), inputs[0])
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        call_all(&self.layers(tape.shape(call.x())), tape, call)
    }

    fn config(&self) -> Config {
        Config::default().with("code", self.code)
    }
}

impl FromConfig for Autoencoder {
    const CLASS_NAME: &'static str = "Autoencoder";

    fn from_config(config: &mut Config) -> Result<Self, EngineError> {
        Ok(Self { code: config.integer("code")? })
    }
}

/// Layers that are called one after the other, with names for their weights.
type Layers = Vec<(&'static str, Box<dyn Layer>)>;

/// The weights of all layers, named after them.
fn weights_of(layers: &Layers, input: Shape) -> Vec<WeightSpec> {
    let (mut shape, mut all) = (input, vec![]);
    for (name, layer) in layers {
        let weights = layer.weights(&[shape]).into_iter();
        all.extend(weights.map(|w| WeightSpec { name: format!("{name}_{}", w.name).into(), ..w }));
        shape = layer.output_shape(&[shape]).expect("layers that fit each other");
    }
    all
}

/// Calls layers one after the other, each with its part of the weights.
fn call_all(layers: &Layers, tape: &mut Tape, call: &Call) -> Value {
    let (mut x, mut weights) = (call.x(), &call.weights[..]);
    for (_, layer) in layers {
        let (own, others) = weights.split_at(layer.weights(&[tape.shape(x)]).len());
        x = layer.forward(tape, &Call { inputs: vec![x], weights: own.to_vec() });
        weights = others;
    }
    x
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut layers = Sequential::new((32, 1));
    layers.add(Autoencoder { code: 4 })?;
    println!("{}", layers.summary());

    // The backward pass was derived, and agrees with central differences.
    let check = GradientCheck { elements: Some(20), ..GradientCheck::default() };
    for tensor in check.run(&layers)? {
        println!("{}: relative error {:.0e}", tensor.name, tensor.error);
        assert!(tensor.passes());
    }

    let series: Vec<f32> = (0..500).map(|t| (t as f32 / 4.0).sin()).collect();
    let x = Samples::windows(&series, 32, 1)?;
    let mut model = layers.compile(Adam::new(1e-2), Loss::MeanSquaredError)?.seed(1).on(Device::cpu()?)?;
    let fitted = model.fit(&x, &x, Fit { epochs: 20, ..Fit::default() })?;
    println!("loss: {:.4} -> {:.4}", fitted.history.loss[0], fitted.history.loss[19]);

    let path = std::env::temp_dir().join("subclassing.safetensors");
    model.save(&path)?;
    let registry = Registry::default().with::<Autoencoder>().with::<Residual>();
    let mut loaded = Model::load_with(&path, &registry)?.on(Device::cpu()?)?;
    assert_eq!(loaded.predict(&x)?, model.predict(&x)?);
    println!("saved and loaded: {}", path.display());
    Ok(())
}
