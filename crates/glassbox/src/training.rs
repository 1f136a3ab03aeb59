//! Training as a run: with checkpoints on disk, callbacks, and a request to stop.

use std::error::Error as StdError;
use std::path::PathBuf;

use glassbox_engine::backend::{Dataset, Session};
use glassbox_engine::model::Network;
use glassbox_engine::training::fit;
pub use glassbox_engine::training::{
    Callback, Checkpoint, EarlyStopping, EpochEnd, Fit, Fitted, Flow, History, Mode, Monitor,
    ReduceLROnPlateau,
};

use crate::checkpoint::{self, CheckpointWriter};
use crate::error::Error;
use crate::fingerprint::Fingerprint;
use crate::interrupt::Interrupt;

/// The place where a run is kept, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoints {
    /// The folder of [`checkpoint::FILE_NAME`].
    pub dir: PathBuf,
    /// Go on from the checkpoint that is there. If there is none, or this is false, the run starts
    /// from the beginning, and its first checkpoint replaces that of an earlier start of the same run. That of
    /// another run is refused if the run is kept after each epoch; one that is kept only when it is interrupted
    /// replaces that too, then. A file there that is no checkpoint is always refused.
    pub resume: bool,
    /// Keep the run after each epoch; if not, only when it is interrupted.
    pub every_epoch: bool,
}

/// The connections of a training run: the program around it, and the disk.
#[derive(Default)]
pub struct Hooks<'a> {
    /// Told of each batch and epoch, in this order.
    pub callbacks: Vec<&'a mut dyn Callback<f32>>,
    /// Where the run is kept, to go on from there. Default: nowhere.
    pub checkpoints: Option<&'a Checkpoints>,
    /// A request to stop, heeded at the end of each epoch. Default: none will be made.
    pub interrupt: Option<&'a Interrupt>,
}

impl std::fmt::Debug for Hooks<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { callbacks, checkpoints, interrupt } = self;
        f.debug_struct("Hooks")
            .field("callbacks", &callbacks.len())
            .field("checkpoints", checkpoints)
            .field("interrupt", interrupt)
            .finish()
    }
}

/// Trains the model of a session from `start`, or from the checkpoint that is to be resumed. A checkpoint is written
/// before the callbacks hear of an epoch's end.
pub(crate) fn run(
    session: &mut dyn Session<f32>,
    architecture: &Network,
    data: &Dataset<'_, f32>,
    options: &Fit,
    start: Checkpoint<f32>,
    hooks: Hooks<'_>,
) -> Result<Fitted, Error> {
    data.check(session.plan())?;
    let mut keeper = Keeper { interrupt: hooks.interrupt.cloned(), ..Keeper::default() };
    let mut start = start;
    if let Some(Checkpoints { dir, resume, every_epoch }) = hooks.checkpoints {
        let plan = session.plan();
        let fingerprint = Fingerprint::of(architecture, plan, options, data, &start.state.weights);
        if *resume {
            start = checkpoint::resume(dir, plan, &fingerprint, options.epochs)?.unwrap_or(start);
        } else if *every_epoch {
            checkpoint::require_own(dir, plan, &fingerprint)?;
        } else {
            checkpoint::require_checkpoint(dir)?;
        }
        keeper.writer = Some(CheckpointWriter::new(dir, plan, fingerprint));
        keeper.every_epoch = *every_epoch;
    }
    let mut callbacks: Vec<&mut dyn Callback<f32>> = vec![&mut keeper];
    for callback in hooks.callbacks {
        callbacks.push(callback);
    }
    let fitted = fit(session, data, options, start, &mut callbacks)?;
    match keeper.interrupted_after {
        None => Ok(fitted),
        Some(epochs) => Err(Error::Interrupted {
            epochs,
            of: options.epochs,
            checkpoint: hooks.checkpoints.map(|kept| kept.dir.join(checkpoint::FILE_NAME)),
        }),
    }
}

/// Keeps the run, and ends it when that is asked for. One callback does both, with one look at the request an
/// epoch: a run that ends by it has surely been kept.
#[derive(Debug, Default)]
struct Keeper {
    writer: Option<CheckpointWriter>,
    every_epoch: bool,
    interrupt: Option<Interrupt>,
    /// Epochs done, if the run was ended.
    interrupted_after: Option<usize>,
}

impl Callback<f32> for Keeper {
    fn on_epoch_end(&mut self, end: &EpochEnd<'_, f32>) -> Result<Flow, Box<dyn StdError + Send + Sync>> {
        let stop = self.interrupt.as_ref().is_some_and(Interrupt::is_requested);
        if let Some(writer) = self.writer.as_ref().filter(|_| self.every_epoch || stop) {
            writer.write(end.checkpoint)?;
        }
        if !stop {
            return Ok(Flow::Continue);
        }
        self.interrupted_after = Some(end.epoch + 1);
        Ok(Flow::Stop)
    }
}
