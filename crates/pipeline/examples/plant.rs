//! Writes two series to try `glassbox train` and `glassbox detect` on: `normal.csv`, and `new.csv` with three anomalies.
//!
//! ```sh
//! cargo run --release -p glassbox-pipeline --example plant -- DIR
//! glassbox train DIR/normal.csv --out DIR/model.safetensors --report DIR/train.html
//! glassbox detect DIR/new.csv --model DIR/model.safetensors --report DIR/detect.html
//! ```

use std::fs::File;
use std::path::PathBuf;

use glassbox_pipeline::planted::{Kind, Place, Profile};
use glassbox_pipeline::scaler::Scaler;
use glassbox_pipeline::series::{Columns, write_csv};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = PathBuf::from(std::env::args().nth(1).ok_or("expected a folder to write into")?);
    std::fs::create_dir_all(&dir)?;
    let mut series = Profile::Daily.series(14, 2);
    let deviation = Scaler::fit(series.values())?.std();
    for (kind, place) in
        [(Kind::FlatLine, Place::Start), (Kind::LargeShift, Place::Middle), (Kind::Shape, Place::End)]
    {
        series = kind.plant(&series, deviation, place, 3).0;
    }
    for (name, series) in [("normal.csv", Profile::Daily.series(28, 1)), ("new.csv", series)] {
        write_csv(&series, &Columns::default(), &mut File::create(dir.join(name))?)?;
    }
    Ok(())
}
