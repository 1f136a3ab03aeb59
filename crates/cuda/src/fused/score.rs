//! Predictions and losses in inference, a window at a time in one block's shared memory.
//!
//! Making a launch is `unsafe`: its arguments are checked against what `kernels/fused_score.cu` reads and writes.
#![allow(unsafe_code)]

use std::sync::Arc;

use glassbox_engine::backend::Plan;
use glassbox_engine::losses::Loss;

use super::{FILES, Tuning, Windows, compile};
use crate::device::{Buffer, Function, Gpu, args};
use crate::error::Result;
use crate::kernels::{Series, loss_code, require};
use crate::step::Scoring;

/// Values that are predicted by one launch, at most: 64 MiB of them.
const MOST_PREDICTED: usize = 1 << 24;

/// Inference on many windows: each launch takes all that it is given.
#[derive(Debug)]
pub struct FusedScoring {
    device: Arc<Gpu>,
    score: Function,
    weights: Buffer<f32>,
    windows: Windows,
    /// Room for losses and predictions, as much as was asked for so far.
    losses: Buffer<f64>,
    predictions: Buffer<f32>,
}

impl FusedScoring {
    /// Compiles the inference of a plan, with the weights in `weights`; `None` if it does not fit the device.
    ///
    /// # Errors
    /// If the kernel cannot be compiled or loaded, or there is not enough device memory.
    pub fn new(
        device: &Arc<Gpu>,
        plan: &Plan,
        weights: &Buffer<f32>,
        tuning: Tuning,
    ) -> Result<Option<Self>> {
        let program = plan.inference.fused();
        let Some((module, windows)) = compile(device, FILES[1], &program, plan, tuning)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            device: Arc::clone(device),
            score: device.function(&module, "fused_score")?,
            weights: weights.clone(),
            windows,
            losses: Buffer::undefined(device, 0)?,
            predictions: Buffer::undefined(device, 0)?,
        }))
    }

    /// Launches `fused_score` for `count` samples from `first` on. With targets and a loss, it writes the losses, else
    /// the predictions.
    fn launch(
        &self,
        (first, count): (usize, usize),
        x: &Series,
        targets: Option<(&Series, Loss)>,
    ) -> Result<()> {
        let Self { device, score, weights, windows, losses, predictions } = self;
        let (predicts, len) = (targets.is_none(), windows.y_len);
        let (y, hop, (which, delta)) = match targets {
            Some((y, loss)) => (Some(&y.values), y.hop, loss_code(loss)),
            None => (None, 0, (0, 0.0)),
        };
        x.require(windows.x_len);
        require(first + count <= x.samples, "samples that there are");
        if let Some((y, _)) = targets {
            y.require(len);
            require(first + count <= y.samples, "targets that there are");
        }
        require(if predicts { predictions.len() >= count * len } else { losses.len() >= count }, "room");
        let (losses, predictions) = ((!predicts).then_some(losses), predicts.then_some(predictions));
        let args = args![first, count, x, y, hop, weights, which, delta, losses, predicts, predictions];
        // SAFETY: all samples are in the series, and their targets where there is a loss; all weights; room for what is
        // written. The kernel was compiled for the plan's shapes and takes this much shared memory.
        device.launch(&unsafe { windows.launch(score, count, args) })
    }
}

impl Scoring for FusedScoring {
    fn losses(&mut self, x: &Series, y: &Series, loss: Loss, losses: &mut [f64]) -> Result<()> {
        if self.losses.len() < losses.len() {
            self.losses = Buffer::undefined(&self.device, losses.len())?;
        }
        self.launch((0, losses.len()), x, Some((y, loss)))?;
        self.losses.read(losses)
    }

    fn predict(&mut self, x: &Series, predictions: &mut [f32]) -> Result<()> {
        let len = self.windows.y_len;
        let at_once = (MOST_PREDICTED / len).clamp(1, x.samples.max(1)) * len;
        if self.predictions.len() < at_once {
            self.predictions = Buffer::undefined(&self.device, at_once)?;
        }
        for (index, predictions) in predictions.chunks_mut(at_once).enumerate() {
            self.launch((index * at_once / len, predictions.len() / len), x, None)?;
            self.predictions.read(predictions)?;
        }
        Ok(())
    }
}
