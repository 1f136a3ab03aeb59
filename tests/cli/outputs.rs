//! What a command may write over, what it must not, and what is there when it could not write.

use std::fs;
use std::path::Path;
use std::process::Command;

use glassbox_formats::arrays::write_npy;
use glassbox_formats::lock::Lock;
use glassbox_tests::fixtures;
use ndarray::Array3;

use crate::kit::{clean, fail, first_rows, glassbox, home, succeed, twin};

/// A short training on the first rows of the twin, which lie in `data.csv`.
fn train(home: &Path, more: &[&str]) -> Command {
    let csv = home.join("data.csv");
    if !csv.exists() {
        fs::rename(first_rows(&twin(home).0, 200), &csv).expect("a CSV");
    }
    let mut command = glassbox(home);
    command.args(["train", "data.csv"]).args(more);
    for (option, value) in [("--time-steps", "16"), ("--epochs", "1")] {
        if !more.contains(&option) {
            command.args([option, value]);
        }
    }
    command
}

/// The shortest tutorial.
fn tutorial(home: &Path, more: &[&str]) -> Command {
    let mut command = glassbox(home);
    command.args(["--epochs", "1", "--batch-size", "512"]).args(more);
    command
}

/// JSON is UTF-8 and a path need not be: what it cannot hold is replaced in it, and the file has its own name.
#[test]
#[cfg(unix)]
fn an_output_whose_name_is_not_utf_8_is_written_and_told() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    let home = home();
    let name = OsStr::from_bytes(b"m\xFF.safetensors");
    let told = succeed(train(home.path(), &["--json", "--quiet"]).arg("--out").arg(name));
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["model"], "m\u{FFFD}.safetensors");
    assert!(home.path().join(name).exists());
}

#[test]
fn an_output_is_no_input_and_no_other_output() {
    let home = home();
    succeed(&mut train(home.path(), &[]));
    let read = |name: &str| fs::read(home.path().join(name)).expect(name);
    let (csv, model) = (read("data.csv"), read("model.safetensors"));
    let x = Array3::<f32>::zeros((4, 16, 1));
    write_npy(&home.path().join("x.npy"), x.view()).expect("room");
    let array = read("x.npy");
    let architecture = fixtures::path("architectures/relu_layers.json");
    let architecture = architecture.to_str().expect("a path");

    let detect = ["detect", "data.csv", "--model", "model.safetensors", "--output"];
    let predict = ["predict", "--model", "model.safetensors", "--input", "x.npy", "--output"];
    let fit = ["fit-arrays", "--architecture", architecture, "--input", "x.npy", "--out"];
    let command = |first: &[&str], more: &[&str]| {
        let mut command = glassbox(home.path());
        command.args(first).args(more);
        command
    };
    for (mut command, names) in [
        (train(home.path(), &["--out", "data.csv"]), ["--out", "the training series"]),
        (train(home.path(), &["--out", "./data.csv"]), ["--out", "the training series"]),
        (train(home.path(), &["--history", "data.csv"]), ["--history", "the training series"]),
        (train(home.path(), &["--out", "z.st", "--history", "z.st"]), ["--history", "--out"]),
        (train(home.path(), &["--model", "model.safetensors"]), ["--out", "--model"]),
        (command(&detect, &["data.csv"]), ["--output", "the series"]),
        (command(&detect, &["model.safetensors"]), ["--output", "--model"]),
        (command(&predict, &["x.npy"]), ["--output", "--input"]),
        (command(&predict, &["model.safetensors"]), ["--output", "--model"]),
        (command(&fit, &["x.npy"]), ["--out", "--input"]),
        (command(&fit, &["y.st", "--history", "y.st"]), ["--history", "--out"]),
    ] {
        let error = fail(&mut command, 3);
        assert!(names.iter().all(|name| error.contains(name)) && error.contains("one file"), "{error}");
    }
    for (name, before) in [("data.csv", csv), ("model.safetensors", model), ("x.npy", array)] {
        assert!(read(name) == before, "{name} has changed");
    }
    assert!(!home.path().join("z.st").exists() && !home.path().join("y.st").exists());
}

#[test]
fn what_cannot_be_written_is_found_before_training() {
    let home = home();
    // A batch of the first epoch would fail: that it does not come so far is what is asked.
    let mut diverging = train(home.path(), &["--learning-rate", "1e30", "--epochs", "3", "--out", "."]);
    let error = fail(&mut diverging, 5);
    assert!(error.contains("cannot write ."), "{error}");
    fs::write(home.path().join("file"), "kept").expect("room");
    for mut command in [
        train(home.path(), &["--learning-rate", "1e30", "--history", "file/history.json"]),
        train(home.path(), &["--learning-rate", "1e30", "--checkpoint-dir", "file"]),
        tutorial(home.path(), &["--learning-rate", "1e30", "--out", "file"]),
    ] {
        let error = fail(&mut command, 5);
        assert!(error.contains("cannot write file/"), "{error}");
    }
    assert_eq!(fs::read_to_string(home.path().join("file")).expect("the file"), "kept");
    // An option that makes no sense is found by then as well.
    let error = fail(&mut tutorial(home.path(), &["--study", "--study-seeds", "0"]), 2);
    assert!(error.contains("--study-seeds"), "{error}");
    assert!(!home.path().join("glassbox-out").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_output_costs_no_results() {
    let home = home();
    // As a shell redirects to it: opened, never replaced.
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let error = fail(tutorial(home.path(), &[]).stdout(full), 5);
    assert!(error.contains("standard output") && error.contains("glassbox-out"), "{error}");
    for file in ["result.json", "model.safetensors", "report.html"] {
        assert!(home.path().join("glassbox-out").join(file).exists(), "{file}");
    }
}

#[test]
fn a_place_takes_one_run_at_a_time_and_keeps_no_lock() {
    let home = home();
    train(home.path(), &[]);
    let array = Array3::<f32>::zeros((20, 16, 1));
    write_npy(&home.path().join("x.npy"), array.view()).expect("room");
    let architecture = fixtures::path("architectures/relu_layers.json");
    let architecture = architecture.to_str().expect("a path");
    let fit = ["fit-arrays", "--architecture", architecture, "--input", "x.npy"];
    let before = names(home.path());
    let file =
        |name: &str| Lock::file(&home.path().join(name)).expect("nobody else is there").expect("no pipe");
    for (place, is_folder, mut command) in [
        ("out", true, tutorial(home.path(), &["--out", "out"])),
        ("r", true, glassbox_with(home.path(), &["replicate", "--seeds", "1", "--out", "r"])),
        ("kept", true, train(home.path(), &["--checkpoint-dir", "kept"])),
        ("model.safetensors", false, train(home.path(), &[])),
        ("history.json", false, train(home.path(), &[])),
        // Where Ctrl-C would keep the run.
        ("a.checkpoint", true, train(home.path(), &["--out", "a.st"])),
        ("final.safetensors", false, glassbox_with(home.path(), &fit)),
        ("final.checkpoint", true, glassbox_with(home.path(), &fit)),
    ] {
        let lock = match is_folder {
            true => Lock::folder(&home.path().join(place)).expect("nobody else is there"),
            false => file(place),
        };
        let error = fail(&mut command, 5);
        assert!(error.contains(&format!("writing into {place}:")), "{error}");
        drop(lock);
        #[cfg(unix)]
        assert_eq!(names(home.path()), before, "{place}");
    }
    succeed(&mut tutorial(home.path(), &["--out", "out", "--checkpoint-dir", "out", "--quiet"]));
    succeed(&mut train(home.path(), &[]));
    assert!(!home.path().join("out/.lock").exists() || cfg!(not(unix)));
    let hidden = names(home.path()).into_iter().filter(|name| name.starts_with('.')).count();
    assert!(hidden == 0 || cfg!(not(unix)), "{:?}", names(home.path()));
    assert!(!home.path().join("model.checkpoint").exists());
    // Two models at once, in one folder.
    let _other = file("model.safetensors");
    succeed(&mut train(home.path(), &["--out", "b.st"]));
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

#[cfg(unix)]
#[test]
fn a_lock_that_is_no_plain_file_is_refused_and_not_waited_on() {
    let home = home();
    fs::create_dir(home.path().join("out")).expect("room");
    let lock = home.path().join("out/.lock");
    assert!(Command::new("mkfifo").arg(&lock).status().expect("mkfifo runs").success());
    let error = fail(&mut tutorial(home.path(), &["--out", "out"]), 5);
    assert!(error.contains("out/.lock") && error.contains("not the plain file"), "{error}");
    fs::remove_file(&lock).expect("it was there");
    std::os::unix::fs::symlink("../elsewhere", &lock).expect("room");
    fail(&mut tutorial(home.path(), &["--out", "out"]), 5);
    assert!(!home.path().join("elsewhere").exists());
    fs::create_dir(home.path().join(".model.safetensors.lock")).expect("room");
    let error = fail(&mut train(home.path(), &[]), 5);
    assert!(error.contains(".model.safetensors.lock"), "{error}");
}

#[test]
fn an_output_is_not_where_an_interrupted_run_is_kept() {
    let home = home();
    let array = Array3::<f32>::zeros((20, 16, 1));
    write_npy(&home.path().join("x.npy"), array.view()).expect("room");
    let architecture = fixtures::path("architectures/relu_layers.json");
    let architecture = architecture.to_str().expect("a path");
    let fit = ["fit-arrays", "--architecture", architecture, "--input", "x.npy", "--out"];
    for (mut command, named) in [
        (train(home.path(), &["--out", "m.checkpoint"]), "--out is m.checkpoint"),
        (train(home.path(), &["--out", "x.st", "--history", "x.checkpoint"]), "--history is x.checkpoint"),
        (glassbox_with(home.path(), &[&fit[..], &["m.checkpoint"]].concat()), "--out is m.checkpoint"),
    ] {
        let error = fail(&mut command, 3);
        assert!(error.contains(named) && error.contains("the folder of the checkpoint"), "{error}");
    }
    assert!(!home.path().join("m.checkpoint").exists() && !home.path().join("x.checkpoint").exists());
    // Kept elsewhere, it is a name like others.
    succeed(&mut train(home.path(), &["--out", "m.checkpoint", "--checkpoint-dir", "kept"]));
}

fn glassbox_with(home: &Path, arguments: &[&str]) -> Command {
    let mut command = glassbox(home);
    command.args(arguments);
    command
}

#[test]
fn a_used_folder_has_nothing_of_the_run_before() {
    let home = home();
    let out = home.path().join("glassbox-out");
    let study = ["--quiet", "--study", "--study-seeds", "1"];
    succeed(&mut tutorial(home.path(), &study));
    fs::write(out.join("notes.txt"), "mine").expect("room");
    succeed(&mut tutorial(home.path(), &["--quiet", "--no-report", "--seed", "2"]));
    for gone in ["report.html", "plots", "inside.safetensors", "study.json", "study.csv"] {
        assert!(!out.join(gone).exists(), "{gone}");
    }
    assert!(out.join("result.json").exists() && out.join("notes.txt").exists());
}

/// Everything in a folder, with its content; a link by what it leads to.
fn content(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut all = vec![];
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if let Ok(link) = fs::read_link(&path) {
            all.push((path, link.into_os_string().into_encoded_bytes()));
        } else if path.is_dir() {
            all.extend(content(&path));
        } else {
            all.push((path.clone(), fs::read(&path).expect("a file")));
        }
    }
    all.sort();
    all
}

/// Refused by the name of what is in the way, and all is as it was. That it is refused at the start, a command shows that
/// would else diverge in its first epoch, which has another exit code.
fn refused(command: &mut Command, folder: &Path, named: &str) {
    let before = content(folder);
    let error = fail(command, 5);
    assert!(error.contains(named), "{error}");
    assert!(content(folder) == before, "{named}: the folder has changed");
}

#[test]
fn a_folder_that_is_not_one_of_results_is_left_as_it_is() {
    let home = home();
    let p = home.path().join("p");
    let run = |name: &str| tutorial(home.path(), &["--learning-rate", "1e30", "--out", name]);
    let replicate = |name: &str| glassbox_with(home.path(), &["replicate", "--seeds", "1", "--out", name]);
    fs::create_dir_all(p.join("plots")).expect("room");
    fs::write(p.join("plots/thesis.png"), "mine").expect("room");
    refused(&mut run("p"), &p, "p is not empty and not a folder of results");
    refused(&mut replicate("p"), &p, "p is not empty and not a folder of results");
    fs::write(p.join("train.csv"), "mine").expect("room");
    refused(&mut run("p"), &p, "choose another folder");

    // What an older version left has no list of its files: a run does not guess which they are.
    let old = home.path().join("old");
    succeed(&mut tutorial(home.path(), &["--quiet", "--out", "old"]));
    fs::remove_file(old.join("manifest.json")).expect("a list");
    refused(&mut run("old"), &old, "earlier versions wrote none");
    refused(&mut glassbox_with(home.path(), &["report", "old"]), &old, "is in the way");
    fs::remove_dir_all(old.join("plots")).expect("plots");
    fs::remove_file(old.join("report.html")).expect("a page");
    let error = fail(&mut glassbox_with(home.path(), &["report", "old"]), 3);
    assert!(
        error.contains("old has no manifest.json") && error.contains("make the results again"),
        "{error}"
    );

    // Somebody else's list.
    let web = home.path().join("web");
    fs::create_dir(&web).expect("room");
    fs::write(web.join("manifest.json"), r#"{"name": "app", "icons": []}"#).expect("room");
    refused(&mut run("web"), &web, "manifest.json");
    // A list that leads out of its folder.
    for name in ["../p/train.csv", "/p", "a/b/c", ""] {
        let list = serde_json::json!({"schema": 1, "generator": "glassbox", "files": {name: "0"}});
        fs::write(web.join("manifest.json"), list.to_string()).expect("room");
        refused(&mut run("web"), &web, "not a file of this folder");
    }
}

#[test]
fn in_a_folder_of_results_what_is_not_ours_is_neither_replaced_nor_removed() {
    let home = home();
    let out = home.path().join("out");
    let run = |more: &[&str]| tutorial(home.path(), &[&["--quiet", "--out", "out"], more].concat());
    let diverging = || run(&["--learning-rate", "1e30"]);
    succeed(&mut run(&[]));
    // In the way of nothing.
    fs::write(out.join("plots/thesis.png"), "mine").expect("room");
    succeed(&mut run(&["--seed", "2"]));
    assert_eq!(fs::read(out.join("plots/thesis.png")).expect("it stays"), b"mine");

    for name in
        ["train.csv", "windows.csv", "report.html", "plots/losses.svg", "study.csv", "model.safetensors"]
    {
        let path = out.join(name);
        let ours = fs::read(&path).ok();
        fs::write(&path, "mine").expect("room");
        refused(&mut diverging(), &out, name);
        match ours {
            Some(bytes) => fs::write(&path, bytes).expect("room"),
            None => fs::remove_file(&path).expect("it is there"),
        }
    }
    // A folder where a file should be, and a file where a folder should.
    let windows = fs::read(out.join("windows.csv")).expect("a file");
    fs::remove_file(out.join("windows.csv")).expect("it is there");
    fs::create_dir(out.join("windows.csv")).expect("room");
    refused(&mut diverging(), &out, "windows.csv");
    fs::remove_dir(out.join("windows.csv")).expect("it is there");
    fs::write(out.join("windows.csv"), windows).expect("room");
    fs::rename(out.join("plots"), home.path().join("pictures")).expect("room");
    fs::write(out.join("plots"), "mine").expect("room");
    refused(&mut diverging(), &out, "plots/");
    fs::remove_file(out.join("plots")).expect("it is there");
    // A file that is no checkpoint, where Ctrl-C would keep the run.
    fs::write(out.join("checkpoint.safetensors"), "mine").expect("room");
    let error = fail(&mut diverging(), 3);
    assert!(error.contains("checkpoint.safetensors") && error.contains("move it away"), "{error}");
    assert_eq!(fs::read(out.join("checkpoint.safetensors")).expect("it stays"), b"mine");
    fs::remove_file(out.join("checkpoint.safetensors")).expect("it is there");
    succeed(&mut run(&["--seed", "3"]));
}

#[test]
fn a_file_that_is_no_checkpoint_is_not_taken_for_one() {
    let home = home();
    fs::create_dir_all(home.path().join("kept")).expect("room");
    fs::create_dir_all(home.path().join("model.checkpoint")).expect("room");
    succeed(&mut train(home.path(), &["--out", "other.st"]));
    for more in [&["--checkpoint-dir", "kept"][..], &[]] {
        let folder = more.last().unwrap_or(&"model.checkpoint");
        let path = home.path().join(folder).join("checkpoint.safetensors");
        // Of safetensors' format, as other tools name theirs.
        fs::copy(home.path().join("other.st"), &path).expect("room");
        let before = fs::read(&path).expect("a file");
        let error = fail(&mut train(home.path(), more), 3);
        assert!(error.contains("checkpoint.safetensors") && error.contains("move it away"), "{error}");
        assert!(fs::read(&path).expect("a file") == before);
    }
}

#[test]
fn replicate_replaces_only_its_own_files() {
    let home = home();
    let r = home.path().join("r");
    let run = |more: &[&str]| {
        let first = ["replicate", "--epochs", "1", "--batch-size", "512", "--seeds", "1", "--out", "r"];
        glassbox_with(home.path(), &[&first[..], more].concat())
    };
    fs::create_dir(&r).expect("room");
    fs::write(r.join("options.json"), r#"{"theme": "dark"}"#).expect("room");
    let error = fail(&mut run(&[]), 3);
    assert!(error.contains("options.json"), "{error}");
    assert_eq!(fs::read(r.join("options.json")).expect("it stays"), br#"{"theme": "dark"}"#);
    fs::remove_file(r.join("options.json")).expect("it is there");
    succeed(&mut run(&[]));
    fs::write(r.join("plots/mine.svg"), "mine").expect("room");
    succeed(&mut run(&[]));
    assert_eq!(fs::read(r.join("plots/mine.svg")).expect("it stays"), b"mine");
    let ours = fs::read(r.join("replicate.json")).expect("a file");
    fs::remove_file(r.join("replicate.json")).expect("it is there");
    fs::create_dir(r.join("replicate.json")).expect("room");
    refused(&mut run(&[]), &r, "replicate.json");
    fs::remove_dir(r.join("replicate.json")).expect("it is there");
    fs::write(r.join("replicate.json"), ours).expect("room");
    fs::write(r.join("plots/loss.svg"), "mine").expect("room");
    refused(&mut run(&[]), &r, "plots/loss.svg");
}

/// Links in a folder that came from elsewhere lead nowhere that is written to.
#[cfg(unix)]
#[test]
fn a_report_follows_no_link_out_of_its_folder() {
    use std::os::unix::fs::symlink;
    let home = home();
    succeed(&mut tutorial(home.path(), &["--quiet", "--no-report", "--out", "out"]));
    let out = home.path().join("out");
    let target = home.path().join("mine.html");
    fs::write(&target, "mine").expect("room");
    let pictures = home.path().join("pictures");
    fs::create_dir(&pictures).expect("room");
    let report = || glassbox_with(home.path(), &["report", "out"]);

    symlink(&target, out.join("report.html")).expect("room");
    refused(&mut report(), &out, "report.html");
    fs::remove_file(out.join("report.html")).expect("a link");
    symlink(&pictures, out.join("plots")).expect("room");
    refused(&mut report(), &out, "plots/");
    // As whoever gives away a folder can make it: a list that has the link's target.
    fs::remove_file(out.join("plots")).expect("a link");
    symlink(&target, out.join("report.html")).expect("room");
    let list = fs::read_to_string(out.join("manifest.json")).expect("a list");
    let mut list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
    list["files"]["report.html"] = glassbox_formats::hash::Sha256::of(b"mine").to_string().into();
    fs::write(out.join("manifest.json"), list.to_string()).expect("room");
    refused(&mut report(), &out, "report.html");
    assert_eq!(fs::read(&target).expect("a file"), b"mine");
    assert_eq!(names(&pictures), [""; 0]);
}

#[test]
fn a_report_that_fails_leaves_nothing() {
    let home = home();
    let folder = home.path().join("photos");
    fs::create_dir(&folder).expect("room");
    fs::write(folder.join("a.jpg"), "mine").expect("room");
    let error = fail(&mut glassbox_with(home.path(), &["report", "photos"]), 3);
    assert!(error.contains("photos/result.json"), "{error}");
    assert!(names(&folder) == ["a.jpg"] || cfg!(not(unix)), "{:?}", names(&folder));
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
fn a_model_that_is_replaced_is_named() {
    let home = home();
    let told = |more: &[&str]| {
        let output = train(home.path(), more).output().expect("the binary starts");
        String::from_utf8(output.stderr).expect("text")
    };
    assert!(!told(&[]).contains("is replaced"));
    let again = told(&[]);
    for name in ["--out: model.safetensors is there already", "--history: history.json is there already"] {
        assert!(again.contains(name), "{again}");
    }
    assert_eq!(told(&["--quiet"]), "");
}

/// A checkpoint for whoever looks for one: made by a run that is asked for a folder.
fn keep(home: &Path, folder: &str) {
    succeed(&mut train(home, &["--checkpoint-dir", "kept", "--quiet"]));
    fs::create_dir_all(home.join(folder)).expect("a folder");
    let name = "checkpoint.safetensors";
    fs::rename(home.join("kept").join(name), home.join(folder).join(name)).expect("a checkpoint");
}

#[test]
fn what_ctrl_c_left_goes_when_a_run_is_done_resumed_or_not() {
    let home = home();
    for more in [&[][..], &["--resume"], &["--seed", "9"]] {
        keep(home.path(), "model.checkpoint");
        let told = train(home.path(), more).output().expect("the binary starts");
        let told = String::from_utf8(told.stderr).expect("text");
        assert_eq!(told.contains("keeps an earlier run"), !more.contains(&"--resume"), "{told}");
        assert!(!home.path().join("model.checkpoint").exists(), "{more:?}");
    }
    let told = train(home.path(), &["--resume"]).output().expect("the binary starts");
    let told = String::from_utf8(told.stderr).expect("text");
    assert!(told.contains("there is no checkpoint model.checkpoint"), "{told}");
}

#[test]
fn a_folder_for_checkpoints_keeps_that_of_another_run() {
    let home = home();
    keep(home.path(), "safe");
    let checkpoint = home.path().join("safe/checkpoint.safetensors");
    let before = fs::read(&checkpoint).expect("a checkpoint");
    let error = fail(&mut train(home.path(), &["--checkpoint-dir", "safe", "--seed", "9"]), 3);
    assert!(error.contains("another run") && error.contains("seed"), "{error}");
    assert!(!error.contains("keeps an earlier run"), "{error}");
    let error = fail(&mut train(home.path(), &["--checkpoint-dir", "safe", "--batch-size", "9"]), 3);
    assert!(error.contains("another run: --batch-size is 128 in it and 9 in this run"), "{error}");
    assert!(fs::read(&checkpoint).expect("a checkpoint") == before);
    succeed(&mut train(home.path(), &["--checkpoint-dir", "safe", "--epochs", "2"]));
    assert!(fs::read(&checkpoint).expect("a checkpoint") != before, "the same run from its start");
}

/// On the published files, which the twin's have the names of.
#[test]
fn the_twin_takes_no_published_files_place() {
    let Some(nab) = glassbox_tests::real_data("GLASSBOX_NAB") else { return };
    let home = home();
    let (train, test) = twin(home.path());
    succeed(glassbox(home.path()).args(["data", "twin", "nab", "--seed", "2"]));
    let name = test.strip_prefix(home.path().join("nab")).expect("below it");
    fs::copy(nab.join(name), &test).expect("the published file");
    let before = [fs::read(&train).expect("a file"), fs::read(&test).expect("a file")];
    let error = fail(glassbox(home.path()).args(["data", "twin", "nab"]), 3);
    assert!(error.contains("is the published file"), "{error}");
    assert!(before == [fs::read(&train).expect("a file"), fs::read(&test).expect("a file")]);
}

#[test]
fn models_in_one_folder_have_a_history_each() {
    let home = home();
    for name in ["a", "b"] {
        succeed(&mut train(home.path(), &["--out", &format!("models/{name}.safetensors")]));
        assert!(home.path().join(format!("models/{name}.history.json")).exists());
    }
    succeed(&mut train(home.path(), &[]));
    assert!(home.path().join("history.json").exists());
}

#[test]
fn a_model_is_known_by_its_content_and_its_steps_are_its_own() {
    let home = home();
    succeed(&mut train(home.path(), &["--out", "m.st"]));
    succeed(&mut train(home.path(), &["--model", "m.st", "--out", "again.st"]));
    let keras = home.path().join("keras.safetensors");
    fs::copy(fixtures::path("architectures/relu_layers.json"), keras).expect("room");
    for model in ["m.st", "keras.safetensors"] {
        succeed(glassbox(home.path()).args(["summary", "--architecture", model]));
    }
    let expected = "m.st: the model has windows of 16 steps, but --time-steps is 32";
    for command in ["summary", "gradcheck", "profile"] {
        let mut command = glassbox_with(home.path(), &[command, "--model", "m.st", "--time-steps", "32"]);
        let error = fail(&mut command, 3);
        assert!(error.contains(expected), "{error}");
    }
    let mut again = train(home.path(), &["--model", "m.st", "--out", "n.st", "--time-steps", "32"]);
    let error = fail(&mut again, 3);
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_negative_number_is_told_what_is_expected_instead() {
    let home = home();
    for (option, expected) in
        [("--learning-rate", "--learning-rate is -1"), ("--min-delta", "at least 0"), ("--epochs", "'-1'")]
    {
        let code = if option == "--learning-rate" { 3 } else { 2 };
        let error = fail(&mut train(home.path(), &[option, "-1"]), code);
        assert!(error.contains(expected) && !error.contains("-- -1"), "{error}");
    }
    succeed(&mut train(home.path(), &[]));
    let mut detect = glassbox(home.path());
    detect.args(["detect", "data.csv", "--model", "model.safetensors", "--threshold", "-1"]);
    let told = detect.output().expect("the binary starts");
    assert!(!String::from_utf8_lossy(&told.stderr).contains("unexpected argument"), "{told:?}");
}
