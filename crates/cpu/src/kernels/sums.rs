//! Sums over rows: gradients of biases, and the sum over the chunks of a batch.
//!
//! ```text
//! dbias[c] += sum over t of  x[t, c]
//! sum[i]   += part[i]
//! ```
//!
//! A column sum with its accumulator in memory would wait for the store of each row before the load of the next. Here
//! four accumulators for each vector of columns stay in registers, each for every fourth row, so that four additions
//! run at the same time. A signal of one channel is read as rows of a whole vector.
//!
//! **Sums.** Rows t, t + 4, t + 8, ... are added in order, then the four sums, then the old value. This order depends
//! on the instruction set only.
//!
//! Reference: [`glassbox_engine::reference::sum_steps`].

use crate::simd::{Isa, Task, Vector};

/// `dbias[c] += sum over t of x[t, c]`, for rows of as many channels as `dbias` has.
///
/// # Panics
/// If `x` is not a whole number of rows.
pub(crate) fn sum_steps(isa: Isa, x: &[f32], dbias: &mut [f32]) {
    assert!(x.len().is_multiple_of(dbias.len()), "{} values in rows of {}", x.len(), dbias.len());
    // SAFETY: `x` is a whole number of rows.
    unsafe { isa.run(SumSteps { x, dbias }) }
}

/// # Safety of running it
/// * `x` is a whole number of rows of `dbias.len()` values.
struct SumSteps<'a> {
    x: &'a [f32],
    dbias: &'a mut [f32],
}

impl Task for SumSteps<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { x, dbias } = self;
        let channels = dbias.len();
        // SAFETY: by the conditions of running this task, each call stays within whole rows and below the last
        // channel.
        unsafe {
            if channels == 1 {
                let whole = x.len() / V::WIDTH;
                let sum = columns::<V>(x.as_ptr(), whole, V::WIDTH, V::WIDTH).sum();
                dbias[0] += x[whole * V::WIDTH..].iter().fold(sum, |sum, x| sum + x);
                return;
            }
            for first in (0..channels).step_by(V::WIDTH) {
                let count = (channels - first).min(V::WIDTH);
                let sum = columns::<V>(x.as_ptr().add(first), x.len() / channels, channels, count);
                let to = dbias.as_mut_ptr().add(first);
                V::load_first(to, count).add(sum).store_first(to, count);
            }
        }
    }
}

/// Sums `count <= WIDTH` columns over `rows` rows.
///
/// # Safety
/// * the processor has the instruction set of `V`;
/// * `x` can be read at `count` values in each of `rows` rows, `row` apart.
#[inline(always)]
unsafe fn columns<V: Vector>(x: *const f32, rows: usize, row: usize, count: usize) -> V {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let load = |t: usize| {
            let x = x.add(t * row);
            if count == V::WIDTH { V::load(x) } else { V::load_first(x, count) }
        };
        let mut acc = [V::splat(0.0); 4];
        let whole = rows / 4 * 4;
        for t in (0..whole).step_by(4) {
            for (i, acc) in acc.iter_mut().enumerate() {
                *acc = acc.add(load(t + i));
            }
        }
        for t in whole..rows {
            acc[0] = acc[0].add(load(t));
        }
        acc[0].add(acc[1]).add(acc[2].add(acc[3]))
    }
}

/// `sum[i] += part[i]`
///
/// # Panics
/// If the lengths differ.
pub(crate) fn add(isa: Isa, sum: &mut [f32], part: &[f32]) {
    assert_eq!(sum.len(), part.len(), "as many values as sums");
    // SAFETY: the task is plain code.
    unsafe { isa.run(Add { sum, part }) }
}

/// # Safety of running it
/// * none: this is plain code that the compiler vectorises.
struct Add<'a> {
    sum: &'a mut [f32],
    part: &'a [f32],
}

impl Task for Add<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        for (sum, part) in self.sum.iter_mut().zip(self.part) {
            *sum += part;
        }
    }
}
