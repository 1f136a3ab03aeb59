//! The fused training step: a window's whole way, from gather to gradient, in one block's shared memory.
//!
//! The kernels are `kernels/fused_step.cu` and what it includes; they say how a block works. Here it is decided,
//! once for a plan, what they work on:
//!
//! * `shapes`: each contraction as a matrix product over padded rows, or several;
//! * `tiling`, with `banks`: how it is cut into tiles for the threads;
//! * `layout`: where each value, weight and sum lies in shared memory;
//! * `emit`: all that as constants, in a header that the kernels include;
//! * `launch`: the two launches of a step.
//!
//! [`Tunings`] have what only a clock can decide.
//!
//! [`FusedScoring`] does the same for inference: `kernels/fused_score.cu`.
//!
//! A plan that does not fit is no error: [`FusedStep::new`] says why, and the plain step takes it.

mod banks;
mod emit;
mod launch;
mod layout;
mod score;
mod shapes;
mod tiling;
mod tuning;

use std::sync::Arc;

use glassbox_engine::backend::Plan;
use glassbox_engine::optimizers::{Adam, Optimizer};
use glassbox_engine::profile::Part;
use glassbox_engine::program::{Instruction, Line, Program};

use crate::device::{Buffer, Function, Gpu, Module, Properties, Source};
use crate::error::Result;
use crate::kernels::FUSED_FILES;
use crate::step::{Buffers, Data, TrainingStep, Work};
use emit::Emitter;
use layout::Layout;
pub use score::FusedScoring;
use tiling::{Block, Spacing};
pub use tuning::{Tuning, Tunings};

/// Lanes of a warp.
const WARP: usize = 32;

/// Contractions of a program that are fused, at most. Each is code of its own, some hundreds of instructions: more of them
/// would run from no cache, and take the compiler a minute.
const MOST_CONTRACTIONS: usize = 64;

/// A training step in two launches.
#[derive(Debug)]
pub struct FusedStep {
    gradient: Function,
    update: Function,
    buffers: Buffers,
    /// The sums of each block.
    partials: Buffer<f32>,
    blocks: usize,
    threads: usize,
    shared_bytes: usize,
    sample: (usize, usize),
    adam: Adam,
    seed: u64,
}

impl FusedStep {
    /// Compiles the step for a plan; or says why the plan does not fit the device.
    ///
    /// # Errors
    /// If the kernels cannot be compiled or loaded, or there is not enough device memory.
    pub fn new(
        device: &Arc<Gpu>,
        plan: &Plan,
        buffers: &Buffers,
        tuning: Tuning,
    ) -> Result<Result<Self, String>> {
        let Optimizer::Adam(adam) = plan.optimizer else {
            return Ok(Err("its optimiser is not Adam".into()));
        };
        let properties = device.properties();
        let layout = match lay_out(&plan.training, plan, properties, tuning) {
            Ok(layout) => layout,
            Err(reason) => return Ok(Err(reason)),
        };
        let header = header(&plan.training, plan, &layout);
        let module = compile(device, "fused_step.cu", &header)?;
        let blocks = blocks(plan, properties);
        let program = &plan.training;
        Ok(Ok(Self {
            gradient: device.function(&module, "fused_gradient")?,
            update: device.function(&module, "fused_update")?,
            buffers: buffers.clone(),
            partials: Buffer::undefined(device, blocks * plan.layout.len())?,
            blocks,
            threads: tuning.threads,
            shared_bytes: layout.floats * size_of::<f32>(),
            sample: (
                program.values[program.input.index()].len(),
                program.values[program.output.index()].len(),
            ),
            adam,
            seed: plan.seed,
        }))
    }
}

impl TrainingStep for FusedStep {
    fn gradient(&self, data: &Data, within: u32) -> Vec<Work> {
        vec![
            Work { part: Part::Fused, launch: self.launch_gradient(data, within) },
            Work { part: Part::Reduction, launch: self.launch_update(data, within, false) },
        ]
    }

    fn step(&self, data: &Data, within: u32) -> Vec<Work> {
        vec![
            Work { part: Part::Fused, launch: self.launch_gradient(data, within) },
            Work { part: Part::Update, launch: self.launch_update(data, within, true) },
        ]
    }
}

/// How a plan's steps are taken on a device, in a few words.
///
/// # Errors
/// Why they are not fused, in words.
pub fn describe(plan: &Plan, properties: &Properties, tuning: Tuning) -> Result<String, String> {
    let layout = lay_out(&plan.training, plan, properties, tuning)?;
    let (kib, blocks) = ((layout.floats * size_of::<f32>()).div_ceil(1024), blocks(plan, properties));
    Ok(format!(
        "fused training steps: {blocks} blocks, each a window at a time in {kib} KiB of shared memory"
    ))
}

/// What a fused kernel is compiled from, for those who want to read it, to compile it or to count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FusedSource {
    /// The name of its file, which is among [`FUSED_FILES`].
    pub file: &'static str,
    /// The header `fused_program.cuh` that it includes beside these.
    pub header: String,
    /// Shared memory of a block, in bytes.
    pub shared_bytes: usize,
    /// Barriers between the lines of the program, for each window. The kernel has two or three of its own.
    pub barriers: usize,
}

/// The sources of a plan's fused kernels: the step's, then those of scoring.
///
/// # Errors
/// Why they are not fused, in words.
pub fn programs(plan: &Plan, properties: &Properties, tunings: Tunings) -> Result<[FusedSource; 2], String> {
    let of = |file: &'static str, program: &Program, tuning: Tuning| {
        let layout = lay_out(program, plan, properties, tuning)?;
        let header = header(program, plan, &layout);
        let barriers = header.matches("__syncthreads()").count();
        Ok::<_, String>(FusedSource { file, header, shared_bytes: bytes(&layout), barriers })
    };
    let step = of("fused_step.cu", &plan.training, tunings.step)?;
    Ok([step, of("fused_score.cu", &plan.inference.fused(), tunings.scoring)?])
}

/// A block for each window of a batch, up to one for each multiprocessor.
fn blocks(plan: &Plan, properties: &Properties) -> usize {
    plan.batch_size.min(properties.multiprocessors).max(1)
}

fn compile(device: &Gpu, name: &str, header: &str) -> Result<Arc<Module>> {
    let mut files = FUSED_FILES.to_vec();
    files.push(("fused_program.cuh", header));
    let (name, text) = FUSED_FILES.iter().find(|(file, _)| *file == name).expect("it is among its files");
    device.compile(&Source { name, text, headers: &files, defines: &[] })
}

fn header(program: &Program, plan: &Plan, layout: &Layout) -> String {
    Emitter { program, weights: &plan.layout, layout }.text()
}

/// Shared memory of a block, in bytes.
fn bytes(layout: &Layout) -> usize {
    layout.floats * size_of::<f32>() + layout.block.tuning.declared_bytes()
}

fn lay_out(
    program: &Program,
    plan: &Plan,
    properties: &Properties,
    tuning: Tuning,
) -> Result<Layout, String> {
    tuning.check()?;
    require_known(program, &plan.layer_names)?;
    // From the fastest to the smallest.
    let ways = [(Spacing::Odd, false), (Spacing::Odd, true), (Spacing::Close, true)];
    let mut least = usize::MAX;
    for (spacing, sharing) in ways {
        let layout = Layout::new(program, &plan.layout, Block { tuning, spacing }, sharing);
        if bytes(&layout) <= properties.shared_bytes {
            return Ok(layout);
        }
        least = least.min(bytes(&layout));
    }
    Err(format!(
        "its values, weights and sums take {} KiB of shared memory, a block has at most {} KiB",
        least.div_ceil(1024),
        properties.shared_bytes / 1024
    ))
}

/// That all instructions are such that the kernels know, and not too many.
fn require_known(program: &Program, layers: &[String]) -> Result<(), String> {
    for line in &program.lines {
        if let Instruction::Custom { .. } | Instruction::CustomGradient { .. } = line.instruction {
            let layer = layers.get(line.layer).map_or("a layer", String::as_str);
            return Err(format!("{layer} is an operation of its own"));
        }
    }
    let contracts = |line: &&Line| {
        use Instruction::{Apply, ApplyTransposed, Correlate};
        matches!(line.instruction, Apply { .. } | ApplyTransposed { .. } | Correlate { .. })
    };
    let contractions = program.lines.iter().filter(contracts).count();
    if contractions > MOST_CONTRACTIONS {
        return Err(format!(
            "its {contractions} contractions would be too much code, more than {MOST_CONTRACTIONS}"
        ));
    }
    Ok(())
}
