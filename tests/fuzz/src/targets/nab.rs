use std::path::Path;

use glassbox_formats::output_folder::OutputFolder;
use glassbox_lab::nab::corpus::load;
use glassbox_lab::nab::{LabelledFile, Scoreboard, results};

use crate::{Outcome, refused, require};

/// The file that the labels and the results of the corpus are of, below the data folder.
const FILE: &str = "group/data.csv";
const ROWS: &str = "timestamp,value\n2014-04-01 00:00:00,1\n2014-04-01 01:00:00,2\n2014-04-01 02:00:00,3\n\
                    2014-04-01 03:00:00,2\n2014-04-01 04:00:00,1\n2014-04-01 05:00:00,2\n";
const LABELS: &str = r#"{"group/data.csv": [["2014-04-01 02:00:00.000000", "2014-04-01 03:00:00.000000"]]}"#;
const DETECTOR: &str = "detector";

/// The data file, and labels beside it.
fn files(folder: &Path, labels: &[u8]) -> glassbox_lab::Result<Vec<LabelledFile>> {
    let data = folder.join("data");
    std::fs::create_dir_all(data.join("group")).expect("room for a folder");
    std::fs::write(data.join(FILE), ROWS).expect("room for a file");
    let file = folder.join("labels.json");
    std::fs::write(&file, labels).expect("room for a file");
    load(&data, &file)
}

/// A refusal, without the temporary folder's name.
fn without_folder(error: &glassbox_lab::Error, folder: &Path) -> Result<Outcome, String> {
    refused(error.to_string().replace(&*folder.to_string_lossy(), "nab"))
}

/// The labels of the benchmark.
pub(super) fn labels(input: &[u8]) -> Result<Outcome, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let files = match files(folder.path(), input) {
        Ok(files) => files,
        Err(error) => return without_folder(&error, folder.path()),
    };
    for LabelledFile { path, series, windows } in &files {
        let inside = windows.iter().all(|window| window.first < window.last && window.last < series.len());
        let disjoint = windows.windows(2).all(|pair| pair[0].last < pair[1].first);
        require(inside && disjoint, || format!("windows {windows:?} of {path}"))?;
    }
    Ok(Outcome::Accepted)
}

/// The results of a detector.
pub(super) fn results(input: &[u8]) -> Result<Outcome, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let files = files(folder.path(), LABELS.as_bytes()).expect("labels of the file");
    let [name] = &results::file_names(&files, DETECTOR)[..] else { panic!("one file") };
    let own = folder.path().join(DETECTOR);
    std::fs::create_dir_all(own.join("group")).expect("room for a folder");
    std::fs::write(own.join(name), input).expect("room for a file");
    let (detector, scores) = match results::read(&own, &files) {
        Ok(read) => read,
        Err(error) => return without_folder(&error, folder.path()),
    };
    // Scoring them must not panic.
    let _ = Scoreboard::new(&detector, &files, &scores);
    let again = folder.path().join("again").join(DETECTOR);
    std::fs::create_dir_all(&again).expect("room for a folder");
    let mut written = OutputFolder::open(&again, &[name.as_str()], &[]).expect("an empty folder");
    results::write(&mut written, DETECTOR, &files, &scores).expect("room for a file");
    let (_, read) =
        results::read(&again, &files).map_err(|error| format!("what was written is refused: {error}"))?;
    require(read == scores, || "other scores when written and read again".into())?;
    Ok(Outcome::Accepted)
}
