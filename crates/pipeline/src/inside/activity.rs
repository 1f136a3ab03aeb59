//! How active the units behind a ReLU are.

use glassbox_engine::Result;
use glassbox_engine::backend::Session;
use glassbox_engine::model::{NamedLayer, Network};
use glassbox_engine::samples::Samples;

/// Every so many training windows one is looked at. Neighbours share nearly all of their rows. The number is
/// odd, so that windows begin at every step of the strides, whatever power of two these multiply to.
const EVERY: usize = 13;

/// The units of one layer, over some of the training windows and all of their steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Activity {
    /// For each unit (channel) the fraction of steps at which its output is above 0.
    pub active: Vec<f32>,
    /// For each unit the mean of its output.
    pub mean: Vec<f32>,
}

impl Activity {
    /// The units that were never active. On such inputs a ReLU passes no gradient, so no step of training can
    /// bring them back.
    #[must_use]
    pub fn dead(&self) -> Vec<usize> {
        self.active.iter().enumerate().filter_map(|(unit, active)| (*active == 0.0).then_some(unit)).collect()
    }
}

/// The activity of each layer that ends in a ReLU, by its place in the model.
pub(super) fn of_relus(
    session: &mut dyn Session<f32>,
    model: &Network,
    windows: &Samples<'_, f32>,
) -> Result<Vec<(usize, Activity)>> {
    let mut counts: Vec<Option<Counts>> = model
        .layers()
        .iter()
        .map(|layer| ends_in_relu(layer).then(|| Counts::new(layer.output.channels)))
        .collect();
    for window in (0..windows.len()).step_by(EVERY) {
        session.observe(windows.get(window), &mut |layer, y| {
            if let Some(counts) = &mut counts[layer] {
                counts.add(y);
            }
        })?;
    }
    let finished = |(layer, counts): (usize, Option<Counts>)| Some((layer, counts?.finish()));
    Ok(counts.into_iter().enumerate().filter_map(finished).collect())
}

fn ends_in_relu(layer: &NamedLayer) -> bool {
    layer.layer.class_name() == "ReLU"
        // Within a recurrent layer, a ReLU is not the last function.
        || layer.layer.recurrent().is_none()
            && layer.layer.config().text("activation").is_ok_and(|name| name == "relu")
}

struct Counts {
    steps: usize,
    active: Vec<usize>,
    sum: Vec<f64>,
}

impl Counts {
    fn new(channels: usize) -> Self {
        Self { steps: 0, active: vec![0; channels], sum: vec![0.0; channels] }
    }

    /// Adds an output `(steps, channels)`.
    fn add(&mut self, y: &[f32]) {
        for row in y.chunks_exact(self.sum.len()) {
            self.steps += 1;
            for ((active, sum), y) in self.active.iter_mut().zip(&mut self.sum).zip(row) {
                *active += usize::from(*y > 0.0);
                *sum += f64::from(*y);
            }
        }
    }

    fn finish(self) -> Activity {
        let steps = self.steps.max(1) as f64;
        Activity {
            active: self.active.iter().map(|active| (*active as f64 / steps) as f32).collect(),
            mean: self.sum.iter().map(|sum| (sum / steps) as f32).collect(),
        }
    }
}
