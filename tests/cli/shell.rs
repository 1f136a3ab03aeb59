//! What people type: completions, manual pages, words that are nearly right, colours.

use std::fs;
#[cfg(unix)]
use std::process::Command;

#[cfg(unix)]
use crate::kit::clean;
use crate::kit::{fail, glassbox, home, succeed};

/// The commands that `--help` lists, `help` aside.
fn commands(home: &std::path::Path) -> Vec<String> {
    let help = succeed(glassbox(home).arg("-h"));
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let word = |line: &str| line.split_whitespace().next().expect("a command").to_string();
    listed.map(word).filter(|command| command != "help").collect()
}

#[test]
fn completions_know_every_command_and_option() {
    let home = home();
    let commands = commands(home.path());
    assert!(commands.len() >= 12 && commands.contains(&"replicate".into()), "{commands:?}");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = succeed(glassbox(home.path()).args(["completions", shell]));
        for word in commands.iter().map(String::as_str).chain(["study-seeds", "checkpoint-dir"]) {
            assert!(script.contains(word), "{shell}: no {word}");
        }
    }
    let error = fail(glassbox(home.path()).args(["completions", "bsh"]), 2);
    assert!(error.contains("'bash'"), "{error}");
}

/// The script in a shell, as the Tab key asks it.
#[cfg(unix)]
#[test]
fn bash_completes_words_by_the_script() {
    let home = home();
    fs::write(home.path().join("words"), succeed(glassbox(home.path()).args(["completions", "bash"])))
        .expect("room");
    let complete = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let (last, before) = (words[words.len() - 1], words[words.len() - 2]);
        let script = format!(
            "source words; COMP_WORDS=({line}); COMP_CWORD={}; _glassbox glassbox '{last}' '{before}'; \
             echo \"${{COMPREPLY[@]}}\"",
            words.len() - 1
        );
        succeed(clean(Command::new("bash"), home.path()).args(["-c", &script])).trim().to_string()
    };
    assert_eq!(complete("glassbox repl"), "replicate");
    assert_eq!(complete("glassbox tutorial --study-"), "--study-seeds");
    assert_eq!(complete("glassbox data fet"), "fetch");
}

#[test]
fn each_command_has_a_manual_page() {
    let home = home();
    let written = succeed(glassbox(home.path()).args(["man", "--out", "man"]));
    let names = commands(home.path()).into_iter().map(|command| format!("glassbox-{command}"));
    for name in names.chain(["glassbox".into(), "glassbox-data-fetch".into()]) {
        let file = format!("man/{name}.1");
        assert!(written.lines().any(|line| line.replace('\\', "/") == file), "{file} in {written}");
        let page = fs::read_to_string(home.path().join(&file)).expect("a page");
        let named = format!(".SH NAME\n{} \\-", name.replace('-', "\\-"));
        assert!(page.contains(".TH") && page.contains(&named), "{page}");
    }
    let page = fs::read_to_string(home.path().join("man/glassbox-tutorial.1")).expect("a page");
    assert!(page.contains(r"\fB\-\-study\fR") && page.contains("Exit codes: see"), "{page}");
    let main = read(home.path(), "man/glassbox.1");
    assert!(main.contains("130"), "the exit codes: {main}");
    assert_eq!(succeed(glassbox(home.path()).arg("man")), main);
}

fn read(home: &std::path::Path, file: &str) -> String {
    fs::read_to_string(home.join(file)).expect("a file")
}

#[test]
fn a_word_that_is_nearly_right_is_suggested() {
    let home = home();
    for (words, suggested) in [
        (&["replicte"][..], "'replicate'"),
        (&["tutorial", "--study-seed", "3"], "--study-seeds"),
        (&["train", "x.csv", "--restore-best-weight"], "--restore-best-weights"),
        (&["tutorial", "--rule", "inclusiv"], "'inclusive'"),
        (&["data", "fetsh"], "'fetch'"),
    ] {
        let error = fail(glassbox(home.path()).args(words), 2);
        assert!(error.contains(suggested), "{words:?}: {error}");
    }
    // What an option needs is named.
    let error = fail(glassbox(home.path()).args(["tutorial", "--study-seeds", "3"]), 2);
    assert!(error.contains("--study"), "{error}");

    // The same for what Keras's JSON says.
    let architecture = glassbox_tests::fixtures::path("architectures/named.json");
    let json = fs::read_to_string(architecture).expect("an architecture");
    for (right, wrong, suggested) in [
        ("\"kernel_size\"", "\"kernal_size\"", "did you mean `kernel_size` where it has `kernal_size`?"),
        ("\"Conv1DTranspose\"", "\"Conv1dTranspose\"", "did you mean Conv1DTranspose?"),
        ("\"relu\"", "\"ReLU\"", "did you mean relu?"),
    ] {
        let changed = json.replacen(right, wrong, 1);
        assert!(changed != json, "{right} is not in the fixture");
        fs::write(home.path().join("model.json"), changed).expect("room");
        let error = fail(glassbox(home.path()).args(["summary", "--architecture", "model.json"]), 3);
        assert!(error.contains(suggested), "{wrong}: {error}");
    }
}

#[test]
fn colours_are_for_those_who_want_them() {
    let home = home();
    let error = |variables: &[(&str, &str)]| {
        let mut command = glassbox(home.path());
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").envs(variables.iter().copied());
        fail(command.arg("summry"), 2)
    };
    let coloured = |text: &str| text.contains('\x1b');
    assert!(!coloured(&error(&[])), "not on a terminal");
    assert!(coloured(&error(&[("CLICOLOR_FORCE", "1")])));
    assert!(!coloured(&error(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")])));
}
