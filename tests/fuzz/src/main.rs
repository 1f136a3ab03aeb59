//! Runs every target on mutated inputs for a given time; `tests/fuzz/run` builds it with the checks that it needs.
//!
//! `GLASSBOX_FUZZ_SECONDS` is the time for all targets together (60 by default), `GLASSBOX_FUZZ_SEED` the seed of the
//! mutations (1 by default). An argument selects one target by name. Each target runs in a separate process, which writes
//! its current input to a file, so an input that ends the process is found there. An input that fails is minimised if
//! possible and saved in the corpus as `found-...`.

use std::collections::HashSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::str::FromStr;
use std::time::{Duration, Instant};

use glassbox_formats::hash::Sha256;
use glassbox_fuzz::corpus::{self, folder};
use glassbox_fuzz::{TARGETS, Target, draws, meter};

/// Longer inputs are not mutated: they would take the time of thousands of short ones.
const LONGEST: usize = 1 << 16;
/// Faults of one target after which it is given up.
const MOST_FAULTS: usize = 10;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let good = match arguments[..] {
        ["child", name, seconds, seed, file] => {
            run(target(name), number(seconds), number(seed), Path::new(file))
        }
        [] => all(&TARGETS),
        [name] => all(&[*target(name)]),
        _ => panic!("expected no argument, or the name of a target; found {arguments:?}"),
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn target(name: &str) -> &'static Target {
    let names = || TARGETS.map(|target| target.name).join(", ");
    TARGETS
        .iter()
        .find(|target| target.name == name)
        .unwrap_or_else(|| panic!("{name}: expected one of {}", names()))
}

fn number<T: FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("{text}: expected a number"))
}

/// Runs targets one after the other, each in a process of its own. Whether none had a fault.
fn all(targets: &[Target]) -> bool {
    let variable = |name: &str, default: u64| env::var(name).map_or(default, |text| number(&text));
    let seconds = variable("GLASSBOX_FUZZ_SECONDS", 60) as f64 / targets.len() as f64;
    let seed = variable("GLASSBOX_FUZZ_SEED", 1);
    println!(
        "seed {seed}, {seconds:.0} s for each target; steps are {}",
        match meter::counts_steps() {
            true => "counted",
            false => "not counted in this build: tests/fuzz/run makes one that does",
        }
    );
    let mut good = true;
    for target in targets {
        let file = env::temp_dir().join(format!("glassbox-fuzz-{}-{}", std::process::id(), target.name));
        let this = env::current_exe().expect("the path of this program");
        let mut child = Command::new(this);
        child.args(["child", target.name, &seconds.to_string(), &seed.to_string()]).arg(&file);
        let status = child.status().expect("a process");
        if !matches!(status.code(), Some(0 | 1)) {
            let saved = save(target, &fs::read(&file).unwrap_or_default());
            println!("{}: {status} on the input that is now {}", target.name, saved.display());
        }
        good &= status.success();
        // Where there was not even time for an input, there is no file.
        let _ = fs::remove_file(file);
    }
    good
}

/// Replays the corpus of a target and then mutates it for so many seconds. Whether there was no fault.
fn run(target: &Target, seconds: f64, seed: u64, file: &Path) -> bool {
    let mut faults = HashSet::new();
    let mut pool = vec![];
    for entry in corpus::entries(target.name) {
        fs::write(file, &entry.input).expect("room for an input");
        if let Err(fault) = entry.replay(target) {
            println!("{}/{}: {fault}", target.name, entry.name);
            faults.insert(kind(&fault));
        } else if entry.input.len() <= LONGEST {
            pool.push(entry.input);
        }
    }
    assert!(!pool.is_empty(), "{}: no good entry to begin with", target.name);
    meter::new_edges();

    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut draws = draws(seed);
    let (mut inputs, begun) = (0u64, pool.len());
    while Instant::now() < end && faults.len() < MOST_FAULTS {
        let [one, other] = [0; 2].map(|_| draws.below(pool.len() as u64) as usize);
        let input = (target.mutate)(&mut draws, &pool[one], &pool[other]);
        fs::write(file, &input).expect("room for an input");
        inputs += 1;
        if let Err(fault) = target.run(&input) {
            if faults.insert(kind(&fault)) {
                let saved = save(target, &smaller(target, input, &kind(&fault)));
                println!("{}: input {inputs}, now {}: {fault}", target.name, saved.display());
            }
        } else if meter::new_edges() > 0 && input.len() <= LONGEST {
            pool.push(input);
        }
    }
    println!(
        "{}: {inputs} inputs, {} kept for new code, {} faults",
        target.name,
        pool.len() - begun,
        faults.len()
    );
    faults.is_empty()
}

/// The part of a message that two faults of one cause share: without its numbers and quotations.
fn kind(fault: &str) -> String {
    fault.chars().filter(|c| !c.is_ascii_digit()).take(60).collect()
}

/// The input with pieces taken out, as long as it has a fault of this kind.
fn smaller(target: &Target, mut input: Vec<u8>, fault: &str) -> Vec<u8> {
    let mut piece = input.len() / 2;
    while piece > 0 {
        let mut at = 0;
        while at + piece <= input.len() {
            let less = [&input[..at], &input[at + piece..]].concat();
            if target.run(&less).is_err_and(|other| kind(&other) == fault) {
                input = less;
            } else {
                at += piece;
            }
        }
        piece /= 2;
    }
    input
}

/// Saves an input into the corpus.
fn save(target: &Target, input: &[u8]) -> PathBuf {
    let digits: String = Sha256::of(input).to_string().chars().take(12).collect();
    let path = folder(target.name).join(format!("found-{digits}"));
    fs::create_dir_all(folder(target.name))
        .and_then(|()| fs::write(&path, input))
        .expect("room in the corpus");
    path
}
