//! `watch`: the lines of `detect`, as the rows arrive; stopped, killed and started again.

use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::detect::{time, train, value};
use crate::kit::{fail, glassbox, home, succeed};

fn watch(home: &Path, more: &[&str]) -> Command {
    let mut command = glassbox(home);
    command.args(["watch", "--model", "model.safetensors", "--threads", "1", "--quiet"]).args(more);
    command
}

fn detect(home: &Path, more: &[&str]) -> String {
    let mut command = glassbox(home);
    succeed(command.args(["detect", "--model", "model.safetensors", "--quiet"]).args(more))
}

/// A row of a file that is like the training series, with a spike here and there.
fn row(at: usize) -> String {
    let value = if at % 171 == 170 { 160.0 } else { value(at, 2) };
    format!("{},{value}\n", time(5 * at))
}

fn write(path: &Path, rows: impl Iterator<Item = String>) {
    fs::write(path, format!("timestamp,value\n{}", rows.collect::<String>())).expect("room");
}

/// The lines of a kind, without the column that says which.
fn of_kind(text: &str, kind: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.strip_prefix(kind)?.strip_prefix(',')).map(str::to_owned).collect()
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn lines_are_those_of_detect_to_the_bit() {
    let home = home();
    train(home.path());
    // A part of a day is missing, and later a single row; the 20 rows between two gaps are fewer than a window.
    let rows = (0..900).filter(|at| !(300..330).contains(at) && *at != 350 && *at != 700);
    write(&home.path().join("gaps.csv"), rows.map(row));
    let expected = detect(home.path(), &["gaps.csv"]);
    assert!(expected.contains("stretch shorter than a window") && expected.contains(",anomalous,"));
    assert_eq!(succeed(&mut watch(home.path(), &["gaps.csv", "--lines", "settled"])), expected);

    // Both kinds: the settled ones are the same, and a live line has the live score of its row and no other.
    let both = succeed(&mut watch(home.path(), &["gaps.csv"]));
    assert!(both.starts_with("kind,timestamp,value,score,live_score,verdict,reason\n"));
    let settled: Vec<&str> = expected.lines().skip(1).collect();
    assert_eq!(of_kind(&both, "settled"), settled);
    let live = of_kind(&both, "live");
    assert_eq!(live.len(), settled.len());
    for (live, settled) in live.iter().zip(&settled) {
        let [live, settled] = [live.as_str(), settled].map(|line| line.split(',').collect::<Vec<_>>());
        assert_eq!((&live[..2], live[2], live[3]), (&settled[..2], "", settled[3]));
        let (verdict, before) = match live[3].parse::<f64>() {
            Ok(score) => (if score > 1.0 { "anomalous" } else { "normal" }, false),
            Err(_) => ("unjudged", true),
        };
        assert_eq!((live[4], live[5] == "before the first whole window"), (verdict, before));
    }
    assert_eq!(
        succeed(&mut watch(home.path(), &["gaps.csv", "--lines", "settled", "--only-anomalies"])),
        detect(home.path(), &["gaps.csv", "--only-anomalies"])
    );

    // JSON lines have the fields of detect's JSON.
    let document: Json = serde_json::from_str(&detect(home.path(), &["gaps.csv", "--json"])).expect("JSON");
    let lines = succeed(&mut watch(home.path(), &["gaps.csv", "--lines", "settled", "--format", "json"]));
    let lines: Vec<Json> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(document["judged"], Json::Array(lines));
}

#[test]
fn rows_that_cannot_be_used_are_those_of_detect_and_come_at_once() {
    let home = home();
    train(home.path());
    let rows = (0..400).map(|at| match at {
        100 => format!("{},\n", time(5 * at)),
        200 => row(at).repeat(2),
        250 => format!("{},1\n", time(5 * at - 300)) + &row(at),
        _ => row(at),
    });
    write(&home.path().join("rough.csv"), rows);
    let expected = detect(home.path(), &["rough.csv"]);
    let found = succeed(&mut watch(home.path(), &["rough.csv", "--lines", "settled"]));
    assert_eq!(sorted(&found), sorted(&expected));
    // In the order in which they are known: at the row itself.
    let live = of_kind(&succeed(&mut watch(home.path(), &["rough.csv"])), "live");
    assert!(live[100].ends_with(",unjudged,missing value"), "{}", live[100]);
    let error = fail(&mut watch(home.path(), &["rough.csv", "--on-bad-rows", "refuse"]), 3);
    assert!(error.contains("line 102") && error.contains("--on-bad-rows skip"), "{error}");

    // What detect refuses as a whole is left out here, and reported.
    let mut text = fs::read_to_string(home.path().join("rough.csv")).expect("a file");
    text = text.replacen(&time(5 * 300), "yesterday", 1);
    fs::write(home.path().join("rough.csv"), text).expect("room");
    let output = watch(home.path(), &["rough.csv"]).output().expect("the binary starts");
    assert!(output.status.success());
    let mut loud = glassbox(home.path());
    loud.args(["watch", "rough.csv", "--model", "model.safetensors"]);
    let output = loud.output().expect("the binary starts");
    let stderr = String::from_utf8(output.stderr).expect("text");
    for part in ["line 102: missing value; row left out", "`yesterday`", "401 rows: ", "3 not judged"] {
        assert!(stderr.contains(part), "no {part} in {stderr}");
    }
}

#[test]
fn several_columns_have_their_shares_live_and_settled() {
    let home = home();
    let row = |at: usize, seed: usize| {
        format!("{},{},{}\n", time(5 * at), value(at, seed), 1000.0 - 5.0 * value(at + 17, seed + 9))
    };
    let write = |name: &str, rows: std::ops::Range<usize>, seed| {
        let rows: String = rows.map(|at| row(at, seed)).collect();
        fs::write(home.path().join(name), format!("when,left,right\n{rows}")).expect("room");
    };
    write("normal.csv", 0..1000, 1);
    write("new.csv", 0..300, 2);
    let mut train = glassbox(home.path());
    train.args(["train", "normal.csv", "--timestamp-column", "when", "--epochs", "2", "--time-steps", "32"]);
    succeed(train.args(["--value-column", "left", "--value-column", "right", "--quiet"]));
    let when = ["new.csv", "--timestamp-column", "when"];
    let expected = detect(home.path(), &when);
    assert_eq!(succeed(watch(home.path(), &when).args(["--lines", "settled"])), expected);
    let live = succeed(watch(home.path(), &when).args(["--lines", "live"]));
    let shares = |line: &str| {
        let shares = line.split(',').skip(7).map(|share| share.parse::<f64>().ok()).collect::<Vec<_>>();
        (shares.len(), shares.into_iter().flatten().sum::<f64>())
    };
    assert!(live.lines().skip(32).all(|line| {
        let (columns, sum) = shares(line);
        columns == 2 && (sum - 1.0).abs() < 1e-12
    }));
    assert!(live.lines().nth(3).expect("a line").ends_with(",unjudged,before the first whole window,,"));
    let json = succeed(watch(home.path(), &when).args(["--format", "json", "--lines", "live"]));
    let last: Json = serde_json::from_str(json.lines().last().expect("a line")).expect("JSON");
    assert!(last["shares"]["left"].is_number() && last["values"]["right"].is_number(), "{last}");
}

/// A watch on standard input, and its lines.
struct Live {
    child: Child,
    stdin: ChildStdin,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Live {
    fn begin(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let (stdin, stdout) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        Self { child, stdin, lines: BufReader::new(stdout).lines() }
    }

    fn put(&mut self, text: &str) {
        self.stdin.write_all(text.as_bytes()).and_then(|()| self.stdin.flush()).expect("a reader");
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("a line").expect("text")
    }

    /// Sends a signal, and waits for the end. Returns standard error.
    #[cfg(unix)]
    fn signal(self, signal: &str) -> String {
        let Self { child, stdin, .. } = self;
        let killed =
            Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill runs");
        assert!(killed.success());
        let output = child.wait_with_output().expect("an end");
        drop(stdin);
        let stderr = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        stderr
    }
}

/// Each line is read before the next row is written: it does not wait for more.
#[test]
fn a_row_in_a_line_out() {
    let home = home();
    train(home.path());
    write(&home.path().join("all.csv"), (0..200).map(row));
    let expected = succeed(&mut watch(home.path(), &["all.csv"]));
    let mut live = Live::begin(&mut watch(home.path(), &[]));
    let mut lines = vec![live.line()];
    live.put("timestamp,value\n");
    for at in 0..200 {
        live.put(&row(at));
        lines.push(live.line());
        if at >= 95 {
            lines.push(live.line());
        }
    }
    drop(live.stdin);
    lines.extend(live.lines.map(|line| line.expect("text")));
    assert!(live.child.wait().expect("an end").success());
    assert_eq!(lines.join("\n") + "\n", expected);
}

#[cfg(unix)]
#[test]
fn a_signal_ends_in_good_order_and_the_same_command_goes_on() {
    let home = home();
    train(home.path());
    write(&home.path().join("all.csv"), (0..200).map(row));
    let expected = succeed(&mut watch(home.path(), &["all.csv"]));
    let all = fs::read_to_string(home.path().join("all.csv")).expect("a file");
    let rows: Vec<&str> = all.split_inclusive('\n').collect();
    let with_state = || watch(home.path(), &["-", "--state", "state.json"]);

    // Standard input from its beginning each time; the second time, only what comes after.
    let mut lines = String::new();
    for (signal, input, until) in [
        ("-TERM", rows[..51].concat(), 1 + 50),
        ("-INT", rows[..121].concat(), 70 + 25),
        ("-TERM", [rows[0], &rows[121..151].concat()].concat(), 30 + 30),
    ] {
        let mut live = Live::begin(&mut with_state());
        live.put(&input);
        (0..until).for_each(|_| lines += &(live.line() + "\n"));
        live.signal(signal);
    }
    let mut live = Live::begin(&mut with_state());
    live.put(&[rows[0], &rows[151..].concat()].concat());
    drop(live.stdin);
    live.lines.for_each(|line| lines += &(line.expect("text") + "\n"));
    assert!(live.child.wait().expect("an end").success());
    assert_eq!(lines, expected);
}

/// Numbers below `most`, always the same.
fn draws(mut state: u64) -> impl FnMut(usize) -> usize {
    move |most| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % most
    }
}

/// A file grows, by pieces that end anywhere, and whoever follows it is killed: early, and in the middle of its work.
#[test]
fn a_killed_watch_goes_on_without_a_lost_doubled_or_changed_line() {
    let home = home();
    train(home.path());
    let (rows, gap) = (3000, 1800..1850);
    write(&home.path().join("all.csv"), (0..rows).filter(|at| !gap.contains(at)).map(row));
    succeed(&mut watch(home.path(), &["all.csv", "--output", "expected.csv"]));
    let all = fs::read(home.path().join("all.csv")).expect("a file");
    let grows = home.path().join("grows.csv");
    fs::write(&grows, "").expect("room");
    let output = home.path().join("lines.csv");
    let length = || fs::metadata(&output).map_or(0, |there| there.len());

    let with_state = ["grows.csv", "--output", "lines.csv", "--state", "state.json", "--save-every", "7"];
    let (mut draw, mut there, mut inside) = (draws(13), 0, 0);
    for kill in 0..24 {
        let more = draw(2 * all.len() / 24).min(all.len() - there);
        let mut file = OpenOptions::new().append(true).open(&grows).expect("a file");
        file.write_all(&all[there..there + more]).expect("room");
        there += more;
        let before = length();
        let mut child = watch(home.path(), &with_state).arg("--follow").spawn().expect("the binary starts");
        // Some are killed at any moment, the others once they have written more than some lines.
        let started = Instant::now();
        let target = before + draw(60 * (more / 40).max(1)) as u64;
        let patience = Duration::from_millis(if kill % 4 == 0 { draw(60) as u64 } else { 700 });
        while length() <= target && started.elapsed() < patience {
            std::thread::sleep(Duration::from_micros(200));
        }
        inside += usize::from(length() > before);
        child.kill().expect("it runs");
        child.wait().expect("an end");
    }
    fs::write(&grows, &all).expect("room");
    succeed(&mut watch(home.path(), &with_state));
    let [found, expected] =
        ["lines.csv", "expected.csv"].map(|name| fs::read(home.path().join(name)).expect(name));
    assert!(found == expected, "{} bytes, {} expected", found.len(), expected.len());
    assert!(inside >= 8, "{inside} of 24 wrote something");
    // It has ended: nothing more, and the file must not grow.
    succeed(&mut watch(home.path(), &with_state));
    assert!(fs::read(&output).expect("lines") == expected);
    fs::write(&grows, [&all[..], row(rows).as_bytes()].concat()).expect("room");
    let error = fail(&mut watch(home.path(), &with_state), 3);
    assert!(error.contains("grows.csv has grown since its end was reached"), "{error}");
    assert!(fs::read(&output).expect("lines") == expected);
}

#[test]
fn a_state_that_does_not_fit_is_refused_and_nothing_is_changed() {
    let home = home();
    train(home.path());
    write(&home.path().join("all.csv"), (0..300).map(row));
    let run = ["all.csv", "--output", "lines.csv", "--state", "state.json"];
    succeed(&mut watch(home.path(), &run));
    let read = |name: &str| fs::read(home.path().join(name)).expect(name);
    let (lines, state) = (read("lines.csv"), read("state.json"));
    let refused = |more: &[&str], part: &str| {
        let words = [&run[..], more].concat();
        let error = fail(&mut watch(home.path(), &words), 3);
        assert!(error.contains(part), "{words:?}: {error}");
        assert!(read("lines.csv") == lines, "{words:?}");
    };
    refused(&["--threshold", "quantile:0.99"], "the threshold is the quantile 0.99");
    refused(&["--format", "json"], "--format is json here and csv there");
    refused(&["--lines", "live"], "--lines is live here and both there");
    refused(&["--only-anomalies"], "--only-anomalies");
    refused(&["--on-bad-rows", "refuse"], "bad rows");
    // Another model under the same name.
    let model = read("model.safetensors");
    let mut again = glassbox(home.path());
    succeed(again.args(["train", "normal.csv", "--time-steps", "96", "--epochs", "1", "--quiet"]));
    refused(&[], "the model is sha256");
    fs::write(home.path().join("model.safetensors"), model).expect("room");
    // Another input.
    let input = read("all.csv");
    fs::write(home.path().join("all.csv"), String::from_utf8_lossy(&input).replacen('5', "6", 1))
        .expect("room");
    refused(&[], "is not the input that was read before");
    fs::write(home.path().join("all.csv"), input).expect("room");

    fs::write(home.path().join("state.json"), &state[..state.len() - 9]).expect("room");
    refused(&[], "state.json is damaged");
    fs::remove_file(home.path().join("state.json")).expect("a file");
    refused(&[], "there is no state that says how it goes on");
    fs::write(home.path().join("state.json"), &state).expect("room");
    fs::write(home.path().join("lines.csv"), "kind\n").expect("room");
    let error = fail(&mut watch(home.path(), &run), 3);
    assert!(error.contains("lines.csv has 5 bytes, fewer than the"), "{error}");
    assert_eq!(read("lines.csv"), b"kind\n");
}

#[cfg(unix)]
#[test]
fn a_file_that_grows_is_followed() {
    let home = home();
    train(home.path());
    let path = home.path().join("grows.csv");
    fs::write(&path, "timestamp,value\n").expect("room");
    let mut live = Live::begin(&mut watch(home.path(), &["grows.csv", "--follow", "--lines", "live"]));
    live.line();
    for at in 0..100 {
        // A row is a row once its line has ended.
        let row = row(at);
        let (begun, rest) = row.split_at(9);
        let mut file = OpenOptions::new().append(true).open(&path).expect("a file");
        for part in [begun, rest] {
            file.write_all(part.as_bytes()).expect("room");
        }
        assert!(live.line().starts_with(&time(5 * at)), "row {at}");
    }
    assert_eq!(live.signal("-TERM"), "");
    let mut live = Live::begin(&mut watch(home.path(), &["grows.csv", "--follow"]));
    (0..100).for_each(|_| drop(live.line()));
    fs::write(&path, "timestamp,value\n").expect("room");
    let output = live.child.wait_with_output().expect("an end");
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.code() == Some(3) && stderr.contains("grows.csv: it is shorter"), "{stderr}");
    let error = fail(&mut watch(home.path(), &["-", "--follow"]), 3);
    assert!(error.contains("--follow is for a file"), "{error}");
}

#[test]
fn a_reader_that_has_gone_ends_it_quietly() {
    let home = home();
    train(home.path());
    write(&home.path().join("all.csv"), (0..3000).map(row));
    let mut live = Live::begin(&mut watch(home.path(), &["all.csv"]));
    live.line();
    drop(live.lines);
    let output = live.child.wait_with_output().expect("an end");
    assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]));
}

#[test]
fn what_cannot_be_watched_is_refused_by_name() {
    let home = home();
    train(home.path());
    write(
        &home.path().join("hourly.csv"),
        (0..400).map(|at| format!("{},{}\n", time(60 * at), value(at, 1))),
    );
    for (words, code, parts) in [
        (&["hourly.csv"][..], 3, &["every 1h", "every 5m"][..]),
        (&["none.csv"], 3, &["none.csv"]),
        (&["normal.csv", "--value-column", "load"], 3, &["no column `load`", "--value-column"]),
        (&["normal.csv", "--plot"], 3, &["--plot needs a terminal"]),
        (&["normal.csv", "--threshold", "0.3"], 2, &["expected max, quantile:Q"]),
        (&["normal.csv", "--save-every", "5"], 2, &["--state"]),
        (&["normal.csv", "--output", "normal.csv"], 3, &["one file", "normal.csv"]),
        (&["normal.csv", "--output", "x", "--state", "x"], 3, &["one file"]),
    ] {
        let error = fail(&mut watch(home.path(), words), code);
        assert!(parts.iter().all(|part| error.contains(part)), "{words:?}: {error}");
        assert!(!error.contains("--resample"), "{error}");
    }
}
