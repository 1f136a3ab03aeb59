//! How the training step grows: with the batch, the window, the channels and the threads, each by itself while the
//! others stay the tutorial's. Time for one window, and share of the ceiling, which is measured in turns with it.
//!
//! ```sh
//! cargo bench -p glassbox-benches --bench growth -- [--svg FILE]
//! ```
//!
//! Were every step bound by its multiply-adds alone, all shares would be the same. With `--test` everything runs once,
//! at the smallest sizes.

use std::path::Path;
use std::time::Instant;

use glassbox_benches::growth;
use glassbox_benches::{BATCH, WINDOW, ceiling_of, network};
use glassbox_cpu::{Cpu, Simd};
use glassbox_engine::backend::{Backend as _, Dataset, State};
use glassbox_engine::losses::Loss;
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::samples::Samples;
use glassbox_figures::Figure;

const BATCHES: [usize; 13] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096];
const WINDOWS: [usize; 8] = [96, 192, 288, 576, 1152, 2304, 4608, 8192];
/// Times the tutorial's.
const CHANNELS: [usize; 4] = [1, 2, 4, 8];

/// What is trained on.
#[derive(Debug, Clone, Copy)]
struct Work {
    batch: usize,
    window: usize,
    channels: usize,
    threads: usize,
}

/// What a step of it took.
#[derive(Debug, Clone, Copy)]
struct Took {
    work: Work,
    /// Multiply-adds for one window, padding left out.
    multiply_adds: u64,
    /// Bytes of the values of one window, and of the weights.
    bytes: (usize, usize),
    /// Seconds for one window.
    window: f64,
    share: f64,
}

fn measure(work: Work, simd: Simd, seconds: f64) -> Took {
    let Work { batch, window, channels, threads } = work;
    let model = network(window, channels);
    let optimizer = Optimizer::default();
    let state = State::new(model.layout().initial(1), &optimizer);
    let plan = model.plan(Loss::MeanSquaredError, optimizer, 1, batch).expect("a plan");
    let costs = plan.training.costs(&plan.layout, size_of::<f32>());
    let bytes = (plan.training.len() * size_of::<f32>(), plan.layout.len() * size_of::<f32>());
    let series: Vec<f32> =
        (0..window + batch).map(|i| (0.02 * i as f32).sin() + (0.7 * i as f32).sin()).collect();
    let data = Dataset::autoencoder(Samples::windows(&series, window, 1).expect("windows"));
    let order: Vec<u32> = (0..batch as u32).collect();
    let mut session = Cpu::with_simd(Some(threads), simd).expect("threads").session(plan).expect("a session");
    session.set_state(&state).expect("the plan's state");
    let (mut best, mut ceiling) = (f64::INFINITY, 0.0f64);
    let began = Instant::now();
    // Short steps many times over; long ones at least three times.
    let mut round = 0;
    while round < 3 || began.elapsed().as_secs_f64() < seconds {
        ceiling = ceiling.max(ceiling_of(simd, threads));
        let burst = Instant::now();
        loop {
            let start = Instant::now();
            session.compute_gradient(&data, &order).expect("a gradient");
            session.update().expect("an update");
            best = best.min(start.elapsed().as_secs_f64());
            if burst.elapsed().as_secs_f64() > seconds / 10.0 {
                break;
            }
        }
        round += 1;
        if seconds == 0.0 {
            break;
        }
    }
    let multiply_adds = costs.iter().map(|cost| cost.multiply_adds).sum();
    let share = 2.0 * (batch as u64 * multiply_adds) as f64 / best / ceiling;
    Took { work, multiply_adds, bytes, window: best / batch as f64, share }
}

/// Measures and prints the rows of one table.
fn table(title: &str, head: &str, works: &[(String, Work)], simd: Simd, seconds: f64) -> Vec<Took> {
    println!("\n**{title}**\n");
    println!(
        "| {head} | threads | multiply-adds a window | values of a window, KiB | weights, KiB | us a window | share |"
    );
    println!("|---|---|---|---|---|---|---|");
    let row = |(name, work): &(String, Work)| {
        let took = measure(*work, simd, seconds);
        println!(
            "| {name} | {} | {} | {} | {} | {:.1} | {:.0} % |",
            work.threads,
            took.multiply_adds,
            took.bytes.0 / 1024,
            took.bytes.1 / 1024,
            1e6 * took.window,
            100.0 * took.share
        );
        took
    };
    works.iter().map(row).collect()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let test = arguments.iter().any(|argument| argument == "--test");
    let svg = arguments.iter().position(|argument| argument == "--svg").map(|at| &arguments[at + 1]);
    let simd = Simd::choose().expect("a path that this machine has");
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    let seconds = if test { 0.0 } else { 1.0 };
    let tutorial = Work { batch: BATCH, window: WINDOW, channels: 1, threads: 1 };
    let few = |values: &[usize]| values[..if test { 1 } else { values.len() }].to_vec();
    let each = |values: &[usize], work: &dyn Fn(usize) -> Work| {
        let mut works = vec![];
        for threads in if all > 1 { vec![1, all] } else { vec![1] } {
            works.extend(few(values).iter().map(|n| (n.to_string(), Work { threads, ..work(*n) })));
        }
        works
    };

    println!("path {simd}, {all} cores");
    let batches = each(&BATCHES, &|batch| Work { batch, ..tutorial });
    let batches = table("Windows in a batch", "batch", &batches, simd, seconds);
    let windows = each(&WINDOWS, &|window| Work { window, ..tutorial });
    let windows = table("Steps in a window", "steps", &windows, simd, seconds);
    let channels = each(&CHANNELS, &|channels| Work { channels, ..tutorial });
    let channels = table("Times the tutorial's channels", "channels", &channels, simd, seconds);
    let threads: Vec<usize> = (1..=all).collect();
    let threads: Vec<_> = few(&threads)
        .iter()
        .map(|n| ("the tutorial's".to_string(), Work { threads: *n, ..tutorial }))
        .collect();
    table("Threads", "step", &threads, simd, seconds);

    if let Some(file) = svg {
        let panels: [Panel<'_>; 3] = [
            ("windows in a batch", &batches, |work| work.batch),
            ("steps in a window", &windows, |work| work.window),
            ("times the channels", &channels, |work| work.channels),
        ];
        let panels = panels.iter().map(|panel| shares(panel, all)).collect();
        growth::write(Path::new(file), &[panels]).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}

/// What grows, what that took, and how large it was.
type Panel<'a> = (&'a str, &'a [Took], fn(Work) -> usize);

/// Shares of the ceiling, a curve for one thread and one for all.
fn shares((name, took, size): &Panel<'_>, all: usize) -> Figure {
    let with = |threads: usize| took.iter().filter(move |took| took.work.threads == threads);
    let curve = |threads: usize| {
        let name = if threads == 1 { "1 thread".into() } else { format!("{threads} threads") };
        (name, with(threads).map(|took| took.share).collect())
    };
    let sizes = with(1).map(|took| size(took.work) as f64).collect();
    let curves = if all > 1 { vec![curve(1), curve(all)] } else { vec![curve(1)] };
    growth::shares(name, sizes, curves)
}
