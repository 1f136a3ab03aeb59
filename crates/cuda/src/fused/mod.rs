//! The fused training step: a window's whole way, from gather to gradient, in one block's shared memory.
//!
//! The kernels are `kernels/fused_step.cu` and what it includes; they say how a block works. Here it is decided,
//! once for a plan, what they work on:
//!
//! * `shapes`: each contraction as a matrix product over padded rows, or several;
//! * `tiling`, with `banks`: how it is cut into tiles for the threads;
//! * `layout`: where each value, weight and sum lies in shared memory;
//! * `emit`: all that as constants, in a header that the kernels include;
//! * `step`: the two launches of a step.
//!
//! [`Tunings`] have what only a clock can decide.
//!
//! [`FusedScoring`] does the same for inference: `kernels/fused_score.cu`.
//!
//! A plan that does not fit is no error: [`describe`] says why, and the plain kernels take it.

mod banks;
mod emit;
mod layout;
mod score;
mod shapes;
mod step;
mod tiling;
mod tuning;

use std::sync::Arc;

use glassbox_engine::backend::Plan;
use glassbox_engine::optimizers::{Adam, Hyperparameter, Optimizer};
use glassbox_engine::program::{Instruction, Line, MaskSpec, Program};

use crate::device::{Arg, Function, Gpu, Launch, Module, Properties, Source, word};
use crate::error::Result;
use crate::kernels::FUSED_FILES;
use layout::Layout;
pub use score::FusedScoring;
pub use step::FusedStep;
use tiling::{Block, Spacing};
pub use tuning::{Tuning, Tunings};

/// Lanes of a warp.
const WARP: usize = 32;

/// Contractions of a program that are fused, at most. Each is code of its own, some hundreds of instructions: more of them
/// would run from no cache, and take the compiler a minute.
const MOST_CONTRACTIONS: usize = 64;

/// The file of the training step's kernels, and that of scoring.
const FILES: [&str; 2] = ["fused_step.cu", "fused_score.cu"];

/// Describes in a few words how a plan's steps are taken on a device.
///
/// # Errors
/// Why they are not fused, in words.
pub fn describe(plan: &Plan, properties: &Properties, tuning: Tuning) -> Result<String, String> {
    adam(plan)?;
    let windows = Windows::of(&Fitted::new(&plan.training, plan, properties, tuning)?);
    let (kib, blocks) = (windows.shared_bytes.div_ceil(1024), windows.blocks(plan.batch_size));
    Ok(format!(
        "fused training steps: {blocks} blocks, each a window at a time in {kib} KiB of shared memory"
    ))
}

/// The source of a fused kernel, for those who want to read it, to compile it or to count.
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
    let of = |file, program: &Program, tuning| {
        let fitted = Fitted::new(program, plan, properties, tuning)?;
        let header = fitted.header();
        let barriers = header.matches("__syncthreads()").count();
        Ok::<_, String>(FusedSource { file, header, shared_bytes: bytes(&fitted.layout), barriers })
    };
    let [step, score] = FILES;
    let step = of(step, &plan.training, tunings.step)?;
    Ok([step, of(score, &plan.inference.fused(), tunings.scoring)?])
}

/// The optimiser of a plan, if the fused update has it: `fused_update` adds up the gradient and takes Adam's step in the
/// same launch.
fn adam(plan: &Plan) -> Result<Adam, String> {
    let Optimizer::Adam(adam) = plan.optimizer else {
        return Err(format!("the fused update is Adam's, not that of {}", plan.optimizer.class_name()));
    };
    let has = ["learning_rate", "beta_1", "beta_2", "epsilon"];
    let extra = |(name, value): &(&str, _)| !has.contains(name) && *value != Hyperparameter::Flag(false);
    match plan.optimizer.hyperparameters().into_iter().find(extra) {
        None => Ok(adam),
        Some((name, _)) => Err(format!("the fused update is Adam's without {name}")),
    }
}

/// A program of a plan, laid out for the blocks of a device.
struct Fitted<'a> {
    program: &'a Program,
    plan: &'a Plan,
    layout: Layout,
    multiprocessors: usize,
}

impl<'a> Fitted<'a> {
    /// Lays out a program, or says why it does not fit.
    fn new(
        program: &'a Program,
        plan: &'a Plan,
        properties: &Properties,
        tuning: Tuning,
    ) -> Result<Self, String> {
        tuning.check()?;
        require_known(program, &plan.layer_names)?;
        // From the fastest to the smallest.
        let ways = [(Spacing::Odd, false), (Spacing::Odd, true), (Spacing::Close, true)];
        let mut least = usize::MAX;
        for (spacing, sharing) in ways {
            let layout = Layout::new(program, &plan.layout, Block { tuning, spacing }, sharing);
            if bytes(&layout) <= properties.shared_bytes {
                return Ok(Self { program, plan, layout, multiprocessors: properties.multiprocessors });
            }
            least = least.min(bytes(&layout));
        }
        Err(format!(
            "its values, weights and sums take {} KiB of shared memory, a block has at most {} KiB",
            least.div_ceil(1024),
            properties.shared_bytes / 1024
        ))
    }
}

/// Compiles a kernel's file for a program; `None` if it does not fit the device.
fn compile(
    device: &Gpu,
    file: &str,
    program: &Program,
    plan: &Plan,
    tuning: Tuning,
) -> Result<Option<(Arc<Module>, Windows)>> {
    let Ok(fitted) = Fitted::new(program, plan, device.properties(), tuning) else { return Ok(None) };
    let header = fitted.header();
    let headers = [FUSED_FILES, &[("fused_program.cuh", &header)]].concat();
    let (name, text) = FUSED_FILES.iter().find(|(name, _)| *name == file).expect("it is among its files");
    let module = device.compile(&Source { name, text, headers: &headers })?;
    Ok(Some((module, Windows::of(&fitted))))
}

/// Shared memory of a block, in bytes.
fn bytes(layout: &Layout) -> usize {
    layout.floats * size_of::<f32>() + layout.block.tuning.declared_bytes()
}

/// The blocks of a launch that take windows through a program, one after the other.
#[derive(Debug)]
struct Windows {
    threads: usize,
    /// Dynamic shared memory of a block.
    shared_bytes: usize,
    multiprocessors: usize,
    /// Values of a sample and of its target.
    x_len: usize,
    y_len: usize,
}

impl Windows {
    fn of(fitted: &Fitted<'_>) -> Self {
        let Fitted { program, layout, multiprocessors, .. } = fitted;
        Self {
            threads: layout.block.tuning.threads,
            shared_bytes: layout.floats * size_of::<f32>(),
            multiprocessors: *multiprocessors,
            x_len: program.values[program.input.index()].len(),
            y_len: program.values[program.output.index()].len(),
        }
    }

    /// A block for each of so many windows, up to one for each multiprocessor.
    fn blocks(&self, windows: usize) -> usize {
        windows.min(self.multiprocessors).max(1)
    }

    /// A launch for so many windows of a kernel that was compiled for the program.
    ///
    /// # Safety
    /// As [`Launch::new`].
    #[expect(unsafe_code, reason = "nothing is done here; whoever calls it vouches for the kernel")]
    unsafe fn launch(&self, kernel: &Function, windows: usize, args: Vec<Arg>) -> Launch {
        let (grid, block) = ([word(self.blocks(windows)), 1], [word(self.threads), 1]);
        // SAFETY: the caller's.
        unsafe { Launch::new(kernel, grid, block, word(self.shared_bytes), args) }
    }
}

/// Returns true if a mask has fewer random bits than elements.
fn repeats(spec: MaskSpec) -> bool {
    spec.drawn < spec.len
}

/// Checks that the kernels know all instructions, and that they are not too many.
fn require_known(program: &Program, layers: &[String]) -> Result<(), String> {
    use Instruction::*;
    for line in &program.lines {
        let unknown = match line.instruction {
            Draw { mask } if repeats(program.masks[mask.index()]) => "a dropout of whole channels",
            Apply { .. } | ApplyTransposed { .. } | Correlate { .. } | SumSteps { .. } | Map { .. } => {
                continue;
            }
            Add { .. } | Draw { .. } | Loss { .. } => continue,
            IndexMap { .. } | IndexMapTransposed { .. } => "an index map",
            Multiply { .. } => "a product of signals",
            Pool { .. } | PoolGradient { .. } => "a pooling",
            Normalize { .. } | NormalizeGradient { .. } => "a normalisation",
            Moments { .. } | Meet { .. } | Standardize { .. } => "a normalisation by the batch",
            GradientMeans { .. } | StandardizeGradient { .. } => "a normalisation by the batch",
            Custom { .. } | CustomGradient { .. } => "an operation of its own",
            Recur { .. } | RecurGradient { .. } => "a recurrence",
        };
        let layer = layers.get(line.layer).map_or("a layer", String::as_str);
        return Err(format!("{layer} is {unknown}"));
    }
    let contracts =
        |line: &&Line| matches!(line.instruction, Apply { .. } | ApplyTransposed { .. } | Correlate { .. });
    let contractions = program.lines.iter().filter(contracts).count();
    if contractions > MOST_CONTRACTIONS {
        return Err(format!(
            "its {contractions} contractions would be too much code, more than {MOST_CONTRACTIONS}"
        ));
    }
    Ok(())
}
