//! The training step by batch, window and channels: time for a window, share of the peak, and what limits it.

use glassbox_benches::growth::{self, Grown, Size, TUTORIAL};
use glassbox_benches::limits::Step;
use glassbox_benches::network;
use glassbox_cuda::Cuda;
use glassbox_engine::Result;
use glassbox_engine::backend::{Dataset, Epoch, Session};
use glassbox_engine::model::Network;
use glassbox_engine::profile::Part;
use glassbox_engine::program::cost::Cost;
use glassbox_engine::samples::Samples;

use super::{Options, Scale, machine, plan, require_the_cpus_loss, series, session, times};

const BATCHES: [usize; 3] = [1024, 8192, 65_536];
const WINDOWS: [usize; 2] = [1024, 4096];
const CHANNELS: [usize; 2] = [2, 4];

/// Prints the table, and draws the picture.
pub(super) fn measure(gpu: &Cuda, options: &Options<'_>) -> Result<()> {
    let scale = &options.scale;
    let first = Size { batch: scale.batch, window: scale.window, channels: 1 };
    let mut sizes = vec![first];
    if first == TUTORIAL {
        sizes.extend(BATCHES.map(|batch| Size { batch, ..TUTORIAL }));
        sizes.extend(WINDOWS.map(|window| Size { window, ..TUTORIAL }));
        sizes.extend(CHANNELS.map(|channels| Size { channels, ..TUTORIAL }));
    }
    print!("{}", growth::HEAD);
    let mut all = vec![];
    for size in sizes {
        match step(gpu, size, scale)? {
            Ok(grown) => {
                println!("{}", grown.row());
                all.push(grown);
            }
            Err(why) => println!("{}", growth::row_without(size, &why)),
        }
    }
    if let Some(file) = options.svg {
        growth::write(file, &growth::panels(&all))
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        println!("\nwrote {}", file.display());
    }
    Ok(())
}

/// A step of that size; or why this device cannot take it.
fn step(gpu: &Cuda, size: Size, scale: &Scale) -> Result<std::result::Result<Grown, String>> {
    let Size { batch, window, channels } = size;
    let model = network(window, channels);
    let series = series(scale.series.max(window + scale.series / 4));
    let data = Dataset::autoencoder(Samples::windows(&series, window, 1)?);
    let order: Vec<u32> = (0..batch * scale.steps).map(|i| (i * 29 % data.len()) as u32).collect();
    let mut session = match session(gpu, &model, batch) {
        Ok(session) => session,
        Err(error) => return Ok(Err(error.to_string())),
    };
    require_the_cpus_loss(&mut *session, &model, &data, &order[..batch.min(64)])?;
    let (work, touched) = work(&mut *session, &model, &data, &order[..batch], gpu)?;
    // In turns with what it is held against.
    let machine = machine(gpu, touched, scale)?;
    let mut epoch = 0;
    let (best, median) = times(scale, || {
        let now = Epoch { epoch, order: &order, batch_size: batch };
        epoch += 1;
        session.train_epoch(&data, &now, &mut |_| {}).map(|_| ())
    })?;
    let steps = scale.steps as f64;
    Ok(Ok(Grown::new(size, work, &machine, best / steps, median / steps)))
}

/// What a step does, and about how many bytes it touches.
fn work(
    session: &mut dyn Session<f32>,
    model: &Network,
    data: &Dataset<'_, f32>,
    batch: &[u32],
    gpu: &Cuda,
) -> Result<(Step, usize)> {
    let profile = session.profile_step(data, batch)?;
    let launches = profile.parts.iter().map(|part| part.readings).sum();
    let program = plan(model, 1)?.training;
    let cost: Cost = program.costs(model.layout(), size_of::<f32>()).into_iter().sum();
    let weights = model.layout().len();
    if profile.part(Part::Fused).readings > 0 {
        let multiprocessors = gpu.device().properties().multiprocessors;
        let [sample, target] = [model.input_shape(), model.output_shape()].map(|shape| shape.len());
        let (windows, flops) = (batch.len(), cost.flops());
        let step = Step::fused(windows, flops, (sample, target), weights, launches, multiprocessors);
        return Ok((step, windows.min(multiprocessors) * weights * size_of::<f32>()));
    }
    let step = Step::plain(batch.len(), cost.flops(), cost.bytes, launches);
    Ok((step, batch.len() * program.len() * size_of::<f32>()))
}
