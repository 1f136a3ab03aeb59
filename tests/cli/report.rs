//! The page at the end of the tutorial, and made again from its results.

use std::fs;

use crate::kit::{fail, glassbox, home, succeed};

#[test]
fn the_report_is_made_unless_it_is_not_wanted_and_can_be_made_again() {
    let home = home();
    let out = home.path().join("glassbox-out");
    let printed = succeed(glassbox(home.path()).args(["tutorial", "--epochs", "1"]));
    assert!(printed.contains("report.html"), "{printed}");
    let page = fs::read(out.join("report.html")).expect("the page");
    for name in ["inside.safetensors", "plots/anomalies.svg", "plots/anomalies.png", "plots/losses.svg"] {
        assert!(out.join(name).is_file(), "{name}");
    }

    fs::remove_file(out.join("report.html")).expect("it was there");
    succeed(glassbox(home.path()).args(["report", "glassbox-out"]));
    assert!(fs::read(out.join("report.html")).expect("the page") == page, "the same page, to the byte");

    // Without a report the hooks are off, and nothing of an earlier run is left to be mistaken for this one's.
    let printed =
        succeed(glassbox(home.path()).args(["tutorial", "--epochs", "1", "--seed", "2", "--no-report"]));
    assert!(!printed.contains("report.html"), "{printed}");
    assert!(out.join("result.json").is_file());
    assert!(!out.join("inside.safetensors").exists() && !out.join("report.html").exists());
    succeed(glassbox(home.path()).args(["report"]));
    let plain = fs::read_to_string(out.join("report.html")).expect("the page");
    assert!(plain.contains("This run did not record the model's internals"));
}

#[test]
fn a_folder_that_is_no_run_is_refused_by_name() {
    let home = home();
    let error = fail(glassbox(home.path()).args(["report", "nowhere"]), 3);
    assert!(
        error.contains("nowhere") && error.contains("result.json") && error.contains("glassbox tutorial"),
        "{error}"
    );
}
