//! Predictions and losses in inference, a window at a time in one block's shared memory.
//!
//! Making a launch is `unsafe`: its arguments are held against what `kernels/fused_score.cu` reads and writes here, and
//! nowhere else.
#![allow(unsafe_code)]

use std::sync::Arc;

use glassbox_engine::backend::Plan;
use glassbox_engine::losses::Loss;

use super::launch::{require_series, word};
use super::{Tuning, compile, header, lay_out};
use crate::device::{Arg, Buffer, Function, Gpu, Launch};
use crate::error::Result;
use crate::kernels::Series;

/// Inference on many windows: each launch takes all that it is given.
#[derive(Debug)]
pub struct FusedScoring {
    device: Arc<Gpu>,
    score: Function,
    weights: Buffer<f32>,
    threads: usize,
    shared_bytes: usize,
    sample: (usize, usize),
    /// Room for losses and predictions, as much as was asked for so far.
    losses: Buffer<f64>,
    predictions: Buffer<f32>,
}

impl FusedScoring {
    /// Values that are predicted by one launch, at most: 64 MiB of them.
    const MOST: usize = 1 << 24;

    /// Compiles the inference of a plan, with the weights in `weights`; or says why it does not fit the device.
    ///
    /// # Errors
    /// If the kernel cannot be compiled or loaded, or there is not enough device memory.
    pub fn new(
        device: &Arc<Gpu>,
        plan: &Plan,
        weights: &Buffer<f32>,
        tuning: Tuning,
    ) -> Result<Result<Self, String>> {
        let program = plan.inference.fused();
        let layout = match lay_out(&program, plan, device.properties(), tuning) {
            Ok(layout) => layout,
            Err(reason) => return Ok(Err(reason)),
        };
        let module = compile(device, "fused_score.cu", &header(&program, plan, &layout))?;
        let len = |value: glassbox_engine::program::Value| program.values[value.index()].len();
        Ok(Ok(Self {
            device: Arc::clone(device),
            score: device.function(&module, "fused_score")?,
            weights: weights.clone(),
            threads: tuning.threads,
            shared_bytes: layout.floats * size_of::<f32>(),
            sample: (len(program.input), len(program.output)),
            losses: Buffer::undefined(device, 0)?,
            predictions: Buffer::undefined(device, 0)?,
        }))
    }

    /// The loss of each sample.
    ///
    /// # Errors
    /// If the device fails.
    pub fn losses(&mut self, x: &Series, y: &Series, loss: Loss, losses: &mut [f64]) -> Result<()> {
        assert!(x.samples >= losses.len() && y.samples >= losses.len(), "a sample for each loss");
        require_series(y, self.sample.1);
        if self.losses.len() < losses.len() {
            self.losses = Buffer::undefined(&self.device, losses.len())?;
        }
        let which = match loss {
            Loss::MeanSquaredError => 1,
            Loss::MeanAbsoluteError => 2,
        };
        let target = [y.values.arg(), Arg::U32(word(y.hop))];
        self.launch(
            (0, losses.len()),
            x,
            target,
            [Arg::U32(which), self.losses.arg()],
            [Arg::U32(0), Arg::Null],
        )?;
        self.losses.read(losses)
    }

    /// The predictions, sample by sample.
    ///
    /// # Errors
    /// If the device fails.
    pub fn predict(&mut self, x: &Series, predictions: &mut [f32]) -> Result<()> {
        let len = self.sample.1;
        assert_eq!(predictions.len(), x.samples * len, "room for each prediction");
        let at_once = (Self::MOST / len).clamp(1, x.samples.max(1)) * len;
        if self.predictions.len() < at_once {
            self.predictions = Buffer::undefined(&self.device, at_once)?;
        }
        for (index, predictions) in predictions.chunks_mut(at_once).enumerate() {
            let samples = (index * at_once / len, predictions.len() / len);
            let (target, loss) = ([Arg::Null, Arg::U32(0)], [Arg::U32(0), Arg::Null]);
            self.launch(samples, x, target, loss, [Arg::U32(1), self.predictions.arg()])?;
            self.predictions.read(predictions)?;
        }
        Ok(())
    }

    /// Launches `fused_score` for `count` samples from `first` on.
    fn launch(
        &self,
        (first, count): (usize, usize),
        x: &Series,
        target: [Arg; 2],
        loss: [Arg; 2],
        prediction: [Arg; 2],
    ) -> Result<()> {
        require_series(x, self.sample.0);
        assert!(first + count <= x.samples, "samples {first} and {count} more of {}", x.samples);
        let mut args = vec![Arg::U32(word(first)), Arg::U32(word(count))];
        args.extend([x.values.arg(), Arg::U32(word(x.hop))]);
        args.extend(target);
        args.push(self.weights.arg());
        args.extend(loss);
        args.extend(prediction);
        let blocks = count.min(self.device.properties().multiprocessors).max(1);
        let (grid, block) = ([word(blocks), 1, 1], [word(self.threads), 1, 1]);
        // SAFETY: all samples are in the series, and their targets where there is a loss; all weights; room for
        // what is written, as the two callers see to. The kernel was compiled for the plan's shapes and takes this
        // much shared memory.
        let launch = unsafe { Launch::new(&self.score, grid, block, word(self.shared_bytes), args) };
        self.device.launch(&launch)
    }
}
