//! The tutorial's step and scoring with other tunings of the fused kernels.

use std::time::Instant;

use glassbox_benches::variants::{Variant, advice, search, table};
use glassbox_cuda::Cuda;
use glassbox_cuda::fused::{FusedSource, Tuning, Tunings, programs};
use glassbox_engine::Result;
use glassbox_engine::backend::{Dataset, Epoch, Session};
use glassbox_engine::losses::Loss;
use glassbox_engine::model::Network;
use glassbox_engine::samples::Samples;

use super::{FULL, Scale, plan, require_the_cpus_loss, series, session, times};

/// Prints a table of variants for each kernel, and which constants to change.
pub(super) fn measure(gpu: &Cuda, model: &Network, scale: &Scale) -> Result<()> {
    let usual = Tunings::default();
    let step = |tuning| Tunings { step: tuning, ..usual };
    let scoring = |tuning| Tunings { scoring: tuning, ..usual };
    println!("\nVariants of a training step, batch {}:\n", scale.batch);
    vary(gpu, model, scale, ("step", 0, usual.step), &step, &time_steps)?;
    println!("\nVariants of scoring, {} windows:\n", scale.scored[1]);
    vary(gpu, model, scale, ("scoring", 1, usual.scoring), &scoring, &time_scoring)
}

/// A kernel: its name in `Tunings`, its place in `programs`, and how it is cut by default.
type Kernel = (&'static str, usize, Tuning);

/// Times what a session does: the best and the median, in seconds.
type Time = dyn Fn(&mut dyn Session<f32>, &Scale) -> Result<(f64, f64)>;

fn vary(
    gpu: &Cuda,
    model: &Network,
    scale: &Scale,
    (name, kernel, usual): Kernel,
    tunings: &dyn Fn(Tuning) -> Tunings,
    time: &Time,
) -> Result<()> {
    let mut seen: Vec<(FusedSource, Variant)> = vec![];
    let began = Instant::now();
    let found = search(usual, |tuning| {
        if scale.window != FULL.window && tuning != usual {
            return Ok(None);
        }
        let sources = programs(&plan(model, scale.batch)?, gpu.device().properties(), tunings(tuning));
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
        let mut session = session(&gpu.clone().tuned(tunings(tuning)), model, scale.batch)?;
        let series = series(scale.series);
        let data = Dataset::autoencoder(Samples::windows(&series, scale.window, 1)?);
        require_the_cpus_loss(&mut *session, model, &data, &order(scale, data.len())[..scale.batch])?;
        let seconds = time(&mut *session, scale)?;
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
fn order(scale: &Scale, samples: usize) -> Vec<u32> {
    (0..scale.batch * scale.steps).map(|i| (i * 29 % samples) as u32).collect()
}

fn time_steps(session: &mut dyn Session<f32>, scale: &Scale) -> Result<(f64, f64)> {
    let series = series(scale.series);
    let data = Dataset::autoencoder(Samples::windows(&series, scale.window, 1)?);
    let order = order(scale, data.len());
    let mut epoch = 0;
    let (best, median) = times(scale, || {
        let now = Epoch { epoch, order: &order, batch_size: scale.batch };
        epoch += 1;
        session.train_epoch(&data, &now, &mut |_| {}).map(|_| ())
    })?;
    let steps = scale.steps as f64;
    Ok((best / steps, median / steps))
}

fn time_scoring(session: &mut dyn Session<f32>, scale: &Scale) -> Result<(f64, f64)> {
    let series = series(scale.scored[1] + scale.window - 1);
    let data = Dataset::autoencoder(Samples::windows(&series, scale.window, 1)?);
    let mut errors = vec![0.0; data.len()];
    times(scale, || session.sample_losses(&data, Loss::MeanAbsoluteError, &mut errors))
}
