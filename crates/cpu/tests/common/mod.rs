//! The tutorial's network, and a series to train it on.

use glassbox_engine::backend::Plan;
use glassbox_engine::geometry::Padding;
use glassbox_engine::layers::{Activation, Conv1D, Conv1DTranspose, Dropout};
use glassbox_engine::losses::Loss;
use glassbox_engine::model::{Network, Sequential};
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::shape::Shape;

pub(crate) fn tutorial() -> Network {
    let mut model = Sequential::new(Shape::new(288, 1));
    let (same, relu) = (Padding::Same, Activation::Relu);
    model.add(Conv1D::new(32, 7).strides(2).padding(same).activation(relu)).unwrap();
    model.add(Dropout::new(0.2)).unwrap();
    model.add(Conv1D::new(16, 7).strides(2).padding(same).activation(relu)).unwrap();
    model.add(Conv1DTranspose::new(16, 7).strides(2).padding(same).activation(relu)).unwrap();
    model.add(Dropout::new(0.2)).unwrap();
    model.add(Conv1DTranspose::new(32, 7).strides(2).padding(same).activation(relu)).unwrap();
    model.add(Conv1DTranspose::new(1, 7).padding(same)).unwrap();
    model.into()
}

pub(crate) fn plan(model: &Network, batch_size: usize) -> Plan {
    model.plan(Loss::MeanSquaredError, Optimizer::default(), 1, batch_size).unwrap()
}

/// A sum of two waves with about the magnitude of a standardised series.
pub(crate) fn series(len: usize) -> Vec<f32> {
    let value = |t: f32| (t / 46.0).sin() + 0.4 * (t / 7.3).cos() - 0.1;
    (0..len).map(|t| value(t as f32)).collect()
}
