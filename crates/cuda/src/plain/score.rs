//! Predictions and losses in inference, a launch for each line of the program.

use std::sync::Arc;

use glassbox_engine::backend::Plan;
use glassbox_engine::losses::Loss;

use super::lower::Lowered;
use crate::device::{Buffer, Gpu};
use crate::error::{DeviceError, Result};
use crate::kernels::{Control, Kernels, Series, require_launchable};
use crate::step::Scoring;

/// Samples that are taken at a time, for each multiprocessor: as many blocks of each kernel's threads as one can hold,
/// and some in waiting.
const SAMPLES_PER_MULTIPROCESSOR: usize = 16;

/// Inference, a launch for each line of the program. Launches are not recorded: there are few, on many samples, and the
/// device is busy with one while the host makes the next.
#[derive(Debug)]
pub(crate) struct PlainScoring {
    device: Arc<Gpu>,
    kernels: Arc<Kernels>,
    plan: Plan,
    weights: Buffer<f32>,
    /// Its own, so that scoring the validation data does not disturb training.
    control: Buffer<u32>,
    /// Laid out when it is first needed, and again when more samples are asked for.
    program: Option<Lowered>,
    /// Room for losses, as much as was asked for so far.
    losses: Buffer<f64>,
}

impl PlainScoring {
    pub(crate) fn new(
        device: &Arc<Gpu>,
        kernels: &Arc<Kernels>,
        plan: &Plan,
        weights: &Buffer<f32>,
    ) -> Result<Self> {
        Ok(Self {
            device: Arc::clone(device),
            kernels: Arc::clone(kernels),
            plan: plan.clone(),
            weights: weights.clone(),
            control: Buffer::zeros(device, Control::WORDS)?,
            program: None,
            losses: Buffer::undefined(device, 0)?,
        })
    }

    /// Gets ready for so many samples: takes as many of them at a time as the device can run side by side and has the
    /// memory for. A sample's prediction does not depend on its company.
    fn prepare(&mut self, samples: usize) -> Result<&Lowered> {
        let Self { device, kernels, plan, weights, control, program, .. } = self;
        require_launchable("the data", samples)?;
        let most = (device.properties().multiprocessors * SAMPLES_PER_MULTIPROCESSOR).max(plan.batch_size);
        let mut wanted = samples.clamp(1, most);
        while program.as_ref().is_none_or(|program| program.samples() < wanted) {
            match Lowered::new(device, kernels, plan, &plan.inference, wanted, control, weights) {
                Ok(larger) => *program = Some(larger),
                Err(DeviceError::OutOfMemory { .. }) if wanted > 1 => wanted /= 2,
                Err(error) => return Err(error),
            }
        }
        let program = program.as_ref().expect("it was laid out");
        control.write(&Control { samples, batch: program.samples(), step: 0 }.words())?;
        program.launch(program.pack())?;
        Ok(program)
    }

    /// Calls `visit` with the output of each layer for one sample.
    pub(crate) fn observe(&mut self, sample: &[f32], visit: &mut dyn FnMut(usize, &[f32])) -> Result<()> {
        let layer_outputs = self.plan.inference.layer_outputs.clone();
        let program = self.prepare(1)?;
        program.input().write(sample)?;
        program.launch(program.lines(&program.at(0), None))?;
        for (layer, value) in layer_outputs.into_iter().enumerate() {
            if let Some(value) = value {
                let mut y = vec![0.0; program.shape(value).len()];
                program.value(value).read(&mut y)?;
                visit(layer, &y);
            }
        }
        Ok(())
    }
}

impl Scoring for PlainScoring {
    fn losses(&mut self, x: &Series, y: &Series, loss: Loss, losses: &mut [f64]) -> Result<()> {
        if self.losses.len() < losses.len() {
            self.losses = Buffer::undefined(&self.device, losses.len())?;
        }
        let room = self.losses.clone();
        let program = self.prepare(losses.len())?;
        for batch in 0..losses.len().div_ceil(program.samples()) {
            let at = program.at(batch as u32);
            program.launch(program.predict(&at, x))?;
            program.launch([program.score(&at, loss, y, &room)])?;
        }
        room.read(losses)
    }

    fn predict(&mut self, x: &Series, predictions: &mut [f32]) -> Result<()> {
        let program = self.prepare(x.samples)?;
        let len = predictions.len() / x.samples;
        for (batch, predictions) in predictions.chunks_mut(program.samples() * len).enumerate() {
            program.launch(program.predict(&program.at(batch as u32), x))?;
            program.output().read(predictions)?;
        }
        Ok(())
    }
}
