//! Checkpoints: a training run as a file, from which it goes on as if nothing had happened.
//!
//! `DIR/checkpoint.safetensors` is written after each epoch, whole or not at all. It holds
//!
//! | tensors | |
//! |---|---|
//! | `weights/{layer}.kernel`, ... | the weights |
//! | `m/...`, `v/...` | what the optimiser keeps, by the names of [`Optimizer::slots`] |
//! | `best_weights/...` | the weights of the best epoch, if early stopping is to restore them |
//!
//! | metadata | |
//! |---|---|
//! | `glassbox.checkpoint` | the version of this format, `2` |
//! | `glassbox.progress` | JSON: the `epochs` and training `step`s done, the `history`, the states of `early_stopping` and `reduce_lr_on_plateau` |
//! | `glassbox.run` | JSON: the [`Fingerprint`] of the run |
//! | `glassbox.sha256` | the checksum of the file without this entry |
//!
//! Numbers have as many digits as give the same bits again. Random numbers need no entry: they are functions
//! of the seed and of the two counters.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use glassbox_engine::backend::{Plan, State};
#[cfg(doc)]
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::text::excerpt;
use glassbox_engine::training::{Checkpoint, EarlyStoppingState, History, ReduceLROnPlateauState};

use crate::fingerprint::{Difference, Fingerprint};
use glassbox_formats::atomic;
use glassbox_formats::hash::Sha256;
use glassbox_formats::tensor_file::{Entries, TensorFile, TensorFileError};
use serde::Deserialize;
use serde_json::json;

/// The name of the file within its folder.
pub const FILE_NAME: &str = "checkpoint.safetensors";

const VERSION: &str = "2";
const VERSION_KEY: &str = "glassbox.checkpoint";
const CHECKSUM_KEY: &str = "glassbox.sha256";
const PROGRESS: &str = "glassbox.progress";
const RUN: &str = "glassbox.run";
/// Prefix of the names of the best epoch's weights.
const BEST_WEIGHTS: &str = "best_weights/";

/// Why a run cannot go on from a checkpoint. The file is never changed by reading it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are what the messages call them")]
pub enum CheckpointError {
    /// The file cannot be read, or is not what was written.
    #[error("{0}; to train from the beginning, remove the checkpoint")]
    Unusable(#[from] TensorFileError),
    /// The content is not what its checksum says.
    #[error(
        "{file} is damaged: its content has SHA-256 {found}, and {} was written; put back a good copy, or remove it to \
         train from the beginning",
        excerpt(expected)
    )]
    Checksum { file: String, found: String, expected: String },
    /// The checkpoint belongs to another run.
    #[error(
        "{file} is the checkpoint of another run: {} is {} in it and {} in this run; resume with the same data \
         and options, choose another folder for checkpoints, or remove the file",
        excerpt(&difference.what), excerpt(&difference.there), excerpt(&difference.here)
    )]
    OtherRun { file: String, difference: Difference },
    /// A file that glassbox did not write is where the checkpoint goes.
    #[error("{0}, and it is where this run is kept: move it away, or choose another folder for checkpoints")]
    InTheWay(TensorFileError),
    /// The run has gone further than it is now asked to.
    #[error(
        "{file} has done {done} epochs already, and {asked} are asked for; ask for {done} or more, or train \
         from the beginning"
    )]
    TooFewEpochs { file: String, done: usize, asked: usize },
}

/// The checkpoint in the folder `dir`, if there is one, to go on with the run of this `plan` and
/// `fingerprint` up to `epochs` epochs.
///
/// # Errors
/// If the file cannot be read, is damaged, belongs to another run (the first difference is named), or has
/// done more epochs than are asked for.
pub fn resume(
    dir: &Path,
    plan: &Plan,
    fingerprint: &Fingerprint,
    epochs: usize,
) -> Result<Option<Checkpoint<f32>>, CheckpointError> {
    let path = dir.join(FILE_NAME);
    let file = path.display().to_string();
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(TensorFileError::Unreadable { file, cause: cause.to_string() }.into()),
    };
    let checkpoint = from_bytes(&bytes, &file, plan, fingerprint)?;
    if checkpoint.epochs > epochs {
        return Err(CheckpointError::TooFewEpochs { file, done: checkpoint.epochs, asked: epochs });
    }
    Ok(Some(checkpoint))
}

/// Refuses a folder `dir` in which the checkpoint of another run would be replaced by a run that starts from the
/// beginning, or a file that is no checkpoint.
///
/// # Errors
/// [`CheckpointError::OtherRun`], or as [`require_checkpoint`], or if the file is damaged.
pub fn require_own(dir: &Path, plan: &Plan, fingerprint: &Fingerprint) -> Result<(), CheckpointError> {
    require_checkpoint(dir)?;
    resume(dir, plan, fingerprint, usize::MAX).map(drop)
}

/// Refuses a folder `dir` in which the file in the place of the checkpoint is none, of whatever run and version.
///
/// # Errors
/// [`CheckpointError::InTheWay`].
pub fn require_checkpoint(dir: &Path) -> Result<(), CheckpointError> {
    let path = dir.join(FILE_NAME);
    if matches!(path.try_exists(), Ok(false)) {
        return Ok(());
    }
    let file = path.display().to_string();
    let content = TensorFile::read(&path).map_err(CheckpointError::InTheWay)?;
    let found = entries(&content, &file).text(VERSION_KEY, "a checkpoint's version").map(drop);
    found.map_err(CheckpointError::InTheWay)
}

/// The bytes of a checkpoint of the run of this `plan` and `fingerprint`; the same for the same content.
///
/// # Panics
/// If the checkpoint is not one of the plan's.
#[must_use]
pub fn to_bytes(checkpoint: &Checkpoint<f32>, plan: &Plan, fingerprint: &Fingerprint) -> Vec<u8> {
    let (layout, slots) = (&plan.layout, plan.optimizer.slots());
    let Checkpoint { state, epochs, history, early_stopping, reduce_lr_on_plateau } = checkpoint;
    let mut file = TensorFile::default();
    file.insert_flat("weights/", layout, &state.weights);
    assert_eq!(slots.len(), state.slots.len(), "what the optimiser keeps");
    for (name, slot) in slots.iter().zip(&state.slots) {
        file.insert_flat(&format!("{name}/"), layout, slot);
    }
    if let Some(best) = &early_stopping.best_weights {
        file.insert_flat(BEST_WEIGHTS, layout, best);
    }
    let progress = json!({
        "epochs": epochs, "step": state.step, "history": history, "early_stopping": early_stopping,
        "reduce_lr_on_plateau": reduce_lr_on_plateau,
    });
    file.metadata = BTreeMap::from([
        (VERSION_KEY.into(), VERSION.into()),
        (PROGRESS.into(), progress.to_string()),
        (RUN.into(), json!(fingerprint).to_string()),
    ]);
    let checksum = Sha256::of(&file.to_bytes()).to_string();
    file.metadata.insert(CHECKSUM_KEY.into(), checksum);
    file.to_bytes()
}

/// The numbers of a [`Checkpoint`] besides its tensors.
#[derive(Deserialize)]
struct Progress {
    epochs: usize,
    step: u64,
    history: History,
    early_stopping: EarlyStoppingState<f32>,
    /// Absent in checkpoints of versions that had no such reduction.
    #[serde(default)]
    reduce_lr_on_plateau: ReduceLROnPlateauState,
}

impl Progress {
    /// Reads the progress, and checks that a run can have made it.
    fn read(entries: Entries<'_>) -> Result<Self, TensorFileError> {
        let progress: Self = entries.json(PROGRESS, "the progress of a run")?;
        let Self { epochs, step, history, early_stopping, reduce_lr_on_plateau } = &progress;
        let History { loss, val_loss, learning_rate } = history;
        let EarlyStoppingState { wait, best_epoch, stopped_epoch, .. } = *early_stopping;
        let (epochs, losses) = (*epochs, loss.len());
        // An epoch has fewer steps than there can be samples.
        let most_steps = (epochs as u64).saturating_mul(u32::MAX.into());
        for (field, found, good, expected) in [
            ("length of history.loss", losses, losses == epochs, "a loss for each epoch"),
            // A model may have been trained before, without validation and with a learning rate that nothing reduced.
            (
                "length of history.val_loss",
                val_loss.len(),
                val_loss.len() <= epochs,
                "at most one for each epoch",
            ),
            (
                "length of history.learning_rate",
                learning_rate.len(),
                learning_rate.len() <= epochs,
                "at most one for each epoch",
            ),
            ("early_stopping.wait", wait, wait <= epochs, "a number of epochs that were done"),
            (
                "reduce_lr_on_plateau.wait",
                reduce_lr_on_plateau.wait,
                reduce_lr_on_plateau.wait <= epochs,
                "a number of epochs that were done",
            ),
            ("early_stopping.best_epoch", best_epoch, best_epoch <= epochs, "an epoch that was done"),
            (
                "early_stopping.stopped_epoch",
                stopped_epoch.unwrap_or(0),
                stopped_epoch.is_none_or(|epoch| epoch < epochs),
                "an epoch that was done",
            ),
            ("step", *step as usize, *step <= most_steps, "a number of steps that so many epochs have"),
        ] {
            if !good {
                return Err(entries.bad(&format!("{PROGRESS}, {field}"), found, expected));
            }
        }
        if let Some(rate) =
            reduce_lr_on_plateau.learning_rate.filter(|rate| !(*rate > 0.0 && rate.is_finite()))
        {
            let field = format!("{PROGRESS}, reduce_lr_on_plateau.learning_rate");
            return Err(entries.bad(&field, rate, "a positive number"));
        }
        Ok(progress)
    }
}

/// Reads what [`to_bytes`] wrote; `file` is for messages.
///
/// # Errors
/// If the bytes are not those that were written, or those of another run.
pub fn from_bytes(
    bytes: &[u8],
    file: &str,
    plan: &Plan,
    fingerprint: &Fingerprint,
) -> Result<Checkpoint<f32>, CheckpointError> {
    let mut content = TensorFile::from_bytes(bytes, file)?;
    let version = entries(&content, file).text(VERSION_KEY, "a checkpoint's version")?;
    if version != VERSION {
        let expected = format!("{VERSION}, which this version of glassbox writes");
        return Err(entries(&content, file).bad(VERSION_KEY, version, &expected).into());
    }
    verify(&mut content, file)?;
    let run: Fingerprint = entries(&content, file).json(RUN, "the options of a run")?;
    if let Some(difference) = fingerprint.difference(&run) {
        return Err(CheckpointError::OtherRun { file: file.into(), difference });
    }
    let Progress { epochs, step, history, mut early_stopping, reduce_lr_on_plateau } =
        Progress::read(entries(&content, file))?;

    let weights = content.take_flat("weights/", &plan.layout, file)?;
    let mut slots = vec![];
    for name in plan.optimizer.slots() {
        slots.push(content.take_flat(&format!("{name}/"), &plan.layout, file)?);
    }
    if content.tensors.keys().any(|name| name.starts_with(BEST_WEIGHTS)) {
        early_stopping.best_weights = Some(content.take_flat(BEST_WEIGHTS, &plan.layout, file)?);
    }
    content.require_empty(file)?;
    let state = State { weights, slots, step };
    Ok(Checkpoint { state, epochs, history, early_stopping, reduce_lr_on_plateau })
}

fn entries<'a>(content: &'a TensorFile, file: &'a str) -> Entries<'a> {
    Entries { file, metadata: &content.metadata, advice: "it is no checkpoint of this version of glassbox" }
}

/// Takes the checksum out and compares it.
fn verify(content: &mut TensorFile, file: &str) -> Result<(), CheckpointError> {
    let expected = entries(content, file).text(CHECKSUM_KEY, "a checksum")?.to_owned();
    content.metadata.remove(CHECKSUM_KEY);
    let found = Sha256::of(&content.to_bytes()).to_string();
    match found == expected {
        true => Ok(()),
        false => Err(CheckpointError::Checksum { file: file.into(), found, expected }),
    }
}

/// Writes checkpoints, each in place of the one before.
#[derive(Debug)]
pub(crate) struct CheckpointWriter {
    path: PathBuf,
    plan: Plan,
    fingerprint: Fingerprint,
}

impl CheckpointWriter {
    /// Writes to [`FILE_NAME`] in the folder `dir`, which is created if absent, for the run of this `plan`
    /// and `fingerprint`. Removes temporary files that killed runs left there; that no other run writes into the folder
    /// meanwhile is the caller's part, see [`lock`](glassbox_formats::lock).
    pub(crate) fn new(dir: &Path, plan: &Plan, fingerprint: Fingerprint) -> Self {
        atomic::sweep(dir, [OsStr::new(FILE_NAME)]);
        Self { path: dir.join(FILE_NAME), plan: plan.clone(), fingerprint }
    }

    /// Writes a checkpoint.
    ///
    /// # Errors
    /// If the file cannot be written; then the one before is kept.
    pub(crate) fn write(&self, checkpoint: &Checkpoint<f32>) -> Result<(), atomic::WriteError> {
        atomic::write(&self.path, &to_bytes(checkpoint, &self.plan, &self.fingerprint))
    }
}
