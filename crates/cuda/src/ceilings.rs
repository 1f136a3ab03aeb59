//! What a GPU can do at most, measured on it: arithmetic, traffic with its memory, and with what caches it.

use std::sync::Arc;
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
const CHAINS: u32 = 8;

/// Rounds of the first try, and at most.
const ROUNDS: [u32; 2] = [16, 1 << 16];

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
pub(crate) fn measure(device: &Arc<Gpu>, kernels: &Kernels, working_set: usize) -> Result<Ceilings> {
    let [least, most] = READ;
    let most = most.min(device.properties().memory as usize / 16).max(least);
    let read = working_set.clamp(least, most).next_multiple_of(16);
    let over_and_over = format!("{} MiB read over and over", read >> 20);
    let ceiling =
        |name: &str, rate: f64| Ceiling { name: format!("{}, {name}", device.properties().place), rate };
    Ok(Ceilings {
        peaks: vec![ceiling("multiply-adds", arithmetic(device, kernels)?)],
        bandwidths: vec![
            ceiling("device memory", bandwidth(device, kernels)?),
            ceiling(&over_and_over, reads(device, kernels, read)?),
        ],
    })
}

/// Floating-point operations a second.
fn arithmetic(device: &Arc<Gpu>, kernels: &Kernels) -> Result<f64> {
    let out = Buffer::undefined(device, blocks(device) * THREADS)?;
    let [mut rounds, most] = ROUNDS;
    loop {
        let mut time = best(device, &kernels.multiply_adds(&out, rounds))?;
        if time >= LONG_ENOUGH || rounds >= most {
            let start = Instant::now();
            while start.elapsed() < WARM_UP {
                time = time.min(best(device, &kernels.multiply_adds(&out, rounds))?);
            }
            let operations = 2.0 * f64::from(CHAINS) * f64::from(rounds) * out.len() as f64;
            return Ok(rate(operations, time));
        }
        rounds *= 4;
    }
}

/// Bytes a second, those that are read and those that are written.
fn bandwidth(device: &Arc<Gpu>, kernels: &Kernels) -> Result<f64> {
    let [mut values, most] = VALUES;
    // A small device is not filled by a measurement.
    let most = most.min(device.properties().memory as usize / 16 / size_of::<f32>());
    loop {
        let (x, y) = (Buffer::<f32>::zeros(device, values)?, Buffer::undefined(device, values)?);
        let time = best(device, &kernels.copy(&x, &y, blocks(device) as u32))?;
        if time >= LONG_ENOUGH || 4 * values > most {
            return Ok(rate(2.0 * (values * size_of::<f32>()) as f64, time));
        }
        values *= 4;
    }
}

/// Bytes a second, of so many that are read over and over.
fn reads(device: &Arc<Gpu>, kernels: &Kernels, bytes: usize) -> Result<f64> {
    let x = Buffer::<f32>::zeros(device, bytes / size_of::<f32>())?;
    let out = Buffer::undefined(device, blocks(device) * THREADS)?;
    let stride = out.len() + AHEAD * THREADS;
    let [_, most] = ROUNDS;
    let mut rounds = 1;
    loop {
        let time = best(device, &kernels.reads(&x, &out, stride, rounds))?;
        if time >= LONG_ENOUGH || rounds >= most {
            return Ok(rate(16.0 * f64::from(rounds) * out.len() as f64, time));
        }
        rounds *= 4;
    }
}

/// As many as keep every multiprocessor busy.
fn blocks(device: &Arc<Gpu>) -> usize {
    BLOCKS * device.properties().multiprocessors.max(1)
}

fn rate(amount: f64, time: Duration) -> f64 {
    // Nothing takes no time; a clock may say so.
    amount / time.max(Duration::from_nanos(1)).as_secs_f64()
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
