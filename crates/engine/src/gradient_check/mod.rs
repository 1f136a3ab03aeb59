//! The gradient check: compares backpropagation with central differences.
//!
//! It runs in `f64` on the reference backend. Every weight and every element of the input is moved up and down, and the
//! change of the loss is compared with the gradient from backpropagation. The target is random, so the gradient that
//! flows back is random too. (With a plain sum of outputs it would be all ones, and two exchanged channels would go
//! unnoticed.)
//!
//! The difference of two nearly equal numbers loses digits to rounding; a large step avoids this, a small one does not.
//! Three things keep the differences exact to about 12 digits, for windows of any length:
//!
//! * Activations with a kink are held on their current side of it ([`piece`]). This changes no derivative, and no step
//!   meets a kink.
//! * The change of the loss is the sum of the changes of its terms, each in factored form
//!   ([`Piece::slope`](piece::Piece::slope)): two sums of thousands of terms are never subtracted.
//! * Along one variable of convolutions with ReLUs the loss is then a polynomial of the second degree, whose central
//!   difference is exact at any step, so the step is large. Other activations, and a user's operation, may be curved:
//!   there the step shrinks, and the differences are extrapolated with an estimate of their error ([`difference`]).

mod difference;
mod piece;

use difference::{Estimate, differentiate};
use piece::{Forward, Piece, Variable};

use crate::error::{Error, Result};
use crate::losses::Loss;
use crate::masks::MaskAt;
use crate::memory;
use crate::model::Network;
use crate::optimizers::Optimizer;
use crate::program::Program;
use crate::random::{Purpose, Stream};
use crate::reference::{Interpreter, Sample};

/// Maximum number of samples in the batch of a check, far more than it takes to show a mistake in a sum.
pub const MOST_SAMPLES: usize = 1 << 16;
/// Maximum number of threads of a check: more than any processor has cores, and few enough to start.
pub const MOST_THREADS: usize = 1024;

/// Relative error below which an element of a gradient passes. Correct backpropagation agrees with central differences
/// to about 1e-12; a mistake is off by far more than this.
pub const TOLERANCE: f64 = 1e-7;

/// Fraction of the requested elements that must be checked for a tensor to pass.
pub const COVERAGE: f64 = 0.9;

/// The rounding error of backpropagation, relative to the magnitude of what it sums. It grows with the square root of
/// the number of terms. On random models of up to 4096 steps it was measured as at most 1.5e-14 beyond the error of the
/// difference.
const ROUNDING: f64 = 1e-13;

/// An element counts as checked if the error of its central difference is below this fraction of the magnitude.
const RESOLVED: f64 = 1e-9;

/// Roundings by which a prediction may change, and a gradient differ from zero, along a variable that has no effect,
/// where samples meet: a batch normalisation takes out again what a bias before it adds, up to rounding, which it may
/// enlarge by the root of 1 / epsilon.
const NOISE: f64 = 1e3;

/// The options of a gradient check.
///
/// ```
/// use glassbox_engine::geometry::Padding;
/// use glassbox_engine::gradient_check::GradientCheck;
/// use glassbox_engine::layers::{Activation, Conv1D};
/// use glassbox_engine::model::{Network, Sequential};
///
/// let mut model = Sequential::new((12, 2));
/// model.add(Conv1D::new(3, 5).padding(Padding::Same).activation(Activation::Relu))?;
/// model.add(Conv1D::new(2, 5).padding(Padding::Same))?;
/// for tensor in GradientCheck::default().run(&model)? {
///     println!("{}: relative error {:.0e}", tensor.name, tensor.error);
///     assert!(tensor.passes());
/// }
/// # Ok::<(), glassbox_engine::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct GradientCheck {
    /// Seed of the weights, samples, targets and dropout masks.
    pub seed: u64,
    /// Samples in the batch, [`MOST_SAMPLES`] at most. Use more than 1, because mistakes hide in sums over samples.
    pub batch: usize,
    /// The loss.
    pub loss: Loss,
    /// Maximum number of elements to check in each tensor, evenly spaced; `None` for all. Each weight costs four
    /// forward passes of the batch from its layer on, each element of the input four forward passes of its sample;
    /// several times that in a model with a curved operation.
    pub elements: Option<usize>,
    /// Threads to divide the elements among, [`MOST_THREADS`] at most. The result does not depend on their number.
    pub threads: usize,
}

impl Default for GradientCheck {
    fn default() -> Self {
        Self { seed: 0, batch: 3, loss: Loss::MeanSquaredError, elements: None, threads: 1 }
    }
}

/// The result for one tensor: a weight tensor, or the input.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorCheck {
    /// `{layer}.kernel`, `{layer}.bias` or `input`.
    pub name: String,
    /// Its shape; for the input, the batch comes first.
    pub shape: Vec<usize>,
    /// Number of elements to check: all, or as many as [`GradientCheck::elements`] allows.
    pub asked: usize,
    /// Number of elements that were checked. An element is skipped if no central difference is precise enough: next to
    /// a kink of a user's operation, or where the operation gives no finite numbers.
    pub checked: usize,
    /// The largest relative error of an element's gradient, `|gradient - difference| / |difference|`. The denominator
    /// allows for the rounding of both: where the terms of a gradient cancel, few of its digits are left.
    pub error: f64,
    /// Flat index of the element with this error.
    pub index: usize,
    /// The gradient of that element by backpropagation.
    pub gradient: f64,
    /// The gradient of that element by central differences.
    pub difference: f64,
}

impl TensorCheck {
    /// Returns true if the gradient [agrees](Self::agrees) and enough of it was [checked](Self::covers).
    #[must_use]
    pub fn passes(&self) -> bool {
        self.agrees() && self.covers()
    }

    /// Returns true if the error of the checked elements is within [`TOLERANCE`]; false for NaN.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.error <= TOLERANCE
    }

    /// Returns true if the coverage is at least [`COVERAGE`].
    #[must_use]
    pub fn covers(&self) -> bool {
        self.coverage() >= COVERAGE
    }

    /// Fraction of the requested elements that was checked, from 0 to 1.
    #[must_use]
    pub fn coverage(&self) -> f64 {
        self.checked as f64 / self.asked as f64
    }
}

impl GradientCheck {
    /// Checks every weight tensor of a model that is trained and its input, with dropout active and its masks fixed.
    ///
    /// # Errors
    /// If an option is out of range, the model has no layers, or the memory does not suffice.
    pub fn run(&self, model: &Network) -> Result<Vec<TensorCheck>> {
        for (option, value, most) in [
            ("batch", self.batch, MOST_SAMPLES),
            ("elements", self.elements.unwrap_or(1), usize::MAX),
            ("threads", self.threads, MOST_THREADS),
        ] {
            if value == 0 || value > most {
                let expected = if most == usize::MAX { "at least 1".into() } else { format!("1 to {most}") };
                return Err(Error::Option { option, found: value.to_string(), expected });
            }
        }
        model.plan(self.loss, Optimizer::default(), self.seed, self.batch)?;
        let training = model.training_program_with_input_gradient(self.loss);
        let forward = Forward::new(&training);
        self.require_room(model, &training, &forward.held)?;

        let normals = |which, n| {
            let mut draws = Stream::new(self.seed, Purpose::Check, which, 0).draws();
            (0..n).map(|_| draws.normal()).collect::<Vec<f64>>()
        };
        let mut weights: Vec<f64> = model.layout().initial(self.seed);
        // Biases start at zero, where a mistake in them could go unnoticed.
        for (weight, shift) in weights.iter_mut().zip(normals(0, model.layout().len())) {
            *weight += 0.1 * shift;
        }
        let x = normals(1, self.batch * model.input_shape().len());
        let target = normals(2, self.batch * model.output_shape().len());
        let samples = x.chunks(model.input_shape().len()).zip(target.chunks(model.output_shape().len()));
        let samples: Vec<Sample<'_, f64>> =
            samples.map(|(x, target)| Sample { x, target, batch: self.batch }).collect();

        let gradient = backpropagate(model, training, self.seed, &weights, &samples);
        let (gradient, input_gradient) = gradient.split_at(weights.len());
        let piece = Piece::new(&forward, model.layout(), self.loss, self.seed, weights, &samples);
        let mut checks = vec![];
        for (layer, named) in model.layers().iter().enumerate() {
            let line = forward.first_line(layer);
            let tensors = &model.layout().tensors()[named.weights.clone()];
            for info in tensors.iter().filter(|tensor| tensor.trained) {
                let range = info.range.clone();
                let variable = |index| Variable::Weight { index: range.start + index, line };
                let check = self.tensor(&piece, &gradient[range.clone()], variable);
                checks.push(TensorCheck { name: info.name.clone(), shape: info.shape.clone(), ..check });
            }
        }
        let input = model.input_shape();
        let variable = |index| Variable::Input { sample: index / input.len(), index: index % input.len() };
        let check = self.tensor(&piece, input_gradient, variable);
        let shape = vec![self.batch, input.steps, input.channels];
        checks.push(TensorCheck { name: "input".into(), shape, ..check });
        Ok(checks)
    }

    /// Checks that there is memory for the gradients, a piece for each thread, and the piece that they are copied from.
    fn require_room(&self, model: &Network, training: &Program, held: &Program) -> Result<()> {
        let sample = |program: &Program| {
            let mut lens = program.values.iter().map(|shape| memory::product(&[shape.steps, shape.channels]));
            lens.try_fold(0usize, |sum, len| sum.checked_add(len?))
        };
        let (input, output) = (model.input_shape().len(), model.output_shape().len());
        let in_batch = |len: Option<usize>| memory::product(&[self.batch, len?]);
        let weights = Some(model.layout().len());
        let piece = memory::sum(&[in_batch(sample(held)), in_batch(output.checked_mul(2)), weights]);
        let pieces = piece.and_then(|piece| memory::product(&[piece, 1 + self.threads]));
        let together = |program| memory::product(&[training.together(self.batch), sample(program)?]);
        let gradients =
            [together(training), together(held), in_batch(input.checked_add(output)), weights, weights];
        let numbers = memory::sum(&[pieces, memory::sum(&gradients)]);
        let bytes = numbers.and_then(|numbers| memory::product(&[numbers, size_of::<f64>()]));
        let what = format!(
            "a gradient check of model {} on {} samples of shape {}, (steps, channels), in {} threads",
            model.name(),
            self.batch,
            model.input_shape(),
            self.threads
        );
        memory::require(what, bytes, "lower the steps of a sample, the samples of the batch, or the threads")
    }

    /// Compares the gradient of one tensor with its central differences.
    fn tensor(
        &self,
        piece: &Piece,
        gradient: &[f64],
        variable: impl Fn(usize) -> Variable + Sync,
    ) -> TensorCheck {
        let every = self.elements.map_or(1, |most| gradient.len().div_ceil(most)).max(1);
        let indices: Vec<usize> = (0..gradient.len()).step_by(every).collect();
        let mut differences = vec![None; indices.len()];
        let share = indices.len().div_ceil(self.threads).max(1);
        std::thread::scope(|scope| {
            for (indices, differences) in indices.chunks(share).zip(differences.chunks_mut(share)) {
                scope.spawn(|| {
                    let mut piece = piece.clone();
                    for (index, difference) in indices.iter().zip(differences) {
                        let variable = variable(*index);
                        *difference = differentiate(|step| piece.slope(variable, step));
                    }
                });
            }
        });
        let gradient: Vec<f64> = indices.iter().map(|index| gradient[*index]).collect();
        let check = compare(&gradient, &differences, if piece.meets { NOISE } else { 0.0 });
        TensorCheck { index: indices.get(check.index).copied().unwrap_or(0), ..check }
    }
}

/// Computes the gradient of the batch's loss by backpropagation: of the weights, then of the inputs.
fn backpropagate(
    model: &Network,
    training: Program,
    seed: u64,
    weights: &[f64],
    samples: &[Sample<'_, f64>],
) -> Vec<f64> {
    let dx = training.input_gradient;
    let together = training.together(samples.len());
    let mut batch = vec![Interpreter::new(training, model.layout().clone()); together];
    let mut gradient = vec![0.0; weights.len()];
    let mut inputs = vec![];
    for (group, samples) in samples.chunks(together).enumerate() {
        for (position, interpreter) in (group * together..).zip(&mut batch) {
            interpreter.draw_masks(seed, MaskAt { mask: 0, step: 0, position });
        }
        Interpreter::run_batch(&mut batch, samples, weights, &mut gradient);
        for (interpreter, sample) in batch.iter().zip(samples) {
            match dx {
                Some(dx) => inputs.extend_from_slice(interpreter.value(dx)),
                None => inputs.extend(std::iter::repeat_n(0.0, sample.x.len())),
            }
        }
    }
    gradient.extend(inputs);
    gradient
}

/// Finds the largest relative error among the elements of a gradient. `noise` is the number of roundings that a variable
/// without effect may show.
fn compare(gradient: &[f64], differences: &[Option<Estimate>], noise: f64) -> TensorCheck {
    let largest = differences.iter().flatten().fold(0.0f64, |largest, d| largest.max(d.magnitude));
    let mut worst = TensorCheck {
        name: String::new(),
        shape: vec![],
        asked: gradient.len(),
        checked: 0,
        error: 0.0,
        index: 0,
        gradient: 0.0,
        difference: 0.0,
    };
    for (index, (gradient, difference)) in gradient.iter().zip(differences).enumerate() {
        let Some(Estimate { derivative, error, magnitude, rounding, hidden }) = *difference else { continue };
        let off = (gradient - derivative).abs();
        // Two zeros agree, and so does a gradient too small to change a prediction by more than its rounding.
        let most = noise * rounding;
        let unseen = magnitude <= most && off <= magnitude + most + noise.max(1.0) * hidden;
        if error > RESOLVED * largest && !unseen {
            continue;
        }
        let relative = match off == 0.0 || unseen {
            true => 0.0,
            false => off / (derivative.abs() + (error + ROUNDING * magnitude) / TOLERANCE),
        };
        // NaN counts as worse than any number.
        let worse = relative > worst.error || (relative.is_nan() && !worst.error.is_nan());
        if worst.checked == 0 || worse {
            worst =
                TensorCheck { error: relative, index, gradient: *gradient, difference: derivative, ..worst };
        }
        worst.checked += 1;
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Padding;
    use crate::layers::{Activation, Conv1D, Conv1DTranspose, Dropout, ReLU};
    use crate::model::Sequential;
    use crate::shape::Shape;

    fn exact(derivative: f64) -> Estimate {
        Estimate { derivative, error: 0.0, magnitude: 1.0, rounding: 0.0, hidden: 0.0 }
    }

    #[test]
    fn a_check_of_less_than_nine_tenths_of_a_tensor_does_not_pass() {
        for (checked, enough) in [(20, true), (18, true), (17, false), (1, false), (0, false)] {
            let differences: Vec<_> = (0..20).map(|index| (index < checked).then_some(exact(1.0))).collect();
            let check = compare(&[1.0; 20], &differences, 0.0);
            assert_eq!((check.checked, check.asked), (checked, 20));
            assert_eq!(check.passes(), enough, "{checked} of 20");
        }
    }

    #[test]
    fn each_element_is_compared_with_itself_and_its_own_rounding() {
        let off = |gradient, difference| {
            compare(&[1.0, gradient], &[Some(exact(1.0)), Some(difference)], 0.0).error
        };
        // However small it is compared with the others.
        assert!(off(1e-3 * (1.0 + 1e-6), exact(1e-3)) > TOLERANCE);
        assert!(off(1e-3 * (1.0 + 1e-8), exact(1e-3)) < TOLERANCE);
        // All of its digits are lost if terms of magnitude 1 cancel.
        assert!(off(2e-14, exact(1e-14)) < TOLERANCE);
        assert!(off(2e-14, Estimate { magnitude: 1e-6, ..exact(1e-14) }) > TOLERANCE);
        assert!(off(0.0, Estimate { magnitude: 0.0, ..exact(0.0) }) == 0.0);
        assert!(off(1e-30, Estimate { magnitude: 0.0, ..exact(0.0) }) > TOLERANCE);
        assert!(off(1e-30, Estimate { magnitude: 0.0, hidden: 1e-16, ..exact(0.0) }) == 0.0);
        for wrong in [f64::NAN, f64::INFINITY] {
            assert!(!compare(&[1.0, wrong], &[Some(exact(1.0)); 2], 0.0).agrees(), "{wrong}");
        }
    }

    #[test]
    fn an_imprecise_difference_checks_nothing() {
        let vague = Estimate { error: 1e-3, ..exact(1.0) };
        let check = compare(&[1.0, 2.0], &[Some(exact(1.0)), Some(vague)], 0.0);
        assert_eq!((check.checked, check.asked, check.coverage()), (1, 2, 0.5));
        assert!(check.error <= TOLERANCE && !check.passes());
    }

    /// Predictions that change by some roundings, along a variable that has no effect.
    #[test]
    fn a_gradient_within_the_noise_is_zero() {
        let noise = Estimate { error: 2e-16, magnitude: 5e-16, rounding: 1e-16, ..exact(3e-16) };
        let check = |gradient| compare(&[gradient], &[Some(noise)], NOISE);
        assert!(check(-1e-15).passes());
        assert!(!check(1e-9).passes());
        assert!(!compare(&[-1e-15], &[Some(noise)], 0.0).passes(), "only where samples meet");
    }

    fn small_autoencoder() -> Network {
        let mut model = Sequential::new(Shape::new(12, 2));
        model.add(Conv1D::new(4, 5).strides(2).padding(Padding::Same).activation(Activation::Relu)).unwrap();
        model.add(Dropout::new(0.25)).unwrap();
        model.add(Conv1D::new(3, 2).padding(Padding::Causal).dilation_rate(2).use_bias(false)).unwrap();
        model.add(ReLU).unwrap();
        model.add(Conv1DTranspose::new(2, 3).strides(2).padding(Padding::Same)).unwrap();
        model.into()
    }

    #[test]
    fn backpropagation_agrees_with_central_differences() {
        for seed in 0..5 {
            for check in (GradientCheck { seed, threads: 2, ..GradientCheck::default() })
                .run(&small_autoencoder())
                .unwrap()
            {
                assert!(check.passes(), "seed {seed}: {check:?}");
            }
        }
    }

    /// The check must be able to fail: it finds a layer whose backward pass omits the activation.
    #[test]
    fn a_wrong_backward_pass_is_found() {
        #[derive(Debug)]
        struct Wrong(Conv1D);
        impl crate::layers::Layer for Wrong {
            fn class_name(&self) -> &'static str {
                "Wrong"
            }
            fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
                self.0.output_shape(inputs)
            }
            fn weights(&self, inputs: &[Shape]) -> Vec<crate::layers::WeightSpec> {
                self.0.weights(inputs)
            }
            fn forward(
                &self,
                tape: &mut crate::program::Tape,
                call: &crate::layers::Call,
            ) -> crate::program::Value {
                self.0.clone().activation(Activation::Relu).forward(tape, call)
            }
            fn backward(
                &self,
                tape: &mut crate::program::Tape,
                call: &crate::layers::Call,
                y: crate::program::Value,
                dy: crate::program::Value,
            ) {
                self.0.backward(tape, call, y, dy);
            }
            fn config(&self) -> crate::layers::Config {
                self.0.config()
            }
        }
        let mut model = Sequential::new(Shape::new(8, 1));
        model.add(Wrong(Conv1D::new(2, 3))).unwrap();
        let checks = GradientCheck::default().run(&model).unwrap();
        assert!(checks.iter().all(|check| !check.passes()), "{checks:?}");
    }
}
