//! glassbox on the work of `benches/peers`: the same network, data and batch sizes as the other systems there,
//! and the same JSON lines, so that one table holds them all.
//!
//! ```sh
//! cargo bench -p glassbox-benches --bench peer -- [--threads N] [--lstm UNITS]
//! ```
//!
//! With `--lstm`, the LSTM autoencoder of `benches/peers/lstm.py` in the place of the tutorial's network.
//!
//! The windows are those of the built-in twin of the training file: as many, and as long.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use glassbox_benches::{BATCH, FORWARD_MULTIPLY_ADDS, TRAINING_MULTIPLY_ADDS, WINDOW, plan, series};
use glassbox_cpu::Cpu;
use glassbox_engine::backend::{Backend as _, Dataset, Epoch, Session, State};
use glassbox_engine::layers::{Dense, Dropout, LSTM, RepeatVector, TimeDistributed};
use glassbox_engine::losses::Loss;
use glassbox_engine::model::Sequential;
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::program::Program;
use glassbox_engine::random::{Purpose, Stream};
use glassbox_engine::samples::Samples;
use glassbox_engine::training::{self, Checkpoint, Fit};
use serde_json::json;

/// Windows of the training series, and how many of them are trained on.
const WINDOWS: usize = 3745;
const TRAIN_WINDOWS: usize = 3370;
/// Epochs of the tutorial, at the most.
const EPOCHS: usize = 50;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        Some(arguments.get(at + 1).unwrap_or_else(|| panic!("{name} needs a value")).clone())
    };
    let threads = value("--threads").map(|n| n.parse().expect("a number of threads"));
    // `cargo bench -- --test` asks for one run of everything.
    let runs: usize = if arguments.iter().any(|argument| argument == "--test") { 1 } else { 200 };

    let backend = Cpu::new(threads).unwrap_or_else(|error| panic!("{error}"));
    if let Some(units) = value("--lstm") {
        return lstm(&backend, units.parse().expect("a number of units"), runs.div_ceil(10));
    }
    let series = series();
    let windows = Samples::windows(&series, WINDOW, 1).expect("a series longer than a window");
    let (plan, state) = plan();
    let mut session = backend.session(plan).expect("a session");
    session.set_state(&state).expect("the plan's state");
    let data = Dataset::autoencoder(windows);
    let batch: Vec<u32> = (0..BATCH as u32).collect();
    let mut step = || {
        session.compute_gradient(&data, &batch).expect("a gradient");
        session.update().expect("a step");
    };
    step();
    let peer = Peer { name: backend.name(), threads: backend.threads() };
    peer.say(
        "cold",
        json!({"start_to_first_step_s": since_start(), "rss_mib_after_first_step": peak_memory()}),
    );

    let times = time(runs, step);
    let flop = training_flop() * BATCH as f64;
    peer.say("step", json!({"batch": BATCH, "gflops": flop / median(&times) / 1e9}).with(&times));

    epochs(&peer, &mut *session, windows, runs.div_ceil(20));

    fit(&peer, &mut *session, windows, if runs == 1 { 1 } else { EPOCHS });

    let mut y = vec![0.0; WINDOWS * windows.shape().len()];
    let times = time(runs.div_ceil(13), || session.predict(&windows, &mut y).expect("predictions"));
    let flop = forward_flop() * WINDOWS as f64;
    peer.say(
        "infer",
        json!({"gflops": flop / median(&times) / 1e9, "peak_rss_mib": peak_memory()}).with(&times),
    );
}

/// A training step and the scoring of 256 windows of an autoencoder of two LSTMs.
fn lstm(backend: &Cpu, units: usize, runs: usize) {
    const SCORED: usize = 256;
    let mut model = Sequential::new((WINDOW, 1));
    model.add(LSTM::new(units)).expect("a layer").add(Dropout::new(0.2)).expect("a layer");
    model.add(RepeatVector::new(WINDOW)).expect("a layer");
    model.add(LSTM::new(units).return_sequences(true)).expect("a layer");
    model.add(Dropout::new(0.2)).expect("a layer");
    model.add(TimeDistributed::new(Dense::new(1))).expect("a layer");
    let optimizer = Optimizer::default();
    let plan = model.plan(Loss::MeanSquaredError, optimizer.clone(), 1, BATCH).expect("a plan");
    let multiply_adds = |program: &Program| {
        program.costs(model.layout(), 4).iter().map(|cost| cost.multiply_adds).sum::<u64>() as f64
    };
    let (training, inference) = (multiply_adds(&plan.training), multiply_adds(&plan.inference));
    let mut session = backend.session(plan).expect("a session");
    session.set_state(&State::new(model.layout().initial(1), &optimizer)).expect("the plan's state");
    let series = series();
    let windows = Samples::windows(&series, WINDOW, 1).expect("a series longer than a window");
    let data = Dataset::autoencoder(windows);
    let batch: Vec<u32> = (0..BATCH as u32).collect();
    let peer = Peer { name: format!("{units} units"), threads: backend.threads() };
    let times = time(runs, || {
        session.compute_gradient(&data, &batch).expect("a gradient");
        session.update().expect("a step");
    });
    let gflops = |multiply_adds: f64, samples: usize, times: &[f64]| json!({"gflops": 2.0 * multiply_adds * samples as f64 / median(times) / 1e9});
    peer.say("lstm step", gflops(training, BATCH, &times).with(&times));
    let mut y = vec![0.0; SCORED * WINDOW];
    let scored = windows.slice(0..SCORED);
    let times = time(runs, || session.predict(&scored, &mut y).expect("predictions"));
    peer.say("lstm scoring", gflops(inference, SCORED, &times).with(&times));
}

/// The tutorial's epoch: 27 shuffled steps, then validation on the last 375 windows.
fn epochs(peer: &Peer, session: &mut dyn Session<f32>, windows: Samples<'_, f32>, runs: usize) {
    let train = Dataset::autoencoder(windows.slice(0..TRAIN_WINDOWS));
    let validation = Dataset::autoencoder(windows.slice(TRAIN_WINDOWS..WINDOWS));
    let mut epoch = 0u32;
    let times = time(runs, || {
        let mut order: Vec<u32> = (0..TRAIN_WINDOWS as u32).collect();
        Stream::new(1, Purpose::Shuffle, 0, epoch).draws().shuffle(&mut order);
        let pass = Epoch { epoch: epoch as usize, order: &order, batch_size: BATCH };
        session.train_epoch(&train, &pass, &mut |_| ()).expect("an epoch");
        session.evaluate(&validation).expect("a validation loss");
        epoch += 1;
    });
    let flop = training_flop() * TRAIN_WINDOWS as f64 + forward_flop() * (WINDOWS - TRAIN_WINDOWS) as f64;
    peer.say(
        "epoch",
        json!({"gflops": flop / median(&times) / 1e9, "rss_mib_after_epochs": peak_memory()}).with(&times),
    );
}

/// The tutorial's whole fit: 50 epochs with validation, none left out by early stopping.
fn fit(peer: &Peer, session: &mut dyn Session<f32>, windows: Samples<'_, f32>, epochs: usize) {
    let options =
        Fit { epochs, batch_size: BATCH, validation_split: 0.1, early_stopping: None, ..Fit::default() };
    let data = Dataset::autoencoder(windows);
    let start = session.state().expect("a state");
    let times = time(if epochs == 1 { 1 } else { 3 }, || {
        let checkpoint = Checkpoint::start(start.clone());
        training::fit(session, &data, &options, checkpoint, &mut []).expect("a fit");
    });
    peer.say("fit", json!({"epochs": epochs}).with(&times));
}

/// Floating-point operations of a training step for one window.
fn training_flop() -> f64 {
    2.0 * TRAINING_MULTIPLY_ADDS as f64
}

/// The same of a prediction.
fn forward_flop() -> f64 {
    2.0 * FORWARD_MULTIPLY_ADDS as f64
}

struct Peer {
    name: String,
    threads: usize,
}

impl Peer {
    fn say(&self, what: &str, mut figures: serde_json::Value) {
        let tag = json!({"what": what, "peer": "glassbox", "variant": self.name, "threads": self.threads});
        let mut line = tag.as_object().expect("an object").clone();
        line.append(figures.as_object_mut().expect("an object"));
        println!("{}", serde_json::Value::Object(line));
    }
}

/// Adds the quantiles of timings to a JSON object.
trait With {
    fn with(self, times: &[f64]) -> Self;
}

impl With for serde_json::Value {
    fn with(mut self, times: &[f64]) -> Self {
        let mut sorted = times.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize] * 1e3;
        for (name, value) in
            [("median_ms", at(0.5)), ("p10_ms", at(0.1)), ("p90_ms", at(0.9)), ("min_ms", at(0.0))]
        {
            self[name] = json!((value * 1e4).round() / 1e4);
        }
        self["n"] = json!(sorted.len());
        self
    }
}

/// Seconds of each of `runs` runs, after some that do not count.
fn time(runs: usize, mut work: impl FnMut()) -> Vec<f64> {
    for _ in 0..runs.div_ceil(8) {
        work();
    }
    let mut timed = || {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    (0..runs).map(|_| timed()).collect()
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Seconds since the caller started this process, if it said when (`PEER_T0`, seconds since 1970).
fn since_start() -> Option<f64> {
    let start: f64 = std::env::var("PEER_T0").ok()?.parse().ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64();
    Some(now - start)
}

/// The most memory that this process has had, in MiB; only Linux tells.
fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some((kib / 102.4).round() / 10.0)
}
