//! A custom layer: written, gradient-checked, trained, saved and loaded.
//!
//! ```sh
//! cargo run --release -p glassbox --example custom_layer
//! ```

use glassbox::gradient_check::GradientCheck;
use glassbox::layers::{Call, Config, FromConfig, Layer, Registry, WeightSpec};
use glassbox::ndarray::{ArrayView2, ArrayViewMut2, Zip};
use glassbox::prelude::*;
use glassbox::program::custom::{Operation, Saved};
use glassbox::program::{Tape, Value};
use glassbox::{EngineError, Float, initializers::Initializer, shape::Shape};

/// A leaky ReLU that learns its slope for negative values in each channel
/// ([`keras.layers.PReLU`](https://keras.io/api/layers/activation_layers/prelu/) with the steps shared):
/// `y[t, c] = x[t, c]` where it is positive, else `alpha[c] x[t, c]`.
#[derive(Debug, Clone)]
struct LeakyChannels;

/// The computation, generic over the float type, so that the gradient check can run it in `f64`.
impl Operation for LeakyChannels {
    fn forward<F: Float>(&self, x: ArrayView2<'_, F>, alpha: &[F], mut y: ArrayViewMut2<'_, F>) {
        Zip::indexed(&mut y)
            .and(&x)
            .for_each(|(_, c), y, &x| *y = if x > F::zero() { x } else { alpha[c] * x });
    }

    /// `dx = dy` where x is positive, else `alpha[c] dy`; `dalpha[c] += dy x` over the steps where it is not.
    fn backward<F: Float>(&self, saved: Saved<'_, F>, mut dx: ArrayViewMut2<'_, F>, dalpha: &mut [F]) {
        let Saved { x, dy, weights: alpha, .. } = saved;
        Zip::indexed(&mut dx).and(&x).and(&dy).for_each(|(_, c), dx, &x, &dy| {
            *dx = if x > F::zero() { dy } else { alpha[c] * dy };
            dalpha[c] += if x > F::zero() { F::zero() } else { dy * x };
        });
    }
}

/// The layer of a model.
impl Layer for LeakyChannels {
    fn class_name(&self) -> &'static str {
        Self::CLASS_NAME
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
        let shape = vec![inputs[0].channels];
        vec![WeightSpec::new("alpha", shape, Initializer::Zeros)]
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        let shape = tape.shape(call.x());
        tape.custom(self.clone(), call, shape)
    }
}

/// Reads the layer from a saved model.
impl FromConfig for LeakyChannels {
    const CLASS_NAME: &'static str = "LeakyChannels";

    fn from_config(_: &mut Config) -> Result<Self, EngineError> {
        Ok(Self)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut layers = Sequential::new((32, 1));
    layers.add(Conv1D::new(4, 5).padding(Same).strides(2))?;
    layers.add(LeakyChannels)?;
    layers.add(Conv1DTranspose::new(1, 5).padding(Same).strides(2))?;

    for tensor in GradientCheck::default().run(&layers)? {
        println!("{tensor:?}");
        assert!(tensor.passes());
    }

    let series: Vec<f32> = (0..500).map(|t| (t as f32 / 4.0).sin()).collect();
    let x = Samples::windows(&series, 32, 1)?;
    let mut model = layers.compile(Adam::new(1e-2), Loss::MeanSquaredError)?.seed(1).on(Device::cpu()?)?;
    let fitted = model.fit(&x, &x, Fit { epochs: 20, ..Fit::default() })?;
    println!("loss: {:.4} -> {:.4}", fitted.history.loss[0], fitted.history.loss[19]);
    println!("alpha: {}", model.weights()?["leaky_channels.alpha"]);

    let path = std::env::temp_dir().join("custom_layer.safetensors");
    model.save(&path)?;
    let mut loaded =
        Model::load_with(&path, &Registry::default().with::<LeakyChannels>())?.on(Device::cpu()?)?;
    assert_eq!(loaded.predict(&x)?, model.predict(&x)?);
    println!("saved and loaded: {}", path.display());
    Ok(())
}
