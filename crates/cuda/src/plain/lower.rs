//! A program on the device: room for the values of a batch, and a launch for each line.

use std::collections::BTreeMap;
use std::sync::Arc;

use glassbox_engine::backend::Plan;
use glassbox_engine::geometry::Geometry;
use glassbox_engine::masks::{WORD, drop_below};
use glassbox_engine::model::WeightLayout;
use glassbox_engine::profile::Part;
use glassbox_engine::program::{Instruction, Mask, Program, Value, Weight};
use glassbox_engine::random::{Purpose, Stream};
use glassbox_engine::shape::Shape;

use super::epilogue::{Pass, passes};
use crate::device::{Buffer, Gpu, Launch};
use crate::error::Result;
use crate::kernels::{At, Epilogue, Kernels, Order, Partials, Series};
use crate::step::{Data, Work};

/// A program, and room for the values of a batch.
#[derive(Debug)]
pub(super) struct Lowered {
    kernels: Arc<Kernels>,
    program: Program,
    layout: WeightLayout,
    seed: u64,
    /// Samples in a batch, at most.
    samples: usize,
    values: Vec<Buffer<f32>>,
    /// Dropout masks, `(batch, words)` each.
    masks: Vec<Buffer<u32>>,
    /// The kernels that are read transposed, each where it is among the weights.
    transposed: Buffer<f32>,
    packed: BTreeMap<usize, Geometry>,
    /// Room for what is between two passes of an epilogue.
    between: Vec<Buffer<f32>>,
}

impl Lowered {
    pub(super) fn new(
        device: &Arc<Gpu>,
        kernels: &Arc<Kernels>,
        program: &Program,
        plan: &Plan,
        samples: usize,
    ) -> Result<Self> {
        let values = program.values.iter().map(|shape| Buffer::undefined(device, samples * shape.len()));
        let masks =
            program.masks.iter().map(|spec| Buffer::undefined(device, samples * spec.len.div_ceil(WORD)));
        let packed: BTreeMap<usize, Geometry> = program
            .lines
            .iter()
            .filter_map(|line| match &line.instruction {
                Instruction::ApplyTransposed { geometry, kernel, .. } => Some((kernel.index(), *geometry)),
                _ => None,
            })
            .collect();
        // A pass reads one and stores the other.
        let most = program.lines.iter().map(|line| passes(line.instruction.epilogue()).len()).max();
        let longest = program.values.iter().map(Shape::len).max().unwrap_or(0);
        let between = (1..most.unwrap_or(1).min(3)).map(|_| Buffer::undefined(device, samples * longest));
        Ok(Self {
            kernels: Arc::clone(kernels),
            values: values.collect::<Result<_>>()?,
            between: between.collect::<Result<_>>()?,
            transposed: Buffer::undefined(device, plan.layout.len())?,
            program: program.clone(),
            layout: plan.layout.clone(),
            seed: plan.seed,
            samples,
            masks: masks.collect::<Result<_>>()?,
            packed,
        })
    }

    pub(super) fn at(&self, control: &Buffer<u32>, within: u32) -> At {
        At { control: control.clone(), within, samples: self.samples }
    }

    /// Samples in a batch, at most.
    pub(super) fn samples(&self) -> usize {
        self.samples
    }

    pub(super) fn value(&self, value: Value) -> &Buffer<f32> {
        &self.values[value.index()]
    }

    /// The number of elements of a value.
    pub(super) fn len(&self, value: Value) -> usize {
        self.program.values[value.index()].len()
    }

    /// The kernels that are read transposed, transposed.
    pub(super) fn pack(&self, weights: &Buffer<f32>) -> Vec<Work> {
        let pack = |(kernel, geometry): (&usize, &Geometry)| {
            let range = self.layout.tensors()[*kernel].range.clone();
            let (from, to) = (weights.part(range.clone()), self.transposed.part(range));
            Work { part: Part::Packing, launch: self.kernels.transpose_kernel(geometry, &from, &to) }
        };
        self.packed.iter().map(pack).collect()
    }

    /// The samples of a batch, to the program's input.
    pub(super) fn gather(&self, at: &At, x: &Series, order: &Order) -> Work {
        let input = self.program.input;
        let launch = self.kernels.gather(at, x, order, self.value(input), self.len(input));
        Work { part: Part::Gather, launch }
    }

    /// All lines. In training, gradients of weights go to the partials.
    pub(super) fn lines(
        &self,
        at: &At,
        weights: &Buffer<f32>,
        training: Option<(&Partials, &Data)>,
    ) -> Vec<Work> {
        let lines = Lines { lowered: self, at, weights, training };
        let mut work = vec![];
        for (index, line) in self.program.lines.iter().enumerate() {
            let launches = lines.launches(&line.instruction);
            work.extend(launches.into_iter().map(|launch| Work { part: Part::Line(index), launch }));
        }
        work
    }
}

/// What the lines of a program are lowered with.
struct Lines<'a> {
    lowered: &'a Lowered,
    at: &'a At,
    weights: &'a Buffer<f32>,
    training: Option<(&'a Partials, &'a Data)>,
}

impl Lines<'_> {
    fn launches(&self, instruction: &Instruction) -> Vec<Launch> {
        let Self { lowered, at, .. } = self;
        let kernels = &*lowered.kernels;
        let value = |value: &Value| lowered.value(*value);
        match instruction {
            Instruction::Apply { geometry, kernel, x, y, epilogue } => {
                let kernel = self.weight(*kernel);
                let first = |y: &_, e: &_| kernels.apply(at, geometry, value(x), &kernel, y, e);
                self.with_epilogue(*y, &passes(epilogue), first)
            }
            Instruction::ApplyTransposed { geometry, kernel, x, y, epilogue } => {
                let transposed = lowered.transposed.part(self.range(*kernel));
                let first =
                    |y: &_, e: &_| kernels.apply_transposed(at, geometry, value(x), &transposed, y, e);
                self.with_epilogue(*y, &passes(epilogue), first)
            }
            Instruction::Map { x, y, epilogue } => {
                let first = |to: &_, e: &_| kernels.map(at, value(x), to, self.shape(*y), e);
                self.with_epilogue(*y, &passes(epilogue), first)
            }
            Instruction::Add { a, b, y } => {
                vec![kernels.add(at, value(a), value(b), value(y), lowered.len(*y))]
            }
            Instruction::Correlate { geometry, x, y, kernel } => {
                let (partials, _) = self.training("correlate");
                vec![kernels.correlate(at, geometry, value(x), value(y), partials, self.range(*kernel).start)]
            }
            Instruction::SumSteps { x, bias } => {
                let (partials, _) = self.training("sum_steps");
                let shape = lowered.program.values[x.index()];
                let offset = self.range(*bias).start;
                vec![kernels.sum_steps(at, value(x), (shape.steps, shape.channels), partials, offset)]
            }
            Instruction::Loss { loss, y, dy } => {
                let (_, Data { y: targets, order, losses, .. }) = self.training("loss");
                let len = lowered.len(*y);
                vec![kernels.loss(at, *loss, value(y), targets, order, losses, Some(value(dy)), len)]
            }
            Instruction::Draw { mask } => vec![self.draw(*mask)],
            Instruction::Custom { op, .. } | Instruction::CustomGradient { op, .. } => {
                unreachable!("{op:?} was refused when the session was made")
            }
        }
    }

    fn draw(&self, mask: Mask) -> Launch {
        let spec = self.lowered.program.masks[mask.index()];
        // The turn is the training step, which the kernel knows.
        let stream = Stream::new(self.lowered.seed, Purpose::Dropout, mask.index() as u32, 0);
        let words = &self.lowered.masks[mask.index()];
        self.lowered.kernels.draw(self.at, words, spec.len, stream, drop_below(spec.rate))
    }

    /// A kernel that stores with the first pass of an epilogue, and a launch for each further pass.
    fn with_epilogue(
        &self,
        y: Value,
        passes: &[Pass],
        first: impl Fn(&Buffer<f32>, &Epilogue) -> Launch,
    ) -> Vec<Launch> {
        let Self { lowered, at, .. } = self;
        let last = passes.len() - 1;
        let to = |pass: usize| if pass == last { lowered.value(y) } else { &lowered.between[pass % 2] };
        let mut launches = vec![first(to(0), &self.epilogue(&passes[0]))];
        launches.extend((1..passes.len()).map(|pass| {
            lowered.kernels.map(at, to(pass - 1), to(pass), self.shape(y), &self.epilogue(&passes[pass]))
        }));
        launches
    }

    fn epilogue(&self, pass: &Pass) -> Epilogue {
        let Lowered { program, masks, .. } = self.lowered;
        Epilogue {
            bias: pass.bias.map(|bias| self.weight(bias)),
            relu: pass.relu,
            dropout: pass.dropout.map(|mask| (masks[mask.index()].clone(), program.masks[mask.index()].rate)),
            gate: pass.gate.map(|gate| self.lowered.value(gate).clone()),
        }
    }

    fn weight(&self, weight: Weight) -> Buffer<f32> {
        self.weights.part(self.range(weight))
    }

    fn range(&self, weight: Weight) -> std::ops::Range<usize> {
        self.lowered.layout.tensors()[weight.index()].range.clone()
    }

    /// Elements and channels of a value.
    fn shape(&self, value: Value) -> (usize, usize) {
        let shape = self.lowered.program.values[value.index()];
        (shape.len(), shape.channels)
    }

    fn training(&self, what: &str) -> (&Partials, &Data) {
        self.training.unwrap_or_else(|| panic!("{what} is no part of inference"))
    }
}
