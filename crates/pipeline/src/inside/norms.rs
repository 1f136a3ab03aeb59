//! Norms of weights, gradients and updates, after each epoch.

use std::error::Error;
use std::time::{Duration, Instant};

use glassbox_engine::model::WeightLayout;
use glassbox_engine::training::{Callback, Checkpoint, EpochEnd, Flow};

/// Euclidean norms of the weight tensors of a model, epoch by epoch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Norms {
    /// The names of the tensors, in the order of the layers.
    pub tensors: Vec<String>,
    /// Epochs that were done before the first one measured; not 0 after a resume.
    pub epochs_before: usize,
    /// `|w|` of each tensor: before the first epoch measured, and after each one.
    pub weights: Vec<Vec<f32>>,
    /// `|dw|` of each tensor: the gradient of each epoch's last batch, with its dropout.
    pub gradients: Vec<Vec<f32>>,
    /// `|w after - w before|` of each tensor: how far an epoch moved it.
    pub updates: Vec<Vec<f32>>,
}

impl Norms {
    /// The epochs measured.
    #[must_use]
    pub fn epochs(&self) -> usize {
        self.updates.len()
    }
}

/// Measures [`Norms`] while a model trains.
///
/// It copies the gradient once an epoch and reads the weights where the training loop has them anyway: three
/// passes over the parameters an epoch, where a training step makes many more.
#[derive(Debug)]
pub struct NormsProbe {
    layout: WeightLayout,
    weights: Vec<f32>,
    norms: Norms,
    took: Duration,
}

impl NormsProbe {
    /// A probe for a model with these weights.
    #[must_use]
    pub fn new(layout: &WeightLayout) -> Self {
        let tensors = layout.tensors().iter().map(|tensor| tensor.name.clone()).collect();
        Self {
            layout: layout.clone(),
            weights: vec![],
            norms: Norms { tensors, ..Norms::default() },
            took: Duration::ZERO,
        }
    }

    /// Returns the measured norms and the time that measuring took.
    #[must_use]
    pub fn finish(self) -> (Norms, Duration) {
        (self.norms, self.took)
    }

    fn norms_of(&self, value: impl Fn(usize) -> f32) -> Vec<f32> {
        let norm =
            |range: std::ops::Range<usize>| range.map(|i| f64::from(value(i)).powi(2)).sum::<f64>().sqrt();
        self.layout.tensors().iter().map(|tensor| norm(tensor.range.clone()) as f32).collect()
    }
}

impl Callback<f32> for NormsProbe {
    fn on_train_begin(&mut self, start: &Checkpoint<f32>) {
        self.weights.clone_from(&start.state.weights);
        self.norms.epochs_before = start.epochs;
        self.norms.weights = vec![self.norms_of(|i| self.weights[i])];
    }

    fn on_epoch_end(&mut self, end: &EpochEnd<'_, f32>) -> Result<Flow, Box<dyn Error + Send + Sync>> {
        let began = Instant::now();
        let weights = &end.checkpoint.state.weights;
        let gradient = end.session.gradient()?;
        self.norms.updates.push(self.norms_of(|i| weights[i] - self.weights[i]));
        self.norms.gradients.push(self.norms_of(|i| gradient[i]));
        self.norms.weights.push(self.norms_of(|i| weights[i]));
        self.weights.clone_from(weights);
        self.took += began.elapsed();
        Ok(Flow::Continue)
    }
}
