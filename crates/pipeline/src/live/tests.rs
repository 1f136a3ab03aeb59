//! The memory of a detector does not depend on the number of rows.

use glassbox::Device;
use glassbox_engine::geometry::Padding;
use glassbox_engine::layers::Conv1D;
use glassbox_engine::model::Sequential;
use glassbox_engine::reference::Reference;

use super::*;
use crate::detector::train_detector;
use crate::series::{Clock, Series};
use crate::synthetic::START;
use crate::training::TrainOptions;

#[test]
fn memory_is_that_of_a_few_windows_for_any_number_of_rows() {
    let row = |row: i64| Row {
        line: row as u64 + 2,
        timestamp: START + SignedDuration::from_mins(5 * row),
        clock: Clock::Local,
        values: vec![Some((row as f64 * 0.3).sin())],
    };
    let (times, values) = (0..64).map(|at| (row(at).timestamp, row(at).values[0].unwrap())).unzip();
    let series = Series::new("wave", Clock::Local, times, values).unwrap();
    let mut model = Sequential::new((16, 1));
    model.add(Conv1D::new(1, 3).padding(Padding::Same)).unwrap();
    let device = Device::new(Reference);
    let mut options = TrainOptions::default();
    options.fit.epochs = 1;
    let trained = train_detector(&device, &model.into(), None, &series, &options, vec![]).unwrap().detector;
    let mut live = LiveDetector::new(&trained, &device, "wave", ThresholdRule::Max, BadRows::Skip).unwrap();
    let mut largest = 0;
    for at in 0..20_000 {
        live.push(&row(at), &mut |_| ()).unwrap();
        if at % 3 == 0 || at > 10_000 {
            live.flush(&mut |_| ()).unwrap();
        }
        let recent = &live.recent;
        let capacities =
            [recent.timestamps.capacity(), recent.values.capacity(), recent.normalised.capacity()];
        largest = capacities.into_iter().chain([recent.live.capacity()]).fold(largest, usize::max);
    }
    // The rows that are kept, twice, and a block, and what a vector has in reserve.
    assert!(largest <= 2 * (2 * live.kept() + BLOCK + 1), "{largest}");
    assert!(live.memory().rows.len() <= live.kept());
}
