//! A profile, field by field; a page for the readers of its JSON is `docs/profile.md`.

use glassbox_engine::profile::{Ceilings, Part};
use glassbox_engine::program::{Instruction, Line, Pass};
use serde::Serialize;

/// Options of a profile; the defaults are the tutorial's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ProfileOptions {
    /// Samples in a batch, at most [`MOST`](super::MOST). Default: 128.
    pub batch_size: usize,
    /// Measured steps of each kind, at most [`MOST`](super::MOST). Default: 50.
    pub steps: usize,
    /// The seed of initial weights, dropout masks and data. Default: 1.
    pub seed: u64,
}

impl Default for ProfileOptions {
    fn default() -> Self {
        Self { batch_size: 128, steps: 50, seed: 1 }
    }
}

/// The version of the JSON: raised by a change that a reader of the one before would misread.
pub const SCHEMA: u32 = 1;

/// The profile of a training step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Profile {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The version of this crate.
    pub glassbox: String,
    /// The backend's name and settings.
    pub backend: String,
    /// Threads that ran the samples.
    pub threads: usize,
    /// The model.
    pub model: ModelInfo,
    /// The options.
    pub config: Config,
    /// The ceilings of the machine; `null` if the backend cannot measure them.
    pub ceilings: Option<CeilingsInfo>,
    /// The clock.
    pub clock: ClockInfo,
    /// The step as a whole.
    pub step: StepInfo,
    /// The parts of the step: the lines of the training program in order, then the parts outside of it. Parts that the
    /// backend does not have are left out.
    pub parts: Vec<PartInfo>,
}

/// The profiled model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelInfo {
    /// Its name.
    pub name: String,
    /// Steps and channels of a sample; units, if it has no steps.
    pub input_shape: Vec<usize>,
    /// The number of weights.
    pub parameters: usize,
}

/// The options of a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Config {
    /// The options that were given.
    #[serde(flatten)]
    pub options: ProfileOptions,
    /// `twin`, windows of the tutorial's built-in training series, or `random`, standard normal values.
    pub data: &'static str,
}

/// The ceilings of the machine, all threads together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CeilingsInfo {
    /// Of arithmetic and of bandwidth; the first ones are the backend's own, and those of the working set.
    #[serde(flatten)]
    pub rates: Ceilings,
    /// The working set in bytes: the memory of a thread that takes a sample through the program.
    pub working_set: usize,
}

/// The clock around the parts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ClockInfo {
    /// Seconds that one reading costs.
    pub reading_seconds: f64,
    /// Readings in a step, on all threads.
    pub readings: u64,
    /// Seconds of a profiled step that all readings take; the times of the parts are without them.
    pub seconds: f64,
}

/// The step as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StepInfo {
    /// The median time of an ordinary step, without clocks.
    pub seconds: f64,
    /// The time of the fastest ordinary step.
    pub fastest: f64,
    /// A quarter of the ordinary steps took no longer than this.
    pub lower_quartile: f64,
    /// A quarter took no less than this: far above the lower one, and the machine was not quiet.
    pub upper_quartile: f64,
    /// The sum of the medians of all parts.
    pub parts_seconds: f64,
    /// `parts_seconds / seconds`: 1 if the parts account for the step.
    pub agreement: f64,
    /// Steps a second.
    pub steps_per_second: f64,
    /// Samples a second.
    pub samples_per_second: f64,
    /// Floating-point operations of a step.
    pub flops: u64,
    /// Floating-point operations a second.
    pub flops_per_second: f64,
    /// The share of the backend's arithmetic ceiling that this is; `null` without ceilings.
    pub share_of_peak: Option<f64>,
}

/// One part of the step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartInfo {
    /// The layer that it belongs to; `null` for the loss and outside of the program.
    pub layer: Option<String>,
    /// Forward, loss, backward, or outside of the program.
    pub pass: PassInfo,
    /// The work.
    pub what: What,
    /// The line of the training program, as `glassbox summary --program` prints it; `null` outside.
    pub instruction: Option<String>,
    /// The lines of the program that are computed along with it, step by step, and whose work counts here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub merged: Vec<String>,
    /// The median of what it takes of a step's time, in seconds.
    pub seconds: f64,
    /// Its share of the sum of all parts.
    pub share: f64,
    /// Multiply-adds of contractions in a step, those on padding left out.
    pub multiply_adds: u64,
    /// Floating-point operations in a step.
    pub flops: u64,
    /// Bytes of all tensors involved, once each for each sample.
    pub bytes: u64,
    /// Floating-point operations a second.
    pub flops_per_second: f64,
    /// Bytes a second.
    pub bytes_per_second: f64,
    /// Floating-point operations for each byte; `null` where nothing is moved.
    pub intensity: Option<f64>,
    /// The ceiling that binds it; `null` without ceilings, and where neither arithmetic nor bytes are the work.
    pub ceiling: Option<Bound>,
}

/// The lower of the two ceilings over a part.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bound {
    /// The ceiling.
    pub by: BoundBy,
    /// The least seconds of a step that the part could take.
    pub seconds: f64,
    /// The least possible time over the measured time.
    pub share: f64,
}

/// The limit of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BoundBy {
    /// The floating-point units.
    Arithmetic,
    /// The traffic with the cache, or the memory, where a sample's values lie.
    Bandwidth,
}

/// The direction of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "these are the words of a training step")]
pub enum PassInfo {
    Forward,
    Loss,
    Backward,
    Outside,
}

impl From<Pass> for PassInfo {
    fn from(pass: Pass) -> Self {
        match pass {
            Pass::Forward => Self::Forward,
            Pass::Loss => Self::Loss,
            Pass::Backward => Self::Backward,
        }
    }
}

/// The work of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum What {
    /// A layer's output, with its bias, its activation and the dropout after it.
    Output,
    /// All steps of a recurrence; in the backward pass, their gradients.
    Recurrence,
    /// The random bits of a dropout mask.
    DropoutMask,
    /// The loss and its gradient.
    Loss,
    /// The gradient with respect to a layer's input, through the activation before it.
    InputGradient,
    /// The gradient of a kernel.
    KernelGradient,
    /// The gradient of a bias.
    BiasGradient,
    /// Element by element: the gradient of what was not merged into another line.
    PointwiseGradient,
    /// The sum of the gradients of a value that is read twice.
    GradientSum,
    /// The gradients of a custom operation.
    Gradients,
    /// Weights into the order in which kernels read them.
    Packing,
    /// Zeros into the gradients that samples are added to.
    Clearing,
    /// Samples from the series into the program's input.
    Gather,
    /// Threads with nothing to do.
    Waiting,
    /// The gradients of all chunks of a batch into one.
    Reduction,
    /// Forward, loss and backward in one kernel, a window at a time.
    WholeProgram,
    /// Adam.
    Adam,
}

impl What {
    /// Its name in words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::Recurrence => "recurrence",
            Self::DropoutMask => "dropout mask",
            Self::Loss => "loss",
            Self::InputGradient => "input gradient",
            Self::KernelGradient => "kernel gradient",
            Self::BiasGradient => "bias gradient",
            Self::PointwiseGradient => "pointwise gradient",
            Self::GradientSum => "sum of gradients",
            Self::Gradients => "gradients",
            Self::Packing => "packing of weights",
            Self::Clearing => "clearing of gradients",
            Self::Gather => "gather",
            Self::Waiting => "waiting threads",
            Self::Reduction => "reduction of gradients",
            Self::WholeProgram => "the whole program",
            Self::Adam => "Adam",
        }
    }

    /// The work of a line of the training program.
    pub(super) fn of_line(line: &Line) -> Self {
        match (line.pass, &line.instruction) {
            (_, Instruction::Draw { .. }) => Self::DropoutMask,
            (_, Instruction::Loss { .. }) => Self::Loss,
            (_, Instruction::Recur { .. } | Instruction::RecurGradient { .. }) => Self::Recurrence,
            (Pass::Forward | Pass::Loss, _) => Self::Output,
            (Pass::Backward, instruction) => match instruction {
                Instruction::Correlate { .. } => Self::KernelGradient,
                Instruction::SumSteps { .. } => Self::BiasGradient,
                Instruction::Map { .. } | Instruction::Multiply { .. } => Self::PointwiseGradient,
                Instruction::Add { .. } => Self::GradientSum,
                Instruction::CustomGradient { .. } => Self::Gradients,
                _ => Self::InputGradient,
            },
        }
    }

    /// The work of a part outside of the program.
    pub(super) fn of_outside(part: Part) -> Self {
        match part {
            Part::Packing => Self::Packing,
            Part::Clearing => Self::Clearing,
            Part::Gather => Self::Gather,
            Part::Waiting => Self::Waiting,
            Part::Reduction => Self::Reduction,
            Part::Update => Self::Adam,
            Part::Fused => Self::WholeProgram,
            Part::Line(_) => unreachable!("lines are inside of the program"),
        }
    }
}
