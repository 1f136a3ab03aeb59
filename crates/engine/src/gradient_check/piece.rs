//! A model as a smooth function in a neighbourhood of one point.
//!
//! A ReLU is linear on either side of zero, and so is an absolute value; an ELU is an exponential on one side. If each
//! of them is held on the side where it is at the point, and each maximum on the element that has it there, the model
//! becomes a smooth function. It equals the model in a neighbourhood of the point, so both have the same gradient there;
//! but it has no kinks, so a step along a variable may be of any size.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use ndarray::{ArrayView2, ArrayViewMut2, Zip};

use super::difference::Slope;
use crate::activations::Activation;
use crate::float::Float;
use crate::geometry::Geometry;
use crate::losses::Loss;
use crate::masks::MaskAt;
use crate::model::WeightLayout;
use crate::program::custom::{Operation, Saved};
use crate::program::{Instruction, Line, Pass, Pointwise, Pooling, Program, Value};
use crate::recurrent::Cell;
use crate::reference::{Interpreter, Sample, argmax, recur_with};

/// The forward pass of a model, unchanged and with its kinks held.
pub(super) struct Forward {
    /// The forward pass. It also stores the output of each activation with a kink.
    free: Program,
    /// The same program with each function that has a kink [`Held`] on its side.
    pub(super) held: Program,
    kinks: Vec<Kink>,
}

/// A function with a kink, in both programs.
struct Kink {
    function: Held,
    /// The value of the free program that tells the sides.
    from: Value,
    /// The value of the held program that has them.
    side: Value,
}

/// A function held on one side of its kink. The operation has no forward pass: what reads two values is the gradient of
/// an operation, with the side as its input and the argument of the function as the gradient.
#[derive(Debug, Clone)]
enum Held {
    /// An activation. Its side is 1 above the kink and 0 below; its output tells.
    Activation(Activation),
    /// The maximum of windows. Its side is the input step that has the maximum; its argument tells.
    Max(Geometry),
    /// The functions of a recurrent cell, each as an activation. The trace tells, and the sides are where the outputs of
    /// the gates, and the cell state, are in it.
    Recurrence(Cell),
}

impl Held {
    /// Finds the side of each element.
    fn sides(&self, from: &[f64], sides: &mut [f64]) {
        match self {
            Self::Activation(activation) => {
                for (side, y) in sides.iter_mut().zip(from) {
                    *side = side_of(*activation, *y);
                }
            }
            Self::Recurrence(cell) => {
                for (index, (side, value)) in sides.iter_mut().zip(from).enumerate() {
                    let part = index % cell.trace_channels() / cell.units;
                    *side = match part.cmp(&cell.gates()) {
                        Ordering::Less => side_of(cell.function(part), *value),
                        Ordering::Equal => side_of(cell.activation, cell.activation.apply(*value)),
                        Ordering::Greater => 0.0,
                    };
                }
            }
            Self::Max(geometry) => {
                let channels = geometry.in_channels;
                let x = ArrayView2::from_shape((geometry.in_steps, channels), from).expect("its argument");
                for (element, side) in sides.iter_mut().enumerate() {
                    *side = argmax(geometry, x, element / channels, element % channels) as f64;
                }
            }
        }
    }
}

/// 1 if the output `y` of an activation is above the kink, else 0. The upper side lets NaN through, as the activation
/// does.
fn side_of(activation: Activation, y: f64) -> f64 {
    if activation.is_upper(y) || y.is_nan() { 1.0 } else { 0.0 }
}

impl Operation for Held {
    fn forward<F: Float>(&self, _: ArrayView2<'_, F>, _: &[F], _: ArrayViewMut2<'_, F>) {
        unreachable!("only its gradient is recorded")
    }

    fn backward<F: Float>(&self, saved: Saved<'_, F>, mut y: ArrayViewMut2<'_, F>, _: &mut [F]) {
        let (sides, x) = (saved.x, saved.dy);
        match self {
            Self::Activation(activation) => {
                let held = |x: F, side: F| activation.piece(x, side > F::zero());
                Zip::from(&mut y).and(sides).and(x).for_each(|y, side, x| *y = held(*x, *side));
            }
            Self::Recurrence(cell) => {
                let (kernel, bias) = saved.weights.split_at(cell.units * cell.columns());
                let matrix = |rows: usize, values| ArrayView2::from_shape((rows, cell.columns()), values);
                let kernel = matrix(cell.units, kernel).expect("the recurrent kernel");
                let bias = (!bias.is_empty()).then(|| matrix(2, bias).expect("the bias of two rows"));
                recur_with(cell, kernel, bias, x, y, |step, gate, unit, x| {
                    let function = if gate == cell.gates() { cell.activation } else { cell.function(gate) };
                    function.piece(x, sides[[step, gate * cell.units + unit]] > F::zero())
                });
            }
            Self::Max(_) => {
                let held = |step: F, c: usize| x[[step.wide() as usize, c]];
                Zip::indexed(&mut y).and(sides).for_each(|(_, c), y, step| *y = held(*step, c));
            }
        }
    }
}

impl Forward {
    pub(super) fn new(training: &Program) -> Self {
        let (mut values, mut kinks) = (training.values.clone(), vec![]);
        let (mut free, mut held) = (vec![], vec![]);
        for line in training.lines.iter().filter(|line| line.pass == Pass::Forward) {
            let epilogue = line.instruction.epilogue();
            let with = |instruction| Line { instruction, ..line.clone() };
            if let Instruction::Pool { pooling: Pooling::Max, geometry, x, y } = line.instruction {
                let side = Value(values.len());
                values.push(values[y.index()]);
                let function = Held::Max(geometry);
                held.push(with(hold(&function, side, x, y)));
                kinks.push(Kink { function, from: x, side });
                free.push(line.clone());
                continue;
            }
            if let Instruction::Recur { cell, kernel, bias, z, trace } = line.instruction
                && (cell.activation.has_kink() || cell.recurrent_activation.has_kink())
            {
                let side = Value(values.len());
                values.push(values[trace.index()]);
                let function = Held::Recurrence(cell);
                let weights = kernel.0..bias.unwrap_or(kernel).0 + 1;
                let op = Arc::new(function.clone());
                let instruction =
                    Instruction::CustomGradient { op, x: side, y: side, dy: z, dx: trace, weights };
                held.push(with(instruction));
                kinks.push(Kink { function, from: trace, side });
                free.push(line.clone());
                continue;
            }
            let mut rest = line.instruction.clone();
            let mut done = 0;
            for (at, op) in epilogue.iter().enumerate() {
                let Pointwise::Activation(activation) = *op else { continue };
                if !activation.has_kink() {
                    continue;
                }
                let y = line.instruction.stores().expect("what has an epilogue stores a value");
                let [side, x, dx] = [0, 1, 2].map(|index| Value(values.len() + index));
                values.extend([values[y.index()]; 3]);
                free.push(with(storing(&line.instruction, side, epilogue[..=at].to_vec())));
                held.push(with(storing(&rest, x, epilogue[done..at].to_vec())));
                let function = Held::Activation(activation);
                held.push(with(hold(&function, side, x, dx)));
                kinks.push(Kink { function, from: side, side });
                done = at + 1;
                rest = Instruction::Map { x: dx, y, epilogue: epilogue[done..].to_vec() };
            }
            free.push(line.clone());
            held.push(with(rest));
        }
        let program = |lines| Program { values: values.clone(), lines, ..training.clone() };
        Self { free: program(free), held: program(held), kinks }
    }

    /// Index of the first line that depends on a weight of a layer.
    pub(super) fn first_line(&self, layer: usize) -> usize {
        self.held.lines.iter().position(|line| line.layer >= layer).unwrap_or(self.held.lines.len())
    }
}

/// The part of each element of a prediction in the loss; see [`Piece`].
fn scales(program: &Program) -> Vec<f64> {
    let len = program.values[program.output.index()].len() as f64;
    let of_output = |output: &Range<usize>| vec![len / output.len() as f64; output.len()];
    program.outputs.iter().flat_map(of_output).collect()
}

/// Applies a held function to `x` and stores the result in `y`.
fn hold(function: &Held, side: Value, x: Value, y: Value) -> Instruction {
    let op = Arc::new(function.clone());
    Instruction::CustomGradient { op, x: side, y: side, dy: x, dx: y, weights: 0..0 }
}

/// Copies an instruction with another epilogue and another stored value.
fn storing(instruction: &Instruction, y: Value, epilogue: Vec<Pointwise>) -> Instruction {
    match instruction {
        Instruction::Apply { geometry, kernel, x, .. } => {
            Instruction::Apply { geometry: *geometry, kernel: *kernel, x: *x, y, epilogue }
        }
        Instruction::ApplyTransposed { geometry, kernel, x, .. } => {
            Instruction::ApplyTransposed { geometry: *geometry, kernel: *kernel, x: *x, y, epilogue }
        }
        Instruction::Map { x, .. } => Instruction::Map { x: *x, y, epilogue },
        other => unreachable!("{other:?} has no epilogue"),
    }
}

/// The variable that the gradient is taken with respect to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Variable {
    /// A weight by its index in the flat vector, and the first line that depends on it.
    Weight { index: usize, line: usize },
    /// An element of a sample's input.
    Input { sample: usize, index: usize },
}

/// A model in the neighbourhood of a point, on a batch.
#[derive(Clone)]
pub(super) struct Piece {
    /// The forward pass of each sample, with its masks and its sides.
    samples: Vec<Interpreter<f64>>,
    /// True if the samples meet at a barrier: then each depends on the others.
    pub(super) meets: bool,
    input: Value,
    output: Value,
    loss: Loss,
    weights: Vec<f64>,
    target: Vec<f64>,
    /// The predictions at the point.
    prediction: Vec<f64>,
    /// For each element of a prediction, its part in the loss in units of 1 / the length of a prediction: 1 where there
    /// is one output, since the loss is the sum over outputs of the mean over the elements of each.
    scales: Vec<f64>,
}

impl Piece {
    /// Builds the piece around the point with these weights and inputs.
    pub(super) fn new(
        forward: &Forward,
        layout: &WeightLayout,
        loss: Loss,
        seed: u64,
        weights: Vec<f64>,
        samples: &[Sample<'_, f64>],
    ) -> Self {
        let free = Interpreter::new(forward.free.clone(), layout.clone());
        let held = Interpreter::new(forward.held.clone(), layout.clone());
        let (input, output) = (forward.held.input, forward.held.output);
        let mut piece = Self {
            samples: vec![held; samples.len()],
            meets: forward.held.stretches().len() > 1,
            input,
            output,
            loss,
            weights,
            target: vec![],
            prediction: vec![],
            scales: scales(&forward.held),
        };
        let together = forward.free.together(samples.len());
        let mut free = vec![free; together];
        let groups = samples.chunks(together).zip(piece.samples.chunks_mut(together));
        for (group, (samples, held)) in groups.enumerate() {
            for (position, (free, held)) in (group * together..).zip(free.iter_mut().zip(&mut *held)) {
                let at = MaskAt { mask: 0, step: 0, position };
                free.draw_masks(seed, at);
                held.draw_masks(seed, at);
            }
            Interpreter::run_batch(&mut free, samples, &piece.weights, &mut []);
            for (free, held) in free.iter().zip(&mut *held) {
                for Kink { function, from, side } in &forward.kinks {
                    function.sides(free.value(*from), held.value_mut(*side));
                }
                piece.prediction.extend_from_slice(free.value(output));
            }
            Interpreter::run_batch(held, samples, &piece.weights, &mut []);
            piece.target.extend(samples.iter().flat_map(|sample| sample.target));
        }
        piece
    }

    /// Computes the slope of the batch's mean loss along one variable, from a step below the point to a step above it.
    ///
    /// Use a separate copy of the piece for each tensor: it keeps the values that its last call stored, from the first
    /// line that depends on the tensor; lines of other tensors would read the wrong values.
    pub(super) fn slope(&mut self, variable: Variable, step: f64) -> Slope {
        let affected = match variable {
            Variable::Input { sample, .. } if !self.meets => sample..sample + 1,
            _ => 0..self.samples.len(),
        };
        let here = *self.element(variable);
        let (up, down) = (here + step, here - step);
        let len = self.target.len() / self.samples.len();
        let above = self.predict(variable, up, affected.clone());
        let below = self.predict(variable, down, affected.clone());
        let mut slope = Slope::default();
        for ((sample, above), below) in affected.zip(above.chunks(len)).zip(below.chunks(len)) {
            let place = sample * len..(sample + 1) * len;
            let (prediction, target) = (&self.prediction[place.clone()], &self.target[place]);
            let elements = above.iter().zip(below).zip(prediction).zip(target).zip(&self.scales);
            for ((((above, below), y), target), scale) in elements {
                slope.add(
                    above - below,
                    scale
                        * match self.loss {
                            // ((above - target)^2 - (below - target)^2) / (above - below), without squares that cancel.
                            Loss::MeanSquaredError => (above - target) + (below - target),
                            Loss::MeanAbsoluteError if y == target => 0.0,
                            Loss::MeanAbsoluteError => (y - target).signum(),
                            // On the side of delta where it is at the point: half a square, or a line.
                            Loss::Huber { delta } if (y - target).abs() <= delta.get() => {
                                0.5 * ((above - target) + (below - target))
                            }
                            Loss::Huber { delta } => (y - target).signum() * delta.get(),
                            // log cosh(m + h) - log cosh(m - h) = 2 atanh(tanh(m) tanh(h)).
                            Loss::LogCosh => {
                                let middle = (0.5 * ((above - target) + (below - target))).tanh();
                                let half = 0.5 * (above - below);
                                if half == 0.0 { middle } else { (middle * half.tanh()).atanh() / half }
                            }
                        },
                    above.abs().max(below.abs()),
                );
            }
        }
        *self.element(variable) = here;
        slope.over((up - down) * self.target.len() as f64)
    }

    /// Predicts samples with one variable set to another value.
    fn predict(&mut self, variable: Variable, value: f64, samples: Range<usize>) -> Vec<f64> {
        *self.element(variable) = value;
        let line = match variable {
            Variable::Weight { line, .. } => line,
            Variable::Input { .. } => 0,
        };
        let samples = &mut self.samples[samples];
        Interpreter::rerun(samples, line, &self.weights);
        samples.iter().flat_map(|sample| sample.value(self.output)).copied().collect()
    }

    fn element(&mut self, variable: Variable) -> &mut f64 {
        match variable {
            Variable::Weight { index, .. } => &mut self.weights[index],
            Variable::Input { sample, index } => &mut self.samples[sample].value_mut(self.input)[index],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Padding;
    use crate::layers::{Conv1D, Conv1DTranspose, Dropout, MaxPooling1D, ReLU, WeightSpec};
    use crate::model::{Network, Sequential};
    use crate::program::Tape;
    use crate::random::{Purpose, Stream};
    use crate::shape::Shape;

    fn normals(which: u32, n: usize) -> Vec<f64> {
        let mut draws = Stream::new(4, Purpose::Check, which, 0).draws();
        (0..n).map(|_| draws.normal()).collect()
    }

    fn model() -> Network {
        let mut model = Sequential::new(Shape::new(9, 2));
        model.add(Conv1D::new(3, 3).padding(Padding::Same).activation(Activation::Relu)).unwrap();
        model.add(Dropout::new(0.3)).unwrap();
        model.add(Conv1DTranspose::new(2, 3).strides(2)).unwrap().add(ReLU).unwrap();
        model.add(MaxPooling1D::new(3).strides(2).padding(Padding::Same)).unwrap();
        model.add(Conv1D::new(2, 3)).unwrap();
        model.into()
    }

    /// At the point both agree to the bit; close to it, with no kink between, both have the same slope.
    #[test]
    fn a_piece_is_the_model_in_a_neighbourhood() {
        let model = model();
        for loss in [Loss::MeanSquaredError, Loss::MeanAbsoluteError, Loss::huber(1.0).unwrap()] {
            // Kinks are found in fused and unfused programs.
            for training in [model.training_program(loss), model.training_program(loss).fused()] {
                let forward = Forward::new(&training);
                assert_eq!(forward.kinks.len(), 3);
                let weights = normals(0, model.layout().len());
                let (x, target) = (normals(1, 18), normals(2, model.output_shape().len()));
                let sample = Sample { x: &x, target: &target, batch: 1 };
                let piece = Piece::new(&forward, model.layout(), loss, 1, weights.clone(), &[sample]);
                assert_eq!(piece.samples[0].value(piece.output), piece.prediction);

                let mut free = Interpreter::new(training, model.layout().clone());
                free.draw_masks(1, MaskAt { mask: 0, step: 0, position: 0 });
                for index in 0..weights.len() {
                    let mut at = |step: f64| {
                        let mut weights = weights.clone();
                        weights[index] += step;
                        let mut unused = vec![0.0; weights.len()];
                        free.run(sample, &weights, &mut unused)
                    };
                    let expected = (at(1e-6) - at(-1e-6)) / 2e-6;
                    for step in [1e-6, 1.0] {
                        let slope = piece.clone().slope(Variable::Weight { index, line: 0 }, step).value();
                        assert!((slope - expected).abs() < 1e-8, "{index}: {slope} is not {expected}");
                    }
                }
            }
        }
    }

    /// A ReLU is held by its own output, whatever follows it in its epilogue.
    #[test]
    fn a_relu_amid_an_epilogue_is_held() {
        let mut layout = WeightLayout::default();
        let bias = layout.push(WeightSpec::new("bias", vec![1], crate::initializers::Initializer::Zeros));
        let mut tape = Tape::new(Shape::new(4, 1), true);
        let relu = Pointwise::Activation(Activation::Relu);
        let epilogue = vec![relu, Pointwise::AddBias(bias), relu];
        let y = tape.map(tape.input(), epilogue);
        let forward = Forward::new(&tape.finish(y));
        let sample = Sample { x: &[-1.0, 0.5, 2.0, f64::NAN], target: &[0.0; 4], batch: 1 };
        let piece = Piece::new(&forward, &layout, Loss::MeanSquaredError, 1, vec![-1.0], &[sample]);
        let held = |gate: usize| piece.samples[0].value(forward.kinks[gate].side);
        assert_eq!(held(0), [0.0, 1.0, 1.0, 1.0]);
        assert_eq!(held(1), [0.0, 0.0, 1.0, 1.0]);
        let prediction = piece.samples[0].value(piece.output);
        assert_eq!(prediction[..3], [0.0, 0.0, 1.0]);
        assert!(prediction[3].is_nan(), "a NaN is not hidden");
    }
}
