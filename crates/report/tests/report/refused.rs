//! Files that the run did not write, or not as they are.

use std::path::Path;

use glassbox_formats::output_folder::MANIFEST;
use glassbox_formats::tensor_file::TensorFile;
use glassbox_pipeline::results;
use glassbox_report::PAGE;
use serde_json::Value as Json;

use crate::kit::{forge, result, results_of_the_run, tutorial, write, write_results};

#[test]
fn a_file_that_the_run_did_not_write_is_named() {
    let refused = |change: &dyn Fn(&Path)| {
        let folder = results_of_the_run();
        change(folder.path());
        let error = write(folder.path()).unwrap_err().to_string();
        assert!(!folder.path().join(PAGE).exists());
        error
    };
    for name in results::FILES {
        let error = refused(&|folder| std::fs::remove_file(folder.join(name)).unwrap());
        assert!(error.contains(name), "{name}: {error}");
        // One number more, as an editor leaves it.
        let error = refused(&|folder| {
            let mut file = std::fs::read(folder.join(name)).unwrap();
            let digit = file.iter_mut().rfind(|byte| byte.is_ascii_digit()).unwrap();
            *digit = if *digit == b'1' { b'2' } else { b'1' };
            std::fs::write(folder.join(name), file).unwrap();
        });
        assert!(error.contains(name) && error.contains("was changed after glassbox wrote it"), "{error}");
    }
    // Of another run: each file is right, and they do not belong together.
    let other = tempfile::tempdir().unwrap();
    let mut run = tutorial().clone();
    run.detection.errors[0] += 1e-9;
    write_results(other.path(), &run);
    let error = refused(&|folder| {
        let windows = std::fs::read(other.path().join("windows.csv")).unwrap();
        std::fs::write(folder.join("windows.csv"), windows).unwrap();
    });
    assert!(error.contains("windows.csv"), "{error}");
    // What the run did not write at all.
    let error = refused(&|folder| std::fs::write(folder.join("study.json"), "{}").unwrap());
    assert!(error.contains("study.json") && error.contains("does not list it"), "{error}");
    let error = refused(&|folder| std::fs::remove_file(folder.join(MANIFEST)).unwrap());
    assert!(error.contains("has no manifest.json") && error.contains("make the results again"), "{error}");
}

/// `result.json` with one value changed.
fn with(folder: &Path, at: &str, value: Json) -> Vec<u8> {
    let mut json = result(folder);
    *json.pointer_mut(at).unwrap_or_else(|| panic!("no {at}")) = value;
    serde_json::to_vec_pretty(&json).unwrap()
}

/// A manifest can be forged. What is drawn by then has lengths that fit.
#[test]
fn forged_results_are_refused_or_drawn() {
    let forged = |name: &str, change: &dyn Fn(&Path) -> Vec<u8>| {
        let folder = results_of_the_run();
        forge(folder.path(), name, &change(folder.path()));
        write(folder.path()).map_err(|error| error.to_string())
    };
    let refused = |name: &str, change: &dyn Fn(&Path) -> Vec<u8>, words: &[&str]| {
        let error = forged(name, change).unwrap_err();
        for word in words.iter().chain(&[name]) {
            assert!(error.contains(word), "no {word:?} in {error}");
        }
    };
    for (at, value, words) in [
        ("/schema", Json::from(99), &["`schema` is 99", "reads 1"][..]),
        ("/config/time_steps", 0.into(), &["it has 0 steps in a window, and 24 are expected"]),
        ("/config/point_rule", "other".into(), &["config.point_rule", "inclusive"]),
        ("/data/train/name", "a\u{1b}[2J".into(), &["data.train.name", "control characters"]),
        ("/data", Json::Null, &["`data`"]),
    ] {
        refused("result.json", &|folder| with(folder, at, value.clone()), words);
    }
    // Shown as they are; nothing is computed from them.
    for (at, value) in [
        ("/anomalies/points/indices", serde_json::json!([1_000_000_000])),
        ("/anomalies/windows/shape", serde_json::json!([265, 0, 1])),
        ("/training/shape", serde_json::json!([0, 24, 1])),
        ("/training/epochs", u64::MAX.into()),
        ("/training/stopped_epoch", u64::MAX.into()),
        ("/training/history/loss", serde_json::json!([1.0])),
        ("/training/history/val_loss", serde_json::json!([])),
        ("/errors/train/histogram/edges", serde_json::json!([])),
        ("/errors/test/histogram/edges", serde_json::json!([1.0, 0.0])),
        ("/model/layers", serde_json::json!(["\u{1b}[2J"])),
        ("/timings/epochs", serde_json::json!([])),
        ("/timings/resumed_from", u64::MAX.into()),
    ] {
        forged("result.json", &|folder| with(folder, at, value.clone())).unwrap();
    }
    let lines = |name: &'static str, change: &dyn Fn(&mut Vec<String>)| {
        let text = move |folder: &Path| std::fs::read_to_string(folder.join(name)).unwrap();
        let changed = |folder: &Path| {
            let mut lines: Vec<String> = text(folder).lines().map(Into::into).collect();
            change(&mut lines);
            (lines.join("\n") + "\n").into_bytes()
        };
        forged(name, &changed).unwrap_err()
    };
    for (name, words) in [
        (
            "windows.csv",
            "windows.csv is not what a run of the tutorial writes: it has 99 rows, and 265 are expected",
        ),
        (
            "test.csv",
            "windows.csv is not what a run of the tutorial writes: it has 265 rows, and 76 are expected",
        ),
    ] {
        let error = lines(name, &|lines| lines.truncate(100));
        assert!(error.contains(words), "{error}");
    }
    for name in ["train.csv", "test.csv", "first_window.csv"] {
        let error = lines(name, &|lines| lines.truncate(20));
        assert!(error.contains("24"), "{name}: {error}");
    }
    let number = |number: &'static str| {
        lines("windows.csv", &|lines| {
            let mut cells: Vec<&str> = lines[1].split(',').collect();
            cells[3] = number;
            lines[1] = cells.join(",");
        })
    };
    assert!(number("zero").contains("line: 2"), "{}", number("zero"));
    assert!(number("inf").contains("line 2: the error is not finite"), "{}", number("inf"));
    let windows = |ids: &'static str| {
        move |folder: &Path| {
            let mut file = TensorFile::read(&folder.join("inside.safetensors")).unwrap();
            file.metadata.insert("glassbox.windows".into(), ids.into());
            let count = ids.matches("window").count();
            for (name, tensor) in &mut file.tensors {
                if name == "input" || name.starts_with("output.") {
                    tensor.values.truncate(tensor.values.len() / tensor.shape[0] * count);
                    tensor.shape[0] = count;
                }
            }
            file.to_bytes()
        }
    };
    refused("inside.safetensors", &windows("[]"), &["it has no windows"]);
    let beyond = r#"[{"series":"test","window":265}]"#;
    refused("inside.safetensors", &windows(beyond), &["its window 265 is beyond the end"]);
}
