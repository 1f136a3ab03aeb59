//! A detector for your own series: train it on normal behaviour, save it, load it, and find anomalies.
//!
//! ```sh
//! cargo run --release -p glassbox --example detector                          # on a series made here
//! cargo run --release -p glassbox --example detector -- normal.csv new.csv    # columns `timestamp` and `value`
//! ```

use std::path::Path;

use glassbox::prelude::*;
use glassbox_pipeline::architecture::tutorial_model;
use glassbox_pipeline::detection::stretches;
use glassbox_pipeline::detector::{Detector, train_detector};
use glassbox_pipeline::rows::{ThresholdRule, Verdict};
use glassbox_pipeline::series::{Columns, Series, read_csv};
use glassbox_pipeline::synthetic::{self, Subset};
use glassbox_pipeline::training::TrainOptions;

const TIME_STEPS: usize = 96;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let read = |file: &String| read_csv(Path::new(file), &Columns::default()).map(|loaded| loaded.series);
    let (normal, new): (Series, Series) = match &files[..] {
        [normal, new] => (read(normal)?, read(new)?),
        _ => (synthetic::series(Subset::Train, 1), synthetic::series(Subset::Test, 1)),
    };

    let device = Device::best()?;
    let defaults = TrainOptions::default();
    let options = TrainOptions { fit: Fit { epochs: 10, ..defaults.fit }, seed: 1, ..defaults };
    let model = tutorial_model(TIME_STEPS)?;
    let trained = train_detector(&device, &model, None, &normal, &options, vec![])?;
    println!("Threshold: {:.4} standard deviations", trained.detector.threshold.value());

    let path = std::env::temp_dir().join("detector.safetensors");
    trained.detector.save(&path)?;
    let detector = Detector::load(&path)?;

    let found = detector.judge(&device, &new, ThresholdRule::default())?;
    println!("Threshold of scores: {}", found.alarm);
    let is_anomalous = |row: &usize| matches!(found.rows[*row].verdict, Verdict::Anomalous(_));
    let points: Vec<usize> = (0..new.len()).filter(is_anomalous).collect();
    println!("{} of {} rows are anomalous points", points.len(), new.len());
    for stretch in stretches(&points) {
        println!("  {} to {}", new.timestamp_text(stretch.start), new.timestamp_text(stretch.end - 1));
    }
    Ok(())
}
