//! The ceilings of a GPU, measured on it: arithmetic, traffic with its memory, and with what caches it.

use std::time::{Duration, Instant};

use glassbox_engine::profile::{Ceiling, Ceilings};

use crate::device::{Buffer, Gpu, Launch};
use crate::error::Result;
use crate::kernels::Kernels;

/// Threads of a block, as the kernels have it.
const THREADS: usize = 256;

/// Blocks for each multiprocessor: 2048 threads, all that one holds.
const BLOCKS: usize = 8;

/// Multiply-adds of a thread in one round.
const CHAINS: usize = 8;

/// Rounds at most.
const ROUNDS: usize = 1 << 16;

/// Values that are copied in the first try, and at most: 1 MiB, and 256 MiB, several times what any cache holds.
const VALUES: [usize; 2] = [1 << 18, 1 << 26];

/// Bytes that are read over and over: what the second cache of every supported GPU about holds, and much more than those
/// of its multiprocessors; and at most, several times what any cache holds.
const READ: [usize; 2] = [4 << 20, 256 << 20];

/// Blocks by which reads move on, beyond those that read: odd, so that a block goes all the way round.
const AHEAD: usize = 37;

/// A try that takes less says little: the work is made larger.
const LONG_ENOUGH: Duration = Duration::from_millis(1);

/// A GPU that has had nothing to do runs at a fraction of its clock: so long it is kept busy first.
const WARM_UP: Duration = Duration::from_millis(300);

/// The best of so many tries counts: whatever disturbs one makes it slower.
const TRIES: usize = 5;

/// Measures them. Reads are measured over about `working_set` bytes: wherever so many lie.
pub(crate) fn measure(device: &Gpu, kernels: &Kernels, working_set: usize) -> Result<Ceilings> {
    let (place, memory) = (&device.properties().place, device.properties().memory as usize);
    // As many blocks as keep every multiprocessor busy.
    let blocks = BLOCKS * device.properties().multiprocessors.max(1);
    let out = Buffer::undefined(device, blocks * THREADS)?;
    let threads = out.len() as f64;
    let ceiling = |name: &str, rate: f64| Ceiling { name: format!("{place}, {name}"), rate };

    // Floating-point operations a second.
    let arithmetic = rate(device, [16, ROUNDS], WARM_UP, |rounds| {
        Ok((kernels.multiply_adds(&out, rounds), (2 * CHAINS * rounds) as f64 * threads))
    })?;
    // Bytes a second, those that are read and those that are written. A small device is not filled by a measurement.
    let [least, most] = VALUES;
    let most = most.min(memory / 16 / size_of::<f32>());
    let copies = rate(device, [least, most], Duration::ZERO, |values| {
        let (x, y) = (Buffer::<f32>::zeros(device, values)?, Buffer::undefined(device, values)?);
        Ok((kernels.copy(&x, &y, blocks), (2 * values * size_of::<f32>()) as f64))
    })?;
    // Bytes a second, of so many that are read over and over, 16 at a time.
    let [least, most] = READ;
    let bytes = working_set.clamp(least, most.min(memory / 16).max(least)).next_multiple_of(16);
    let x = Buffer::<f32>::zeros(device, bytes / size_of::<f32>())?;
    let reads = rate(device, [1, ROUNDS], Duration::ZERO, |rounds| {
        let stride = out.len() + AHEAD * THREADS;
        Ok((kernels.reads(&x, &out, stride, rounds), (16 * rounds) as f64 * threads))
    })?;
    Ok(Ceilings {
        peaks: vec![ceiling("multiply-adds", arithmetic)],
        bandwidths: vec![
            ceiling("device memory", copies),
            ceiling(&format!("{} MiB read over and over", bytes >> 20), reads),
        ],
    })
}

/// The rate of `work`, a launch and its amount for each size, once it is large enough to be timed, and the device was
/// kept busy for as long as `warm_up`.
fn rate(
    device: &Gpu,
    [mut size, most]: [usize; 2],
    warm_up: Duration,
    work: impl Fn(usize) -> Result<(Launch, f64)>,
) -> Result<f64> {
    loop {
        let (launch, amount) = work(size)?;
        let mut time = best(device, &launch)?;
        if time >= LONG_ENOUGH || 4 * size > most {
            let start = Instant::now();
            while start.elapsed() < warm_up {
                time = time.min(best(device, &launch)?);
            }
            // Nothing takes no time; a clock may say so.
            return Ok(amount / time.max(Duration::from_nanos(1)).as_secs_f64());
        }
        size *= 4;
    }
}

fn best(device: &Gpu, launch: &Launch) -> Result<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..TRIES {
        let start = device.mark()?;
        device.launch(launch)?;
        let end = device.mark()?;
        best = best.min(device.elapsed(&start, &end)?);
    }
    Ok(best)
}
