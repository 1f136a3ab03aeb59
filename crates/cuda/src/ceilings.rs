//! What a GPU can do at most, measured on it: arithmetic, and traffic with its memory.

use std::sync::Arc;
use std::time::Duration;

use glassbox_engine::profile::{Ceiling, Ceilings};

use crate::device::{Buffer, Device, Launch};
use crate::error::Result;
use crate::kernels::Kernels;

/// Threads of a block, as the kernels have it.
const THREADS: usize = 256;

/// Blocks for each multiprocessor: 2048 threads, all that one holds.
const BLOCKS: usize = 8;

/// Multiply-adds of a thread in one round.
const CHAINS: u32 = 8;

/// Rounds: some milliseconds of arithmetic.
const ROUNDS: u32 = 16_384;

/// Values that are copied, at most: 256 MiB, several times what any cache holds.
const VALUES: usize = 64 << 20;

/// The best of so many tries counts: whatever disturbs one makes it slower.
const TRIES: usize = 5;

/// Measures them.
pub(crate) fn measure<D: Device>(device: &Arc<D>, kernels: &Kernels<D>) -> Result<Ceilings> {
    let properties = device.properties();
    let multiprocessors = properties.multiprocessors.max(1);
    let out = Buffer::undefined(device, multiprocessors * BLOCKS * THREADS)?;
    let arithmetic = best(&**device, &kernels.multiply_adds(&out, ROUNDS))?;
    let operations = 2.0 * f64::from(CHAINS) * f64::from(ROUNDS) * out.len() as f64;

    // A small device is not filled by a measurement.
    let values = VALUES.min(properties.memory as usize / 16 / size_of::<f32>()) / 4 * 4;
    let (x, y) = (Buffer::<D, f32>::zeros(device, values)?, Buffer::undefined(device, values)?);
    let copy = best(&**device, &kernels.copy(&x, &y, (multiprocessors * BLOCKS) as u32))?;
    let bytes = 2.0 * (values * size_of::<f32>()) as f64;
    let ceiling = |name: &str, amount: f64, time: Duration| Ceiling {
        name: format!("{}, {name}", properties.place),
        rate: amount / time.as_secs_f64().max(f64::MIN_POSITIVE),
    };
    Ok(Ceilings {
        peaks: vec![ceiling("multiply-adds", operations, arithmetic)],
        bandwidths: vec![ceiling("device memory", bytes, copy)],
    })
}

fn best<D: Device>(device: &D, launch: &Launch<D>) -> Result<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..TRIES {
        let start = device.mark()?;
        device.launch(launch)?;
        let end = device.mark()?;
        best = best.min(device.elapsed(&start, &end)?);
    }
    Ok(best)
}
