//! How the command speaks: text from outside cannot steer the terminal, errors are one line in one style, and slips on
//! the command line are answered by what helps.

use std::fs;
use std::path::Path;

use glassbox_formats::hash::Sha256;

use crate::kit::{fail, first_rows, glassbox, home, succeed, train, twin};

/// A terminal obeys each of these, or shows something else than what is there.
fn is_harmful(c: char) -> bool {
    (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// An error is one line, escaped and not long.
fn tame(error: &str) {
    assert!(!error.contains(is_harmful), "{error:?}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.starts_with("error: ") && error.len() < 2000, "{error}");
}

/// Writes the architecture of a fixture with one value changed.
fn changed(home: &Path, place: &str, value: serde_json::Value) {
    let text = fs::read_to_string(glassbox_tests::fixtures::path("architectures/named.json"));
    let mut json: serde_json::Value = serde_json::from_str(&text.expect("a fixture")).expect("JSON");
    *json.pointer_mut(place).expect("an entry") = value;
    fs::write(home.join("model.json"), json.to_string()).expect("room");
}

const EVIL: &str = "Größe\u{1b}[31m\u{9b}2J\u{7}\r\n\u{202e}温度";
const SHOWN: &str = r"Größe\u{1b}[31m\u{9b}2J\u{7}\r\n\u{202e}温度";

#[test]
fn cells_and_headers_are_escaped() {
    let home = home();
    for csv in [
        format!("timestamp,value\n2014-04-01 00:00:00,\"{EVIL}\"\n"),
        format!("timestamp,value\n\"{EVIL}\",1\n"),
        format!("timestamp,\"{EVIL}\"\n2014-04-01 00:00:00,1\n"),
    ] {
        fs::write(home.path().join("x.csv"), csv).expect("room");
        let error = fail(glassbox(home.path()).args(["train", "x.csv"]), 3);
        tame(&error);
        assert!(error.contains(SHOWN), "{error}");
    }
}

#[test]
fn names_of_layers_and_classes_are_escaped_and_control_characters_are_refused_in_names() {
    let home = home();
    for place in [
        "/config/name",
        "/config/layers/1/config/name",
        "/config/layers/1/class_name",
        "/config/layers/1/config/activation",
        "/config/layers/1/config/padding",
        "/class_name",
    ] {
        changed(home.path(), place, EVIL.into());
        for command in ["summary", "gradcheck", "profile"] {
            let error = fail(glassbox(home.path()).args([command, "--model", "model.json"]), 3);
            tame(&error);
            assert!(error.contains("Größe") && error.contains("model.json"), "{place}: {error}");
        }
    }
    // No control character, and yet it would turn the line around; a table escapes it.
    changed(home.path(), "/config/layers/1/config/name", "left\u{202e}right".into());
    let table = succeed(glassbox(home.path()).args(["summary", "--model", "model.json", "--program"]));
    assert!(!table.contains(is_harmful) && table.contains(r"left\u{202e}right"), "{table}");
    // Words stay readable in any script.
    changed(home.path(), "/config/layers/1/config/name", "größe_温度".into());
    let table = succeed(glassbox(home.path()).args(["summary", "--model", "model.json"]));
    assert!(table.contains("größe_温度 (Conv1D)"), "{table}");
}

#[test]
fn a_name_that_no_plot_can_show_is_bad_input() {
    let home = home();
    succeed(glassbox(home.path()).args(["tutorial", "--epochs", "1", "--batch-size", "512", "--no-report"]));
    let path = home.path().join("glassbox-out/result.json");
    let mut result: serde_json::Value =
        serde_json::from_slice(&fs::read(&path).expect("results")).expect("JSON");
    result["data"]["train"]["name"] = EVIL.into();
    fs::write(&path, result.to_string()).expect("room");
    let error = fail(glassbox(home.path()).arg("report"), 3);
    assert!(
        error.contains("result.json") && error.contains("was changed after glassbox wrote it"),
        "{error}"
    );
    let manifest = path.with_file_name("manifest.json");
    let mut list: serde_json::Value =
        serde_json::from_slice(&fs::read(&manifest).expect("a list")).expect("JSON");
    list["files"]["result.json"] = Sha256::of(result.to_string().as_bytes()).to_string().into();
    fs::write(&manifest, list.to_string()).expect("room");
    let error = fail(glassbox(home.path()).arg("report"), 3);
    tame(&error);
    assert!(error.contains("result.json") && error.contains("data.train.name"), "{error}");
}

#[cfg(unix)]
#[test]
fn paths_are_escaped() {
    let home = home();
    let evil = EVIL.replace('/', "");
    let error = fail(glassbox(home.path()).args(["train", &evil]), 3);
    tame(&error);
    assert!(error.contains(SHOWN), "{error}");
    let csv = first_rows(&twin(home.path()).0, 60);
    let mut train = glassbox(home.path());
    train.arg("train").arg(csv).args(["--time-steps", "16", "--epochs", "1", "--out", &evil]);
    let told = String::from_utf8(train.output().expect("the binary starts").stderr).expect("text");
    assert!(!told.contains(is_harmful) && told.contains(&format!("wrote {SHOWN}")), "{told}");
    // JSON keeps the text: it only escapes more of it.
    let mut train = glassbox(home.path());
    train.args([
        "train",
        "nab/artificialNoAnomaly/first-60.csv",
        "--time-steps",
        "16",
        "--epochs",
        "1",
        "--json",
    ]);
    let printed = succeed(train.args(["--out", &evil]));
    assert!(!printed.contains(is_harmful), "{printed}");
    let document: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(document["model"], evil);
}

#[test]
fn what_was_typed_is_escaped() {
    let home = home();
    for words in
        [&[EVIL][..], &["train", "x.csv", EVIL], &["tutorial", "--epochs", EVIL], &["completions", EVIL]]
    {
        let error = fail(glassbox(home.path()).args(words), 2);
        assert!(!error.contains(is_harmful) && error.contains(SHOWN), "{error:?}");
    }
}

#[test]
fn messages_are_of_a_sensible_length() {
    let home = home();
    let long = "wide ".repeat(2_000_000);
    for csv in [
        format!("timestamp,value\n2014-04-01 00:00:00,{long}\n"),
        format!("timestamp,{long}\n2014-04-01 00:00:00,1\n"),
        format!("{}\n", "name,".repeat(10_000)),
    ] {
        fs::write(home.path().join("x.csv"), csv).expect("room");
        tame(&fail(glassbox(home.path()).args(["train", "x.csv"]), 3));
    }
    for place in
        ["/config/layers/1/class_name", "/config/layers/1/config/padding", "/config/layers/1/config/filters"]
    {
        changed(home.path(), place, long.clone().into());
        let error = fail(glassbox(home.path()).args(["summary", "--model", "model.json"]), 3);
        tame(&error);
        // What was expected is still said.
        assert!(
            error.contains('…') && (error.contains("expected") || error.contains("supported")),
            "{error}"
        );
    }
}

#[test]
fn a_variable_that_is_set_to_nothing_is_unset() {
    let home = home();
    let mut profile = glassbox(home.path());
    profile.args(["profile", "--steps", "1", "--batch-size", "1", "--time-steps", "16", "--json"]);
    let empty = ["GLASSBOX_SIMD", "GLASSBOX_BASE_URL", "GLASSBOX_NAB", "GLASSBOX_NVRTC"];
    succeed(profile.envs(empty.map(|name| (name, ""))));
    // The download fails here in an empty variable's place too, at the published address.
    let mut fetch = glassbox(home.path());
    fetch.args(["data", "fetch", "--timeout", "1e-9"]).env("GLASSBOX_BASE_URL", "");
    let error = fail(&mut fetch, 6);
    assert!(error.contains("https://raw.githubusercontent.com/numenta/NAB/"), "{error}");
    let error = fail(fetch.env("GLASSBOX_BASE_URL", "http://127.0.0.1:1/here"), 6);
    assert!(error.contains("127.0.0.1:1/here"), "{error}");
    let error = fail(fetch.args(["--base-url", "http://127.0.0.1:1/there"]), 6);
    assert!(error.contains("127.0.0.1:1/there"), "{error}");
}

#[test]
fn a_file_in_place_of_a_command_is_answered_by_the_commands_that_take_one() {
    let home = home();
    for word in ["man.csv", "./data", "new/series"] {
        let error = fail(glassbox(home.path()).arg(word), 2);
        for said in [format!("unknown command '{word}'"), format!("train {word}"), format!("detect {word}")] {
            assert!(error.contains(&said), "{error}");
        }
        assert!(!error.contains("similar"), "{error}");
    }
}

#[test]
fn an_unknown_option_is_answered_by_the_nearest_or_by_none() {
    let home = home();
    for words in [&["--plot"][..], &["train", "--plot"], &["train", "x.csv", "--plot"], &["report", "--plot"]]
    {
        let error = fail(glassbox(home.path()).args(words), 2);
        assert!(error.contains("'--plot'") && !error.contains("-- --plot"), "{error}");
    }
    let error = fail(glassbox(home.path()).args(["train", "x.csv", "--time-step", "3"]), 2);
    assert!(error.contains("'--time-steps'") && !error.contains("-- --time"), "{error}");
}

#[test]
fn what_is_no_model_is_called_so() {
    let home = home();
    let csv = first_rows(&twin(home.path()).0, 60);
    fs::copy(csv, home.path().join("x.csv")).expect("room");
    for command in ["summary", "gradcheck", "profile"] {
        let error = fail(glassbox(home.path()).args([command, "--model", "x.csv"]), 3);
        tame(&error);
        for word in ["x.csv is not a model", "model.to_json()", "safetensors", "\"timestamp,value\""] {
            assert!(error.contains(word), "{word} is not in {error}");
        }
    }
    fs::write(home.path().join("empty"), "").expect("room");
    let error = fail(glassbox(home.path()).args(["summary", "--model", "empty"]), 3);
    assert!(error.contains("an empty file"), "{error}");
}

#[test]
fn detect_prints_json_as_other_commands_do() {
    let home = home();
    let csv = first_rows(&twin(home.path()).0, 200);
    succeed(glassbox(home.path()).arg("train").arg(&csv).args(["--time-steps", "16", "--epochs", "1"]));
    let detect = |more: &[&str]| {
        let mut command = glassbox(home.path());
        command.arg("detect").arg(&csv).args(["--model", "model.safetensors"]).args(more);
        command
    };
    let output = detect(&["--json"]).output().expect("the binary starts");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(document["rows"], 200);
    assert_eq!(succeed(&mut detect(&["--format", "json"])).into_bytes(), output.stdout);
    fail(&mut detect(&["--json", "--format", "windows"]), 2);
}

#[test]
fn options_of_a_command_may_stand_before_it() {
    let home = home();
    let shown = succeed(glassbox(home.path()).args(["--json", "--seed", "2", "data", "show"]));
    assert_eq!(shown, succeed(glassbox(home.path()).args(["data", "show", "--json", "--seed", "2"])));
    let mut profile = glassbox(home.path());
    profile.args(["--threads", "1", "profile", "--steps", "1", "--batch-size", "1", "--time-steps", "16"]);
    assert!(succeed(&mut profile).contains("1 thread"));
    // One that the command has not is refused by its name.
    let error = fail(glassbox(home.path()).args(["--epochs", "3", "profile"]), 2);
    assert!(error.contains("'--epochs'") && error.contains("glassbox profile"), "{error}");
}

#[test]
fn errors_and_warnings_have_one_style_each() {
    let home = home();
    let csv = first_rows(&twin(home.path()).0, 100);
    let text = fs::read_to_string(&csv).expect("a CSV");
    // A row twice.
    let twice = text.replacen('\n', &format!("\n{}\n", text.lines().nth(1).expect("a row")), 1);
    fs::write(&csv, twice).expect("room");
    let told = |colour: Option<&str>, words: &[&str]| {
        let mut command = glassbox(home.path());
        command.env_remove("NO_COLOR").args(words);
        colour.into_iter().for_each(|variable| {
            command.env("CLICOLOR_FORCE", "1").env(variable, "1");
        });
        String::from_utf8(command.output().expect("the binary starts").stderr).expect("text")
    };
    let train = ["train", csv.to_str().expect("text"), "--time-steps", "16", "--epochs", "1"];
    for (words, label, coloured) in [
        (&["train", "absent.csv"][..], "error: ", "\u{1b}[1m\u{1b}[31merror:\u{1b}[0m "),
        (&["--plot"], "error: ", "\u{1b}[1m\u{1b}[31merror:\u{1b}[0m "),
        (&train, "warning: ", "\u{1b}[1m\u{1b}[33mwarning:\u{1b}[0m "),
    ] {
        assert!(told(None, words).starts_with(label), "{words:?}");
        assert!(told(Some("CLICOLOR_FORCE"), words).starts_with(coloured), "{words:?}");
        assert!(told(Some("NO_COLOR"), words).starts_with(label), "{words:?}");
    }
}

#[test]
fn exit_codes_are_in_the_help_of_glassbox_and_elsewhere_is_a_pointer() {
    let home = home();
    assert!(succeed(glassbox(home.path()).arg("--help")).contains("  130  interrupted"));
    for words in [&["tutorial", "--help"][..], &["data", "--help"], &["data", "fetch", "--help"]] {
        let help = succeed(glassbox(home.path()).args(words));
        assert!(help.ends_with("Exit codes: see `glassbox --help`.\n") && !help.contains("130"), "{help}");
    }
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
