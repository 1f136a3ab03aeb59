//! Measures the ceilings of the machine, with the threads of the backend.
//!
//! All threads of the pool run the same small kernel at the same time, in bursts of a fraction of a millisecond. Each
//! thread times its own bursts and keeps the fastest, because disturbances on a shared machine can only make a burst
//! longer. The sum over threads is the ceiling. Threads are measured together because they share a clock rate and,
//! above the second cache, the bandwidth to memory.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

use glassbox_engine::profile::{Ceiling, Ceilings};
use rayon::ThreadPool;

use crate::kernels::{peak, stream};
use crate::layout::Aligned;
use crate::simd::{Isa, Simd};

/// Bursts of each measurement.
const BURSTS: usize = 16;

/// Rounds of multiply-adds in a burst: at about 4 cycles each, at least a tenth of a millisecond.
const ROUNDS: usize = 100_000;

/// Minimum number of bytes that a burst streams.
const STREAMED: usize = 32 << 20;

/// Size of a buffer that fits into any first-level cache; the smallest are 32 KB.
const FIRST_CACHE: usize = 16 << 10;

/// Measures the path's own arithmetic first, then that of the other instruction sets; the bandwidth to the memory that
/// holds `working_set` bytes first, then to the first-level cache. `None` if there is no instruction set with a known
/// peak.
///
/// The portable path and `matrixmultiply`'s are compared with the best instruction set of the machine: the compiler
/// decides which instructions the first one uses, and the second one chooses by itself.
pub(crate) fn measure(pool: &ThreadPool, simd: Simd, working_set: usize) -> Option<Ceilings> {
    let threads = pool.current_num_threads();
    let on = |what: String| match threads {
        1 => format!("{what}, 1 thread"),
        threads => format!("{what}, {threads} threads"),
    };
    let mut sets = Simd::available();
    sets.sort_by_key(|set| *set != simd);
    let peaks: Vec<Ceiling> = sets
        .into_iter()
        .filter_map(|set| Some(Ceiling { name: on(set.to_string()), rate: arithmetic(pool, set)? }))
        .collect();

    let isa = Isa::new(Simd::available()[0]).unwrap_or(Isa::PORTABLE);
    let sizes = [working_set.max(1024), FIRST_CACHE];
    let bandwidths = sizes.map(|bytes| Ceiling {
        name: on(format!("{} KB a thread", bytes.div_ceil(1024))),
        rate: bandwidth(pool, isa, bytes),
    });
    (!peaks.is_empty()).then(|| Ceilings { peaks, bandwidths: bandwidths.into() })
}

/// Measures floating-point operations per second; `None` if the path has no known peak.
fn arithmetic(pool: &ThreadPool, simd: Simd) -> Option<f64> {
    peak::multiply_adds(simd, 1)?;
    Some(together(pool, || {
        move || {
            let (flops, value) = peak::multiply_adds(simd, ROUNDS).expect("known above");
            black_box(value);
            flops
        }
    }))
}

/// Measures bytes per second: the better of reading alone and of reading and writing.
fn bandwidth(pool: &ThreadPool, isa: Isa, bytes: usize) -> f64 {
    let values = bytes / size_of::<f32>();
    let sweeps = STREAMED.div_ceil(bytes);
    let read = together(pool, || {
        let x = ones(values);
        move || {
            (0..sweeps).for_each(|_| {
                black_box(stream::read(isa, black_box(&x)));
            });
            (sweeps * bytes) as f64
        }
    });
    let update = together(pool, || {
        let (x, mut y) = (ones(values / 2), ones(values / 2));
        move || {
            (0..sweeps).for_each(|_| stream::update(isa, black_box(&x), black_box(&mut y)));
            (sweeps * bytes) as f64 * 1.5
        }
    });
    read.max(update)
}

/// Ones and not zeros, so that each page is real memory: a system may map all pages that were never written to the same
/// one.
fn ones(len: usize) -> Aligned {
    let mut values = Aligned::zeros(len, 0);
    values.fill(1.0);
    values
}

/// Measures the combined rate of all threads that run the same work at the same time. `make` creates the work of a
/// thread, which does one burst and returns its amount.
fn together<W: FnMut() -> f64>(pool: &ThreadPool, make: impl Fn() -> W + Sync) -> f64 {
    let barrier = Barrier::new(pool.current_num_threads());
    let rates = pool.broadcast(|_| {
        let mut burst = make();
        burst();
        barrier.wait();
        let mut best = 0f64;
        for _ in 0..BURSTS {
            let start = Instant::now();
            let amount = burst();
            best = best.max(amount / start.elapsed().as_secs_f64());
        }
        best
    });
    rates.iter().sum()
}
