//! A run that is killed at any moment and resumed ends with the same bits as one that was not.
//!
//! The kills are real: SIGKILL, which no process can handle, at random moments of a real run, until it has
//! been hit often enough; then the run is let to its end.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::kit::{first_rows, glassbox, home, succeed, twin};
use glassbox_engine::random::{Purpose, Stream};

const KILLS: usize = 8;

fn train(home: &Path, csv: &Path, name: &str) -> Command {
    let mut command = glassbox(home);
    command.arg("train").arg(csv).args(["--time-steps", "64", "--epochs", "12", "--patience", "3"]);
    command
        .args(["--batch-size", "32", "--restore-best-weights", "--quiet", "--out"])
        .arg(home.join(name).join("model.safetensors"));
    command
}

#[test]
fn a_run_killed_at_random_moments_ends_with_the_same_bits() {
    let home = home();
    let csv = first_rows(&twin(home.path()).0, 400);

    let started = Instant::now();
    succeed(&mut train(home.path(), &csv, "whole"));
    let whole_run = started.elapsed();

    let checkpoints = home.path().join("checkpoints");
    let resumed = || {
        let mut command = train(home.path(), &csv, "killed");
        command.arg("--checkpoint-dir").arg(&checkpoints).arg("--resume");
        command
    };
    let mut draws = Stream::new(2014, Purpose::Check, 0, 0).draws();
    let (mut kills, mut kills_with_a_checkpoint) = (0, 0);
    // A life is long enough to get somewhere, and short enough that a run has many of them. On a busy machine
    // lives may end before the first epoch: then they get longer. Or a run may come to its end before it was
    // hit often enough: then it starts anew, and lives get shorter.
    let mut longest_life = whole_run / 3;
    while kills < KILLS || kills_with_a_checkpoint < KILLS / 2 {
        let mut child = resumed().stdout(Stdio::null()).spawn().expect("the binary starts");
        std::thread::sleep(longest_life.mul_f64(draws.uniform()));
        // `kill` is SIGKILL on Unix and TerminateProcess on Windows; on a process that has ended it does
        // nothing.
        let _ = child.kill();
        let status = child.wait().expect("a child to wait for");
        if status.success() {
            std::fs::remove_dir_all(&checkpoints).expect("a finished run has a checkpoint");
            longest_life /= 2;
            continue;
        }
        kills += 1;
        assert!(
            kills < 1000,
            "{kills} kills, {kills_with_a_checkpoint} of them of a run that had a checkpoint"
        );
        match checkpoints.join("checkpoint.safetensors").exists() {
            true => kills_with_a_checkpoint += 1,
            false => longest_life = (longest_life * 2).min(Duration::from_secs(60)),
        }
    }
    succeed(&mut resumed());

    for file in ["model.safetensors", "model.history.json"] {
        let [whole, killed] = ["whole", "killed"].map(|run| std::fs::read(home.path().join(run).join(file)));
        assert!(
            whole.expect("written by the whole run") == killed.expect("written by the killed run"),
            "{file}"
        );
    }
}

/// A checkpoint says which run it is of, and no other run goes on from it.
#[test]
fn another_run_does_not_go_on_from_a_checkpoint() {
    let home = home();
    let csv = first_rows(&twin(home.path()).0, 200);
    let run = |extra: &[&str]| {
        let mut command = train(home.path(), &csv, "run");
        command.args(["--checkpoint-dir", "checkpoints", "--resume"]).args(extra);
        command
    };
    succeed(&mut run(&[]));
    let model = std::fs::read(home.path().join("run/model.safetensors")).expect("a model");
    let checkpoint =
        std::fs::read(home.path().join("checkpoints/checkpoint.safetensors")).expect("a checkpoint");

    let error = crate::kit::fail(&mut run(&["--seed", "9"]), 3);
    assert!(error.contains("seed") && error.contains('9'), "{error}");

    std::fs::write(home.path().join("checkpoints/checkpoint.safetensors"), &checkpoint[..1000])
        .expect("a short file");
    let error = crate::kit::fail(&mut run(&[]), 3);
    assert!(error.contains("checkpoint.safetensors"), "{error}");
    // Neither failure has harmed what was there.
    assert!(std::fs::read(home.path().join("run/model.safetensors")).expect("a model") == model);
}
