//! `runs.csv`, the rows of the seeds that are done, and `options.json`, the options of these rows.
//!
//! Both are written atomically, the options first and all rows again after each seed, so a run that is stopped loses
//! only the seeds in progress.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{BySeed, Run};
use crate::{Error, Result};
use glassbox::fingerprint::Fingerprint;
use glassbox_formats::atomic;

/// Name of the file of rows.
pub const FILE_NAME: &str = "runs.csv";
/// Name of the file of their options.
pub const OPTIONS: &str = "options.json";

/// The content of `options.json`.
#[derive(Serialize, Deserialize)]
struct Options {
    schema: u32,
    /// Everything that determines a row, except its seed.
    options: Fingerprint,
}

/// The version of `options.json`.
const SCHEMA: u32 = 2;

/// The rows of a folder.
#[derive(Debug)]
pub struct RunTable {
    file: PathBuf,
    runs: BySeed,
}

impl RunTable {
    /// Reads the rows in the folder `dir`, which must be of runs with this `fingerprint`; there may be none yet.
    ///
    /// # Errors
    /// If they cannot be read, or have other options, the first of which is named.
    pub fn open(dir: &Path, fingerprint: &Fingerprint) -> Result<Self> {
        let (file, options) = (dir.join(FILE_NAME), dir.join(OPTIONS));
        let damaged = |error: serde_json::Error| Error::Damaged {
            file: options.clone(),
            problem: format!("it holds no options of a run ({error})"),
        };
        let known = read(&options)?;
        let known =
            known.map(|text| serde_json::from_slice::<Options>(&text).map_err(damaged)).transpose()?;
        let Some(text) = read(&file)? else {
            // Options without a row are replaced.
            let document = Options { schema: SCHEMA, options: fingerprint.clone() };
            atomic::write(&options, &atomic::json(&document))?;
            return Ok(Self { file, runs: BySeed::new() });
        };
        let Some(known) = known else {
            return Err(Error::NoOptions { options, rows: file });
        };
        if known.schema != SCHEMA {
            let problem =
                format!("its schema is {}, and this version of glassbox reads {SCHEMA}", known.schema);
            return Err(Error::Damaged { file: options, problem });
        }
        if let Some(difference) = fingerprint.difference(&known.options) {
            return Err(Error::OtherOptions { file, difference });
        }
        let mut runs = BySeed::new();
        for row in csv::Reader::from_reader(text.as_slice()).deserialize::<Run>() {
            let damaged = |problem: String| Error::Damaged { file: file.clone(), problem };
            let run = row.map_err(|error| damaged(error.to_string()))?;
            run.require_possible().map_err(damaged)?;
            runs.insert(run.seed, run);
        }
        Ok(Self { file, runs })
    }

    /// The run of a seed, if it is done.
    #[must_use]
    pub fn get(&self, seed: u64) -> Option<&Run> {
        self.runs.get(&seed)
    }

    /// Adds a run, and writes all rows in the order of their seeds.
    ///
    /// # Errors
    /// If they cannot be written; then the file is unchanged.
    pub fn add(&mut self, run: Run) -> Result<()> {
        self.runs.insert(run.seed, run);
        atomic::write_with(&self.file, |out| {
            let mut csv = csv::Writer::from_writer(out);
            for run in self.runs.values() {
                csv.serialize(run)?;
            }
            csv.flush()
        })?;
        Ok(())
    }
}

fn read(file: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Error::Unreadable { file: file.to_owned(), cause }),
    }
}
