//! A program on the device: room for the values of a batch, and a launch for each line.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use glassbox_engine::backend::Plan;
use glassbox_engine::geometry::Geometry;
use glassbox_engine::index_map::{IndexMap, Run};
use glassbox_engine::losses::Loss;
use glassbox_engine::masks::WORD;
use glassbox_engine::model::WeightLayout;
use glassbox_engine::profile::Part;
use glassbox_engine::program::{Instruction, Mask, Pointwise, Program, Statistics, Value, Weight};
use glassbox_engine::random::{Purpose, Stream};
use glassbox_engine::shape::Shape;

use crate::device::{Buffer, Gpu, Launch};
use crate::error::Result;
use crate::kernels::{At, EpilogueArgs, Kernels, Order, Partials, Series, Sources};
use crate::step::{EpochBuffers, StepLaunch};

/// A program, and room for the values of a batch.
#[derive(Debug)]
pub(super) struct Lowered {
    device: Arc<Gpu>,
    pub(super) kernels: Arc<Kernels>,
    program: Program,
    layout: WeightLayout,
    seed: u64,
    /// Samples in a batch, at most.
    samples: usize,
    control: Buffer<u32>,
    weights: Buffer<f32>,
    values: Vec<Buffer<f32>>,
    /// Dropout masks, `(batch, words)` each.
    masks: Vec<Buffer<u32>>,
    /// The kernels that are read transposed, each where it is among the weights.
    transposed: Buffer<f32>,
    packed: BTreeMap<usize, Geometry>,
    /// For each line that is an index map, the sources of each of its inputs; for a transpose, those of its only one.
    sources: Vec<Vec<Sources>>,
    /// Room for what is between two passes of an epilogue.
    between: Vec<Buffer<f32>>,
}

impl Lowered {
    pub(super) fn new(
        device: &Arc<Gpu>,
        kernels: &Arc<Kernels>,
        plan: &Plan,
        program: &Program,
        samples: usize,
        control: &Buffer<u32>,
        weights: &Buffer<f32>,
    ) -> Result<Self> {
        let values = program.values.iter().map(|shape| Buffer::undefined(device, samples * shape.len()));
        let masks =
            program.masks.iter().map(|spec| Buffer::undefined(device, samples * spec.len.div_ceil(WORD)));
        let transposes = program.lines.iter().filter_map(|line| match &line.instruction {
            Instruction::ApplyTransposed { geometry, kernel, .. } => Some((kernel.index(), *geometry)),
            _ => None,
        });
        // A pass reads one and stores the other.
        let most = program.lines.iter().map(|line| passes(line.instruction.epilogue()).len()).max();
        let longest = program.values.iter().map(Shape::len).max().unwrap_or(0);
        let between = (1..most.unwrap_or(1).min(3)).map(|_| Buffer::undefined(device, samples * longest));
        let sources = program.lines.iter().map(|line| sources(device, &line.instruction));
        Ok(Self {
            device: Arc::clone(device),
            kernels: Arc::clone(kernels),
            values: values.collect::<Result<_>>()?,
            between: between.collect::<Result<_>>()?,
            transposed: Buffer::undefined(device, plan.layout.len())?,
            program: program.clone(),
            layout: plan.layout.clone(),
            seed: plan.seed,
            samples,
            control: control.clone(),
            weights: weights.clone(),
            masks: masks.collect::<Result<_>>()?,
            packed: transposes.collect(),
            sources: sources.collect::<Result<_>>()?,
        })
    }

    pub(super) fn at(&self, within: u32) -> At {
        At { control: self.control.clone(), within, samples: self.samples }
    }

    /// Samples in a batch, at most.
    pub(super) fn samples(&self) -> usize {
        self.samples
    }

    pub(super) fn input(&self) -> &Buffer<f32> {
        self.value(self.program.input)
    }

    pub(super) fn output(&self) -> &Buffer<f32> {
        self.value(self.program.output)
    }

    /// A value of a batch, sample by sample.
    pub(super) fn value(&self, value: Value) -> &Buffer<f32> {
        &self.values[value.index()]
    }

    /// The shape of a value in one sample.
    pub(super) fn shape(&self, value: Value) -> Shape {
        self.program.values[value.index()]
    }

    pub(super) fn launch(&self, launches: impl IntoIterator<Item = StepLaunch>) -> Result<()> {
        launches.into_iter().try_for_each(|(_, launch)| self.device.launch(&launch))
    }

    /// The kernels that are read transposed, transposed; to be launched after each change of the weights.
    pub(super) fn pack(&self) -> Vec<StepLaunch> {
        let pack = |(kernel, geometry): (&usize, &Geometry)| {
            let range = self.layout.tensors()[*kernel].range.clone();
            let (from, to) = (self.weights.part(range.clone()), self.transposed.part(range));
            (Part::Packing, self.kernels.transpose_kernel(geometry, &from, &to))
        };
        self.packed.iter().map(pack).collect()
    }

    /// The samples of a batch, to the program's input.
    pub(super) fn gather(&self, at: &At, x: &Series, order: &Order) -> StepLaunch {
        let len = self.shape(self.program.input).len();
        (Part::Gather, self.kernels.gather(at, x, order, self.input(), len))
    }

    /// The launches from the samples of a batch to their predictions.
    pub(super) fn predict(&self, at: &At, x: &Series) -> Vec<StepLaunch> {
        [vec![self.gather(at, x, &None)], self.lines(at, None)].into_iter().flatten().collect()
    }

    /// The losses of the predictions of a batch.
    pub(super) fn score(&self, at: &At, loss: Loss, y: &Series, losses: &Buffer<f64>) -> StepLaunch {
        let len = self.shape(self.program.output).len();
        (Part::Reduction, self.kernels.loss(at, loss, (self.output(), None), (y, &None), losses, len))
    }

    /// All lines. In training, gradients of weights go to the partials.
    pub(super) fn lines(&self, at: &At, training: Option<(&Partials, &EpochBuffers)>) -> Vec<StepLaunch> {
        let mut launches = vec![];
        for index in 0..self.program.lines.len() {
            let of_line = self.line(at, index, training).into_iter();
            launches.extend(of_line.map(|launch| (Part::Line(index), launch)));
        }
        launches
    }

    fn line(&self, at: &At, index: usize, training: Option<(&Partials, &EpochBuffers)>) -> Vec<Launch> {
        let kernels = &*self.kernels;
        let value = |value: &Value| self.value(*value);
        let training = || training.expect("an instruction of training");
        match &self.program.lines[index].instruction {
            Instruction::Apply { geometry, kernel, x, y, epilogue } => {
                let kernel = self.weight(*kernel);
                self.with_epilogue(at, *y, epilogue, |y, e| {
                    kernels.apply(at, geometry, [value(x), &kernel, y], e)
                })
            }
            Instruction::ApplyTransposed { geometry, kernel, x, y, epilogue } => {
                let kernel = self.transposed.part(self.range(*kernel));
                self.with_epilogue(at, *y, epilogue, |y, e| {
                    kernels.apply_transposed(at, geometry, [value(x), &kernel, y], e)
                })
            }
            Instruction::Map { x, y, epilogue } => {
                let shape = self.shape(*y);
                self.with_epilogue(at, *y, epilogue, |y, e| kernels.map(at, [value(x), y], shape, e))
            }
            Instruction::Add { a, b, y } => {
                vec![kernels.add(at, [value(a), value(b), value(y)], self.shape(*y).len())]
            }
            Instruction::IndexMap { inputs, y, .. } => {
                let of_input = |(input, (x, sources)): (usize, (&Value, &Sources))| {
                    kernels.index_map(at, sources, [value(x), value(y)], self.shape(*x).len(), input > 0)
                };
                inputs.iter().zip(&self.sources[index]).enumerate().map(of_input).collect()
            }
            Instruction::IndexMapTransposed { dy, dx, .. } => {
                let sources = &self.sources[index][0];
                let from = self.shape(*dy).len();
                vec![kernels.index_map(at, sources, [value(dy), value(dx)], from, false)]
            }
            Instruction::Multiply { a, b, y } => {
                vec![kernels.multiply(at, [value(a), value(b), value(y)], self.shape(*y).len())]
            }
            Instruction::Normalize { epsilon, x, y } => {
                vec![kernels.normalize(at, *epsilon, [value(x), value(y)], self.shape(*x))]
            }
            Instruction::NormalizeGradient { epsilon, x, dy, dx } => {
                let values = [value(x), value(dy), value(dx)];
                vec![kernels.normalize_gradient(at, *epsilon, values, self.shape(*x))]
            }
            Instruction::Moments { x, y } => {
                vec![kernels.moments(at, [value(x), value(y)], self.shape(*x))]
            }
            Instruction::Meet { meeting, x, y } => {
                let (partials, _) = training();
                // The change of a batch is that of its first part.
                let moving = |weight| [self.weight(weight), partials.values.part(self.range(weight))];
                kernels.meet(at, meeting, [value(x), value(y)], self.shape(*x).channels, moving)
            }
            Instruction::Standardize { epsilon, statistics, x, y } => {
                let (shape, channels) = (self.shape(*x), self.shape(*x).channels);
                let (mean, variance, hop) = match *statistics {
                    Statistics::Batch(met) => {
                        let met = self.value(met);
                        (met.clone(), met.part(channels..met.len()), 2 * channels)
                    }
                    Statistics::Moving([mean, variance]) => (self.weight(mean), self.weight(variance), 0),
                };
                let statistics = ([&mean, &variance], hop);
                vec![kernels.standardize(at, *epsilon, statistics, [value(x), value(y)], shape)]
            }
            Instruction::GradientMeans { y, dy, means } => {
                vec![kernels.gradient_means(at, [value(y), value(dy), value(means)], self.shape(*y))]
            }
            Instruction::StandardizeGradient { epsilon, statistics, means, y, dy, dx } => {
                let (numbers, values) = ([value(statistics), value(means)], [value(y), value(dy), value(dx)]);
                vec![kernels.standardize_gradient(at, *epsilon, numbers, values, self.shape(*y))]
            }
            Instruction::Pool { pooling, geometry, x, y } => {
                vec![kernels.pool(at, *pooling, geometry, [value(x), value(y)])]
            }
            Instruction::PoolGradient { pooling, geometry, x, dy, dx } => {
                vec![kernels.pool_gradient(at, *pooling, geometry, [value(x), value(dy), value(dx)])]
            }
            Instruction::Correlate { geometry, x, y, kernel } => {
                let ((partials, _), offset) = (training(), self.range(*kernel).start);
                vec![kernels.correlate(at, geometry, [value(x), value(y)], partials, offset)]
            }
            Instruction::SumSteps { x, bias } => {
                let ((partials, _), offset) = (training(), self.range(*bias).start);
                vec![kernels.sum_steps(at, value(x), self.shape(*x), partials, offset)]
            }
            Instruction::Loss { loss, y, dy, .. } => {
                let (_, EpochBuffers { y: targets, order, losses, .. }) = training();
                let len = self.shape(*y).len();
                vec![kernels.loss(at, *loss, (value(y), Some(value(dy))), (targets, order), losses, len)]
            }
            Instruction::Recur { cell, kernel, bias, z, trace } => {
                let (steps, z_steps) = (self.shape(*trace).steps, self.shape(*z).steps);
                let bias = bias.map(|bias| self.weight(bias));
                let weights = (&self.weight(*kernel), bias.as_ref());
                vec![kernels.recur(at, (cell, steps), (value(z), z_steps), weights, value(trace))]
            }
            Instruction::RecurGradient { cell, kernel, trace, dh, dz } => {
                let (steps, dh_steps) = (self.shape(*trace).steps, self.shape(*dh).steps);
                let values = [&self.weight(*kernel), value(trace), value(dz)];
                vec![kernels.recur_gradient(at, (cell, steps), (value(dh), dh_steps), values)]
            }
            Instruction::Draw { mask } => vec![self.draw(at, *mask)],
            Instruction::Custom { op, .. } | Instruction::CustomGradient { op, .. } => {
                unreachable!("{op:?} was refused when the session was made")
            }
        }
    }

    fn draw(&self, at: &At, mask: Mask) -> Launch {
        let spec = self.program.masks[mask.index()];
        // The turn is the training step, which the kernel knows.
        let stream = Stream::new(self.seed, Purpose::Dropout, mask.index() as u32, 0);
        self.kernels.draw(at, &self.masks[mask.index()], spec, stream)
    }

    /// A kernel that stores with the first pass of an epilogue, and a launch for each further pass.
    fn with_epilogue(
        &self,
        at: &At,
        y: Value,
        epilogue: &[Pointwise],
        first: impl Fn(&Buffer<f32>, &EpilogueArgs) -> Launch,
    ) -> Vec<Launch> {
        let passes = passes(epilogue);
        let last = passes.len() - 1;
        let to = |pass: usize| if pass == last { self.value(y) } else { &self.between[pass % 2] };
        let launch = |(pass, functions): (usize, &&[Pointwise])| match (pass, self.epilogue(functions)) {
            (0, args) => first(to(0), &args),
            (_, args) => self.kernels.map(at, [to(pass - 1), to(pass)], self.shape(y), &args),
        };
        passes.iter().enumerate().map(launch).collect()
    }

    /// The arguments for a pass.
    fn epilogue(&self, pass: &[Pointwise]) -> EpilogueArgs {
        let mut args = EpilogueArgs::default();
        for function in pass {
            match *function {
                Pointwise::Scale(factors) => args.factors = Some(self.weight(factors)),
                Pointwise::AddBias(bias) => args.bias = Some(self.weight(bias)),
                Pointwise::Activation(activation) => args.activation = activation,
                Pointwise::Dropout(mask) => {
                    let rate = self.program.masks[mask.index()].rate;
                    args.dropout = Some((self.masks[mask.index()].clone(), rate));
                }
                Pointwise::ActivationGradient(activation, at) => {
                    args.gradient = Some((activation, self.value(at).clone()));
                }
            }
        }
        args
    }

    fn weight(&self, weight: Weight) -> Buffer<f32> {
        self.weights.part(self.range(weight))
    }

    fn range(&self, weight: Weight) -> Range<usize> {
        self.layout.tensors()[weight.index()].range.clone()
    }
}

/// The sources of the elements that an index map or its transpose stores, for each input.
fn sources(device: &Gpu, instruction: &Instruction) -> Result<Vec<Sources>> {
    let pairs = |map: &IndexMap, input: usize| -> Vec<(usize, usize)> {
        map.runs_of(input)
            .flat_map(|Run { from, to, len, .. }| (0..len).map(move |n| (to + n, from + n)))
            .collect()
    };
    match instruction {
        Instruction::IndexMap { map, inputs, .. } => {
            let of_input = |input| Sources::new(device, map.output().len(), &pairs(map, input));
            (0..inputs.len()).map(of_input).collect()
        }
        Instruction::IndexMapTransposed { map, input, .. } => {
            let images: Vec<_> = pairs(map, *input).into_iter().map(|(to, from)| (from, to)).collect();
            Ok(vec![Sources::new(device, map.inputs()[*input].len(), &images)?])
        }
        _ => Ok(vec![]),
    }
}

/// Cuts an epilogue into passes, at least one: up to one of each function in the order of `epilogue.cuh`. Nearly all are
/// one pass; a bias after an activation begins another.
fn passes(epilogue: &[Pointwise]) -> Vec<&[Pointwise]> {
    let place = |function: &Pointwise| match function {
        Pointwise::Scale(_) => 0,
        Pointwise::AddBias(_) => 1,
        Pointwise::Activation(_) => 2,
        Pointwise::Dropout(_) => 3,
        Pointwise::ActivationGradient(..) => 4,
    };
    let passes: Vec<_> = epilogue.chunk_by(|a, b| place(a) < place(b)).collect();
    if passes.is_empty() { vec![&[]] } else { passes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glassbox_engine::activations::Activation;
    use glassbox_engine::geometry::Padding;
    use glassbox_engine::layers::{Conv1D, Dropout, ReLU};
    use glassbox_engine::model::Sequential;

    #[test]
    fn functions_stay_in_order() {
        let mut model = Sequential::new(Shape::new(8, 1));
        let conv = Conv1D::new(2, 3).padding(Padding::Same);
        for layer in 0..2 {
            model.add(conv.clone()).unwrap();
            model.add(Dropout::new(0.25 * f64::from(layer + 1))).unwrap();
            model.add(ReLU).unwrap();
        }
        let program = model.training_program(Loss::default()).fused();
        let mut seen = 0;
        for line in &program.lines {
            let epilogue = line.instruction.epilogue();
            assert_eq!(passes(epilogue).concat(), epilogue);
            if matches!(line.instruction, Instruction::Apply { .. }) {
                seen = seen.max(passes(epilogue).len());
            }
        }
        // Bias and dropout; then ReLU.
        assert_eq!(seen, 2);
        let (bias, dropout) = (program.lines.iter().flat_map(|line| line.instruction.epilogue())).fold(
            (None, None),
            |(bias, dropout), function| match function {
                Pointwise::AddBias(_) => (Some(*function), dropout),
                Pointwise::Dropout(_) => (bias, Some(*function)),
                _ => (bias, dropout),
            },
        );
        let (bias, dropout) = (bias.unwrap(), dropout.unwrap());
        let relu = Pointwise::Activation(Activation::Relu);
        assert_eq!(passes(&[bias, relu, dropout]).len(), 1);
        assert_eq!(passes(&[bias, dropout, relu, bias, bias]).len(), 4);
        assert_eq!(passes(&[]), [&[] as &[Pointwise]]);
    }
}
