//! `--report` and `--unit` of `train` and `detect`, and thresholds that follow the scores.

use std::fs;

use serde_json::Value as Json;

use crate::kit::{fail, glassbox_with, home, succeed, train};

#[test]
fn train_and_detect_leave_a_page_when_asked() {
    let home = home();
    let at = |name: &str| home.path().join(name);
    succeed(&mut train(home.path(), &["--report", "train.html", "--quiet"]));
    let page = fs::read_to_string(at("train.html")).expect("a page");
    assert!(page.contains("id=\"training\"") && !page.contains("id=\"anomalies\""));
    let detect = ["detect", "data.csv", "--model", "model.safetensors", "--report", "detect.html"];
    let with = |more: &[&str]| glassbox_with(home.path(), &[&detect[..], more].concat());
    let verdicts = succeed(&mut with(&[]));
    let page = fs::read(at("detect.html")).expect("a page");
    assert!(String::from_utf8_lossy(&page).contains("id=\"anomalies\""));
    // The page changes nothing of the result, and is the same again.
    succeed(&mut with(&["--output", "verdicts.csv"]));
    assert_eq!(fs::read_to_string(at("verdicts.csv")).expect("verdicts"), verdicts);
    assert!(fs::read(at("detect.html")).expect("a page") == page);
    let document: Json = serde_json::from_str(&succeed(&mut with(&["--json"]))).expect("JSON");
    assert_eq!(document["rows"], 200);

    let error = fail(&mut with(&["--rule", "published"]), 3);
    assert!(error.contains("--report goes with --rule rows"), "{error}");
    let error = fail(&mut with(&["--output", "detect.html"]), 3);
    assert!(error.contains("--report") && error.contains("--output"), "{error}");
    // Neither is written if one cannot be.
    fs::remove_file(at("detect.html")).expect("a page");
    let error = fail(&mut with(&["--output", "data.csv/verdicts.csv"]), 3);
    assert!(error.contains("data.csv"), "{error}");
    assert!(!at("detect.html").exists());
}

#[test]
fn another_unit_than_in_training_is_refused() {
    let home = home();
    let trained: Json =
        serde_json::from_str(&succeed(&mut train(home.path(), &["--unit", "kPa", "--json"]))).expect("JSON");
    assert_eq!(trained["units"], serde_json::json!(["kPa"]));
    let detect = |more: &[&str]| {
        let detect = ["detect", "data.csv", "--model", "model.safetensors", "--json"];
        glassbox_with(home.path(), &[&detect[..], more].concat())
    };
    for same in [&[][..], &["--unit", "kPa"], &["--unit", "value=kPa"]] {
        let document: Json = serde_json::from_str(&succeed(&mut detect(same))).expect("JSON");
        assert_eq!(document["units"], serde_json::json!(["kPa"]));
    }
    let error = fail(&mut detect(&["--unit", "bar"]), 3);
    for part in ["column `value`", "is bar", "values in kPa", "convert"] {
        assert!(error.contains(part), "no {part} in {error}");
    }
    let error = fail(&mut detect(&["--unit", "kPa", "--rule", "published"]), 3);
    assert!(error.contains("--unit goes with --rule rows"), "{error}");

    succeed(&mut train(home.path(), &["--quiet"]));
    let error = fail(&mut detect(&["--unit", "bar"]), 3);
    assert!(error.contains("without a unit"), "{error}");
    let two =
        train(home.path(), &["--value-column", "value", "--value-column", "timestamp", "--unit", "kPa"])
            .output()
            .expect("the binary starts");
    let error = String::from_utf8_lossy(&two.stderr);
    assert!(error.contains("expected COLUMN=UNIT with one of the columns `value`, `timestamp`"), "{error}");
}

#[test]
fn a_threshold_can_follow_the_scores() {
    let home = home();
    succeed(&mut train(home.path(), &["--quiet"]));
    let detect = |threshold: &str| {
        let detect =
            ["detect", "data.csv", "--model", "model.safetensors", "--json", "--threshold", threshold];
        glassbox_with(home.path(), &detect)
    };
    let document: Json = serde_json::from_str(&succeed(&mut detect("adaptive-robust-z:3:50"))).expect("JSON");
    let rule = serde_json::json!({ "adaptive": { "robust_z": { "z": 3.0, "rows": 50 } } });
    assert_eq!(document["threshold"]["rule"], rule);
    for (threshold, code, part) in [
        ("adaptive-robust-z:3", 2, "adaptive-robust-z:Z:ROWS"),
        ("adaptive-quantile:0.9:5", 3, "5 rows: expected 10 to 100000"),
        ("adaptive-drift:2:50", 3, "2 is out of range"),
        ("adaptive-peaks:1e-4", 3, "at least 500 training rows"),
    ] {
        let error = fail(&mut detect(threshold), code);
        assert!(error.contains(part), "{threshold}: {error}");
    }
}

/// A build without the feature says what the file is.
#[cfg(not(feature = "parquet"))]
#[test]
fn a_parquet_file_is_refused_by_name() {
    let home = home();
    fs::write(home.path().join("table.parquet"), b"PAR1....PAR1").expect("room");
    let error = fail(&mut glassbox_with(home.path(), &["train", "table.parquet"]), 3);
    assert!(error.contains("is a Parquet file") && error.contains("feature `parquet`"), "{error}");
}
