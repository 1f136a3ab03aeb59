//! What this machine can do at most, with as many threads as the backend has.
//!
//! All threads of the pool run the same small kernel at the same time, in bursts of a fraction of a
//! millisecond; each thread times its own bursts and keeps the fastest, since all that can happen to a burst on
//! a shared machine is that it takes longer. The sum over threads is the ceiling. Threads are measured together
//! because they share a clock rate and, above the second cache, the road to memory.

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

/// Rounds of multiply-adds in a burst: at about 4 cycles each, a tenth of a millisecond and more.
const ROUNDS: usize = 100_000;

/// Bytes that a burst streams, at least.
const STREAMED: usize = 32 << 20;

/// A buffer that lies in every first cache, whose smallest are of 32 KB.
const FIRST_CACHE: usize = 16 << 10;

/// The path's own arithmetic first, then that of the other instruction sets; traffic with where `working_set`
/// bytes lie first, then with the first cache. `None` if there is no instruction set whose arithmetic is known.
///
/// The portable path and `matrixmultiply`'s are held against the best instruction set of the machine: the one
/// has whatever the compiler makes of it, the other chooses by itself.
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

/// Floating-point operations a second, if they are known.
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

/// Bytes a second: the better of reading alone and of reading and writing.
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

/// Written to, so that each page is memory of its own: a system may show the same page for all that was never
/// written.
fn ones(len: usize) -> Aligned {
    let mut values = Aligned::zeros(len, 0);
    values.fill(1.0);
    values
}

/// The rate of all threads when they do the same at the same time: each makes its own work, which does one burst
/// and says how much that was.
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
