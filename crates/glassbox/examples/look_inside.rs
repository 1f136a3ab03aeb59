//! Looks inside an autoencoder for one window: the program of a training step, the activations of every layer, and the
//! gradient of every weight tensor.
//!
//! ```sh
//! cargo run --release -p glassbox --example look_inside
//! ```

use glassbox::prelude::*;

fn main() -> Result<(), glassbox::Error> {
    let series: Vec<f32> = (0..600).map(|t| (t as f32 / 9.0).sin() + 0.2 * (t as f32 / 2.0).cos()).collect();
    let x = Samples::windows(&series, 48, 1)?;

    let mut layers = Sequential::new((48, 1));
    layers.add(Conv1D::new(8, 5).padding(Same).strides(2).activation(Relu))?;
    layers.add(Dropout::new(0.1))?;
    layers.add(Conv1DTranspose::new(1, 5).padding(Same).strides(2))?;
    let mut model = layers.compile(Adam::new(1e-2), Loss::MeanSquaredError)?.seed(7);
    model.fit(&x, &x, Fit { epochs: 20, ..Fit::default() })?;

    println!("A training step, for one window:\n{}", model.program());

    let window = x.slice(100..101);
    println!("Activations of window 100:");
    let names: Vec<String> = model.architecture().layers().iter().map(|layer| layer.name.clone()).collect();
    for name in names {
        let y = model.activations(&window, &name)?;
        let (_, steps, channels) = y.dim();
        let active = y.iter().filter(|value| **value > 0.0).count();
        println!(
            "  {name:<18} ({steps}, {channels}), {:.0} % above zero",
            100.0 * active as f32 / y.len() as f32
        );
    }

    println!("Gradient of its loss:");
    for (name, gradient) in model.gradients(&window, &window)? {
        let norm = gradient.iter().map(|g| g * g).sum::<f32>().sqrt();
        println!("  {name:<25} {:?}, norm {norm:.2e}", gradient.shape());
    }
    Ok(())
}
