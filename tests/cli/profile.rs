//! `glassbox profile`: what it prints and writes. How long things take is no matter of tests.

use std::fs;

use glassbox_tests::fixtures;
use serde_json::Value as Json;

use crate::kit::{fail, glassbox, home, succeed};

/// As few steps as show everything.
const BRIEF: [&str; 5] = ["profile", "--steps", "2", "--batch-size", "9"];

#[test]
fn the_json_has_every_layer_and_every_part_of_a_step() {
    let home = home();
    let printed = succeed(glassbox(home.path()).args(BRIEF).args(["--json", "--threads", "2"]));
    let profile: Json = serde_json::from_str(&printed).expect("JSON");
    assert_eq!((&profile["schema"], &profile["threads"]), (&1.into(), &2.into()));
    assert_eq!(profile["config"]["data"], "twin");
    // Beside the CPU stands nothing.
    assert!(profile.get("beside").is_none(), "{printed}");
    let parts = profile["parts"].as_array().expect("parts");
    let has = |layer: &str, pass: &str, what: &str| {
        parts.iter().any(|part| {
            part["layer"].as_str().unwrap_or("") == layer && part["pass"] == pass && part["what"] == what
        })
    };
    for layer in ["conv1d", "conv1d_1", "conv1d_transpose", "conv1d_transpose_1", "conv1d_transpose_2"] {
        assert!(has(layer, "forward", "output"), "{layer} in {printed}");
        assert!(
            has(layer, "backward", "kernel_gradient") && has(layer, "backward", "bias_gradient"),
            "{layer}"
        );
        // The sample's own gradient is nobody's.
        assert_eq!(has(layer, "backward", "input_gradient"), layer != "conv1d", "{layer} in {printed}");
    }
    assert!(has("dropout", "forward", "dropout_mask") && has("dropout_1", "forward", "dropout_mask"));
    assert!(has("", "loss", "loss"), "{printed}");
    for what in ["packing", "clearing", "gather", "reduction", "adam"] {
        assert!(has("", "outside", what), "{what} in {printed}");
    }
    let sum = |key: &str| parts.iter().map(|part| part[key].as_u64().expect(key)).sum::<u64>();
    assert_eq!(sum("multiply_adds"), 9 * 2_942_976);
    assert_eq!(sum("flops"), profile["step"]["flops"].as_u64().expect("flops"));
}

#[test]
fn every_architecture_can_be_profiled() {
    let home = home();
    for file in fixtures::array(&fixtures::json("architectures/index.json")["files"]) {
        let path = fixtures::path(&format!("architectures/{}", fixtures::string(&file["file"])));
        let mut command = glassbox(home.path());
        command.args(["profile", "--steps", "1", "--batch-size", "2", "--threads", "1", "--json"]);
        // Steps, where the input has any number of them.
        if file["inputs"][0][1].is_null() {
            command.args(["--time-steps", "24"]);
        }
        let printed = succeed(command.arg("--architecture").arg(path));
        let profile: Json = serde_json::from_str(&printed).expect("JSON");
        let parts = profile["parts"].as_array().expect("parts");
        for layer in fixtures::array(&file["layers"]).iter().filter(|layer| layer[3] != 0) {
            assert!(parts.iter().any(|part| part["layer"] == layer[0]), "{file}: {} in {printed}", layer[0]);
        }
    }
}

#[test]
fn the_table_ends_with_the_step_and_the_picture_is_well_formed() {
    let home = home();
    let mut command = glassbox(home.path());
    let model = fixtures::path("architectures/named.json");
    command.args(BRIEF).arg("--model").arg(model).args(["--time-steps", "96", "--svg", "out/roofline.svg"]);
    let printed = succeed(command.args(["--simd", "portable", "--no-cpu"]));
    assert!(printed.contains("portable") && printed.contains("A step without clocks takes "), "{printed}");

    let svg = fs::read_to_string(home.path().join("out/roofline.svg")).expect("a picture");
    let texts = texts_of_well_formed(&svg);
    assert!(texts.iter().any(|text| text.starts_with("Roofline of a training step")), "{texts:?}");
    assert!(texts.iter().any(|text| text.contains("bias gradient")), "{texts:?}");
}

/// Opens and closes every element in turn, and gives the text within. Enough of XML for a picture.
fn texts_of_well_formed(svg: &str) -> Vec<String> {
    let (mut open, mut texts) = (vec![], vec![]);
    let mut rest = svg.trim_start();
    while let Some(start) = rest.find('<') {
        let text = rest[..start].trim();
        assert!(text.is_empty() || !open.is_empty(), "text outside of all elements: {text:?}");
        texts.extend((!text.is_empty()).then(|| text.to_string()));
        let end = rest[start..].find('>').expect("a closed tag") + start;
        let tag = &rest[start + 1..end];
        assert!(!tag.contains('<') && tag.matches('"').count().is_multiple_of(2), "{tag:?}");
        let name = |tag: &str| tag.split_whitespace().next().unwrap_or("").to_string();
        match (tag.strip_prefix('/'), tag.ends_with('/'), tag.starts_with(['?', '!'])) {
            (Some(closed), ..) => assert_eq!(open.pop(), Some(name(closed))),
            (None, false, false) => open.push(name(tag)),
            _ => {}
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "left open: {open:?}");
    texts
}

#[test]
fn what_cannot_be_profiled_has_its_code() {
    let home = home();
    fail(glassbox(home.path()).args(["profile", "--simd", "sse"]), 2);
    let error = fail(glassbox(home.path()).args(["profile", "--steps", "0"]), 3);
    assert!(error.contains("steps is 0"), "{error}");
    let error = fail(glassbox(home.path()).args(["profile", "--model", "absent.json"]), 3);
    assert!(error.contains("absent.json"), "{error}");
    fs::write(home.path().join("file"), "").expect("room");
    let error = fail(glassbox(home.path()).args(BRIEF).args(["--svg", "file/roofline.svg"]), 5);
    assert!(error.contains("file"), "{error}");
}
