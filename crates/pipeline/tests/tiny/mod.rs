//! A tiny autoencoder and what belongs to it: for tests that train and save.
#![allow(dead_code, reason = "each test file takes what it needs")]

use glassbox_engine::geometry::Padding;
use glassbox_engine::layers::{Activation, Conv1D, Conv1DTranspose, Dropout};
use glassbox_engine::model::Sequential;
use glassbox_engine::shape::Shape;
use glassbox_pipeline::series::{Clock, Series};

/// Windows of 8 steps, 15 weights, dropout.
pub(crate) fn model() -> Sequential {
    let mut model = Sequential::new(Shape::new(8, 1));
    let encode = Conv1D::new(2, 3).strides(2).padding(Padding::Same).activation(Activation::Relu);
    model.add(encode).unwrap();
    model.add(Dropout::new(0.25)).unwrap();
    model.add(Conv1DTranspose::new(1, 3).strides(2).padding(Padding::Same)).unwrap();
    model
}

/// A wave with a little of another; `jump` is added to its rows 40..52.
pub(crate) fn series(rows: usize, jump: f64) -> Series {
    let start = glassbox_pipeline::synthetic::START;
    let timestamps = (0..rows).map(|row| start + jiff::SignedDuration::from_mins(5 * row as i64)).collect();
    let value = |row: usize| {
        let at = row as f64;
        10.0 + (at * 0.7).sin() + 0.3 * (at * 2.9).cos() + if (40..52).contains(&row) { jump } else { 0.0 }
    };
    Series::new("wave", Clock::Local, timestamps, (0..rows).map(value).collect()).unwrap()
}
