//! `glassbox replicate`: rows that are not computed twice, and a comparison that can be checked.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value as Json;

use crate::kit::{fail, glassbox, home, succeed};

fn replicate(home: &Path, seeds: &str, more: &[&str]) -> Command {
    replicate_into(home, "r", seeds, more)
}

fn replicate_into(home: &Path, out: &str, seeds: &str, more: &[&str]) -> Command {
    let mut command = glassbox(home);
    command.args(["replicate", "--epochs", "1", "--batch-size", "512", "--seeds", seeds, "--out", out]);
    command.args(more);
    command
}

#[test]
fn seeds_that_have_a_row_are_not_run_again() {
    let home = home();
    let rows = home.path().join("r/runs.csv");
    let told = succeed(&mut replicate(home.path(), "2", &[]));
    assert!(told.contains("only indicative"), "on the twin: {told}");
    let first = fs::read_to_string(&rows).expect("rows");
    let lines: Vec<&str> = first.lines().collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0], "seed,epochs,loss,val_loss,threshold,windows,points,first_point,last_point,seconds");

    // A mark that no run would give.
    let seconds = lines[1].rsplit(',').next().expect("seconds");
    let marked = first.replacen(&format!(",{seconds}\n"), ",1234.5\n", 1);
    assert!(marked != first);
    fs::write(&rows, &marked).expect("room");
    let result: Json =
        serde_json::from_str(&succeed(&mut replicate(home.path(), "3", &["--json", "--threads", "2"])))
            .expect("JSON");
    let rows_now = fs::read_to_string(&rows).expect("rows");
    assert!(rows_now.starts_with(&marked), "{rows_now}");
    assert_eq!(rows_now.lines().count(), 4);
    assert_eq!(result["config"]["seeds"], serde_json::json!([1, 2, 3]));
    assert_eq!(result["runs"][0]["seconds"], 1234.5);

    // A row is a function of its seed: alone in another folder it is the same.
    let mut alone = replicate_into(home.path(), "alone", "1", &["--seed", "3", "--json"]);
    let alone: Json = serde_json::from_str(&succeed(&mut alone)).expect("JSON");
    let without_seconds = |run: &Json| {
        let mut run = run.clone();
        run.as_object_mut().expect("a run").remove("seconds");
        run
    };
    assert_eq!(without_seconds(&alone["runs"][0]), without_seconds(&result["runs"][2]));
    check(home.path(), &result);

    // Rows of other options are refused by name, and stay.
    let error = fail(&mut replicate(home.path(), "2", &["--patience", "2"]), 3);
    assert!(error.contains("patience is 5 in them and 2 now"), "{error}");
    assert_eq!(fs::read_to_string(&rows).expect("rows"), rows_now);
    fs::write(&rows, rows_now.replace("1234.5", "long")).expect("room");
    let error = fail(&mut replicate(home.path(), "2", &[]), 3);
    assert!(error.contains("runs.csv") && error.contains("line: 2") && error.contains("float"), "{error}");
    for impossible in ["inf", "1e308", "-1.0", "NaN"] {
        let row = rows_now.lines().nth(1).expect("a row");
        let threshold = row.split(',').nth(4).expect("a threshold");
        fs::write(&rows, rows_now.replace(row, &row.replace(threshold, impossible))).expect("room");
        let error = fail(&mut replicate(home.path(), "3", &[]), 3);
        assert!(error.contains("the threshold of seed 1 is") && error.contains("3.4028235e38"), "{error}");
    }
    fs::remove_file(home.path().join("r/options.json")).expect("options");
    let error = fail(&mut replicate(home.path(), "2", &[]), 3);
    assert!(error.contains("options.json is missing"), "{error}");
    let error = fail(&mut replicate_into(home.path(), "none", "0", &[]), 3);
    assert!(error.contains("0 seeds"), "{error}");
}

/// Distances by their definition, and a plot of each.
fn check(home: &Path, result: &Json) {
    assert_eq!(result["indicative"], true);
    let file: Json =
        serde_json::from_slice(&fs::read(home.join("r/replicate.json")).expect("a file")).expect("JSON");
    assert_eq!(&file, result);
    let values = |runs: &Json, quantity: &str| -> Vec<f64> {
        let runs = runs.as_array().expect("runs").iter();
        runs.map(|run| run[quantity].as_f64().expect("a number")).collect()
    };
    let comparison = result["comparison"].as_array().expect("a comparison");
    assert_eq!(comparison.len(), 6);
    for quantity in comparison {
        let name = quantity["quantity"].as_str().expect("a name");
        let (ours, keras) = (values(&result["runs"], name), values(&result["keras"]["measured"], name));
        assert_eq!((ours.len(), keras.len()), (3, 60));
        let part = |of: &[f64], x: f64| of.iter().filter(|v| **v <= x).count() as f64 / of.len() as f64;
        let distance =
            ours.iter().chain(&keras).map(|x| (part(&ours, *x) - part(&keras, *x)).abs()).fold(0.0, f64::max);
        assert_eq!(quantity["distance"].as_f64(), Some(distance), "{name}");
        let svg = fs::read_to_string(home.join(format!("r/plots/{name}.svg"))).expect(name);
        assert!(svg.starts_with("<svg") && svg.contains(&format!("distance {distance:.3}")), "{name}");
    }
    let all = fs::read_to_string(home.join("r/plots/distributions.svg")).expect("the overview");
    // Six panels with two distribution functions each; every panel has its marks beside.
    assert_eq!(all.matches("distance ").count(), 6);
    assert!(all.matches("<polyline").count() >= 12, "{}", all.matches("<polyline").count());
    assert!(all.contains("only indicative"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_the_rows_that_are_done_and_the_command_goes_on() {
    use std::process::Stdio;
    use std::time::Duration;

    let home = home();
    let rows = home.path().join("r/runs.csv");
    let mut child = replicate(home.path(), "1000", &["--threads", "2"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    while !rows.exists() {
        assert!(child.try_wait().expect("a child").is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(5));
    }
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(status.success());
    let output = child.wait_with_output().expect("a child to wait for");
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("of 1000 seeds") && stderr.contains("r/runs.csv"), "{stderr}");
    let command = stderr.lines().last().expect("a command");
    assert!(command.contains("replicate") && command.contains("--seeds 1000"), "{command}");

    let kept = fs::read_to_string(&rows).expect("rows");
    let done = kept.lines().count() - 1;
    assert!((1..1000).contains(&done), "{done}");
    let seeds = (done + 1).to_string();
    succeed(&mut replicate(home.path(), &seeds, &[]));
    let now = fs::read_to_string(&rows).expect("rows");
    assert!(kept.lines().all(|row| now.lines().any(|other| other == row)), "{kept}\n{now}");
}
