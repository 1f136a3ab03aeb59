use glassbox::Device;
use glassbox_engine::backend::Backend as _;
use glassbox_formats::output_folder::OutputFolder;
use glassbox_lab::replicate::rows::{FILE_NAME, OPTIONS, RunTable};
use glassbox_lab::replicate::{files, fingerprint, run};
use glassbox_pipeline::architecture::tutorial_model;

use crate::{Outcome, refused, require};

/// Seeds that are compared: those that every run of this target must find in its file, or it would train.
const SEEDS: u64 = 2;

pub(super) fn read(input: &[u8]) -> Result<Outcome, String> {
    let (data, options) = super::small_tutorial();
    let backend = super::portable();
    let model = tutorial_model(options.time_steps).expect("a length that suits");
    let fingerprint = fingerprint(&model, &data, &options, &backend.name());
    let folder = tempfile::tempdir().expect("a folder");
    RunTable::open(folder.path(), &fingerprint).expect("an empty folder");
    let file = folder.path().join(FILE_NAME);
    std::fs::write(&file, input).expect("room for a file");
    let outcome = match RunTable::open(folder.path(), &fingerprint) {
        Err(error) => refused(error.to_string().replace(&*folder.path().to_string_lossy(), "runs")),
        Ok(rows) if (0..SEEDS).all(|seed| rows.get(options.train.seed + seed).is_some()) => {
            let make = || Ok(Device::new(super::portable()));
            let known = [FILE_NAME, OPTIONS];
            let mut outputs = OutputFolder::open(folder.path(), &files(), &known).expect("a folder of ours");
            match run(&data, &make, 1, &options, SEEDS as usize, &mut outputs, &mut |_| ()) {
                Ok(_) => Ok(Outcome::Accepted),
                Err(error) => refused(error),
            }
        }
        Ok(_) => Ok(Outcome::Accepted),
    };
    require(std::fs::read(file).is_ok_and(|after| after == input), || "reading changed the rows".into())?;
    outcome
}
