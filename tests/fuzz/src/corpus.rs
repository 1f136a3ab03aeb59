//! Inputs that are worth keeping: good ones to begin with, and every fault that was found.
//!
//! A file `corpus/TARGET/NAME` is one; what is large, or is made of a good one, is made here by a function of its own.
//! `corpus/expected.txt` has what must become of the files.

use std::fs;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::DeflateEncoder;
use glassbox_engine::geometry::Padding;
use glassbox_engine::layers::{Conv1D, ReLU};
use glassbox_engine::model::{Network, Sequential};
use glassbox_engine::shape::Shape;
use glassbox_formats::container::Unpacked;
use glassbox_formats::hash::Sha256;
use glassbox_formats::model_file::SavedModel;
use glassbox_formats::tensor_file::{Tensor, TensorFile};
use glassbox_formats::zip;
use glassbox_pipeline::detection::Threshold;
use glassbox_pipeline::detector::Detector;
use glassbox_pipeline::scaler::Scaler;
use serde_json::{Value as Json, json};

use crate::mutate::{Checksum, join_tensors, seal, split_tensors};
use crate::targets::{FILES, checkpoint, state};
use crate::{Outcome, Target};

/// An input, and what must become of it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// The input.
    pub input: Vec<u8>,
    /// `None` if either will do.
    pub expected: Option<Expected>,
}

/// The outcome that an input must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// It is read.
    Accepted,
    /// It is refused, with a message that has this text.
    Refused(String),
}

impl Entry {
    /// Runs the input, and compares.
    ///
    /// # Errors
    /// If a promise of the target does not hold, or something else became of the input.
    pub fn replay(&self, target: &Target) -> Result<(), String> {
        let outcome = target.run(&self.input)?;
        let good = match (&self.expected, &outcome) {
            (None, _) | (Some(Expected::Accepted), Outcome::Accepted) => true,
            (Some(Expected::Refused(text)), Outcome::Refused(message)) => message.contains(text),
            _ => false,
        };
        if good { Ok(()) } else { Err(format!("expected {:?}, found {outcome:?}", self.expected)) }
    }
}

/// The folder of a target's files.
#[must_use]
pub fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// All entries of a target: its files, in the order of their names, and those that are made.
///
/// # Panics
/// If a file cannot be read, or is expected and not there.
#[must_use]
pub fn entries(target: &str) -> Vec<Entry> {
    let expected = expected(target);
    let mut files: Vec<Entry> = vec![];
    for file in fs::read_dir(folder(target)).into_iter().flatten() {
        let path = file.expect("the corpus").path();
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let expected = expected.iter().find(|(of, _)| *of == name).map(|(_, expected)| expected.clone());
        files.push(Entry { name, input: fs::read(&path).expect("the corpus"), expected });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    for (name, _) in &expected {
        assert!(files.iter().any(|entry| entry.name == *name), "{target}/{name} is expected and not there");
    }
    files.extend(made(target));
    files
}

/// The lines of `expected.txt` for a target: `TARGET/NAME accepted`, `TARGET/NAME refused`, or `TARGET/NAME refused: TEXT`.
fn expected(target: &str) -> Vec<(String, Expected)> {
    let of_line = |line: &str| {
        let (name, outcome) = line.strip_prefix(target)?.strip_prefix('/')?.split_once(' ')?;
        let expected = match outcome.split_once(": ") {
            Some(("refused", text)) => Expected::Refused(text.into()),
            _ if outcome == "refused" => Expected::Refused(String::new()),
            _ => Expected::Accepted,
        };
        Some((name.to_owned(), expected))
    };
    include_str!("../corpus/expected.txt").lines().filter_map(of_line).collect()
}

fn accepted(name: &str, input: impl Into<Vec<u8>>) -> Entry {
    Entry { name: name.into(), input: input.into(), expected: Some(Expected::Accepted) }
}

fn refused(name: &str, input: impl Into<Vec<u8>>, text: &str) -> Entry {
    Entry { name: name.into(), input: input.into(), expected: Some(Expected::Refused(text.into())) }
}

/// Entries that are made by code.
fn made(target: &str) -> Vec<Entry> {
    match target {
        "series" => vec![
            accepted("quoted line breaks", quoted_line_breaks()),
            refused("many commas", ",".repeat(1 << 18), "column"),
            refused("millions of commas", ",".repeat(1 << 22), "longer"),
            refused("a header of a megabyte", format!("{}\n", "a".repeat(1 << 20)), "longer"),
            refused(
                "a quote never closed",
                format!("timestamp,value\n\"{}", "1,2\n".repeat(1 << 16)),
                "quote",
            ),
            accepted(
                "ten thousand rows",
                format!("timestamp,value\n{}", "2014-04-01 00:00:00,1\n".repeat(10_000)),
            ),
        ],
        "architecture" => [fixtures(), architectures()].concat(),
        "network" => fixtures(),
        "model" => models(),
        "keras" => keras(),
        "hdf5" => hdf5(),
        "checkpoint" => checkpoints(),
        "watch_state" => watch_states(),
        "results" => results(),
        _ => vec![],
    }
}

/// Architectures that are too large to stand in files.
fn architectures() -> Vec<Entry> {
    let (one, long) = (chain(1).to_json(), "a".repeat(1 << 20));
    vec![
        accepted("1000 layers of ReLU", chain(1000).to_json()),
        refused("nested beyond the stack", "[".repeat(1 << 17), ""),
        refused("a name of a megabyte", one.replace("re_lu", &long).replace("ReLU", "Mine"), "Mine"),
        refused("a class of a megabyte", one.replace("ReLU", &long), "class"),
    ]
}

/// Architectures that Keras wrote, those that are not supported among them.
fn fixtures() -> Vec<Entry> {
    let read = |path: PathBuf| Entry {
        name: path.file_name().expect("a file").to_string_lossy().into_owned(),
        input: fs::read(&path).expect("a fixture"),
        expected: None,
    };
    let folder = glassbox_tests::fixtures::path("architectures");
    let files = fs::read_dir(folder).expect("the fixtures").map(|file| file.expect("a fixture").path());
    let mut files: Vec<Entry> = files.filter(|path| path.is_file()).map(read).collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}

/// Rows of which each has a line break in quotes: for each the reader once counted the quotes of all that follow.
fn quoted_line_breaks() -> String {
    let row = |row: usize| format!("2014-04-01 00:{:02}:{:02},1,\"\n\"\n", row / 60 % 60, row % 60);
    format!("timestamp,value,note\n{}", (0..20_000).map(row).collect::<String>())
}

/// Layers of ReLU, one after the other: their program was once built in cubic time.
fn chain(layers: usize) -> Network {
    let mut model = Sequential::new(Shape::new(8, 1));
    for _ in 0..layers {
        model.add(ReLU).expect("a layer that fits");
    }
    model.into()
}

fn models() -> Vec<Entry> {
    let mut model = Sequential::new(Shape::new(6, 1));
    let same = Conv1D::new(1, 3).padding(Padding::Same);
    model.add(same).and_then(|model| model.add(ReLU)).expect("layers that fit");
    let weights = model.layout().initial(1);
    let plain = SavedModel::new(model.clone().into(), weights.clone());
    let scaler = Scaler::new(42.5, 28.0).expect("moments");
    let threshold = Threshold::new(0.5).expect("a threshold");
    let (columns, scalers, calibration, sampling_step) = (vec![], vec![scaler], None, None);
    let detector = Detector {
        model: model.into(),
        weights,
        columns,
        units: vec![],
        scalers,
        threshold,
        calibration,
        sampling_step,
    };
    let detector = detector.to_saved_model().to_bytes();
    let with = |change: &dyn Fn(&mut Json)| changed(&detector, Checksum::Model, change);
    vec![
        accepted("a model", plain.to_bytes()),
        refused("a state of no weights", state_of_no_weights(), "optimizer/m/mine"),
        refused(
            "a detector of another length",
            with(&|header| header["__metadata__"]["glassbox.time_steps"] = json!("7")),
            "time_steps",
        ),
        refused(
            "escapes in a text",
            with(&|header| header["__metadata__"]["glassbox.mean"] = json!("\u{1b}[31m\n")),
            "glassbox.mean",
        ),
        refused(
            "a text of a megabyte",
            with(&|header| header["__metadata__"]["glassbox.mean"] = json!("a".repeat(1 << 20))),
            "glassbox.mean",
        ),
        refused(
            "a tensor with escapes in its name",
            with(&|header| {
                let tensor = header["conv1d.kernel"].take();
                header.as_object_mut().expect("an object").remove("conv1d.kernel");
                header["\u{1b}[31mconv1d\n.kernel"] = tensor;
            }),
            "tensor",
        ),
        refused("a flipped bit", flipped(&detector), "damaged"),
        accepted("a detector", detector),
    ]
}

/// The largest numbers that a checkpoint can hold, where training goes on to count.
fn checkpoints() -> Vec<Entry> {
    let good = checkpoint();
    let with = |field: &str, value: Json| {
        changed(&good, Checksum::Checkpoint, &|header| {
            let text = &mut header["__metadata__"]["glassbox.progress"];
            let mut progress: Json =
                serde_json::from_str(text.as_str().expect("a text")).expect("JSON of ours");
            *progress.pointer_mut(field).expect("a field of the progress") = value.clone();
            *text = progress.to_string().into();
        })
    };
    let largest = || json!(usize::MAX);
    let entry = |name: &str, input| Entry { name: name.into(), input, expected: None };
    vec![
        accepted("a checkpoint", good.clone()),
        entry("the largest step", with("/step", json!(u64::MAX))),
        entry("the largest wait", with("/early_stopping/wait", largest())),
        entry("the largest stopped epoch", with("/early_stopping/stopped_epoch", largest())),
        entry("the largest best epoch", with("/early_stopping/best_epoch", largest())),
        refused("the most epochs", with("/epochs", largest()), "epoch"),
        refused("escapes in a text", with("/step", "\u{1b}[2J\n".into()), "step"),
        refused("a text of a megabyte", with("/history/loss", vec![1.5; 1 << 18].into()), "loss"),
    ]
}

/// The state of a watch, with one value changed and the checksum of that.
fn watch_states() -> Vec<Entry> {
    let good = state();
    let with = |field: &str, value: Json| {
        let mut document: Json = serde_json::from_slice(&good).expect("JSON of ours");
        *document["state"].pointer_mut(field).expect("a field of the state") = value;
        let sha256 = Sha256::of(document["state"].to_string().as_bytes()).to_string();
        document["sha256"] = json!(sha256);
        document.to_string()
    };
    let row = |value: f64| json!(["2014-04-01T00:00:00", [value]]);
    vec![
        accepted("a state", good.clone()),
        refused("a flipped bit", flipped(&good), "damaged"),
        refused("half a state", &good[..good.len() / 2], "damaged"),
        refused(
            "other bytes of the input",
            with("/place/last/hash", json!(1)),
            "not the input that was read",
        ),
        refused(
            "more rows than there are",
            with("/place/last/bytes", json!(1_u64 << 40)),
            "not the input that was read",
        ),
        refused("a first row without end", with("/place/head/bytes", json!(u64::MAX)), "bad `place`"),
        refused("the most bytes", with("/place/last/bytes", json!(u64::MAX)), "bad `place`"),
        refused("the most lines", with("/place/last/line", json!(u64::MAX)), "bad `place`"),
        refused("no live score of a row", with("/memory/live", json!([])), "bad `live`"),
        refused(
            "another kind of threshold",
            with("/memory/thresholds/1", json!({ "Fixed": -1.0 })),
            "bad `thresholds`",
        ),
        refused("the most rows", with("/memory/used", json!(usize::MAX)), "bad `used`"),
        refused("the most rows back in time", with("/memory/sieve/back", json!(usize::MAX)), "bad `sieve`"),
        refused("the most lines told", with("/tally/rows", json!(u64::MAX)), "bad `tally`"),
        refused("many rows", with("/memory/rows", vec![row(1.0); 1 << 12].into()), "bad `rows`"),
        refused(
            "a row of no column",
            with("/memory/rows", json!([["2014-04-01T00:00:00", []]])),
            "bad `rows`",
        ),
        refused("a value beyond the range", with("/memory/rows/0/1/0", json!(1e300)), "exceeds the range"),
        refused("many steps", with("/memory/steps/latest", vec!["PT5M"; 1 << 12].into()), "bad `steps`"),
        refused("escapes in a text", with("/run/the model", json!("\u{1b}[2J\n")), "another run"),
        refused("a text of a megabyte", with("/run/the model", json!("a".repeat(1 << 20))), "another run"),
    ]
}

/// A folder of results with one file changed: the name of the file, a line feed, what it holds.
fn results() -> Vec<Entry> {
    let file = |name: &str, content: &[u8]| [name.as_bytes(), b"\n", content].concat();
    let mut entries: Vec<Entry> = FILES
        .iter()
        .map(|(name, content)| accepted(&format!("as written, {name}"), file(name, content)))
        .collect();
    let inside = |change: &dyn Fn(&mut Json)| {
        file("inside.safetensors", &changed(&FILES["inside.safetensors"], Checksum::None, change))
    };
    let result = |pointer: &str, value: Json| {
        let mut document: Json = serde_json::from_slice(&FILES["result.json"]).expect("JSON of ours");
        *document.pointer_mut(pointer).expect("a field of the schema") = value;
        file("result.json", document.to_string().as_bytes())
    };
    let endless = |name: &'static str| move |header: &mut Json| header[name]["shape"] = json!([u64::MAX, 0]);
    let name = "\u{1b}]0;mine\u{7}\nname";
    entries.extend([
        refused(
            "norms of an endless shape",
            inside(&|header| {
                for name in ["norms.weights", "norms.gradients", "norms.updates"] {
                    endless(name)(header);
                    header[name]["data_offsets"] = json!([0, 0]);
                }
            }),
            "inside.safetensors",
        ),
        Entry {
            name: "the most epochs before".into(),
            input: inside(&|header| {
                header["__metadata__"]["glassbox.epochs_before"] = json!(usize::MAX.to_string());
            }),
            expected: None,
        },
        Entry {
            name: "the largest stopped epoch".into(),
            input: result("/training/stopped_epoch", json!(u64::MAX)),
            expected: None,
        },
        Entry {
            name: "the most epochs resumed from".into(),
            input: result("/timings/resumed_from", json!(u64::MAX)),
            expected: None,
        },
        Entry {
            name: "escapes in the name of a series".into(),
            input: result("/data/train/name", json!(name)),
            expected: None,
        },
        refused("escapes in the rule", result("/config/point_rule", json!(name)), "point_rule"),
        accepted("escapes in a layer's name, which is not shown", result("/model/layers/0", json!(name))),
        refused("a manifest of nothing", file("manifest.json", b"{}"), "manifest.json"),
    ]);
    entries
}

fn keras_file(name: &str) -> Vec<u8> {
    fs::read(glassbox_tests::fixtures::path(&format!("keras_files/{name}"))).expect("a fixture")
}

/// Models that Keras wrote, and what an enemy makes of them.
fn keras() -> Vec<Entry> {
    let good = keras_file("autoencoder.keras");
    let archive = zip::Archive::parse(&good).expect("a fixture");
    let member = |name: &str| {
        let content = archive.read(name, &mut Unpacked::at_most(0)).expect("a fixture");
        content.expect("a member").into_owned()
    };
    let (config, weights) = (member("config.json"), member("model.weights.h5"));
    let with =
        |config: &[u8], weights: &[u8]| zip::write(&[("config.json", config), ("model.weights.h5", weights)]);
    let renamed =
        |name: &str| zip::write(&[("config.json", &config), (name, b""), ("model.weights.h5", &weights)]);
    let names = [
        "autoencoder.keras",
        "layers.keras",
        "graph.keras",
        "fresh.keras",
        "dropout.keras",
        "unsupported.keras",
    ];
    let mut entries: Vec<Entry> = names.into_iter().map(|name| accepted(name, keras_file(name))).collect();
    entries.extend([
        refused("a layer of code", keras_file("lambda.keras"), "class Lambda"),
        refused("weights alone", keras_file("autoencoder.weights.h5"), "has no architecture"),
        refused("no weights", zip::write(&[("config.json", &config)]), "no member model.weights.h5"),
        refused("a name that leaves the archive", renamed("../../mine"), "leaves the archive"),
        refused("two members of a name", renamed("config.json"), "two members"),
        refused("a name with escapes", renamed("\u{1b}[2J\0"), "leaves the archive"),
        refused("weights of nothing", with(&config, b""), "superblock"),
        refused("nested beyond the stack", with("[".repeat(1 << 17).as_bytes(), &weights), "config.json"),
        refused("a bomb", bomb(&config), "unpacks to more"),
        refused("a flipped bit", flipped_at(&good, good.len() / 2), "checksum"),
    ]);
    entries
}

/// An archive whose weights are ten megabytes of zeros, in ten kilobytes.
fn bomb(config: &[u8]) -> Vec<u8> {
    use std::io::Write as _;

    let mut packed = DeflateEncoder::new(vec![], Compression::best());
    packed.write_all(&vec![0; 10 << 20]).expect("memory");
    let mut archive =
        zip::write(&[("config.json", config), ("model.weights.h5", &packed.finish().expect("memory"))]);
    // The second entry of the directory: its method, and its size.
    let at = archive.windows(4).rposition(|window| window == b"PK\x01\x02").expect("a directory");
    archive[at + 10] = 8;
    archive[at + 24..at + 28].copy_from_slice(&(10u32 << 20).to_le_bytes());
    archive
}

/// Files of weights, and addresses that lead nowhere or back.
fn hdf5() -> Vec<Entry> {
    let good = keras_file("autoencoder.weights.h5");
    let root = u64::from_le_bytes(good[64..72].try_into().expect("eight bytes"));
    let symbols: Vec<usize> = (0..good.len()).filter(|at| good[*at..].starts_with(b"SNOD")).collect();
    let with = |at: usize, address: u64| {
        let mut changed = good.clone();
        changed[at..at + 8].copy_from_slice(&address.to_le_bytes());
        changed
    };
    let mut entries = vec![
        accepted("packed.weights.h5", keras_file("packed.weights.h5")),
        accepted("layers.h5", keras_file("layers.h5")),
        refused("a root that is nowhere", with(64, u64::MAX), "outside"),
        refused("a root that is the superblock", with(64, 0), "no object"),
        refused("an end beyond the end", with(40, 1 << 40), "it should have"),
    ];
    for (index, at) in symbols.into_iter().enumerate().take(3) {
        entries.push(refused(&format!("group {index} is its own member"), with(at + 16, root), "circle"));
    }
    entries.push(accepted("autoencoder.weights.h5", good));
    entries
}

/// Optimiser state for a model without weights. Reading it was once an endless loop.
fn state_of_no_weights() -> Vec<u8> {
    let mut file = TensorFile::default();
    file.metadata.insert("keras_json".into(), chain(1).to_json());
    file.tensors.insert("optimizer/m/mine".into(), Tensor { shape: vec![1], values: vec![0.0] });
    file.to_bytes()
}

/// The last bit of a file is another one.
fn flipped(file: &[u8]) -> Vec<u8> {
    flipped_at(file, file.len() - 1)
}

fn flipped_at(file: &[u8], at: usize) -> Vec<u8> {
    let mut flipped = file.to_vec();
    flipped[at] ^= 1;
    flipped
}

/// A file of tensors with its header changed, and the checksum of that.
fn changed(file: &[u8], checksum: Checksum, change: &dyn Fn(&mut Json)) -> Vec<u8> {
    let (mut header, data) = split_tensors(file).expect("a file of ours");
    change(&mut header);
    seal(&mut header, data, checksum);
    join_tensors(&header, data)
}
