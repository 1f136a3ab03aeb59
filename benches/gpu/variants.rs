//! The tutorial's step and scoring with other tunings of the fused kernels.

use std::time::Instant;

use glassbox_benches::variants::{Variant, advice, search, table};
use glassbox_benches::{BATCH, WINDOW, series};
use glassbox_cuda::Cuda;
use glassbox_cuda::device::{Device as _, Gpu};
use glassbox_cuda::fused::{FusedSource, Tuning, Tunings, programs};
use glassbox_engine::Result;
use glassbox_engine::backend::{Dataset, Epoch, Session};
use glassbox_engine::losses::Loss;
use glassbox_engine::model::Sequential;
use glassbox_engine::samples::Samples;

use super::{Options, STEPS, long, plan, require_the_cpus_loss, session, times};

/// Windows that are scored with each.
const SCORED: usize = 200_000;

/// Prints a table of variants for each kernel, and which constants to change.
pub(super) fn measure(gpu: &Cuda<Gpu>, model: &Sequential, options: &Options<'_>) -> Result<()> {
    let usual = Tunings::default();
    let step = |tuning| Tunings { step: tuning, ..usual };
    let scoring = |tuning| Tunings { scoring: tuning, ..usual };
    println!("\nVariants of a training step, batch {BATCH}:\n");
    vary(gpu, model, options, ("step", 0, usual.step), &step, &time_steps)?;
    println!("\nVariants of scoring, {SCORED} windows:\n");
    vary(gpu, model, options, ("scoring", 1, usual.scoring), &scoring, &time_scoring)
}

/// A kernel: its name in `Tunings`, its place in `programs`, and how it is cut by default.
type Kernel = (&'static str, usize, Tuning);

/// Times what a session does: the best and the median, in seconds.
type Time = dyn Fn(&mut dyn Session<f32>) -> Result<(f64, f64)>;

fn vary(
    gpu: &Cuda<Gpu>,
    model: &Sequential,
    options: &Options<'_>,
    (name, kernel, usual): Kernel,
    tunings: &dyn Fn(Tuning) -> Tunings,
    time: &Time,
) -> Result<()> {
    let mut seen: Vec<(FusedSource, Variant)> = vec![];
    let began = Instant::now();
    let found = search(usual, |tuning| {
        if options.test && tuning != usual {
            return Ok(None);
        }
        let sources = programs(&plan(model, BATCH)?, gpu.device().properties(), tunings(tuning));
        let source = match sources {
            Ok(sources) => sources[kernel].clone(),
            Err(why) => {
                println!("{tuning:?}: {why}");
                return Ok(None);
            }
        };
        // Another name for the same code is measured already.
        if let Some((_, variant)) = seen.iter().find(|(other, _)| *other == source) {
            return Ok(Some(Variant { tuning, ..*variant }));
        }
        let mut session = session(&gpu.clone().tuned(tunings(tuning)), model, BATCH)?;
        let series = series();
        let data = Dataset::autoencoder(Samples::windows(&series, WINDOW, 1)?);
        require_the_cpus_loss(&mut *session, model, &data, &order(data.len())[..BATCH])?;
        let seconds = time(&mut *session)?;
        let FusedSource { shared_bytes, barriers, .. } = source;
        let variant = Variant { tuning, seconds, shared_bytes, barriers };
        seen.push((source, variant));
        Ok::<_, glassbox_engine::Error>(Some(variant))
    })?;
    print!("{}", table(&found));
    println!(
        "\n{} With their compilations these took {:.0} s.",
        advice(name, usual, &found),
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Samples of an epoch, of so many.
fn order(samples: usize) -> Vec<u32> {
    (0..BATCH * STEPS).map(|i| (i * 29 % samples) as u32).collect()
}

fn time_steps(session: &mut dyn Session<f32>) -> Result<(f64, f64)> {
    let series = series();
    let data = Dataset::autoencoder(Samples::windows(&series, WINDOW, 1)?);
    let order = order(data.len());
    let mut epoch = 0;
    let (best, median) = times(|| {
        let now = Epoch { epoch, order: &order, batch_size: BATCH };
        epoch += 1;
        session.train_epoch(&data, &now, &mut |_| {}).map(|_| ())
    })?;
    Ok((best / STEPS as f64, median / STEPS as f64))
}

fn time_scoring(session: &mut dyn Session<f32>) -> Result<(f64, f64)> {
    let many = long(SCORED + WINDOW - 1);
    let many = Dataset::autoencoder(Samples::windows(&many, WINDOW, 1)?);
    let mut errors = vec![0.0; many.len()];
    times(|| session.sample_losses(&many, Loss::MeanAbsoluteError, &mut errors))
}
