//! Small runs, their folders and their pages.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::OnceLock;

use glassbox::Device;
use glassbox_engine::layers::{Bidirectional, Dense, GRU, LSTM, RepeatVector, TimeDistributed};
use glassbox_engine::model::{Network, Sequential};
use glassbox_engine::reference::Reference;
use glassbox_engine::shape::Shape;
use glassbox_engine::training::Fit;
use glassbox_formats::hash::Sha256;
use glassbox_formats::output_folder::{MANIFEST, OutputFolder};
use glassbox_lab::study;
use glassbox_pipeline::nab::{LoadedPart, Source, TutorialData};
use glassbox_pipeline::results;
use glassbox_pipeline::series::Series;
use glassbox_pipeline::synthetic::{self, Subset};
use glassbox_pipeline::training::TrainOptions;
use glassbox_pipeline::tutorial::{Quiet, TutorialOptions, TutorialRun, run};
use glassbox_report::{Results, files};
use serde_json::Value as Json;

/// A run with the tutorial's model.
pub(crate) fn tutorial() -> &'static TutorialRun {
    static RUN: OnceLock<TutorialRun> = OnceLock::new();
    RUN.get_or_init(|| run_with(None))
}

/// A run with a recurrent model.
pub(crate) fn recurrent() -> &'static TutorialRun {
    static RUN: OnceLock<TutorialRun> = OnceLock::new();
    RUN.get_or_init(|| {
        let mut model = Sequential::new(Shape::new(24, 1));
        let mut build = || {
            model.add(LSTM::new(3))?.add(RepeatVector::new(24))?;
            model.add(Bidirectional::new(GRU::new(2).return_sequences(true)))?;
            model.add(TimeDistributed::new(Dense::new(1))).map(|_| ())
        };
        build().unwrap();
        run_with(Some(model.into()))
    })
}

/// Half a day of the twin's training series, and the day of the jump: enough for some windows to be anomalous.
pub(crate) fn run_with(model: Option<Network>) -> TutorialRun {
    let part = |part, rows: std::ops::Range<usize>| {
        let twin = synthetic::series(part, 1);
        let (times, values) = (&twin.timestamps()[rows.clone()], &twin.values()[rows]);
        let series = Series::new(twin.name(), twin.clock(), times.to_vec(), values.to_vec()).unwrap();
        LoadedPart { series, sha256: Sha256::of(b"a test"), warnings: vec![] }
    };
    let data = TutorialData {
        train: part(Subset::Train, 0..288),
        test: part(Subset::Test, 10 * 288..11 * 288),
        source: Source::Twin { seed: 1 },
    };
    let defaults = TrainOptions::default();
    let fit = Fit { epochs: 3, batch_size: 32, ..defaults.fit };
    let train = TrainOptions { fit, seed: 1, ..defaults };
    let options =
        TutorialOptions { time_steps: 24, model, train, inside: true, ..TutorialOptions::default() };
    run(data, &Device::new(Reference), &options, &mut Quiet).unwrap()
}

/// A folder with the results of the run.
pub(crate) fn results_of_the_run() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_results(folder.path(), tutorial());
    folder
}

pub(crate) fn write_results(dir: &Path, run: &TutorialRun) {
    results::write(&mut OutputFolder::open(dir, &results::FILES, &[]).unwrap(), run).unwrap();
}

/// Writes the report of the results in a folder, and returns the page.
pub(crate) fn write(dir: &Path) -> Result<String, Box<dyn Error>> {
    let results = Results::read(dir)?;
    let page = glassbox_report::write(&mut OutputFolder::join(dir, &files())?, &results)?;
    Ok(std::fs::read_to_string(page)?)
}

/// Replaces a file of a folder and its checksum in the manifest, as a run of another version could have written them.
pub(crate) fn forge(dir: &Path, name: &str, content: &[u8]) {
    std::fs::write(dir.join(name), content).unwrap();
    let mut manifest: Json = serde_json::from_slice(&std::fs::read(dir.join(MANIFEST)).unwrap()).unwrap();
    manifest["files"][name] = Sha256::of(content).to_string().into();
    std::fs::write(dir.join(MANIFEST), manifest.to_string()).unwrap();
}

/// `result.json` as text has it, to hold the plots against the file and not against the types behind it.
pub(crate) fn result(folder: &Path) -> Json {
    serde_json::from_slice(&std::fs::read(folder.join("result.json")).unwrap()).unwrap()
}

pub(crate) fn numbers(json: &Json, at: &str) -> Vec<f64> {
    json.pointer(at).unwrap().as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// The script's data, out of the page.
pub(crate) fn data_of(page: &str) -> Json {
    let (_, rest) = page.split_once("id=\"run-data\">").expect("the data");
    serde_json::from_str(rest.split_once("</script>").expect("its end").0).expect("JSON")
}

/// The files below a folder, by their paths within it.
pub(crate) fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        match entry.path().is_dir() {
            true => files.extend(
                content(&entry.path()).into_iter().map(|(inner, file)| (format!("{name}/{inner}"), file)),
            ),
            false => drop(files.insert(name, std::fs::read(entry.path()).unwrap())),
        }
    }
    files
}

/// A study of two variants, as `study.json` has it, of the two series of `result`.
pub(crate) fn study_of(result: &Json) -> Json {
    let spread = |value: f64| {
        serde_json::json!({
            "count": 2, "mean": value, "min": value - 0.01, "q1": value, "median": value, "q3": value, "max": value + 0.01,
        })
    };
    let variant = |name: &str, f1: f64, difference: Json, verdict: &str| {
        let numbers = [
            "f1",
            "precision",
            "recall",
            "windows",
            "false_windows",
            "points",
            "threshold",
            "epochs",
            "seconds",
        ];
        let mut spreads: serde_json::Map<String, Json> =
            numbers.iter().map(|number| ((*number).into(), spread(f1))).collect();
        // No run found anything: there is no delay.
        spreads.insert("delay_minutes".into(), Json::Null);
        spreads.insert("live_delay_minutes".into(), Json::Null);
        serde_json::json!({
            "name": name, "title": format!("title of {name}"), "change": "What is <changed>.", "training": "tutorial",
            "weights": "last", "error": "mean", "threshold": {"kind": "training_max", "q": null}, "rule": "published",
            "members": 1, "runs": [], "spread": spreads, "difference": difference, "verdict": verdict,
            "finding": format!("finding of {name}"),
        })
    };
    let difference = serde_json::json!({
        "mean": -0.1, "min": -0.2, "max": 0.0, "better": 0, "worse": 2, "equal": 0, "p": 0.5, "p_adjusted": 0.5,
    });
    let point = |index: usize| serde_json::json!({"index": index, "timestamp": "2014-04-11 09:00:00"});
    serde_json::json!({
        "schema": study::SCHEMA, "versions": result["versions"], "data": result["data"],
        "truth": {"first": point(108), "last": point(216), "count": 109},
        "config": {
            "seeds": [1, 2], "time_steps": 24, "epochs": 3, "batch_size": 32, "validation_split": 0.1,
            "shuffle": true, "early_stopping": null, "seed": 1, "loss": "mean_squared_error", "optimizer": "adam",
        },
        "judged": {"first": 23, "last": 264}, "baseline": "tutorial", "trainings": [],
        "variants": [variant("tutorial", 0.875, Json::Null, "baseline"), variant("worse", 0.775, difference, "hurts")],
        "conclusion": ["One thing hurts & nothing helps."],
    })
}
