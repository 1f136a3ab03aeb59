//! The tutorial on a GPU, and how it grows: steps, a whole fit, scoring, cold start; and which tuning of the fused kernels
//! is the fastest there. Tables on standard output.
//!
//! ```sh
//! cargo bench -p glassbox-benches --bench gpu -- [--gpu NUMBER] [--svg FILE]
//! ```
//!
//! Times are of whole epochs, from the call to the losses that come back, so nothing that a user waits for is left
//! out. Best and median of several, after the GPU was kept busy for as long as it takes to raise its clocks. Each line first holds its loss against the CPU's: what is wrong has no time.
//!
//! * `steps`: the training step by batch, window and channels, and what limits it ([`glassbox_benches::limits`] defines
//!   each limit); the picture;
//! * here: each kernel of a step under its roof (as `glassbox profile` has it), the whole fit, scoring;
//! * `cold_start`: from a new process to the first step;
//! * `variants`: the tutorial's step and scoring with other tunings of the fused kernels, and what to make of it.
//!
//! Without a GPU it says why and measures nothing. `benches/gpu/check.sh` runs it on a machine that has one. With
//! `--test` everything that is small runs, once.

mod cold_start;
mod steps;
mod variants;

use std::path::Path;
use std::time::{Duration, Instant};

use glassbox_benches::limits::{Machine, Step};
use glassbox_benches::{BATCH, WINDOW, network};
use glassbox_cpu::Cpu;
use glassbox_cuda::Cuda;
use glassbox_cuda::device::cache::Cache;
use glassbox_cuda::device::{Buffer, Gpu};
use glassbox_cuda::kernels::Control;
use glassbox_engine::Result;
use glassbox_engine::backend::{Backend, Dataset, Plan, Session, State};
use glassbox_engine::losses::Loss;
use glassbox_engine::model::Network;
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::program::cost::Cost;
use glassbox_engine::samples::Samples;
use glassbox_engine::training::{self, Checkpoint, Fit};
use glassbox_lab::profile::{ProfileOptions, run as profile};

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Scale {
    /// The tutorial's network, or the same for shorter windows: steps of a window, windows in a batch.
    window: usize,
    batch: usize,
    /// Values of the series that is trained on.
    series: usize,
    /// Batches of a timed epoch.
    steps: usize,
    /// Epochs of the fit.
    fit: usize,
    /// Windows that are scored, and for each variant.
    scored: [usize; 2],
    /// Launches without work that are timed together.
    launches: usize,
    /// So often, and for so long, everything is timed, at least.
    times: usize,
    timed: Duration,
    /// So long the same is done before: a GPU that has had nothing to do runs at a fraction of its clock.
    warm_up: Duration,
    /// Steps of a profile.
    profiled: usize,
}

/// The tutorial's.
const FULL: Scale = Scale {
    window: WINDOW,
    batch: BATCH,
    series: 4032,
    steps: 27,
    fit: 50,
    scored: [1_000_000, 200_000],
    launches: 256,
    times: 7,
    timed: Duration::from_millis(200),
    warm_up: Duration::from_millis(300),
    profiled: 50,
};

/// To see that it runs.
const SMALL: Scale = Scale {
    window: 16,
    batch: 4,
    series: 40,
    steps: 2,
    fit: 1,
    scored: [9, 9],
    launches: 2,
    times: 1,
    timed: Duration::ZERO,
    warm_up: Duration::ZERO,
    profiled: 1,
};

/// What is asked of the bench.
struct Options<'a> {
    /// The number of the GPU.
    gpu: usize,
    /// Where the picture goes.
    svg: Option<&'a Path>,
    /// How much of it.
    scale: Scale,
}

fn main() {
    let began = Instant::now();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |option: &str, what: &str| {
        arguments.iter().position(|argument| argument == option).map(|at| {
            arguments
                .get(at + 1)
                .map(String::as_str)
                .unwrap_or_else(|| refuse(&format!("{option} needs {what}")))
        })
    };
    let number = value("--gpu", "the number of a GPU").unwrap_or("0");
    let number = number.parse().unwrap_or_else(|_| refuse(&format!("--gpu {number}: no number of a GPU")));
    let scale = if arguments.iter().any(|argument| argument == "--test") { SMALL } else { FULL };
    if let Some(folder) = value("--cold-start", "a folder, or `none`") {
        return cold_start::run(began, number, folder, &scale);
    }
    let options = Options { gpu: number, svg: value("--svg", "the name of a file").map(Path::new), scale };
    // A kernel is compiled once for all that is measured with it.
    let folder = std::env::temp_dir().join(format!("glassbox-bench-{}", std::process::id()));
    let gpu = match Gpu::open(number, Cache::in_folder(&folder)).and_then(Cuda::new) {
        Ok(gpu) => gpu,
        Err(error) => return println!("no GPU is measured: {error}"),
    };
    let measured = measure(&gpu, &options);
    // It is ours alone, and small.
    let _ = std::fs::remove_dir_all(&folder);
    if let Err(error) = measured {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn refuse(why: &str) -> ! {
    eprintln!("{why}");
    std::process::exit(2)
}

fn measure(gpu: &Cuda, options: &Options<'_>) -> Result<()> {
    let scale = &options.scale;
    println!("{}\n", gpu.name());
    let model = network(scale.window, 1);
    if let Some(how) = gpu.describe(&plan(&model, scale.batch)?) {
        println!("the tutorial's network: {how}\n");
    }
    let machine = machine(gpu, 0, scale)?;
    println!(
        "ceilings measured: {:.1} TFLOP/s f32, {:.0} GB/s device memory, {:.0} GB/s second cache, {:.2} us a launch\n",
        machine.flops / 1e12,
        machine.memory / 1e9,
        machine.reads / 1e9,
        machine.launch * 1e6
    );
    steps::measure(gpu, options)?;
    fit(gpu, &model, scale)?;
    scoring(gpu, &model, &machine, scale)?;
    cold_start::measure(options)?;
    variants::measure(gpu, &model, scale)?;
    kernels(gpu, &model, scale)
}

/// What the machine can do, with reads measured over as many bytes as something touches.
fn machine(gpu: &Cuda, bytes: usize, scale: &Scale) -> Result<Machine> {
    let ceilings = gpu.ceilings(bytes).ok_or_else(|| glassbox_engine::Error::Option {
        option: "the GPU",
        found: "no ceilings".into(),
        expected: "a device that can be measured".into(),
    })?;
    Ok(Machine {
        flops: ceilings.peaks[0].rate,
        memory: ceilings.bandwidths[0].rate,
        reads: ceilings.bandwidths[1].rate,
        launch: launch_seconds(gpu, scale)?,
        multiprocessors: gpu.device().properties().multiprocessors,
    })
}

/// Seconds of a launch that does nothing, among others in a recording: the best of several tries.
fn launch_seconds(gpu: &Cuda, scale: &Scale) -> Result<f64> {
    let device = gpu.device();
    let control = Buffer::of(device, &Control { samples: 1, batch: 1, step: 0 }.words())?;
    // A kernel of one thread that moves a run on by no batch.
    let recording = device.record(&vec![gpu.kernels().advance(&control, 0); scale.launches])?;
    let mut best = f64::INFINITY;
    for _ in 0..scale.times {
        let start = device.mark()?;
        device.replay(&recording)?;
        best = best.min(device.elapsed(&start, &device.mark()?)?.as_secs_f64());
    }
    Ok(best / scale.launches as f64)
}

/// Each kernel of the tutorial's step under its roof, plain and fused: operations, bytes, time by events, share of the
/// ceiling that binds it.
fn kernels(gpu: &Cuda, model: &Network, scale: &Scale) -> Result<()> {
    let few = ProfileOptions { batch_size: scale.batch, steps: scale.profiled, ..ProfileOptions::default() };
    for (how, backend) in [("fused", gpu.clone()), ("plain", gpu.clone().plain())] {
        println!("\nEach kernel of the tutorial's step, {how}:\n\n{}", profile(&backend, model, None, &few)?);
    }
    Ok(())
}

fn plan(model: &Network, batch: usize) -> Result<Plan> {
    model.plan(Loss::MeanSquaredError, Optimizer::default(), 1, batch)
}

fn session(backend: &dyn Backend<f32>, model: &Network, batch: usize) -> Result<Box<dyn Session<f32>>> {
    let mut session = backend.session(plan(model, batch)?)?;
    session.set_state(&State::new(model.layout().initial(1), &Optimizer::default()))?;
    Ok(session)
}

/// A series of the tutorial's kind, of so many values.
fn series(values: usize) -> Vec<f32> {
    glassbox_benches::series().into_iter().cycle().take(values).collect()
}

/// The best and the median of several times, in seconds.
fn times(scale: &Scale, mut once: impl FnMut() -> Result<()>) -> Result<(f64, f64)> {
    // The first records, and touches memory.
    once()?;
    let warming = Instant::now();
    while warming.elapsed() < scale.warm_up {
        once()?;
    }
    let (timing, mut times) = (Instant::now(), vec![]);
    while times.len() < scale.times || timing.elapsed() < scale.timed {
        let start = Instant::now();
        once()?;
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok((times[0], times[times.len() / 2]))
}

fn share(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// A number that is wrong has no time.
fn require_the_cpus_loss(
    session: &mut dyn Session<f32>,
    model: &Network,
    data: &Dataset<'_, f32>,
    batch: &[u32],
) -> Result<()> {
    let mut cpu = self::session(&Cpu::new(None)?, model, batch.len())?;
    let (found, expected) = (session.compute_gradient(data, batch)?, cpu.compute_gradient(data, batch)?);
    // The same sums in another order.
    assert!((found - expected).abs() <= 1e-6 * expected, "a loss of {found}, on the CPU {expected}");
    Ok(())
}

/// The whole fit as the tutorial has it, from initial weights, with shuffles and validation, once the kernels are loaded.
fn fit(gpu: &Cuda, model: &Network, scale: &Scale) -> Result<()> {
    let series = series(scale.series);
    let data = Dataset::autoencoder(Samples::windows(&series, scale.window, 1)?);
    let (epochs, batch_size) = (scale.fit, scale.batch);
    let options = Fit { epochs, batch_size, validation_split: 0.1, ..Fit::default() };
    let mut session = session(gpu, model, batch_size)?;
    let start = State::new(model.layout().initial(1), &Optimizer::default());
    let (best, median) = times(scale, || {
        training::fit(&mut *session, &data, &options, Checkpoint::start(start.clone()), &mut []).map(|_| ())
    })?;
    println!("\nThe tutorial's fit, {epochs} epochs with validation: best {best:.3} s, median {median:.3} s");
    Ok(())
}

fn scoring(gpu: &Cuda, model: &Network, machine: &Machine, scale: &Scale) -> Result<()> {
    let [windows, _] = scale.scored;
    let series = series(windows + scale.window - 1);
    let data = Dataset::autoencoder(Samples::windows(&series, scale.window, 1)?);
    let mut session = session(gpu, model, scale.batch)?;
    let mut errors = vec![0.0; data.len()];
    let (best, median) = times(scale, || session.sample_losses(&data, Loss::MeanAbsoluteError, &mut errors))?;
    let cost: Cost = plan(model, 1)?.inference.costs(model.layout(), size_of::<f32>()).into_iter().sum();
    let rate = 2.0 * cost.multiply_adds as f64 * windows as f64 / best;
    // One launch; of each block the weights, of each window itself twice and its loss.
    let multiprocessors = machine.multiprocessors;
    let bytes = multiprocessors * model.layout().len() * size_of::<f32>()
        + windows * (2 * scale.window * size_of::<f32>() + size_of::<f64>());
    let work = Step { windows, flops: cost.flops(), bytes: bytes as u64, launches: 1, fused: true };
    println!(
        "Scoring {windows} windows: best {best:.3} s, median {median:.3} s, {:.0} GFLOP/s, {} of the peak, limited by {}",
        rate / 1e9,
        share(rate / machine.flops),
        work.limited_by(machine, best)
    );
    Ok(())
}
