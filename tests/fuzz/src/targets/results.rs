//! An input is the name of a file, a line feed, and what it holds in the place of what the run wrote. The manifest has the
//! checksum of it: without that nothing beyond the manifest would be reached.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use glassbox::Device;
use glassbox_engine::random::Draws;
use glassbox_formats::hash::Sha256;
use glassbox_formats::lock;
use glassbox_formats::output_folder::{MANIFEST, OutputFolder};
use glassbox_pipeline::results;
use glassbox_pipeline::tutorial::{Quiet, run};
use glassbox_report::{PAGE, PLOTS, Results, write};

use serde_json::Value as Json;

use crate::mutate::{self, Checksum};
use crate::{Budget, Outcome, refused, require};

const BUDGET: Budget = Budget { steps: (40_000_000, 4_000), bytes: (1 << 24, 60) };
/// One in so many folders that are read is also drawn: that takes a hundred times as long.
const DRAWN: u8 = 16;

/// The files of a small run.
pub(crate) static FILES: LazyLock<BTreeMap<String, Vec<u8>>> = LazyLock::new(|| {
    let (data, options) = super::small_tutorial();
    let run = run(data, &Device::new(super::portable()), &options, &mut Quiet).expect("a run");
    let folder = tempfile::tempdir().expect("a folder");
    let mut outputs = OutputFolder::open(folder.path(), &results::FILES, &[]).expect("an empty folder");
    results::write(&mut outputs, &run).expect("results");
    drop(outputs);
    super::files(folder.path())
});

pub(super) fn read(input: &[u8]) -> Result<Outcome, String> {
    let (name, content) = split(input);
    if !FILES.contains_key(name) {
        return refused("no file of a run");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut files = FILES.clone();
    files.insert(name.into(), content.to_vec());
    if name != MANIFEST {
        let mut manifest: Json = serde_json::from_slice(&FILES[MANIFEST]).expect("JSON of ours");
        manifest["files"][name] = Sha256::of(content).to_string().into();
        files.insert(MANIFEST.into(), manifest.to_string().into_bytes());
    }
    for (name, content) in &files {
        std::fs::write(folder.path().join(name), content).expect("room for a file");
    }
    let outcome = match BUDGET.spend(input, || Results::read(folder.path()))? {
        Err(error) => refused(error.to_string().replace(&*folder.path().to_string_lossy(), "results")),
        Ok(read) => {
            let figures = glassbox_report::figures(&read);
            require(!figures.is_empty(), || "no figures".into())?;
            let drawn = input.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)) % DRAWN == 0;
            let draw = || -> Result<(), String> {
                let mut outputs = OutputFolder::join(folder.path(), &glassbox_report::files())
                    .map_err(|error| error.to_string())?;
                write(&mut outputs, &read).map(|_| ()).map_err(|error| error.to_string())
            };
            match drawn.then(draw).transpose() {
                Ok(_) => Ok(Outcome::Accepted),
                Err(error) => refused(error),
            }
        }
    };
    // A report adds itself to the list of files, under the folder's lock.
    let mut after = super::files(folder.path());
    for files in [&mut after, &mut files] {
        files.retain(|name, _| {
            ![PAGE, MANIFEST, lock::FILE_NAME].contains(&&**name) && !name.starts_with(PLOTS)
        });
    }
    require(after == files, || "reading changed the results".into())?;
    outcome
}

fn split(input: &[u8]) -> (&str, &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n');
    let (name, content) = end.map_or((input, &b""[..]), |end| (&input[..end], &input[end + 1..]));
    (std::str::from_utf8(name).unwrap_or_default(), content)
}

pub(super) fn mutate(draws: &mut Draws, input: &[u8], other: &[u8]) -> Vec<u8> {
    let ((name, content), (_, other)) = (split(input), split(other));
    let content = match name.rsplit_once('.') {
        Some((_, "csv")) => mutate::csv(draws, content, other),
        Some((_, "json")) => mutate::json(draws, content, other),
        _ => {
            let checksum = if name.starts_with("model") { Checksum::Model } else { Checksum::None };
            mutate::tensors(draws, content, other, checksum)
        }
    };
    [name.as_bytes(), b"\n", &content].concat()
}
