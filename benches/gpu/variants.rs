//! The tutorial's step and scoring with other tunings of the fused kernels.

use std::time::Instant;

use glassbox_benches::variants::{Variant, advice, search, table};
use glassbox_benches::{BATCH, WINDOW, series};
use glassbox_cuda::Cuda;
use glassbox_cuda::device::{Device as _, Gpu};
use glassbox_cuda::fused::{FusedSource, Tuning, programs};
use glassbox_engine::Result;
use glassbox_engine::backend::{Dataset, Epoch};
use glassbox_engine::losses::Loss;
use glassbox_engine::model::Sequential;
use glassbox_engine::samples::Samples;

use super::{Options, STEPS, long, plan, require_the_cpus_loss, session, times};

/// Windows that are scored with each.
const SCORED: usize = 200_000;

/// Prints the table of variants, and which constants to change.
pub(super) fn measure(gpu: &Cuda<Gpu>, model: &Sequential, options: &Options<'_>) -> Result<()> {
    println!("\nVariants of the fused kernels, batch {BATCH}:\n");
    let mut seen: Vec<([FusedSource; 2], Variant)> = vec![];
    let began = Instant::now();
    let found = search(|tuning| {
        if options.test && tuning != Tuning::default() {
            return Ok(None);
        }
        let sources = match programs(&plan(model, BATCH)?, gpu.device().properties(), tuning) {
            Ok(sources) => sources,
            Err(why) => {
                println!("{tuning:?}: {why}");
                return Ok(None);
            }
        };
        // Another name for the same code is measured already.
        if let Some((_, variant)) = seen.iter().find(|(other, _)| *other == sources) {
            return Ok(Some(Variant { tuning, ..*variant }));
        }
        let variant = one(gpu, model, tuning, &sources[0])?;
        seen.push((sources, variant));
        Ok::<_, glassbox_engine::Error>(Some(variant))
    })?;
    print!("{}", table(&found));
    println!(
        "\n{} With their compilations these took {:.0} s.",
        advice(&found),
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

fn one(gpu: &Cuda<Gpu>, model: &Sequential, tuning: Tuning, source: &FusedSource) -> Result<Variant> {
    let series = series();
    let data = Dataset::autoencoder(Samples::windows(&series, WINDOW, 1)?);
    let order: Vec<u32> = (0..BATCH * STEPS).map(|i| (i * 29 % data.len()) as u32).collect();
    let mut session = session(&gpu.clone().tuned(tuning), model, BATCH)?;
    require_the_cpus_loss(&mut *session, model, &data, &order[..BATCH])?;
    let mut epoch = 0;
    let (best, median) = times(|| {
        let now = Epoch { epoch, order: &order, batch_size: BATCH };
        epoch += 1;
        session.train_epoch(&data, &now, &mut |_| {}).map(|_| ())
    })?;
    let many = long(SCORED + WINDOW - 1);
    let many = Dataset::autoencoder(Samples::windows(&many, WINDOW, 1)?);
    let mut errors = vec![0.0; many.len()];
    let (scoring, _) = times(|| session.sample_losses(&many, Loss::MeanAbsoluteError, &mut errors))?;
    let steps = STEPS as f64;
    Ok(Variant {
        tuning,
        step: (best / steps, median / steps),
        scored: many.len() as f64 / scoring,
        shared_bytes: source.shared_bytes,
        barriers: source.barriers,
    })
}
