//! A backend held against the reference in `f64`, within a bound that is derived from the lengths of the sums:
//! [`crate::rounding`] has the derivation.

use glassbox_engine::geometry::Geometry;
use glassbox_engine::losses::Loss;
use glassbox_engine::masks::MaskAt;
use glassbox_engine::model::Network;
use glassbox_engine::program::{Instruction, Pointwise, Pooling, Program, Value};
use glassbox_engine::reference::{Interpreter, Sample, argmax};
use glassbox_engine::samples::Samples;

use crate::backends::{Backend32, Setup, dataset, predict};
use crate::cases::{normals, weights};
use crate::compare::compare_within;
use ndarray::ArrayView2;

use crate::rounding::{Roundings, Spread, UNDERFLOW, UNIT_F32, gamma, sizes};

/// A program run twice in `f64`: for what it computes, and for how large that could be if nothing cancelled.
struct Twins {
    program: Program,
    roundings: Roundings,
    batch: usize,
    weights: Vec<f64>,
    value: Interpreter<f64>,
    size: Interpreter<f64>,
    /// Of all samples so far.
    gradient: Vec<f64>,
    gradient_size: Vec<f64>,
    loss: f64,
    loss_size: f64,
}

impl Twins {
    fn new(model: &Network, program: Program, weights: &[f64], batch: usize) -> Self {
        let layout = model.layout();
        Self {
            roundings: Roundings::count(&program, layout.tensors().len(), batch),
            batch,
            weights: weights.to_vec(),
            value: Interpreter::new(program.clone(), layout.clone()),
            size: Interpreter::new(with_squared_error(&sizes(&program)), layout.clone()),
            gradient: vec![0.0; weights.len()],
            gradient_size: vec![0.0; weights.len()],
            loss: 0.0,
            loss_size: 0.0,
            program,
        }
    }

    /// Runs a sample, unless a gate or a sign hangs on rounding: then nothing is added, and it says so. Where
    /// a ReLU's input is zero because every product in it is, it is zero in any arithmetic.
    fn run(&mut self, x: &[f64], target: &[f64], seed: u64, position: usize) -> bool {
        let at = MaskAt { mask: 0, step: 0, position };
        let (mut gradient, mut gradient_size) = (self.gradient.clone(), self.gradient_size.clone());
        self.value.draw_masks(seed, at);
        let sample = Sample { x, target, batch: self.batch };
        let loss = self.value.run(sample, &self.weights, &mut gradient);
        let (x, opposite) = (absolute(x), target.iter().map(|t| -t.abs()).collect::<Vec<f64>>());
        self.size.draw_masks(seed, at);
        let sample = Sample { x: &x, target: &opposite, batch: self.batch };
        let loss_size = self.size.run(sample, &absolute(&self.weights), &mut gradient_size);
        if !self.decided(target) {
            return false;
        }
        (self.gradient, self.gradient_size) = (gradient, gradient_size);
        self.loss += loss / self.batch as f64;
        self.loss_size += loss_size / self.batch as f64;
        true
    }

    /// Returns whether every input of an activation with a kink, and every difference whose sign counts, is further from
    /// zero than rounding can take it, and every maximum further from the other steps of its window.
    fn decided(&self, target: &[f64]) -> bool {
        self.program.lines.iter().all(|line| match &line.instruction {
            Instruction::Map { x, epilogue, .. } if epilogue.iter().any(has_kink) => {
                let bound = gamma(self.roundings.value(*x), UNIT_F32);
                let mut sizes = self.value.value(*x).iter().zip(self.size.value(*x));
                sizes.all(|(z, size)| z.abs() > bound * size || *size == 0.0)
            }
            Instruction::Pool { pooling: Pooling::Max, geometry, x, .. } => self.maxima_decided(geometry, *x),
            Instruction::Loss { loss: Loss::MeanAbsoluteError, y, .. } => {
                let bound = gamma(self.roundings.value(*y) + 1, UNIT_F32);
                let sizes = self.value.value(*y).iter().zip(self.size.value(*y)).zip(target);
                sizes.into_iter().all(|((y, size), t)| (y - t).abs() > bound * (size + t.abs()))
            }
            _ => true,
        })
    }

    /// Returns whether rounding cannot change which step of a window has the maximum. What a ReLU or dropout has made
    /// zero is zero in any arithmetic, so of several zeros it is the first.
    fn maxima_decided(&self, geometry: &Geometry, x: Value) -> bool {
        let shape = (geometry.in_steps, geometry.in_channels);
        let [values, sizes] = [&self.value, &self.size]
            .map(|run| ArrayView2::from_shape(shape, run.value(x)).expect("a value of the geometry's shape"));
        let bound = gamma(self.roundings.value(x), UNIT_F32);
        (0..geometry.out_steps).all(|t| {
            (0..geometry.in_channels).all(|c| {
                let max = argmax(geometry, values, t, c);
                let others = (0..geometry.taps).filter_map(|tap| geometry.in_step(t, tap));
                others.filter(|other| *other != max).all(|other| {
                    let (a, b) = (values[[max, c]], values[[other, c]]);
                    let zeros = a == 0.0 && b == 0.0;
                    zeros || a - b > bound * (sizes[[max, c]] + sizes[[other, c]])
                })
            })
        })
    }

    /// How far the gradient may be off, element by element.
    fn gradient_bounds(&self, model: &Network) -> Vec<f64> {
        let mut bounds = vec![0.0; self.gradient.len()];
        for (index, tensor) in model.layout().tensors().iter().enumerate() {
            let gamma = gamma(self.roundings.weight(index), UNIT_F32);
            for at in tensor.range.clone() {
                bounds[at] = gamma * self.gradient_size[at] + UNDERFLOW;
            }
        }
        bounds
    }

    /// How far the loss may be off. It is summed in `f64`; its elements are squares of differences in `f32`,
    /// or absolute values.
    fn loss_bound(&self) -> f64 {
        let roundings = 2 * (self.roundings.value(self.program.output) + 1);
        gamma(roundings, UNIT_F32) * self.loss_size + UNDERFLOW
    }
}

fn has_kink(op: &Pointwise) -> bool {
    matches!(op, Pointwise::Activation(activation) if Spread::of(*activation).kink)
}

/// The program with the mean squared error in the place of its loss, if the derivative of that is bounded. Then how far
/// a derivative is off is no part of its own size, but at most of the size of the difference that it is computed from:
/// neither Huber's loss nor log cosh is steeper than half the square, and neither bends more.
fn with_squared_error(program: &Program) -> Program {
    let mut program = program.clone();
    for line in &mut program.lines {
        if let Instruction::Loss { loss: loss @ (Loss::Huber { .. } | Loss::LogCosh), .. } =
            &mut line.instruction
        {
            *loss = Loss::MeanSquaredError;
        }
    }
    program
}

/// A batch of random samples to train on, and the model that is trained.
#[derive(Debug, Clone, Copy)]
pub struct TrainedBatch<'a> {
    /// The model.
    pub model: &'a Network,
    /// The same model with each activation as a layer of its own: what goes into it must be a value, to be looked at.
    pub apart: &'a Network,
    /// Decides weights, samples and dropout masks.
    pub seed: u64,
    /// The loss.
    pub loss: Loss,
    /// Samples in the batch.
    pub samples: usize,
}

impl TrainedBatch<'_> {
    /// Holds the loss and the gradient of each backend against the reference's, dropout active; the backends get
    /// `given` of the weights. `false` if too few samples could be found that hang on no rounding.
    ///
    /// # Errors
    /// Names the backend and the values that are off.
    ///
    /// # Panics
    /// If a backend refuses the model.
    pub fn gradient_conforms(&self, backends: &[Backend32], given: fn(f32) -> f32) -> Result<bool, String> {
        let Self { model, apart, seed, loss, samples } = *self;
        let weights32: Vec<f32> = weights(model, seed);
        let mut twins = Twins::new(apart, apart.training_program(loss), &wide(&weights32), samples);
        let (x_len, y_len) = (model.input_shape().len(), model.output_shape().len());
        let (mut x, mut target) = (vec![], vec![]);
        for candidate in 0..20 + 4 * samples as u64 {
            let candidate = seed.wrapping_add(candidate);
            let (x_next, y_next) = (normals(candidate, x_len), normals(!candidate, y_len));
            if twins.run(&x_next, &y_next, seed, x.len() / x_len) {
                x.extend(narrow(&x_next));
                target.extend(narrow(&y_next));
            }
            if x.len() == samples * x_len {
                break;
            }
        }
        if x.len() < samples * x_len {
            return Ok(false);
        }
        let bounds = twins.gradient_bounds(model);
        let order: Vec<u32> = (0..samples as u32).collect();
        for backend in backends {
            let setup = Setup { loss, seed, ..Setup::new(model) };
            let mut session = setup.session(&**backend, weights32.iter().copied().map(given).collect());
            let found = session.compute_gradient(&dataset(model, &x, &target), &order).expect("a loss");
            let on = |what, faults| format!("{}: {what}: {faults}", backend.name());
            compare_within(&[found], &[twins.loss], &[twins.loss_bound()])
                .map_err(|faults| on("loss", faults))?;
            let gradient = session.gradient().expect("a gradient");
            compare_within(&gradient, &twins.gradient, &bounds).map_err(|faults| on("gradient", faults))?;
        }
        Ok(true)
    }
}

/// Holds the prediction of each backend against the reference's; `apart` is the same model with each activation as a
/// layer of its own. Here kinks need no care: no activation jumps, so the bound passes through them.
///
/// # Errors
/// Names the backend and the values that are off.
///
/// # Panics
/// If a backend refuses the model.
pub fn prediction_conforms(
    model: &Network,
    apart: &Network,
    seed: u64,
    samples: usize,
    backends: &[Backend32],
) -> Result<(), String> {
    let weights32: Vec<f32> = weights(model, seed);
    let x: Vec<f32> = normals(seed, samples * model.input_shape().len());
    let mut twins = Twins::new(apart, apart.inference_program(), &wide(&weights32), 1);
    let bound = gamma(twins.roundings.value(twins.program.output), UNIT_F32);
    let (mut expected, mut bounds) = (vec![], vec![]);
    for x in wide(&x).chunks(model.input_shape().len()) {
        let sample = Sample { x, target: &[], batch: 1 };
        twins.value.run(sample, &twins.weights, &mut []);
        expected.extend_from_slice(twins.value.value(twins.program.output));
        let sample = Sample { x: &absolute(x), ..sample };
        twins.size.run(sample, &absolute(&twins.weights), &mut []);
        let sizes = twins.size.value(twins.program.output);
        bounds.extend(sizes.iter().map(|size| bound * size + UNDERFLOW));
    }
    let samples = Samples::dense(&x, model.input_shape()).expect("samples");
    for backend in backends {
        let mut session = Setup::new(model).session(&**backend, weights32.clone());
        // It writes over NaN: what it does not write shows.
        let y = predict(&mut *session, &samples);
        compare_within(&y, &expected, &bounds)
            .map_err(|faults| format!("{}: prediction: {faults}", backend.name()))?;
    }
    Ok(())
}

/// The same numbers in `f64`.
#[must_use]
pub fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|v| *v as f32).collect()
}

fn absolute(values: &[f64]) -> Vec<f64> {
    values.iter().map(|v| v.abs()).collect()
}
