//! `glassbox nab`: results that are written are read again and judged the same, and others' are refused by name.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value as Json;

use crate::kit::{content, fail, glassbox, home, names, succeed};

/// Writes a benchmark of two files, each with one window, into `nab` in `home`.
fn benchmark(home: &Path) {
    fs::create_dir_all(home.join("nab/labels")).expect("a folder");
    let mut labels = serde_json::Map::new();
    for (file, bump) in [("calm/a.csv", 150), ("loud/b.csv", 180)] {
        let time = |row: usize| format!("2024-01-{:02} {:02}:00:00", 1 + row / 24, row % 24);
        let mut csv = String::from("timestamp,value\n");
        for row in 0..300 {
            let wave = (row as f64 / 4.0).sin() + if row == bump { 9.0 } else { 0.0 };
            writeln!(csv, "{},{wave}", time(row)).expect("text");
        }
        let path = home.join("nab/data").join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, csv).expect("room");
        labels.insert(file.into(), serde_json::json!([[time(bump - 5), time(bump + 5)]]));
    }
    let text = serde_json::to_string(&labels).expect("JSON");
    fs::write(home.join("nab/labels/combined_windows.json"), text).expect("room");
}

fn nab(home: &Path, arguments: &[&str]) -> Command {
    let mut command = glassbox(home);
    command.arg("nab").args(arguments).args(["--data", "nab/data"]);
    command
}

fn json(command: &mut Command) -> Json {
    serde_json::from_str(&succeed(command.arg("--json"))).expect("JSON")
}

#[test]
fn results_are_written_as_nab_does_and_scored_the_same_when_read() {
    let home = home();
    let home = home.path();
    benchmark(home);
    let run = json(&mut nab(home, &["run", "--detector", "windowedGaussian", "--out", "results"]));
    let folder = home.join("results/windowedGaussian");
    assert_eq!(names(&folder.join("calm")), ["windowedGaussian_a.csv"]);
    let text = fs::read_to_string(folder.join("loud/windowedGaussian_b.csv")).expect("results");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (301, "timestamp,value,anomaly_score,label"));
    assert!(lines[181].starts_with("2024-01-08 12:00:00,") && lines[181].ends_with(",1"), "{}", lines[181]);
    assert!(lines[180 + 7].ends_with(",0"));
    assert_eq!(run["windows"], 2);
    assert_eq!(run["profiles"][0]["profile"], "standard");
    // Both bumps are found at a threshold without a false alarm: half of a window's worth is left.
    let score = run["profiles"][0]["score"].as_f64().expect("a score");
    assert!(score > 90.0 && run["profiles"][0]["fp"] == 0, "{run}");

    assert_eq!(json(&mut nab(home, &["score", "results/windowedGaussian"])), run);
    let table = succeed(&mut nab(home, &["score", "results/windowedGaussian"]));
    for said in ["windowedGaussian: 2 files, 2 windows", "reward_low_FN_rate", "calm", "  b ", "all "] {
        assert!(table.contains(said), "{said}: {table}");
    }

    // NAB's own columns, times and files are taken.
    let theirs = home.join("theirs");
    for (group, file) in [("calm", "a"), ("loud", "b")] {
        let ours = fs::read_to_string(folder.join(group).join(format!("windowedGaussian_{file}.csv")))
            .expect("results");
        let with_more = ours.lines().enumerate().map(|(line, text)| match line {
            0 => format!("{text},S(t)_standard\n"),
            _ => format!("{},0.0\n", text.replacen(":00,", ":00.000000,", 1)),
        });
        fs::create_dir_all(theirs.join(group)).expect("a folder");
        fs::write(theirs.join(group).join(format!("theirs_{file}.csv")), with_more.collect::<String>())
            .expect("room");
    }
    fs::write(theirs.join("theirs_standard_scores.csv"), "not results").expect("room");
    let scored = json(&mut nab(home, &["score", "theirs"]));
    assert_eq!((&scored["detector"], &scored["profiles"]), (&"theirs".into(), &run["profiles"]));
}

#[test]
fn a_run_is_the_same_for_any_number_of_threads() {
    let home = home();
    let home = home.path();
    benchmark(home);
    let results = |threads: &str, seed: &str| {
        let out = format!("{threads}-{seed}");
        let run = json(&mut nab(home, &["run", "--threads", threads, "--seed", seed, "--out", &out]));
        let files: Vec<Vec<u8>> = content(&home.join(out)).into_iter().map(|(_, bytes)| bytes).collect();
        (run, files)
    };
    let one = results("1", "1");
    assert_eq!(results("3", "1"), one);
    assert_ne!(results("1", "2"), one);
}

#[test]
fn results_that_do_not_fit_are_refused_by_name() {
    let home = home();
    let home = home.path();
    benchmark(home);
    succeed(&mut nab(home, &["run", "--detector", "blind", "--out", "results", "--quiet"]));
    let file = home.join("results/blind/loud/blind_b.csv");
    let good = fs::read_to_string(&file).expect("results");
    let refused = |text: &str, said: &[&str]| {
        fs::write(&file, text).expect("room");
        let error = fail(&mut nab(home, &["score", "results/blind"]), 3);
        for said in said.iter().chain(&["blind_b.csv"]) {
            assert!(error.contains(said), "{said}: {error}");
        }
    };
    let without_last = good.trim_end().rsplit_once('\n').expect("rows").0;
    refused(without_last, &["299 rows", "data file 300"]);
    refused(&format!("{good}2025-01-01 00:00:00,1,0,0\n"), &["line 302", "more rows than the 300"]);
    for score in ["1.5", "-0.1", "NaN", "high"] {
        let row = good.lines().nth(2).expect("a row");
        let cells: Vec<&str> = row.split(',').collect();
        let bad = good.replacen(row, &format!("{},{},{score},{}", cells[0], cells[1], cells[3]), 1);
        refused(&bad, &["line 3", score, "from 0 to 1"]);
    }
    refused(
        &good.replacen("2024-01-01 01:00:00", "2024-01-01 01:30:00", 1),
        &["line 3", "01:30:00", "01:00:00"],
    );
    refused(&good.replacen("anomaly_score", "score", 1), &["no column `anomaly_score`"]);
    refused("", &["no column"]);
    // Nor does a run replace what is not as it wrote it.
    let error = fail(&mut nab(home, &["run", "--detector", "blind", "--out", "results"]), 5);
    assert!(error.contains("blind_b.csv") && error.contains("changed"), "{error}");

    fs::remove_file(&file).expect("results");
    let error = fail(&mut nab(home, &["score", "results/blind"]), 3);
    assert!(error.contains("blind_b.csv") && error.contains("2 files"), "{error}");
    fs::write(&file, &good).expect("room");
    let other = home.join("results/blind/loud/blind_c.csv");
    fs::write(&other, &good).expect("room");
    let error = fail(&mut nab(home, &["score", "results/blind"]), 3);
    assert!(error.contains("blind_c.csv") && error.contains("no file of the benchmark"), "{error}");
    let error = fail(&mut nab(home, &["score", "nowhere"]), 3);
    assert!(error.contains("nowhere"), "{error}");

    let error = fail(glassbox(home).args(["nab", "score", "results/blind"]), 3);
    assert!(error.contains("--data") && error.contains("GLASSBOX_NAB"), "{error}");
    let error = fail(&mut nab(home, &["run", "--detector", "oracle"]), 2);
    assert!(error.contains("oracle") && error.contains("windowedGaussian"), "{error}");
    let error = fail(&mut nab(home, &["run", "--labels", "nab/labels/none.json"]), 3);
    assert!(error.contains("none.json") && error.contains("combined_windows.json"), "{error}");
}
