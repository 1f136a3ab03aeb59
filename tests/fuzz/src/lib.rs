//! Hostile input for all code that reads users' files.
//!
//! A [`Target`] takes any bytes and must either accept or refuse them; [`Target::run`] reports a violation. A target must
//! not
//! - panic, overflow, or read out of bounds (in builds that check these: see `tests/fuzz/run`),
//! - take more steps or memory than a bound that grows with the input ([`Budget`]),
//! - refuse with a message that is long, has several lines, or contains terminal control characters ([`refused`]),
//! - read another value from what it wrote for an input than from the input,
//! - change a file that it refuses.
//!
//! | target | reads | also checked |
//! |---|---|---|
//! | `series` | CSV | written and read again, it is the same series; in pieces, it is the same rows |
//! | `arrays` | `.npy` | the same |
//! | `architecture` | Keras's JSON | the same; a plan is made or refused |
//! | `network` | Keras's JSON, of models that are then run | every path of the CPU agrees with the reference in f64 |
//! | `model` | model files | the same model and bytes when written and read again |
//! | `keras` | models of Keras: archives, and what is in them | the same model and bytes when written and read again |
//! | `hdf5` | HDF5 files | the same bytes when written and read again |
//! | `checkpoint` | checkpoints | the same; training continues from it |
//! | `watch_state` | states of a watch | the same; the watch goes on from it |
//! | `results` | a folder of results with one file replaced | its report is written or refused |
//! | `runs` | `runs.csv` of a replication | the comparison is written or refused |
//! | `nab_labels` | the windows of the Numenta Anomaly Benchmark | they are rows of their file, and disjoint |
//! | `nab_results` | results in the benchmark's format | scored; written and read again, they are the same scores |
//! | `contraction` | the geometry of a convolution, as JSON | every path of the CPU agrees with the sum written out |
//!
//! [`corpus`] has inputs that once caused faults, with their expected outcomes; a test replays it. The command (`main.rs`)
//! mutates ([`mutate`]) these inputs, and keeps mutants that reach code that no other input reached.

pub mod corpus;
pub mod meter;
pub mod mutate;
mod targets;

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use glassbox_engine::random::{Draws, Purpose, Stream};

pub use targets::TARGETS;

/// Something that reads what a user brings.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and that of its folder in the corpus.
    pub name: &'static str,
    /// Reads an input and checks what became of it.
    read: fn(&[u8]) -> Result<Outcome, String>,
    /// Makes an input of one, and of another one to take pieces from.
    pub mutate: fn(&mut Draws, &[u8], &[u8]) -> Vec<u8>,
}

/// The outcome of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was read, and all that was checked of it holds.
    Accepted,
    /// It was refused, with this message.
    Refused(String),
}

impl Target {
    /// Reads an input. An error says what is wrong with how that went; a panic is one.
    ///
    /// # Errors
    /// If what the target promises of any input does not hold.
    pub fn run(&self, input: &[u8]) -> Result<Outcome, String> {
        static PANIC: Mutex<String> = Mutex::new(String::new());
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|panic| {
            *PANIC.lock().expect("no panic while it is held") = panic.to_string();
        }));
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.read)(input)));
        std::panic::set_hook(hook);
        outcome.unwrap_or_else(|_| Err(PANIC.lock().expect("no panic while it is held").clone()))
    }
}

/// Random numbers of a seed.
#[must_use]
pub fn draws(seed: u64) -> Draws {
    Stream::new(seed, Purpose::Check, 0, 0).draws()
}

/// The longest message that a person still reads, in characters.
const LONGEST_MESSAGE: usize = 2000;

/// A refusal, if its message is fit to be shown.
fn refused(error: impl Display) -> Result<Outcome, String> {
    let message = error.to_string();
    let length = message.chars().count();
    if length > LONGEST_MESSAGE {
        let start: String = message.chars().take(300).collect();
        return Err(format!("a message of {length} characters: {start:?}..."));
    }
    require_plain(&message)?;
    Ok(Outcome::Refused(message))
}

/// Text for a terminal has no character that could drive one, nor one that ends its line.
fn require_plain(text: &str) -> Result<(), String> {
    match text.chars().find(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        None => Ok(()),
        Some(found) => Err(format!("{found:?} in a message: {text:?}")),
    }
}

/// The most that an input may cost.
#[derive(Debug, Clone, Copy)]
struct Budget {
    /// Steps, of any input and for each of its bytes.
    steps: (u64, u64),
    /// Bytes of memory, of any input and for each of its bytes.
    bytes: (usize, usize),
}

impl Budget {
    /// Does the work, which reads `input`, within the budget.
    fn spend<T>(self, input: &[u8], work: impl FnOnce() -> T) -> Result<T, String> {
        let (result, usage) = meter::measure(work);
        let steps = self.steps.0 + self.steps.1 * input.len() as u64;
        if usage.steps > steps {
            return Err(format!(
                "{} steps for an input of {} bytes, more than {steps}",
                usage.steps,
                input.len()
            ));
        }
        let bytes = self.bytes.0 + self.bytes.1 * input.len();
        if usage.bytes > bytes {
            return Err(format!(
                "{} bytes of memory for an input of {}, more than {bytes}",
                usage.bytes,
                input.len()
            ));
        }
        Ok(result)
    }
}

/// Checks that `holds`; otherwise reports the problem.
fn require(holds: bool, wrong: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Target = Target { name: "any", read: |_| Ok(Outcome::Accepted), mutate: mutate::bytes };

    #[test]
    fn what_must_not_be_is_a_fault() {
        let fault =
            |read: fn(&[u8]) -> Result<Outcome, String>| Target { read, ..ANY }.run(b"input").unwrap_err();
        assert!(fault(|input| panic!("of {} bytes", input.len())).contains("of 5 bytes"));
        assert!(fault(|_| refused("\u{1b}[31m")).contains("in a message"));
        assert!(fault(|_| refused("two\nlines")).contains("in a message"));
        assert!(fault(|_| refused("long".repeat(1000))).contains("4000 characters"));
        let greedy = |input: &[u8]| {
            let budget = Budget { steps: (u64::MAX, 0), bytes: (1000, 100) };
            budget.spend(input, || drop(std::hint::black_box(vec![1u8; 1600])))?;
            Ok(Outcome::Accepted)
        };
        assert!(fault(greedy).contains("1600 bytes of memory for an input of 5, more than 1500"));
        assert_eq!(Target { read: greedy, ..ANY }.run(b"an input"), Ok(Outcome::Accepted));
    }

    /// Mutations keep the format often enough: some inputs are read, and few stop at the first check.
    #[test]
    fn mutations_come_past_the_first_check() {
        for (name, first) in [
            ("series", "no column"),
            ("arrays", "start with the bytes"),
            ("architecture", "line 1"),
            ("model", "valid safetensors"),
            ("keras", "zip archive"),
            ("hdf5", "does not start"),
            ("checkpoint", "was written"),
        ] {
            let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
            let good = corpus::entries(name).into_iter().filter(|entry| entry.input.len() < 25_000);
            let good: Vec<_> =
                good.filter(|entry| target.run(&entry.input) == Ok(Outcome::Accepted)).collect();
            let mut draws = draws(1);
            let (mut accepted, mut stopped) = (0, 0);
            for turn in 0..200 {
                let input = (target.mutate)(&mut draws, &good[turn % good.len()].input, &good[0].input);
                match target.run(&input) {
                    Ok(Outcome::Accepted) => accepted += 1,
                    Ok(Outcome::Refused(message)) => stopped += usize::from(message.contains(first)),
                    Err(_) => {}
                }
            }
            assert!(
                accepted >= 10 && stopped <= 120,
                "{name}: {accepted} accepted, {stopped} stopped by {first:?}"
            );
        }
    }
}
