//! The tape, on which layers record their computation.

use std::ops::Range;
use std::sync::Arc;

use super::custom::{AnyOperation, Operation};
use super::reverse::Recorded;
use super::{
    Instruction, Line, Mask, MaskSpec, Meeting, Pass, Pointwise, Pooling, Program, Statistics, Value, Weight,
};
use crate::activations::{Activation, Residual};
use crate::geometry::Geometry;
use crate::index_map::IndexMap;
use crate::layers::{Call, Layer};
use crate::losses::Loss;
use crate::recurrent::Cell;
use crate::shape::Shape;

/// A recorder of instructions.
///
/// A model calls its layers in order ([`Tape::call`]). For a training program it then calls [`Tape::loss`], and
/// [`Tape::backward`], which goes through all that was recorded in reverse order. A layer may be called twice (shared
/// weights), and a value may be read twice (a branch): gradients add up in both cases.
///
/// ```
/// use glassbox_engine::activations::Activation;
/// use glassbox_engine::program::{Pointwise, Tape};
///
/// // An inference program by hand: the sum of a signal and its ReLU.
/// let mut tape = Tape::new((4, 1).into(), false);
/// let x = tape.input();
/// let relu = tape.map(x, vec![Pointwise::Activation(Activation::Relu)]);
/// let sum = tape.add(x, relu);
/// let program = tape.finish(sum);
/// assert_eq!(program.lines.len(), 2);
/// println!("{program}");
/// ```
#[derive(Debug)]
pub struct Tape {
    training: bool,
    values: Vec<Shape>,
    masks: Vec<MaskSpec>,
    pub(super) lines: Vec<Line>,
    input: Value,
    gradients: Vec<Option<Value>>,
    /// For each value, the index of the line that stores it.
    stored: Vec<Option<usize>>,
    /// For each value, whether a gradient that is wanted flows through it: that of a weight, or of the sample.
    differentiated: Vec<bool>,
    /// The calls of layers, each after those that it made itself.
    pub(super) calls: Vec<Recorded>,
    /// The call whose backward pass is being recorded.
    pub(super) reversed: Option<usize>,
    layer: usize,
    pass: Pass,
    /// The number of elements of the targets of all losses so far.
    targets: usize,
    layer_outputs: Vec<Option<Value>>,
}

impl Tape {
    /// Creates an empty tape for samples of shape `input`. If `training` is true, dropout is active.
    #[must_use]
    pub fn new(input: Shape, training: bool) -> Self {
        let mut tape = Self {
            training,
            values: vec![],
            masks: vec![],
            lines: vec![],
            input: Value(0),
            gradients: vec![],
            stored: vec![],
            differentiated: vec![],
            calls: vec![],
            reversed: None,
            layer: 0,
            pass: Pass::Forward,
            targets: 0,
            layer_outputs: vec![],
        };
        tape.input = tape.value(input);
        tape
    }

    /// Also records the gradient with respect to the sample, which training does not need.
    #[must_use]
    pub fn with_input_gradient(mut self) -> Self {
        self.differentiated[self.input.0] = true;
        self
    }

    /// The value that holds the sample.
    #[must_use]
    pub fn input(&self) -> Value {
        self.input
    }

    /// Returns true if a training step is being recorded; otherwise dropout is the identity.
    #[must_use]
    pub fn training(&self) -> bool {
        self.training
    }

    /// The shape of a value.
    #[must_use]
    pub fn shape(&self, value: Value) -> Shape {
        self.values[value.0]
    }

    /// Assigns the instructions recorded from here on to `layer` and `pass`.
    pub fn enter(&mut self, layer: usize, pass: Pass) {
        self.layer = layer;
        self.pass = pass;
    }

    /// Calls a layer: records its forward pass and returns its output. [`Tape::backward`] then calls its backward pass.
    pub fn call(&mut self, layer: &Arc<dyn Layer>, call: Call) -> Value {
        let (first_line, first_call) = (self.lines.len(), self.calls.len());
        let y = layer.forward(self, &call);
        let (lines, calls) = (first_line..self.lines.len(), first_call..self.calls.len());
        self.calls.push(Recorded { layer: Arc::clone(layer), call, y, label: self.layer, lines, calls });
        y
    }

    /// Marks `value` as the output of the layer that was entered.
    pub fn set_layer_output(&mut self, value: Value) {
        self.layer_outputs.resize(self.layer_outputs.len().max(self.layer + 1), None);
        self.layer_outputs[self.layer] = Some(value);
    }

    /// Records `y = epilogue(A x)` and returns `y`; `x` is on A's input side.
    pub fn apply(&mut self, geometry: Geometry, kernel: Weight, x: Value, epilogue: Vec<Pointwise>) -> Value {
        self.check(x, geometry.input());
        self.contraction(x, geometry.output(), epilogue, |y, epilogue| Instruction::Apply {
            geometry,
            kernel,
            x,
            y,
            epilogue,
        })
    }

    /// Records `y = epilogue(A^T x)` and returns `y`; `x` is on A's output side.
    pub fn apply_transposed(
        &mut self,
        geometry: Geometry,
        kernel: Weight,
        x: Value,
        epilogue: Vec<Pointwise>,
    ) -> Value {
        self.check(x, geometry.output());
        self.contraction(x, geometry.input(), epilogue, |y, epilogue| Instruction::ApplyTransposed {
            geometry,
            kernel,
            x,
            y,
            epilogue,
        })
    }

    /// Records that the correlation of `x`, on A's input side, with `y`, on its output side, is added to the gradient
    /// of
    /// `kernel`.
    pub fn correlate(&mut self, geometry: Geometry, x: Value, y: Value, kernel: Weight) {
        self.check(x, geometry.input());
        self.check(y, geometry.output());
        self.push(Instruction::Correlate { geometry, x, y, kernel });
    }

    /// Records that the sum of `x` over its steps is added to the gradient of `bias`.
    pub fn sum_steps(&mut self, x: Value, bias: Weight) {
        self.push(Instruction::SumSteps { x, bias });
    }

    /// Records `y = epilogue(x)` and returns `y`; returns `x` itself if the epilogue is empty.
    pub fn map(&mut self, x: Value, mut epilogue: Vec<Pointwise>) -> Value {
        if epilogue.is_empty() {
            return x;
        }
        let after = self.cut(&mut epilogue, false);
        let y = self.value(self.shape(x));
        self.push(Instruction::Map { x, y, epilogue });
        self.map(y, after)
    }

    /// Records a contraction of `x` that stores a value of this shape, and the epilogue.
    fn contraction(
        &mut self,
        x: Value,
        shape: Shape,
        mut epilogue: Vec<Pointwise>,
        instruction: impl FnOnce(Value, Vec<Pointwise>) -> Instruction,
    ) -> Value {
        let after = self.cut(&mut epilogue, true);
        let y = self.value(shape.ranked_as(self.shape(x)));
        self.push(instruction(y, epilogue));
        self.map(y, after)
    }

    /// Cuts off the functions of an epilogue that belong into lines of their own. In a training program, the backward
    /// pass reads the output of an activation or its input, whichever is its [`Residual`], so this must be stored: it
    /// ends a line. It reads what factors were multiplied with, so they begin a line that reads just this. Fusion joins lines again where it can.
    fn cut(&self, epilogue: &mut Vec<Pointwise>, contraction: bool) -> Vec<Pointwise> {
        let end = epilogue.iter().enumerate().find_map(|(at, op)| match op {
            Pointwise::Activation(function) if function.residual() != Residual::Input => Some(at + 1),
            Pointwise::Activation(_) => Some(if contraction { at } else { at.max(1) }),
            Pointwise::Scale(_) if contraction || at > 0 => Some(at),
            _ => None,
        });
        epilogue.split_off(end.filter(|_| self.training).unwrap_or(epilogue.len()))
    }

    /// Records `y = activation(x)` and returns `y`; returns `x` itself for the identity.
    pub fn activation(&mut self, x: Value, activation: Activation) -> Value {
        match activation {
            Activation::Linear => x,
            _ => self.map(x, vec![Pointwise::Activation(activation)]),
        }
    }

    /// Records `dx = dy activation'` for `y = activation(x)` and returns `dx`. An activation that keeps its input must
    /// have been recorded as a [`Tape::map`] of its own.
    pub fn activation_gradient(&mut self, activation: Activation, y: Value, dy: Value) -> Value {
        let at = match activation.residual() {
            _ if activation == Activation::Linear => return dy,
            Residual::Sign | Residual::Output => y,
            Residual::Input => match self.stored[y.0].map(|line| &self.lines[line].instruction) {
                Some(Instruction::Map { x, epilogue, .. }) if epilogue.len() == 1 => *x,
                other => panic!("{activation} keeps its input and is no map of its own: {other:?}"),
            },
        };
        self.map(dy, vec![Pointwise::ActivationGradient(activation, at)])
    }

    /// Records `a + b` and returns the sum: two branches meet. The gradient of the sum goes to both unchanged.
    pub fn add(&mut self, a: Value, b: Value) -> Value {
        self.check(b, self.shape(a));
        let y = self.value(self.shape(a));
        self.push(Instruction::Add { a, b, y });
        y
    }

    /// Records all steps of a recurrence, and returns its trace. `z` has `steps` rows, or one that is the same at all
    /// steps.
    pub fn recur(
        &mut self,
        cell: Cell,
        steps: usize,
        (kernel, bias): (Weight, Option<Weight>),
        z: Value,
    ) -> Value {
        let shape = self.shape(z);
        assert!(
            shape.channels == cell.columns() && [1, steps].contains(&shape.steps),
            "v{} has shape {shape}, {cell} of {} units reads one or {steps} steps of {} channels",
            z.0,
            cell.units,
            cell.columns()
        );
        let trace = self.value(Shape::new(steps, cell.trace_channels()));
        self.push(Instruction::Recur { cell, kernel, bias, z, trace });
        trace
    }

    /// Records the gradient of a recurrence with respect to z, from that of its hidden states, and returns it.
    pub(super) fn recur_gradient(&mut self, cell: Cell, kernel: Weight, trace: Value, dh: Value) -> Value {
        let dz = self.value(Shape::new(self.shape(trace).steps, cell.gradient_channels()));
        self.push(Instruction::RecurGradient { cell, kernel, trace, dh, dz });
        dz
    }

    /// The value of which each step of `x` is a copy, if a line repeats it.
    pub(crate) fn repeated_row(&self, x: Value) -> Option<Value> {
        match &self.lines[self.stored(x)?].instruction {
            Instruction::IndexMap { map, inputs, .. } => {
                let row = map.inputs()[0];
                let repeats = row.steps == 1 && **map == IndexMap::repeated(row, self.shape(x).steps);
                repeats.then_some(inputs[0])
            }
            _ => None,
        }
    }

    /// The index of the line that stores `x`; `None` for the sample.
    pub(super) fn stored(&self, x: Value) -> Option<usize> {
        self.stored[x.0]
    }

    /// Records a signal that consists of elements of `inputs`, and returns it.
    pub fn index_map(&mut self, map: IndexMap, inputs: Vec<Value>) -> Value {
        assert_eq!(inputs.len(), map.inputs().len(), "an index map reads as many values as it has inputs");
        for (x, shape) in inputs.iter().zip(map.inputs()) {
            self.check(*x, *shape);
        }
        let y = self.value(map.output());
        self.push(Instruction::IndexMap { map: Arc::new(map), inputs, y });
        y
    }

    /// Records the transpose of an index map with respect to the input of index `input`, and returns the gradient of that
    /// input.
    pub fn index_map_transposed(&mut self, map: Arc<IndexMap>, input: usize, dy: Value) -> Value {
        self.check(dy, map.output());
        let dx = self.value(map.inputs()[input]);
        self.push(Instruction::IndexMapTransposed { map, input, dy, dx });
        dx
    }

    /// Records the product of `a` and `b`, element by element, and returns it.
    pub fn multiply(&mut self, a: Value, b: Value) -> Value {
        self.check(b, self.shape(a));
        let y = self.value(self.shape(a));
        self.push(Instruction::Multiply { a, b, y });
        y
    }

    /// Records the normalisation of each step of `x` over its channels, and returns the result.
    pub fn normalize(&mut self, epsilon: f64, x: Value) -> Value {
        let y = self.value(self.shape(x));
        self.push(Instruction::Normalize { epsilon, x, y });
        y
    }

    /// Records the gradient of [`Tape::normalize`] and returns it.
    pub fn normalize_gradient(&mut self, epsilon: f64, x: Value, dy: Value) -> Value {
        self.check(dy, self.shape(x));
        let dx = self.value(self.shape(x));
        self.push(Instruction::NormalizeGradient { epsilon, x, dy, dx });
        dx
    }

    /// Records the standardisation of each channel of `x`, and returns the result: in training by the mean and the variance
    /// of the batch, towards which the `moving` mean and variance move, in inference by the moving ones.
    pub fn standardize(&mut self, epsilon: f64, momentum: f64, moving: [Weight; 2], x: Value) -> Value {
        let shape = self.shape(x);
        let statistics = if self.training {
            let [own, met] = [(); 2].map(|()| self.value(Shape::new(2, shape.channels)));
            self.push(Instruction::Moments { x, y: own });
            self.push(Instruction::Meet { meeting: Meeting::Moments { momentum, moving }, x: own, y: met });
            Statistics::Batch(met)
        } else {
            Statistics::Moving(moving)
        };
        let y = self.value(shape);
        self.push(Instruction::Standardize { epsilon, statistics, x, y });
        y
    }

    /// Records the gradient of the [`Tape::standardize`] that stored `y`, and returns it.
    ///
    /// # Panics
    /// If `y` was not standardised by the statistics of the batch.
    pub fn standardize_gradient(&mut self, y: Value, dy: Value) -> Value {
        self.check(dy, self.shape(y));
        let (epsilon, statistics) = match self.stored[y.0].map(|line| &self.lines[line].instruction) {
            Some(Instruction::Standardize { epsilon, statistics: Statistics::Batch(statistics), .. }) => {
                (*epsilon, *statistics)
            }
            other => panic!("v{} was not standardised by the statistics of the batch: {other:?}", y.0),
        };
        let [own, means] = [(); 2].map(|()| self.value(self.shape(statistics)));
        self.push(Instruction::GradientMeans { y, dy, means: own });
        self.push(Instruction::Meet { meeting: Meeting::Means, x: own, y: means });
        let dx = self.value(self.shape(y));
        self.push(Instruction::StandardizeGradient { epsilon, statistics, means, y, dy, dx });
        dx
    }

    /// The value that was mapped to `y`; `y` itself if no [`Tape::map`] stored it.
    #[must_use]
    pub fn before_map(&self, y: Value) -> Value {
        match self.stored[y.0].map(|line| &self.lines[line].instruction) {
            Some(Instruction::Map { x, .. }) => *x,
            _ => y,
        }
    }

    /// Records the pooling of `x`, on the geometry's input side, and returns its output. The geometry has as many
    /// channels out as in and no dilation, and each of its output steps meets an input step.
    pub fn pool(&mut self, pooling: Pooling, geometry: Geometry, x: Value) -> Value {
        self.check(x, geometry.input());
        let windows = geometry.in_channels == geometry.out_channels
            && geometry.dilation == 1
            && geometry.pad_left < geometry.taps
            && (geometry.out_steps - 1) * geometry.stride < geometry.pad_left + geometry.in_steps;
        assert!(windows, "no windows of neighbouring steps of each channel: {geometry:?}");
        let y = self.value(geometry.output());
        self.push(Instruction::Pool { pooling, geometry, x, y });
        y
    }

    /// Records the gradient of [`Tape::pool`] and returns it.
    pub fn pool_gradient(&mut self, pooling: Pooling, geometry: Geometry, x: Value, dy: Value) -> Value {
        self.check(x, geometry.input());
        self.check(dy, geometry.output());
        let dx = self.value(self.shape(x));
        self.push(Instruction::PoolGradient { pooling, geometry, x, dy, dx });
        dx
    }

    /// Records the drawing of a dropout mask for a value of `len` elements, and returns the mask.
    pub fn draw(&mut self, rate: f64, len: usize) -> Mask {
        self.draw_mask(MaskSpec { rate, len, drawn: len })
    }

    /// Records the drawing of a dropout mask for a value of shape `shape`, the same at all steps, and returns the mask.
    pub fn draw_channels(&mut self, rate: f64, shape: Shape) -> Mask {
        self.draw_mask(MaskSpec { rate, len: shape.len(), drawn: shape.channels })
    }

    fn draw_mask(&mut self, spec: MaskSpec) -> Mask {
        let mask = Mask(self.masks.len());
        self.masks.push(spec);
        self.push(Instruction::Draw { mask });
        mask
    }

    /// The dropout mask in the epilogue that stored `y`.
    #[must_use]
    pub fn mask_of(&self, y: Value) -> Option<Mask> {
        let line = &self.lines[self.stored[y.0]?];
        line.instruction.epilogue().iter().find_map(|op| match op {
            Pointwise::Dropout(mask) => Some(*mask),
            _ => None,
        })
    }

    /// Records a user's operation on the input of a layer and returns its result, of shape `shape`. The operation gets
    /// the layer's weight tensors as one slice.
    pub fn custom(&mut self, operation: impl Operation, call: &Call, shape: Shape) -> Value {
        let y = self.value(shape);
        let (op, weights) = (Arc::new(operation), neighbours(call));
        self.push(Instruction::Custom { op, x: call.x(), y, weights });
        y
    }

    /// Records the gradient of a user's operation with output `y`, and adds the gradients of its weights and its input.
    /// The derived backward pass does this for the operation of [`Tape::custom`]; a layer that calls it itself may give
    /// another operation's gradient.
    pub fn custom_gradient(&mut self, operation: impl Operation, call: &Call, y: Value, dy: Value) {
        self.reverse_custom(Arc::new(operation), call.x(), neighbours(call), [y, dy]);
    }

    pub(super) fn reverse_custom(
        &mut self,
        op: Arc<dyn AnyOperation>,
        x: Value,
        weights: Range<usize>,
        [y, dy]: [Value; 2],
    ) {
        let dx = self.value(self.shape(x));
        self.push(Instruction::CustomGradient { op, x, y, dy, dx, weights });
        self.add_gradient(x, dx);
    }

    /// Records the loss of the output `y`, with which the backward pass starts. A model with several outputs calls this
    /// for each of them, in the order in which their targets are side by side in the sample's; its loss is the sum.
    pub fn loss(&mut self, loss: Loss, y: Value) {
        self.pass = Pass::Loss;
        let (dy, target) = (self.value(self.shape(y)), self.targets);
        self.targets += self.shape(y).len();
        self.push(Instruction::Loss { loss, y, target, dy });
        self.add_gradient(y, dy);
    }

    /// Returns true if the gradient of `x` is needed: if `x` depends on a weight, or on a sample whose gradient was
    /// requested.
    #[must_use]
    pub fn needs_gradient(&self, x: Value) -> bool {
        self.differentiated[x.0]
    }

    /// Adds `dx` to the gradient of `x`.
    pub fn add_gradient(&mut self, x: Value, dx: Value) {
        self.check(dx, self.shape(x));
        let total = match self.gradients[x.0] {
            None => dx,
            Some(sum) => self.add(sum, dx),
        };
        self.gradients[x.0] = Some(total);
    }

    /// The gradient of `y`, after all readers of `y` have added theirs; `None` if the loss does not depend on `y`.
    #[must_use]
    pub fn gradient(&self, y: Value) -> Option<Value> {
        self.gradients[y.0]
    }

    /// Returns the program, with `output` as its prediction.
    #[must_use]
    pub fn finish(self, output: Value) -> Program {
        let Self { values, masks, lines, input, layer_outputs, gradients, .. } = self;
        let input_gradient = gradients[input.0];
        let outputs = std::iter::once(0..values[output.0].len()).collect();
        Program { values, masks, lines, input, output, outputs, input_gradient, layer_outputs }
    }

    fn value(&mut self, shape: Shape) -> Value {
        self.values.push(shape);
        self.gradients.push(None);
        self.stored.push(None);
        self.differentiated.push(false);
        Value(self.values.len() - 1)
    }

    fn push(&mut self, instruction: Instruction) {
        if let Some(value) = instruction.stores() {
            self.stored[value.0] = Some(self.lines.len());
            self.differentiated[value.0] =
                instruction.has_weights() || instruction.reads().iter().any(|x| self.needs_gradient(*x));
        }
        self.lines.push(Line { instruction, layer: self.layer, pass: self.pass });
    }

    /// Checks the shape of a value. A wrong one is a mistake in a layer and not in a model.
    fn check(&self, value: Value, expected: Shape) {
        let found = self.shape(value);
        let fits = found.is_laid_out_as(expected);
        assert!(fits, "v{} has shape {found}, its instruction reads {expected}", value.0);
    }
}

/// The weight tensors of a layer, which a model lays out side by side.
fn neighbours(call: &Call) -> Range<usize> {
    let first = call.weights.first().map_or(0, |weight| weight.0);
    first..first + call.weights.len()
}
