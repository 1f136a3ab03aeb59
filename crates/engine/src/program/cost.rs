//! The cost of the instructions of a program on any machine: arithmetic operations and bytes.
//!
//! These are counts for one sample, of the work itself and not of any implementation:
//!
//! * **multiply-adds** of a contraction are those in bounds; products with padding do not count;
//! * **other operations** are counted for instructions that are not contractions, by the table below. Drawing random
//!   bits is integer work and counts as none. An epilogue counts as none either, because it is a side task of the
//!   contraction;
//! * **bytes** are those of every tensor that the instruction reads or writes, *once each*: values, weights, masks (one
//!   bit per element), gradients of weights. A kernel that has to read a tensor twice moves more than this.
//!
//! | instruction | operations per element |
//! |---|---|
//! | sum over steps, sum or product of two values | 1 |
//! | pooling, and its gradient | 1 for each step of each window, padding left out: a comparison or an addition |
//! | normalisation | 5: sum, difference, square, sum of squares, scaling |
//! | its gradient | 10: half of them to normalise again |
//! | moments of a sample over its steps | 4: sum, difference, square, sum of squares |
//! | standardisation | 2: difference, scaling |
//! | its gradient | 3 for the means: sum, product, sum; 4 for dx: product, two differences, scaling |
//! | a barrier | 4 for each sample: two sums, a difference, a square |
//! | map | 1 for each function of its epilogue, however many a machine takes for it |
//! | loss | 4: difference, square or magnitude, sum, scaling |
//! | a recurrence, and its gradient | 4 for each gate of a unit: two sums, the function, its share of the state |
//! | a user's operation | unknown, counted as 0 |

use super::{Instruction, Meeting, Pointwise, Program, Statistics, Value, Weight};
use crate::model::WeightLayout;

/// Operations of the loss per element of the prediction.
const LOSS: u64 = 4;
/// Operations of a step of a recurrence per gate and unit, besides the product.
const RECUR: u64 = 4;

/// Operations of a normalisation per element.
const NORMALIZE: u64 = 5;
/// Operations of the moments per element.
const MOMENTS: u64 = 4;
/// Operations of a standardisation per element.
const STANDARDIZE: u64 = 2;
/// Operations per element of the means that the gradient of a standardisation depends on.
const GRADIENT_MEANS: u64 = 3;
/// Operations of the gradient of a standardisation per element.
const STANDARDIZE_GRADIENT: u64 = 4;

/// Work and memory traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Multiply-adds of contractions: two floating-point operations each.
    pub multiply_adds: u64,
    /// Other floating-point operations.
    pub other: u64,
    /// Bytes of all tensors involved, once each.
    pub bytes: u64,
}

impl Cost {
    /// Floating-point operations.
    #[must_use]
    pub fn flops(&self) -> u64 {
        2 * self.multiply_adds + self.other
    }

    /// Floating-point operations per byte.
    #[must_use]
    pub fn intensity(&self) -> f64 {
        self.flops() as f64 / self.bytes as f64
    }

    /// The cost of `n` times the same work.
    #[must_use]
    pub fn times(&self, n: u64) -> Self {
        Self { multiply_adds: self.multiply_adds * n, other: self.other * n, bytes: self.bytes * n }
    }

    /// The least time for this work in seconds, at `peak` floating-point operations and `bandwidth` bytes per second:
    /// the longer of the two, because a processor computes and moves data at the same time.
    #[must_use]
    pub fn least_seconds(&self, peak: f64, bandwidth: f64) -> f64 {
        (self.flops() as f64 / peak).max(self.bytes as f64 / bandwidth)
    }
}

impl std::ops::Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            multiply_adds: self.multiply_adds + other.multiply_adds,
            other: self.other + other.other,
            bytes: self.bytes + other.bytes,
        }
    }
}

impl std::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), |sum, cost| sum + cost)
    }
}

impl Program {
    /// The cost of each line for one sample, with numbers of `bytes` bytes.
    ///
    /// # Panics
    /// If the weights are not those of the program.
    #[must_use]
    pub fn costs(&self, layout: &WeightLayout, bytes: usize) -> Vec<Cost> {
        let count = Count { program: self, layout, bytes: bytes as u64 };
        self.lines.iter().map(|line| count.instruction(&line.instruction)).collect()
    }
}

struct Count<'a> {
    program: &'a Program,
    layout: &'a WeightLayout,
    /// Bytes per number.
    bytes: u64,
}

impl Count<'_> {
    fn instruction(&self, instruction: &Instruction) -> Cost {
        let (multiply_adds, other) = match instruction {
            Instruction::Apply { geometry, .. }
            | Instruction::ApplyTransposed { geometry, .. }
            | Instruction::Correlate { geometry, .. } => (geometry.multiply_adds() as u64, 0),
            Instruction::SumSteps { x, .. } => (0, self.len(*x)),
            Instruction::Map { x, epilogue, .. } => (0, epilogue.len() as u64 * self.len(*x)),
            Instruction::IndexMapTransposed { map, input, .. } => (0, map.taken_from(*input) as u64),
            Instruction::Add { y, .. } | Instruction::Multiply { y, .. } => (0, self.len(*y)),
            Instruction::Normalize { y, .. } => (0, NORMALIZE * self.len(*y)),
            Instruction::NormalizeGradient { dx, .. } => (0, 2 * NORMALIZE * self.len(*dx)),
            Instruction::Moments { x, .. } | Instruction::Meet { x, .. } => (0, MOMENTS * self.len(*x)),
            Instruction::Standardize { y, .. } => (0, STANDARDIZE * self.len(*y)),
            Instruction::GradientMeans { dy, .. } => (0, GRADIENT_MEANS * self.len(*dy)),
            Instruction::StandardizeGradient { dx, .. } => (0, STANDARDIZE_GRADIENT * self.len(*dx)),
            Instruction::Pool { geometry, .. } | Instruction::PoolGradient { geometry, .. } => {
                (0, (geometry.multiply_adds() / geometry.out_channels) as u64)
            }
            Instruction::Loss { y, .. } => (0, LOSS * self.len(*y)),
            // The gradient is one product with the transposed kernel.
            Instruction::Recur { cell, trace, .. } | Instruction::RecurGradient { cell, trace, .. } => {
                let steps = self.program.values[trace.index()].steps;
                (cell.multiply_adds(steps) as u64, RECUR * (steps * cell.columns()) as u64)
            }
            Instruction::IndexMap { .. }
            | Instruction::Draw { .. }
            | Instruction::Custom { .. }
            | Instruction::CustomGradient { .. } => (0, 0),
        };
        let mut values = instruction.reads();
        values.extend(instruction.stores());
        values.sort_unstable();
        values.dedup();
        let numbers = values.iter().map(|value| self.len(*value)).sum::<u64>() + self.weights(instruction);
        Cost { multiply_adds, other, bytes: numbers * self.bytes + self.mask_bytes(instruction) }
    }

    /// Bytes of the weights that are read, the gradients of weights that are added to, and the targets of a loss.
    fn weights(&self, instruction: &Instruction) -> u64 {
        let own = match instruction {
            Instruction::Apply { kernel, .. }
            | Instruction::ApplyTransposed { kernel, .. }
            | Instruction::Correlate { kernel, .. } => self.tensor(*kernel),
            Instruction::SumSteps { bias, .. } => self.tensor(*bias),
            Instruction::Recur { kernel, bias, .. } => {
                self.tensor(*kernel) + bias.map_or(0, |bias| self.tensor(bias))
            }
            Instruction::RecurGradient { kernel, .. } => self.tensor(*kernel),
            Instruction::Loss { y, .. } => self.len(*y),
            Instruction::Standardize { statistics: Statistics::Moving(moving), .. } => {
                moving.iter().map(|weight| self.tensor(*weight)).sum()
            }
            // Read, and their changes.
            Instruction::Meet { meeting: Meeting::Moments { moving, .. }, .. } => {
                moving.iter().map(|weight| 2 * self.tensor(*weight)).sum()
            }
            Instruction::Custom { weights, .. } => self.layout.range(weights.clone()).len() as u64,
            // Read, and their gradients.
            Instruction::CustomGradient { weights, .. } => {
                2 * self.layout.range(weights.clone()).len() as u64
            }
            Instruction::Map { .. }
            | Instruction::Add { .. }
            | Instruction::IndexMap { .. }
            | Instruction::IndexMapTransposed { .. }
            | Instruction::Multiply { .. }
            | Instruction::Normalize { .. }
            | Instruction::NormalizeGradient { .. }
            | Instruction::Moments { .. }
            | Instruction::Meet { meeting: Meeting::Means, .. }
            | Instruction::Standardize { statistics: Statistics::Batch(_), .. }
            | Instruction::GradientMeans { .. }
            | Instruction::StandardizeGradient { .. }
            | Instruction::Pool { .. }
            | Instruction::PoolGradient { .. }
            | Instruction::Draw { .. } => 0,
        };
        let biases = instruction.epilogue().iter().map(|op| match op {
            Pointwise::Scale(weight) | Pointwise::AddBias(weight) => self.tensor(*weight),
            _ => 0,
        });
        own + biases.sum::<u64>()
    }

    fn mask_bytes(&self, instruction: &Instruction) -> u64 {
        let bytes = |mask: usize| self.program.masks[mask].len.div_ceil(8) as u64;
        let drawn = match instruction {
            Instruction::Draw { mask } => bytes(mask.index()),
            _ => 0,
        };
        let applied = instruction.epilogue().iter().map(|op| match op {
            Pointwise::Dropout(mask) => bytes(mask.index()),
            _ => 0,
        });
        drawn + applied.sum::<u64>()
    }

    fn len(&self, value: Value) -> u64 {
        self.program.values[value.index()].len() as u64
    }

    fn tensor(&self, weight: Weight) -> u64 {
        self.layout.tensors()[weight.index()].range.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::super::Pass;
    use super::*;
    use crate::geometry::Padding;
    use crate::layers::{Activation, Conv1D, Conv1DTranspose, Dropout};
    use crate::losses::Loss;
    use crate::model::{Network, Sequential};
    use crate::shape::Shape;

    fn tutorial() -> Network {
        let mut model = Sequential::new(Shape::new(288, 1));
        let (same, relu) = (Padding::Same, Activation::Relu);
        let encode = |filters| Conv1D::new(filters, 7).padding(same).strides(2).activation(relu);
        let decode = |filters| Conv1DTranspose::new(filters, 7).padding(same).strides(2).activation(relu);
        model.add(encode(32)).unwrap().add(Dropout::new(0.2)).unwrap().add(encode(16)).unwrap();
        model.add(decode(16)).unwrap().add(Dropout::new(0.2)).unwrap().add(decode(32)).unwrap();
        model.add(Conv1DTranspose::new(1, 7).padding(same)).unwrap();
        model.into()
    }

    /// Taps in bounds, counted by hand. With stride 2 and padding (2, 3), the first output misses two taps, the last
    /// one three and the last but one misses one: 7 n - 6 for n outputs. With stride 1 and padding (3, 3): 7 n - 12.
    #[test]
    fn the_tutorials_multiply_adds_are_those_counted_by_hand() {
        let model = tutorial();
        let program = model.training_program(Loss::MeanSquaredError).fused();
        let costs = program.costs(model.layout(), 4);
        let layers = [
            (7 * 144 - 6) * 32,
            0,
            (7 * 72 - 6) * 32 * 16,
            (7 * 72 - 6) * 16 * 16,
            0,
            (7 * 144 - 6) * 16 * 32,
            (7 * 288 - 12) * 32,
        ];
        let sum = |wanted: &dyn Fn(usize, Pass) -> bool| -> u64 {
            let lines = program.lines.iter().zip(&costs);
            lines.filter(|(line, _)| wanted(line.layer, line.pass)).map(|(_, cost)| cost.multiply_adds).sum()
        };
        for (layer, by_hand) in layers.into_iter().enumerate() {
            assert_eq!(sum(&|l, pass| l == layer && pass == Pass::Forward), by_hand, "layer {layer}");
            // The gradient of the kernel and, except in the first layer, that of the input.
            let backward = if layer == 0 { by_hand } else { 2 * by_hand };
            assert_eq!(sum(&|l, pass| l == layer && pass == Pass::Backward), backward, "layer {layer}");
        }
        assert_eq!(layers.iter().sum::<u64>(), 991_680);
        assert_eq!(sum(&|_, pass| pass == Pass::Forward), 991_680);
        assert_eq!(sum(&|_, _| true), 2_942_976);
        // The sums over steps of all layers with a bias, and the loss.
        let other: u64 = costs.iter().map(|cost| cost.other).sum();
        assert_eq!(other, (144 * 32 + 72 * 16 + 144 * 16 + 288 * 32 + 288) + 4 * 288);
    }

    #[test]
    fn bytes_are_each_tensor_once() {
        let model = tutorial();
        let program = model.training_program(Loss::MeanSquaredError).fused();
        let costs = program.costs(model.layout(), 4);
        let of = |text: &str| {
            let line = program.lines.iter().position(|line| line.to_string() == text);
            costs[line.unwrap_or_else(|| panic!("no line {text} in\n{program}"))].bytes
        };
        // v0 (288, 1), v1 (144, 32), v3 (144, 16), v7 (288, 32), v8 (144, 16); a mask has one bit per element.
        assert_eq!(of("m0 = draw"), 144 * 32 / 8);
        assert_eq!(
            of("v1 = A(w0) v0 |> + w1 |> relu |> dropout m0"),
            4 * (288 + 7 * 32 + 32 + 144 * 32) + 144 * 32 / 8
        );
        assert_eq!(of("dw6 += correlate(v7, v3)"), 4 * (288 * 32 + 144 * 16 + 7 * 32 * 16));
        assert_eq!(of("dw7 += sum_steps(v7)"), 4 * (288 * 32 + 32));
        assert_eq!(
            of("v8 = A(w6) v7 |> dropout m1 |> where v3 > 0"),
            4 * (288 * 32 + 7 * 32 * 16 + 144 * 16 + 144 * 16) + 144 * 16 / 8
        );
        // The prediction, the target and the gradient.
        assert_eq!(of("v6 = d mean_squared_error(v5)"), 4 * 3 * 288);
    }

    #[test]
    fn unfused_maps_and_sums_count_their_functions() {
        let model = tutorial();
        let program = model.training_program(Loss::MeanSquaredError);
        let costs = program.costs(model.layout(), 8);
        let dropout = program.lines.iter().zip(&costs).find(|(line, _)| {
            line.pass == Pass::Forward && matches!(line.instruction, Instruction::Map { .. })
        });
        let (_, cost) = dropout.expect("dropout is a map before fusion");
        assert_eq!(*cost, Cost { multiply_adds: 0, other: 144 * 32, bytes: 2 * 8 * 144 * 32 + 144 * 32 / 8 });
    }

    #[test]
    fn the_binding_ceiling_is_the_lower_one() {
        let cost = Cost { multiply_adds: 50, other: 0, bytes: 20 };
        assert_eq!((cost.flops(), cost.intensity()), (100, 5.0));
        assert_eq!(cost.least_seconds(100.0, 100.0), 1.0);
        assert_eq!(cost.least_seconds(100.0, 10.0), 2.0);
    }
}
