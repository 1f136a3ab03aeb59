//! The ceiling: multiply-adds that never leave the registers.
//!
//! There are ten independent accumulators, enough to hide the latency of any core's multiply-add units, and no loads.
//! The speed of a contraction is compared with this number, measured in the same run on the same machine: clock
//! rates differ between machines, and between instruction sets on one machine.

use crate::simd::{Isa, Simd, Task, Vector};

const ACCUMULATORS: usize = 10;

/// Runs `rounds` of multiply-adds in registers on a path. Returns the number of floating-point operations, and a value
/// that depends on all of them. `None` if the path has no ceiling of its own: that of the portable path depends on the
/// compiler.
#[must_use]
pub fn multiply_adds(simd: Simd, rounds: usize) -> Option<(f64, f32)> {
    let isa = Isa::new(simd).filter(|isa| *isa != Isa::PORTABLE)?;
    let mut value = 0.0;
    // SAFETY: the task requires only the instruction set.
    unsafe { isa.run(MultiplyAdds { rounds, value: &mut value }) }
    Some(((2 * ACCUMULATORS * isa.width() * rounds) as f64, value))
}

/// # Safety of running it
/// * none.
struct MultiplyAdds<'a> {
    rounds: usize,
    value: &'a mut f32,
}

impl Task for MultiplyAdds<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: no vector is wider than 16 values; the caller guarantees the instruction set.
        unsafe {
            // Converges to 1 from any start: no overflow, no denormal numbers. The constants are loaded, because
            // compilers transform multiplications by a number that they know to be the same in all lanes.
            let halves = std::hint::black_box([0.5; 16]);
            let (factor, addend) = (V::load(halves.as_ptr()), V::load(halves.as_ptr()));
            let mut acc = [V::splat(0.0); ACCUMULATORS];
            for (i, acc) in acc.iter_mut().enumerate() {
                *acc = V::load(std::hint::black_box([i as f32; 16]).as_ptr());
            }
            for _ in 0..self.rounds {
                for acc in &mut acc {
                    *acc = acc.mul_add(factor, addend);
                }
            }
            let mut lanes = [0.0; 16];
            for acc in acc {
                acc.add(V::load(lanes.as_ptr())).store(lanes.as_mut_ptr());
            }
            *self.value = lanes.iter().sum();
        }
    }
}
