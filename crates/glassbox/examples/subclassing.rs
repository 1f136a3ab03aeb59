//! A layer and a whole model as types of one's own, which say their forward pass once.
//!
//! Keras has three ways to build a model: a sequence of layers, a graph of them, and a subclass of `Layer` or `Model` with
//! a method `call`. This is the third. A type that implements [`Layer`] records its forward pass, here through models of
//! other layers; the backward pass is derived. Such types are saved, and loaded through a [`Registry`].
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
    fn change(&self, x: Shape) -> Result<Network, EngineError> {
        let convolution = Conv1D::new(x.channels, self.kernel_size).padding(Same);
        let mut change = Sequential::new(x);
        change.add(convolution.clone().activation(Relu))?.add(convolution)?;
        Ok(change.into())
    }
}

impl Layer for Residual {
    fn class_name(&self) -> &'static str {
        Self::CLASS_NAME
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, EngineError> {
        Ok(self.change(inputs[0])?.output_shape())
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
        self.change(inputs[0]).expect(CHECKED).weights(inputs)
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        let x = call.x();
        let change = self.change(tape.shape(x)).expect(CHECKED).forward(tape, call);
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
    fn layers(&self, window: Shape) -> Result<Network, EngineError> {
        let half = Shape::new(window.steps / 2, 8);
        let mut layers = Sequential::new(window);
        layers.add(Conv1D::new(8, 5).strides(2).padding(Same).activation(Relu))?;
        layers.add(Residual { kernel_size: 3 })?.add(Flatten)?;
        layers.add(Dense::new(self.code).activation(Tanh))?;
        layers.add(Dense::new(half.len()).activation(Relu))?.add(Reshape::new(half))?;
        layers.add(Residual { kernel_size: 3 })?;
        layers.add(Conv1DTranspose::new(window.channels, 5).strides(2).padding(Same))?;
        Ok(layers.into())
    }
}

impl Layer for Autoencoder {
    fn class_name(&self) -> &'static str {
        Self::CLASS_NAME
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, EngineError> {
        Ok(self.layers(inputs[0])?.output_shape())
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
        self.layers(inputs[0]).expect(CHECKED).weights(inputs)
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        self.layers(tape.shape(call.x())).expect(CHECKED).forward(tape, call)
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

/// Why a part can be built: a model asks for the shape of the output before anything else.
const CHECKED: &str = "output_shape has built it for this input";

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
