//! Backpropagation held against central differences.
//!
//! In `f64`, on the reference backend, every weight and every element of the input is moved a little up
//! and down, and the change of the loss is compared with the gradient that backpropagation gives. The
//! target is random, so the gradient that flows back is random too: a plain sum of outputs would make it
//! all ones, and two exchanged channels would go unseen.
//!
//! The networks here are piecewise quadratic in any one weight: each layer is linear in it, ReLU is
//! piecewise linear, and the loss is a square. A central difference is then *exact* up to rounding, at
//! any step that crosses no kink of a ReLU. So the step may be large (rounding shrinks as it grows), and
//! it is made smaller only where it would cross one: where any ReLU of any sample is on its other side. An
//! operation of a user may be curved: there a step and half of it disagree, and the step is made smaller too.

use crate::error::{Error, Result};
use crate::losses::Loss;
use crate::masks::{MaskAt, Masks};
use crate::memory;
use crate::model::Sequential;
use crate::optimizers::Optimizer;
use crate::program::{Pass, Pointwise, Program, Value};
use crate::random::{Purpose, Stream};
use crate::reference::{Interpreter, Sample};

/// The most samples in a batch of a check: far more than show a mistake in a sum.
pub const MOST_SAMPLES: usize = 1 << 16;
/// The most threads of a check: more than any processor has cores, and few enough to start.
pub const MOST_THREADS: usize = 1024;

/// What to check with.
#[derive(Debug, Clone, PartialEq)]
pub struct GradientCheck {
    /// Decides weights, samples, targets and dropout masks.
    pub seed: u64,
    /// Samples in the batch, [`MOST_SAMPLES`] at most; above 1, since summing over samples is where mistakes hide.
    pub batch: usize,
    /// The loss.
    pub loss: Loss,
    /// Elements of each tensor to check at the most, evenly spaced; `None` for all. Each costs four forward
    /// passes of the batch, or a few times that beside a kink.
    pub elements: Option<usize>,
    /// Threads to share the elements, [`MOST_THREADS`] at most. The result does not depend on it.
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
    /// Its shape; for the input with the batch in front.
    pub shape: Vec<usize>,
    /// The number of elements that were to be checked: all, or as many as [`GradientCheck::elements`] allows.
    pub asked: usize,
    /// The number of them that were. An element is left out where a kink is nearer than the smallest step:
    /// in a large network there is one beside some of them.
    pub checked: usize,
    /// The largest |backpropagation - central difference|, relative to the largest element of the
    /// gradient. Absolute where the whole gradient is zero.
    pub error: f64,
    /// The flat index where it is.
    pub index: usize,
    /// What backpropagation gives there.
    pub gradient: f64,
    /// What the central difference gives there.
    pub difference: f64,
}

/// The relative error below which a gradient passes: the rounding of a loss near 1 (1e-16), over a step
/// of 1e-3 to 1e-5 and a gradient that may be a thousandth of the loss, with a margin of ten.
pub const TOLERANCE: f64 = 1e-7;

impl TensorCheck {
    /// Whether the error is within [`TOLERANCE`]. Not so for NaN, nor where too little was [checked](Self::covers).
    #[must_use]
    pub fn passes(&self) -> bool {
        self.covers() && self.error <= TOLERANCE
    }

    /// Whether half of what was to be checked was. A gradient that is wrong is wrong in most elements of a tensor, or
    /// in those of one channel or border; a few that happen to lie far from every kink would not show it.
    #[must_use]
    pub fn covers(&self) -> bool {
        self.checked > 0 && 2 * self.checked >= self.asked
    }
}

impl GradientCheck {
    /// Checks every weight tensor of a model and its input, dropout active with masks held still.
    ///
    /// # Errors
    /// If an option is out of its range, the model has no layers, or there is not the memory.
    pub fn run(&self, model: &Sequential) -> Result<Vec<TensorCheck>> {
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
        model.plan(self.loss, Optimizer::default(), Masks::Random { seed: self.seed }, self.batch)?;
        self.require_room(model)?;
        let mut point = Point::new(self, model);
        let (gradient, input_gradient) = point.gradients();
        let mut checks = vec![];
        for tensor in model.layout().tensors() {
            let range = tensor.range.clone();
            let check = self.tensor(&point, Part::Weights, range.start, &gradient[range]);
            checks.push(TensorCheck { name: tensor.name.clone(), shape: tensor.shape.clone(), ..check });
        }
        let input = model.input_shape();
        let shape = vec![self.batch, input.steps, input.channels];
        let check = self.tensor(&point, Part::Input, 0, &input_gradient);
        checks.push(TensorCheck { name: "input".into(), shape, ..check });
        Ok(checks)
    }

    /// For a point of each thread, and the one that they are copied from: the values of a sample, twice, the batch, its
    /// targets and on which side of its kinks it is, a byte each.
    fn require_room(&self, model: &Sequential) -> Result<()> {
        let training = model.training_program_with_input_gradient(self.loss);
        let mut lens = training.values.iter().map(|shape| memory::product(&[shape.steps, shape.channels]));
        let sample = lens.try_fold(0usize, |sum, len| sum.checked_add(len?));
        let (input, output) = (model.input_shape().len(), model.output_shape().len());
        let batch = [input, output].map(|len| memory::product(&[self.batch, len]));
        let numbers = memory::sum(&[sample, sample, batch[0], batch[1], Some(model.layout().len())]);
        let bytes =
            numbers.and_then(|numbers| memory::product(&[numbers, size_of::<f64>(), 1 + self.threads]));
        let what = format!(
            "a gradient check of model {} on {} samples of shape {}, (steps, channels), in {} threads",
            model.name(),
            self.batch,
            model.input_shape(),
            self.threads
        );
        memory::require(what, bytes, "lower the steps of a sample, the samples of the batch, or the threads")
    }

    /// Compares the gradient of one tensor, whose elements start at `start`.
    fn tensor(&self, point: &Point, part: Part, start: usize, gradient: &[f64]) -> TensorCheck {
        let every = self.elements.map_or(1, |most| gradient.len().div_ceil(most)).max(1);
        let indices: Vec<usize> = (0..gradient.len()).step_by(every).collect();
        let asked = indices.len();
        let mut differences = vec![None; asked];
        let share = indices.len().div_ceil(self.threads).max(1);
        std::thread::scope(|scope| {
            for (indices, differences) in indices.chunks(share).zip(differences.chunks_mut(share)) {
                scope.spawn(move || {
                    let mut point = point.clone();
                    for (index, difference) in indices.iter().zip(differences) {
                        *difference = point.central_difference(part, start + index);
                    }
                });
            }
        });
        let seen = indices.iter().zip(differences).filter_map(|(index, d)| Some((*index, d?)));
        let (indices, differences): (Vec<usize>, Vec<f64>) = seen.unzip();
        let gradient: Vec<f64> = indices.iter().map(|index| gradient[*index]).collect();
        let check = compare(&gradient, &differences);
        TensorCheck { asked, index: indices.get(check.index).copied().unwrap_or(0), ..check }
    }
}

/// Where the gradient is taken.
#[derive(Clone)]
struct Point {
    /// A training step.
    training: Interpreter<f64>,
    /// Its first part, up to the loss: all that a difference needs.
    forward: Interpreter<f64>,
    input_gradient: Option<Value>,
    /// The outputs of all ReLUs.
    relus: Vec<Value>,
    /// The prediction, where the loss has a kink too.
    kinked_loss: Option<Value>,
    /// The piece of the function that this point lies in.
    piece: Vec<bool>,
    masks: Masks,
    batch: usize,
    weights: Vec<f64>,
    x: Vec<f64>,
    target: Vec<f64>,
}

#[derive(Clone, Copy)]
enum Part {
    Weights,
    Input,
}

impl Point {
    fn new(check: &GradientCheck, model: &Sequential) -> Self {
        let training = model.training_program_with_input_gradient(check.loss);
        let forward = Program {
            lines: training.lines.iter().filter(|line| line.pass != Pass::Backward).cloned().collect(),
            ..training.clone()
        };
        let normals = |which, n| {
            let mut draws = Stream::new(check.seed, Purpose::Check, which, 0).draws();
            (0..n).map(|_| draws.normal()).collect::<Vec<f64>>()
        };
        let mut weights: Vec<f64> = model.layout().initial(check.seed);
        // Biases start at zero, where a mistake in them could hide.
        for (weight, shift) in weights.iter_mut().zip(normals(0, model.layout().len())) {
            *weight += 0.1 * shift;
        }
        let relus =
            forward.lines.iter().filter(|line| line.instruction.epilogue().contains(&Pointwise::Relu));
        let mut point = Self {
            relus: relus.filter_map(|line| line.instruction.stores()).collect(),
            kinked_loss: (check.loss == Loss::MeanAbsoluteError).then_some(training.output),
            piece: vec![],
            input_gradient: training.input_gradient,
            training: Interpreter::new(training, model.layout().clone()),
            forward: Interpreter::new(forward, model.layout().clone()),
            masks: Masks::Random { seed: check.seed },
            batch: check.batch,
            weights,
            x: normals(1, check.batch * model.input_shape().len()),
            target: normals(2, check.batch * model.output_shape().len()),
        };
        point.piece = point.loss().1;
        point
    }

    /// The batch's gradients as backpropagation gives them: of the weights and of the input.
    fn gradients(&mut self) -> (Vec<f64>, Vec<f64>) {
        let mut gradient = vec![0.0; self.weights.len()];
        let mut input_gradient = vec![];
        for position in 0..self.batch {
            let sample = sample(&self.x, &self.target, position, self.batch);
            self.training.draw_masks(&self.masks, MaskAt { mask: 0, step: 0, position });
            self.training.run(sample, &self.weights, &mut gradient);
            match self.input_gradient {
                Some(dx) => input_gradient.extend_from_slice(self.training.value(dx)),
                None => input_gradient.extend(std::iter::repeat_n(0.0, sample.x.len())),
            }
        }
        (gradient, input_gradient)
    }

    /// The batch's mean loss, and on which side of its kink each ReLU is, and each absolute value.
    fn loss(&mut self) -> (f64, Vec<bool>) {
        let mut loss = 0.0;
        let mut piece = Vec::with_capacity(self.piece.len());
        for position in 0..self.batch {
            self.forward.draw_masks(&self.masks, MaskAt { mask: 0, step: 0, position });
            let sample = sample(&self.x, &self.target, position, self.batch);
            loss += self.forward.run(sample, &self.weights, &mut []);
            for relu in &self.relus {
                piece.extend(self.forward.value(*relu).iter().map(|y| *y > 0.0));
            }
            if let Some(y) = self.kinked_loss {
                piece.extend(self.forward.value(y).iter().zip(sample.target).map(|(y, target)| y > target));
            }
        }
        (loss / self.batch as f64, piece)
    }

    /// `None` if a kink is nearer than the smallest step.
    fn central_difference(&mut self, part: Part, index: usize) -> Option<f64> {
        let mut best = None;
        for step in [1e-2, 1e-3, 1e-4, 1e-5, 1e-6] {
            let Some(whole) = self.slope(part, index, step) else { continue };
            let half = self.slope(part, index, step / 2.0)?;
            best = Some(half);
            // Rounding alone separates the two by about 1e-16 / step; a curve by a part of the slope.
            if (whole - half).abs() <= 1e-9 * half.abs() + 1e-14 / step {
                break;
            }
        }
        best
    }

    /// `None` if one end lies in another piece.
    fn slope(&mut self, part: Part, index: usize, step: f64) -> Option<f64> {
        let old = *self.element(part, index);
        let (up, down) = (old + step, old - step);
        *self.element(part, index) = up;
        let (above, piece_above) = self.loss();
        *self.element(part, index) = down;
        let (below, piece_below) = self.loss();
        *self.element(part, index) = old;
        let same = piece_above == self.piece && piece_below == self.piece;
        same.then_some((above - below) / (up - down))
    }

    fn element(&mut self, part: Part, index: usize) -> &mut f64 {
        match part {
            Part::Weights => &mut self.weights[index],
            Part::Input => &mut self.x[index],
        }
    }
}

/// One sample of a batch that lies in one piece.
fn sample<'a>(x: &'a [f64], target: &'a [f64], position: usize, batch: usize) -> Sample<'a, f64> {
    let (x_len, y_len) = (x.len() / batch, target.len() / batch);
    Sample { x: &x[position * x_len..][..x_len], target: &target[position * y_len..][..y_len], batch }
}

/// The largest difference between a gradient and its central differences.
fn compare(gradient: &[f64], differences: &[f64]) -> TensorCheck {
    let largest = differences.iter().fold(0.0f64, |largest, d| largest.max(d.abs()));
    let scale = if largest > 0.0 { largest } else { 1.0 };
    let mut worst = TensorCheck {
        name: String::new(),
        shape: vec![],
        asked: gradient.len(),
        checked: gradient.len(),
        error: 0.0,
        index: 0,
        gradient: gradient.first().copied().unwrap_or(0.0),
        difference: differences.first().copied().unwrap_or(0.0),
    };
    for (index, (gradient, difference)) in gradient.iter().zip(differences).enumerate() {
        let error = (gradient - difference).abs() / scale;
        // NaN is worse than any number.
        if error > worst.error || error.is_nan() {
            worst = TensorCheck { error, index, gradient: *gradient, difference: *difference, ..worst };
        }
        if error.is_nan() {
            break;
        }
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_of_less_than_half_a_tensor_does_not_pass() {
        let all = compare(&[1.0; 10], &[1.0; 10]);
        assert!(all.passes());
        for (checked, enough) in [(10, true), (5, true), (4, false), (1, false), (0, false)] {
            assert_eq!(TensorCheck { checked, ..all.clone() }.passes(), enough, "{checked} of 10");
        }
    }

    use crate::geometry::Padding;
    use crate::layers::{Activation, Conv1D, Conv1DTranspose, Dropout, ReLU};
    use crate::shape::Shape;

    fn small_autoencoder() -> Sequential {
        let mut model = Sequential::new(Shape::new(12, 2));
        model.add(Conv1D::new(4, 5).strides(2).padding(Padding::Same).activation(Activation::Relu)).unwrap();
        model.add(Dropout::new(0.25)).unwrap();
        model.add(Conv1D::new(3, 2).padding(Padding::Causal).dilation_rate(2).use_bias(false)).unwrap();
        model.add(ReLU).unwrap();
        model.add(Conv1DTranspose::new(2, 3).strides(2).padding(Padding::Same)).unwrap();
        model
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

    /// The check itself must be able to fail: a layer whose backward pass forgets the activation.
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
