//! The tutorial on a GPU, and how it grows: steps, a whole fit, scoring, cold start. Tables on standard output.
//!
//! Times are of whole epochs, from the call to the losses that come back, so nothing that a user waits for is left
//! out. Best and median of several. Each line first holds its loss against the CPU's: what is wrong has no time.
//!
//! Without a GPU it says why and measures nothing. `benches/gpu/check.sh` runs it on a machine that has one.

use std::time::Instant;

use glassbox_benches::{BATCH, WINDOW, series};
use glassbox_cpu::Cpu;
use glassbox_cuda::Cuda;
use glassbox_cuda::device::Gpu;
use glassbox_cuda::device::cache::Cache;
use glassbox_engine::Result;
use glassbox_engine::backend::{Backend, Dataset, Epoch, Plan, Session, State};
use glassbox_engine::geometry::Padding;
use glassbox_engine::layers::{Activation, Conv1D, Conv1DTranspose, Dropout};
use glassbox_engine::losses::Loss;
use glassbox_engine::masks::Masks;
use glassbox_engine::model::Sequential;
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::program::cost::Cost;
use glassbox_engine::samples::Samples;
use glassbox_engine::shape::Shape;

/// Epochs that are timed, for each line of a table.
const EPOCHS: usize = 7;

/// Steps of a timed epoch: those of the tutorial.
const STEPS: usize = 27;

/// Epochs of the tutorial's fit.
const FIT: usize = 50;

/// Windows that are scored.
const SCORED: usize = 1_000_000;

fn main() {
    let gpu = match Gpu::open(0, Cache::none()).and_then(Cuda::new) {
        Ok(gpu) => gpu,
        Err(error) => return println!("no GPU is measured: {error}"),
    };
    if let Err(error) = measure(&gpu) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn measure(gpu: &Cuda<Gpu>) -> Result<()> {
    println!("{}\n", gpu.name());
    let model = network(WINDOW, 1);
    if let Some(how) = gpu.describe(&plan(&model, BATCH)?) {
        println!("the tutorial's network: {how}\n");
    }
    let peak = gpu.ceilings(0).map(|ceilings| {
        println!(
            "ceilings measured: {:.1} TFLOP/s f32, {:.0} GB/s\n",
            ceilings.peaks[0].rate / 1e12,
            ceilings.bandwidths[0].rate / 1e9
        );
        ceilings.peaks[0].rate
    });
    println!(
        "| training step | batch | steps a window | channels | best, us | median, us | ns a window | GFLOP/s | of peak |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for batch in [BATCH, 1024, 8192, 65_536] {
        steps(gpu, "batches", (batch, WINDOW, 1), peak)?;
    }
    for window in [1024, 4096] {
        steps(gpu, "windows", (BATCH, window, 1), peak)?;
    }
    for channels in [2, 4] {
        steps(gpu, "channels", (BATCH, WINDOW, channels), peak)?;
    }
    fit(gpu, &model)?;
    scoring(gpu, &model, peak)?;
    cold_start(&model)
}

/// The tutorial's network with so many times its channels.
fn network(window: usize, times: usize) -> Sequential {
    let (same, relu) = (Padding::Same, Activation::Relu);
    let down = |filters: usize| Conv1D::new(filters * times, 7).strides(2).padding(same).activation(relu);
    let up =
        |filters: usize| Conv1DTranspose::new(filters * times, 7).strides(2).padding(same).activation(relu);
    let mut model = Sequential::new(Shape::new(window, 1));
    let built = model
        .add(down(32))
        .and_then(|model| model.add(Dropout::new(0.2)))
        .and_then(|model| model.add(down(16)))
        .and_then(|model| model.add(up(16)))
        .and_then(|model| model.add(Dropout::new(0.2)))
        .and_then(|model| model.add(up(32)))
        .and_then(|model| model.add(Conv1DTranspose::new(1, 7).padding(same)));
    built.expect("windows of a multiple of 4 steps");
    model
}

fn plan(model: &Sequential, batch: usize) -> Result<Plan> {
    model.plan(Loss::MeanSquaredError, Optimizer::default(), Masks::Random { seed: 1 }, batch)
}

fn session(backend: &dyn Backend<f32>, model: &Sequential, batch: usize) -> Result<Box<dyn Session<f32>>> {
    let mut session = backend.session(plan(model, batch)?)?;
    session.set_state(&State::new(model.layout().initial(1), &Optimizer::default()))?;
    Ok(session)
}

/// A long series of the tutorial's kind.
fn long(values: usize) -> Vec<f32> {
    series().into_iter().cycle().take(values).collect()
}

/// The best and the median of several times, in seconds.
fn times(mut once: impl FnMut() -> Result<()>) -> Result<(f64, f64)> {
    let mut times = vec![];
    // The first records, and touches memory.
    for epoch in 0..=EPOCHS {
        let start = Instant::now();
        once()?;
        if epoch > 0 {
            times.push(start.elapsed().as_secs_f64());
        }
    }
    times.sort_by(f64::total_cmp);
    Ok((times[0], times[times.len() / 2]))
}

fn steps(
    gpu: &Cuda<Gpu>,
    what: &str,
    (batch, window, channels): (usize, usize, usize),
    peak: Option<f64>,
) -> Result<()> {
    let model = network(window, channels);
    let series = long(4032.max(window + 1000));
    let data = Dataset::autoencoder(Samples::windows(&series, window, 1)?);
    let order: Vec<u32> = (0..batch * STEPS).map(|i| (i * 29 % data.len()) as u32).collect();
    let mut session = match session(gpu, &model, batch) {
        Ok(session) => session,
        Err(error) => {
            println!("| {what} | {batch} | {window} | x{channels} | {error} | | | | |");
            return Ok(());
        }
    };
    require_the_cpus_loss(&mut *session, &model, &data, &order[..batch.min(64)])?;
    let mut epoch = 0;
    let (best, median) = times(|| {
        let now = Epoch { epoch, order: &order, batch_size: batch };
        epoch += 1;
        session.train_epoch(&data, &now, &mut |_| {}).map(|_| ())
    })?;
    let cost: Cost = plan(&model, 1)?.training.costs(model.layout(), size_of::<f32>()).into_iter().sum();
    let rate = 2.0 * cost.multiply_adds as f64 * (batch * STEPS) as f64 / best;
    println!(
        "| {what} | {batch} | {window} | x{channels} | {:.1} | {:.1} | {:.0} | {:.0} | {} |",
        best / STEPS as f64 * 1e6,
        median / STEPS as f64 * 1e6,
        best / (STEPS * batch) as f64 * 1e9,
        rate / 1e9,
        share(rate, peak),
    );
    Ok(())
}

fn share(rate: f64, peak: Option<f64>) -> String {
    peak.map_or_else(String::new, |peak| format!("{:.0} %", 100.0 * rate / peak))
}

/// A number that is wrong has no time.
fn require_the_cpus_loss(
    session: &mut dyn Session<f32>,
    model: &Sequential,
    data: &Dataset<'_, f32>,
    batch: &[u32],
) -> Result<()> {
    let mut cpu = self::session(&Cpu::new(None)?, model, batch.len())?;
    let (found, expected) = (session.compute_gradient(data, batch)?, cpu.compute_gradient(data, batch)?);
    // The same sums in another order.
    assert!((found - expected).abs() <= 1e-6 * expected, "a loss of {found}, on the CPU {expected}");
    Ok(())
}

/// The whole fit, validation and all, once the kernels are loaded.
fn fit(gpu: &Cuda<Gpu>, model: &Sequential) -> Result<()> {
    let series = series();
    let data = Dataset::autoencoder(Samples::windows(&series, WINDOW, 1)?);
    let (train, validation) = (data.slice(0..3370), data.slice(3370..data.len()));
    let order: Vec<u32> = (0..train.len() as u32).collect();
    let (best, median) = times(|| {
        let mut session = session(gpu, model, BATCH)?;
        for epoch in 0..FIT {
            session.train_epoch(&train, &Epoch { epoch, order: &order, batch_size: BATCH }, &mut |_| {})?;
            session.evaluate(&validation)?;
        }
        Ok(())
    })?;
    println!("\nThe tutorial's fit, {FIT} epochs with validation: best {best:.3} s, median {median:.3} s");
    Ok(())
}

fn scoring(gpu: &Cuda<Gpu>, model: &Sequential, peak: Option<f64>) -> Result<()> {
    let series = long(SCORED + WINDOW - 1);
    let data = Dataset::autoencoder(Samples::windows(&series, WINDOW, 1)?);
    let mut session = session(gpu, model, BATCH)?;
    let mut errors = vec![0.0; data.len()];
    let (best, median) = times(|| session.sample_losses(&data, Loss::MeanAbsoluteError, &mut errors))?;
    let cost: Cost = plan(model, 1)?.inference.costs(model.layout(), size_of::<f32>()).into_iter().sum();
    let rate = 2.0 * cost.multiply_adds as f64 * SCORED as f64 / best;
    println!(
        "Scoring {SCORED} windows: best {best:.3} s, median {median:.3} s, {:.0} GFLOP/s {}",
        rate / 1e9,
        share(rate, peak)
    );
    Ok(())
}

/// From nothing to the first step: without the cache of kernels, with an empty one, with a full one.
fn cold_start(model: &Sequential) -> Result<()> {
    let series = series();
    let data = Dataset::autoencoder(Samples::windows(&series, WINDOW, 1)?);
    let batch: Vec<u32> = (0..BATCH as u32).collect();
    let folder = std::env::temp_dir().join(format!("glassbox-kernels-{}", std::process::id()));
    for (what, cache) in [
        ("no cache", Cache::none()),
        ("an empty cache", Cache::in_folder(&folder)),
        ("a full cache", Cache::in_folder(&folder)),
    ] {
        let start = Instant::now();
        let gpu = Cuda::new(Gpu::open(0, cache)?)?;
        let opened = start.elapsed();
        let mut session = session(&gpu, model, BATCH)?;
        session.compute_gradient(&data, &batch)?;
        session.update()?;
        session.state()?;
        println!(
            "To the first step with {what}: {:.3} s, {:.3} s of it until the kernels were loaded",
            start.elapsed().as_secs_f64(),
            opened.as_secs_f64()
        );
    }
    // It is ours alone, and small.
    let _ = std::fs::remove_dir_all(&folder);
    Ok(())
}
