//! Folders of results: only what glassbox wrote is replaced or removed.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::kit::{content, fail, glassbox_with, home, names, succeed, tutorial};

/// Checks that a command is refused with the name of what is in the way, and that the folder stays as it was. Commands
/// that would diverge in their first epoch, which has another exit code, show that this comes first.
fn refused(command: &mut Command, folder: &Path, named: &str) {
    let before = content(folder);
    let error = fail(command, 5);
    assert!(error.contains(named), "{error}");
    assert!(content(folder) == before, "{named}: the folder has changed");
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
