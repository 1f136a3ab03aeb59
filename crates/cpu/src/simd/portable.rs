//! The portable vector: four values in an array, without intrinsics. Compilers keep it in a register of any
//! architecture with registers of 128 bits: SSE2 on x86-64, NEON on 64-bit ARM.
//!
//! A fused multiply-add is used if every processor of the target has one. On 64-bit ARM that is always so, which makes
//! this the NEON path as well. Elsewhere a product and a sum are rounded one after the other, because rounding them
//! once would be a call into a library.

use super::{Task, Vector, Words};

/// True if the target has a fused multiply-add.
const FUSED: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));

/// Number of registers of 128 bits.
pub(super) const REGISTERS: usize = if cfg!(target_arch = "aarch64") { 32 } else { 16 };

/// Four values.
#[derive(Clone, Copy)]
pub(crate) struct F32x4([f32; 4]);

/// Four words.
#[derive(Clone, Copy)]
pub(crate) struct U32x4([u64; 4]);

/// Runs a task as the compiler builds it for the target.
///
/// # Safety
/// * the task's own contract holds.
pub(super) unsafe fn run<T: Task>(task: T) {
    // SAFETY: this vector needs no instruction set; the caller guarantees the task's contract.
    unsafe { task.run::<F32x4>() }
}

impl F32x4 {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        let (a, b) = (self.0, other.0);
        Self([f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])])
    }
}

impl Vector for F32x4 {
    const WIDTH: usize = 4;
    const REGISTERS: usize = REGISTERS;
    type Words = U32x4;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: valid for four values, by the contract of `Vector`.
        Self(unsafe { from.cast::<[f32; 4]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, n: usize) -> Self {
        let mut lanes = [0.0; 4];
        for (i, lane) in lanes.iter_mut().enumerate().take(n) {
            // SAFETY: valid for n values, by the contract of `Vector`.
            *lane = unsafe { from.add(i).read() };
        }
        Self(lanes)
    }

    #[inline(always)]
    unsafe fn prefetch(_: *const f32) {}

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: valid for four values, by the contract of `Vector`.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, n: usize) {
        for (i, lane) in self.0.into_iter().enumerate().take(n) {
            // SAFETY: valid for n values, by the contract of `Vector`.
            unsafe { to.add(i).write(lane) }
        }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        if FUSED {
            let (a, b, c) = (self.0, factor.0, addend.0);
            let lane = |i: usize| a[i].mul_add(b[i], c[i]);
            return Self([lane(0), lane(1), lane(2), lane(3)]);
        }
        self.zip(factor, |a, b| a * b).zip(addend, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn at_least(self, least: Self) -> Self {
        self.zip(least, |v, least| if v < least { least } else { v })
    }

    #[inline(always)]
    unsafe fn keep(self, bits: u32) -> Self {
        let mut lanes = self.0;
        for (i, lane) in lanes.iter_mut().enumerate() {
            *lane = if bits >> i & 1 == 1 { *lane } else { 0.0 };
        }
        Self(lanes)
    }

    #[inline(always)]
    unsafe fn keep_positive(self, gate: Self) -> Self {
        self.zip(gate, |v, gate| if gate > 0.0 { v } else { 0.0 })
    }

    #[inline(always)]
    unsafe fn less(self, other: Self, yes: Self, no: Self) -> Self {
        let lane = |i: usize| if self.0[i] < other.0[i] { yes.0[i] } else { no.0[i] };
        Self([lane(0), lane(1), lane(2), lane(3)])
    }

    #[inline(always)]
    unsafe fn abs(self) -> Self {
        self.zip(self, |a, _| a.abs())
    }

    #[inline(always)]
    unsafe fn with_sign(self, sign: Self) -> Self {
        self.zip(sign, f32::copysign)
    }

    #[inline(always)]
    unsafe fn scale(self, n: Self) -> Self {
        // 2^n in two factors, each of which has an exponent of 8 bits.
        let power = |n: i32| f32::from_bits(((n + 127) << 23) as u32);
        self.zip(n, |a, n| {
            let n = n as i32;
            let half = n >> 1;
            a * power(half) * power(n - half)
        })
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        let [a, b, c, d] = self.0;
        (a + c) + (b + d)
    }
}

impl Words for U32x4 {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(word: u32) -> Self {
        Self([u64::from(word); 4])
    }

    #[inline(always)]
    unsafe fn count(first: u32) -> Self {
        Self(std::array::from_fn(|lane| u64::from(first.wrapping_add(lane as u32))))
    }

    #[inline(always)]
    unsafe fn round(c: [Self; 4], multipliers: [Self; 2], key: [Self; 2]) -> [Self; 4] {
        let mut next = c;
        for lane in 0..4 {
            let first = u64::from(c[0].0[lane] as u32) * multipliers[0].0[lane];
            let second = u64::from(c[2].0[lane] as u32) * multipliers[1].0[lane];
            next[0].0[lane] = (second >> 32) ^ c[1].0[lane] ^ key[0].0[lane];
            next[1].0[lane] = second;
            next[2].0[lane] = (first >> 32) ^ c[3].0[lane] ^ key[1].0[lane];
            next[3].0[lane] = first;
        }
        next
    }

    #[inline(always)]
    unsafe fn kept(block: [Self; 4], threshold: u32) -> u64 {
        let mut kept = 0;
        for lane in 0..4 {
            for (pair, word) in block.iter().enumerate() {
                let bits = word.0[lane] as u32;
                let two = u32::from(bits & 0xFFFF >= threshold) | u32::from(bits >> 16 >= threshold) << 1;
                kept |= u64::from(two) << (8 * lane + 2 * pair);
            }
        }
        kept
    }
}
