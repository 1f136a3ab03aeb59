//! `glassbox tutorial --study`, and the last words of a run. The numbers are checked elsewhere (`tests/study.rs`).

use std::fs;

use serde_json::Value as Json;

use crate::kit::{fail, glassbox, home, succeed, twin};

#[test]
fn a_study_is_made_beside_the_tutorial_when_it_is_asked_for() {
    let home = home();
    let mut command = glassbox(home.path());
    command.args(["--epochs", "1", "--batch-size", "512", "--study", "--study-seeds", "1", "--json"]);
    let output = command.output().expect("the binary starts");
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "nothing where there is no terminal: {output:?}");
    let document: Json = serde_json::from_slice(&output.stdout).expect("JSON");
    let out = home.path().join("glassbox-out");
    let study: Json =
        serde_json::from_slice(&fs::read(out.join("study.json")).expect("a study")).expect("JSON");
    assert_eq!(document["study"], study);
    assert_eq!(study["config"]["seeds"], serde_json::json!([1]));
    assert!(out.join("study.csv").exists() && out.join("result.json").exists());
    // The study's tutorial is the run beside it, though it ran on one thread.
    let run = &study["variants"][0]["runs"][0];
    assert_eq!(run["threshold"], document["threshold"]);
    assert_eq!(run["points"], document["anomalies"]["points"]["count"]);
    assert_eq!(run["windows"], document["anomalies"]["windows"]["count"]);
}

#[test]
fn a_run_ends_with_what_was_found_how_true_that_is_and_where_it_lies() {
    let home = home();
    let last_words = |command: &mut std::process::Command| -> Vec<String> {
        let printed = succeed(command.args(["--epochs", "1", "--batch-size", "512"]));
        let lines: Vec<String> = printed.lines().map(str::to_string).collect();
        lines[lines.len() - 3..].to_vec()
    };
    let [found, truth, places] = &last_words(&mut glassbox(home.path()))[..] else { panic!("three lines") };
    assert!(found.starts_with("Anomalous: 2014-04-11 ") || found.starts_with("No point"), "{found}");
    assert!(
        truth.starts_with("Ground truth: 2014-04-11 09:00:00 to 2014-04-11 18:00:00, 109 points"),
        "{truth}"
    );
    assert!(places.contains("glassbox-out") && places.contains("result.json"), "{places}");
    // The twin's files as a user's own: what is true of them is not known.
    twin(home.path());
    let words = last_words(glassbox(home.path()).args(["--data", "nab"]));
    assert!(words[1].ends_with("not known for this series."), "{words:?}");
    let error = fail(glassbox(home.path()).args(["--data", "nab", "--epochs", "1", "--study"]), 3);
    assert!(error.contains("is not known"), "{error}");
}
