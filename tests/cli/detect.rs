//! `detect` on data of one's own: what is found, what is refused, and what every row is told.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use glassbox_tests::real_data;
use serde_json::Value as Json;

use crate::kit::{fail, glassbox, home, succeed};

/// Minutes since 2014-04-01 as a timestamp of a CSV.
pub(crate) fn time(minutes: usize) -> String {
    let (days, minutes) = (minutes / 1440, minutes % 1440);
    format!("2014-{:02}-{:02} {:02}:{:02}:00", 4 + days / 30, 1 + days % 30, minutes / 60, minutes % 60)
}

/// A value below 90, like the tutorial's: a daily wave of five-minute rows with noise of its own seed.
pub(crate) fn value(row: usize, seed: usize) -> f64 {
    let noise = ((row * 7919 + seed * 104_729) * 2_654_435_761 % 1_000_003) as f64 / 1_000_003.0;
    50.0 + 30.0 * (std::f64::consts::TAU * row as f64 / 96.0).sin() + 8.0 * (noise - 0.5)
}

/// Writes a CSV with a row every `step` minutes.
fn write(path: &Path, step: usize, values: impl Iterator<Item = String>) {
    let rows = values.enumerate().map(|(row, value)| format!("{},{value}\n", time(step * row)));
    fs::write(path, format!("timestamp,value\n{}", rows.collect::<String>())).expect("room");
}

/// A detector of windows of 96 rows, `model.safetensors`.
pub(crate) fn train(home: &Path) {
    write(&home.join("normal.csv"), 5, (0..1920).map(|row| value(row, 1).to_string()));
    let mut train = glassbox(home);
    succeed(train.args(["train", "normal.csv", "--time-steps", "96", "--epochs", "12", "--quiet"]));
}

fn detect(home: &Path, file: &str, more: &[&str]) -> Command {
    let mut command = glassbox(home);
    command.args(["detect", file, "--model", "model.safetensors"]).args(more);
    command
}

/// The verdicts of all rows, from the CSV; and standard error.
fn verdicts(command: &mut Command) -> (Vec<String>, String) {
    let output = command.output().expect("the binary starts");
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{stderr}");
    let text = String::from_utf8(output.stdout).expect("text");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("timestamp,value,score,live_score,verdict,reason"));
    let verdict = |line: &str| line.split(',').nth(4).expect("a verdict").to_owned();
    (lines.map(verdict).collect(), stderr)
}

fn anomalous(verdicts: &[String]) -> Vec<usize> {
    (0..verdicts.len()).filter(|row| verdicts[*row] == "anomalous").collect()
}

/// The published rule misses these silently: 200 rows of 500 at the end, three rows of 150 in the middle.
#[test]
fn values_that_never_occurred_are_found_at_the_end_and_in_the_middle() {
    let home = home();
    train(home.path());
    let appended = (0..1000).map(|row| value(row, 2)).chain([500.0; 200]);
    write(&home.path().join("appended.csv"), 5, appended.map(|value| value.to_string()));
    let (found, stderr) = verdicts(&mut detect(home.path(), "appended.csv", &[]));
    assert_eq!(found.len(), 1200);
    let rows = anomalous(&found);
    assert!((1000..1200).all(|row| rows.contains(&row)), "{rows:?}");
    assert!(rows.iter().filter(|row| **row < 1000 - 96).count() <= 5, "{rows:?}");
    assert!(stderr.contains(&format!("{} of 1200 rows are anomalous", rows.len())), "{stderr}");

    let spike = (0..1200).map(|row| if (600..603).contains(&row) { 150.0 } else { value(row, 2) });
    write(&home.path().join("spike.csv"), 5, spike.map(|value| value.to_string()));
    let rows = anomalous(&verdicts(&mut detect(home.path(), "spike.csv", &[])).0);
    assert!((600..603).all(|row| rows.contains(&row)), "{rows:?}");
    assert!(rows.iter().filter(|row| !(504..699).contains(*row)).count() <= 5, "{rows:?}");

    // The published rule judges none of the last 95 rows: it finds windows and no point, and says so.
    let appended = (0..1000).map(|row| value(row, 2)).chain([500.0; 60]);
    write(&home.path().join("short.csv"), 5, appended.map(|value| value.to_string()));
    let output =
        detect(home.path(), "short.csv", &["--rule", "published"]).output().expect("the binary starts");
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert_eq!(String::from_utf8(output.stdout).expect("text"), "index,timestamp,value\n");
    assert!(stderr.contains("warning: ") && stderr.contains("but no point"), "{stderr}");
}

#[test]
fn an_hourly_series_is_not_judged_by_a_detector_of_five_minutes() {
    let home = home();
    train(home.path());
    write(&home.path().join("hourly.csv"), 60, (0..400).map(|row| value(12 * row, 2).to_string()));
    let error = fail(&mut detect(home.path(), "hourly.csv", &[]), 3);
    for part in ["every 1h", "every 5m", "--resample"] {
        assert!(error.contains(part), "no {part} in {error}");
    }
    let (found, stderr) = verdicts(&mut detect(home.path(), "hourly.csv", &["--resample"]));
    // 399 hours, and the last row.
    assert_eq!(found.len(), 399 * 12 + 1);
    assert!(stderr.contains("resampled 400 rows to a step of 5m: 4789"), "{stderr}");
}

/// A real series with labelled anomalies at two spikes, of which the published rule finds nothing.
#[test]
fn the_spikes_of_a_real_series_are_found() {
    let Some(nab) = real_data("GLASSBOX_NAB") else { return };
    let home = home();
    let text =
        fs::read_to_string(nab.join("realAWSCloudwatch/ec2_cpu_utilization_24ae8d.csv")).expect("a file");
    let lines: Vec<&str> = text.lines().collect();
    fs::write(home.path().join("first.csv"), lines[..2001].join("\n")).expect("room");
    fs::write(home.path().join("all.csv"), &text).expect("room");
    let mut train = glassbox(home.path());
    succeed(train.args(["train", "first.csv", "--time-steps", "96", "--epochs", "8", "--quiet"]));
    let (found, _) = verdicts(&mut detect(home.path(), "all.csv", &[]));
    let rows = anomalous(&found);
    let at = |time: &str| lines.iter().position(|line| line.starts_with(time)).expect("a row") - 1;
    for label in ["2014-02-26 22:05:00", "2014-02-27 17:15:00"] {
        let label = at(label);
        assert!(rows.iter().any(|row| row.abs_diff(label) <= 12), "nothing near {label}: {rows:?}");
    }
    assert!(rows.len() < 100, "{rows:?}");
}

#[test]
fn every_row_of_a_file_has_a_verdict() {
    let home = home();
    train(home.path());
    // Two rows without a value, a row twice, and a part of a day missing.
    let rows = (0..600).filter(|row| !(300..330).contains(row)).map(|row| match row {
        100 => format!("{},\n", time(5 * row)),
        350 => format!("{},NaN\n", time(5 * row)),
        450 => format!("{0},{1}\n{0},{1}\n", time(5 * row), value(row, 2)),
        _ => format!("{},{}\n", time(5 * row), value(row, 2)),
    });
    fs::write(home.path().join("rough.csv"), format!("timestamp,value\n{}", rows.collect::<String>()))
        .expect("room");
    let (found, stderr) = verdicts(&mut detect(home.path(), "rough.csv", &[]));
    assert_eq!(found.len(), 571);
    // Rows 101 ..= 299 are long enough, the 20 between the gap and the missing value are not.
    let unjudged: Vec<usize> = (0..571).filter(|row| found[*row] == "unjudged").collect();
    assert_eq!(unjudged, [100].into_iter().chain(300..=320).chain([421]).collect::<Vec<_>>());
    assert!(stderr.contains("left out 2 rows without a value, 1 row that repeats a timestamp"), "{stderr}");
    assert!(stderr.contains("23 not judged") && stderr.contains("no window runs across"), "{stderr}");

    let text = succeed(&mut detect(home.path(), "rough.csv", &[]));
    let reason = |row: usize| text.lines().nth(row + 1).expect("a row").rsplit(',').next().expect("a reason");
    assert_eq!(
        [100, 300, 320, 421, 0].map(reason),
        ["missing value", "stretch shorter than a window", "missing value", "repeated timestamp", ""]
    );
    let document: Json =
        serde_json::from_str(&succeed(&mut detect(home.path(), "rough.csv", &["--json"]))).expect("JSON");
    let counts: Vec<&str> =
        document.as_object().expect("an object").keys().map(String::as_str).take(5).collect();
    assert_eq!(counts, ["series", "rows", "anomalous", "normal", "unjudged"]);
    assert_eq!((&document["rows"], &document["unjudged"]), (&571.into(), &23.into()));
    assert_eq!(document["judged"].as_array().expect("rows").len(), 571);
    assert_eq!(document["judged"][100]["reason"], "missing value");

    let only = succeed(&mut detect(home.path(), "rough.csv", &["--only-anomalies"]));
    assert_eq!(only.lines().count(), 1 + anomalous(&found).len());
    let error = fail(&mut detect(home.path(), "rough.csv", &["--on-bad-rows", "refuse"]), 3);
    assert!(error.contains("line 102") && error.contains("missing value"), "{error}");
}

#[test]
fn a_threshold_goes_with_its_rule() {
    let home = home();
    train(home.path());
    for (words, part) in [
        (&["--threshold", "0.1"][..], "--rule published"),
        (&["--rule", "inclusive", "--threshold", "max"], "give a number"),
        (&["--rule", "published", "--resample"], "--resample"),
        (&["--rule", "published", "--only-anomalies"], "--only-anomalies"),
        (&["--rule", "published", "--on-bad-rows", "skip"], "--on-bad-rows"),
        (&["--format", "windows"], "--rule published"),
        (&["--threshold", "quantile:2"], "2 is out of range"),
        (&["--threshold", "quantile:0.999999"], "at least 1000000 training rows"),
    ] {
        let error = fail(&mut detect(home.path(), "normal.csv", words), 3);
        assert!(error.contains(part), "{words:?}: {error}");
    }
    let error = fail(&mut detect(home.path(), "normal.csv", &["--threshold", "peaks"]), 2);
    assert!(error.contains("peaks:RATE"), "{error}");
    let count = |threshold: &str| {
        let (found, stderr) = verdicts(&mut detect(home.path(), "normal.csv", &["--threshold", threshold]));
        assert!(stderr.contains("from 1825 training windows"), "{stderr}");
        anomalous(&found).len()
    };
    assert_eq!(count("max"), 0);
    // Of 1920 rows, 1 % are 19.2.
    assert_eq!(count("quantile:0.99"), 19);
    assert!(count("peaks:0.005") > 0);
    assert!(count("robust-z:1") > 19);
}

#[test]
fn columns_are_those_of_the_training_series_and_each_has_its_share() {
    let home = home();
    let wave = |row: usize, seed: usize| (value(row, seed), 1000.0 - 5.0 * value(row + 17, seed + 9));
    let both = |(left, right): (f64, f64)| format!("{left},{right}");
    let write = |name: &str, rows: usize, change: &dyn Fn(usize, (f64, f64)) -> (f64, f64), seed: usize| {
        let rows = (0..rows).map(|row| format!("{},{}\n", time(5 * row), both(change(row, wave(row, seed)))));
        let text = format!("when,left,right\n{}", rows.collect::<String>());
        fs::write(home.path().join(name), text).expect("room");
    };
    write("normal.csv", 1920, &|_, values| values, 1);
    write("new.csv", 400, &|row, (left, right)| (left, if row == 200 { 3000.0 } else { right }), 2);
    let mut train = glassbox(home.path());
    train.args(["train", "normal.csv", "--timestamp-column", "when", "--epochs", "8"]);
    let output = train
        .args(["--value-column", "left", "--value-column", "right"])
        .output()
        .expect("the binary starts");
    let stderr = String::from_utf8(output.stderr).expect("text");
    // Nobody said how long a window is.
    assert!(
        output.status.success() && stderr.starts_with("windows of 96 rows: the series repeats after"),
        "{stderr}"
    );

    let found =
        succeed(&mut detect(home.path(), "new.csv", &["--timestamp-column", "when", "--only-anomalies"]));
    let mut lines = found.lines();
    let header = "when,left,right,score,live_score,verdict,reason,share:left,share:right";
    assert_eq!(lines.next(), Some(header));
    let row = lines.find(|line| line.starts_with(&time(5 * 200))).expect("the row");
    let share: f64 = row.rsplit(',').next().expect("a share").parse().expect("a number");
    assert!(share > 0.5, "{row}");

    let error = fail(
        &mut detect(home.path(), "new.csv", &["--timestamp-column", "when", "--value-column", "left"]),
        3,
    );
    assert!(error.contains("reads 2 channels"), "{error}");
}

#[test]
fn standard_input_is_a_series_too() {
    let home = home();
    train(home.path());
    let text = fs::read(home.path().join("normal.csv")).expect("a file");
    let mut command = detect(home.path(), "-", &[]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    child.stdin.take().expect("a pipe").write_all(&text).expect("a reader");
    let output = child.wait_with_output().expect("an end");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, succeed(&mut detect(home.path(), "normal.csv", &[])).into_bytes());
}
