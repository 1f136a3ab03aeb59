//! The files that a full disk and a killed process leave.

use std::fs;
use std::process::Command;

use crate::kit::{clean, content, fail, home, names, succeed, train, tutorial};

/// A file may be no larger than so many kilobytes, as if the disk were full then; for the command and what it starts.
#[cfg(unix)]
fn with_room(kilobytes: u32, command: &Command) -> Command {
    let mut limited = Command::new("bash");
    // The signal that comes with it ends the process by default; ignored, the write fails.
    limited.args(["-c", &format!("trap '' XFSZ; ulimit -f {kilobytes} && exec \"$@\""), "bash"]);
    limited.arg(command.get_program()).args(command.get_args());
    let home = command.get_current_dir().expect("a home");
    clean(limited, home)
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_all_of_the_run_before() {
    let home = home();
    if !Command::new("bash").args(["-c", "ulimit -f 8"]).status().is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: no bash with `ulimit -f`");
        return;
    }
    succeed(&mut train(home.path(), &["--quiet"]));
    let read = |name: &str| fs::read(home.path().join(name)).expect(name);
    let before = (read("model.safetensors"), read("history.json"));
    assert!(before.0.len() > 8 * 1024 && before.1.len() < 8 * 1024, "only the history fits");
    let error = fail(&mut with_room(8, &train(home.path(), &["--seed", "2", "--quiet"])), 5);
    assert!(error.contains("model.safetensors") && error.contains("writing its content"), "{error}");
    assert!((read("model.safetensors"), read("history.json")) == before);

    succeed(&mut tutorial(home.path(), &["--quiet", "--out", "out"]));
    let out = home.path().join("out");
    let before = content(&out);
    // The model fits, and not each table.
    let error =
        fail(&mut with_room(64, &tutorial(home.path(), &["--seed", "2", "--quiet", "--out", "out"])), 5);
    assert!(error.contains("cannot write out/"), "{error}");
    assert!(content(&out) == before);
}

#[test]
fn what_killed_runs_left_of_our_files_goes_and_nothing_else() {
    let home = home();
    let out = home.path().join("out");
    fs::create_dir(&out).expect("room");
    for left in
        [&[".model.safetensors.a1B2c3.tmp", ".manifest.json.000000.tmp"][..], &[".losses.svg.XXXXXX.tmp"]]
    {
        for name in left {
            fs::write(out.join(name), "half").expect("room");
        }
        succeed(&mut tutorial(home.path(), &["--quiet", "--out", "out"]));
        assert!(names(&out).iter().all(|name| !name.ends_with(".tmp")), "{:?}", names(&out));
    }

    let (ours, other) = (".model.safetensors.a1B2c3.tmp", ".other.a1B2c3.tmp");
    for name in [ours, other] {
        fs::write(home.path().join(name), "half").expect("room");
    }
    succeed(&mut train(home.path(), &[]));
    assert!(!home.path().join(ours).exists() && home.path().join(other).exists());
}
