//! AVX2 with FMA: 16 registers of 8 values.

use std::arch::x86_64::*;

use super::{Task, Vector, Words};

/// Eight values.
#[derive(Clone, Copy)]
pub(crate) struct F32x8(pub(super) __m256);

/// Four words.
#[derive(Clone, Copy)]
pub(crate) struct U32x4(__m256i);

/// Returns true if the processor has all features that [`run`] enables.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// Runs a task compiled for AVX2 with FMA.
///
/// # Safety
/// * [`is_available`] has returned true;
/// * the task's own contract holds.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn run<T: Task>(task: T) {
    // SAFETY: the caller guarantees both conditions.
    unsafe { task.run::<F32x8>() }
}

/// All bits set in the lanes below `n <= 8`.
///
/// # Safety
/// * the processor has AVX2.
#[inline(always)]
unsafe fn first(n: usize) -> __m256i {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        _mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), lanes)
    }
}

// SAFETY, for all blocks: the instruction set is there, and pointers are valid for what is read or written,
// by the contract of `Vector`. Masked loads touch only the lanes of the mask.
impl Vector for F32x8 {
    const WIDTH: usize = 8;
    const REGISTERS: usize = 16;
    type Words = U32x4;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: see the head of this implementation.
        Self(unsafe { _mm256_set1_ps(value) })
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: see the head of this implementation.
        Self(unsafe { _mm256_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, n: usize) -> Self {
        // SAFETY: see the head of this implementation.
        Self(unsafe { _mm256_maskload_ps(from, first(n)) })
    }

    #[inline(always)]
    unsafe fn prefetch(at: *const f32) {
        // SAFETY: see the head of this implementation; an invalid address is ignored.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: see the head of this implementation.
        unsafe { _mm256_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, n: usize) {
        // Not `maskstore`, which takes dozens of micro-operations on AMD's cores.
        // SAFETY: see the head of this implementation; 4, 2 and 1 values are written if n has that bit, each
        // after those written before: n values in all, or 8.
        unsafe {
            if n >= 8 {
                return self.store(to);
            }
            let (mut rest, mut to) = (_mm256_castps256_ps128(self.0), to);
            if n & 4 != 0 {
                _mm_storeu_ps(to, rest);
                rest = _mm256_extractf128_ps::<1>(self.0);
                to = to.add(4);
            }
            if n & 2 != 0 {
                _mm_storel_pd(to.cast(), _mm_castps_pd(rest));
                rest = _mm_movehl_ps(rest, rest);
                to = to.add(2);
            }
            if n & 1 != 0 {
                _mm_store_ss(to, rest);
            }
        }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: see the head of this implementation.
        Self(unsafe { _mm256_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: see the head of this implementation.
        Self(unsafe { _mm256_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        // SAFETY: see the head of this implementation.
        Self(unsafe { _mm256_div_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: see the head of this implementation.
        Self(unsafe { _mm256_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: see the head of this implementation.
        Self(unsafe { _mm256_fmadd_ps(self.0, factor.0, addend.0) })
    }

    #[inline(always)]
    unsafe fn at_least(self, least: Self) -> Self {
        // `maxps` gives its second operand where one is NaN or both are zero.
        // SAFETY: see the head of this implementation.
        Self(unsafe { _mm256_max_ps(least.0, self.0) })
    }

    #[inline(always)]
    unsafe fn keep(self, bits: u32) -> Self {
        // SAFETY: see the head of this implementation.
        unsafe {
            let lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
            let kept = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(bits as i32), lane), lane);
            Self(_mm256_and_ps(self.0, _mm256_castsi256_ps(kept)))
        }
    }

    #[inline(always)]
    unsafe fn keep_positive(self, gate: Self) -> Self {
        // SAFETY: see the head of this implementation.
        unsafe {
            let positive = _mm256_cmp_ps::<_CMP_GT_OQ>(gate.0, _mm256_setzero_ps());
            Self(_mm256_and_ps(self.0, positive))
        }
    }

    #[inline(always)]
    unsafe fn less(self, other: Self, yes: Self, no: Self) -> Self {
        // SAFETY: see the head of this implementation.
        Self(unsafe { _mm256_blendv_ps(no.0, yes.0, _mm256_cmp_ps::<_CMP_LT_OQ>(self.0, other.0)) })
    }

    #[inline(always)]
    unsafe fn abs(self) -> Self {
        // SAFETY: see the head of this implementation.
        Self(unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), self.0) })
    }

    #[inline(always)]
    unsafe fn with_sign(self, sign: Self) -> Self {
        // SAFETY: see the head of this implementation.
        unsafe {
            let bit = _mm256_set1_ps(-0.0);
            Self(_mm256_or_ps(_mm256_andnot_ps(bit, self.0), _mm256_and_ps(bit, sign.0)))
        }
    }

    #[inline(always)]
    unsafe fn scale(self, n: Self) -> Self {
        // 2^n in two factors, each of which has an exponent of 8 bits.
        // SAFETY: see the head of this implementation.
        unsafe {
            let n = _mm256_cvtps_epi32(n.0);
            let half = _mm256_srai_epi32::<1>(n);
            let power = |n| {
                let exponent = _mm256_add_epi32(n, _mm256_set1_epi32(127));
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
            };
            let once = _mm256_mul_ps(self.0, power(half));
            Self(_mm256_mul_ps(once, power(_mm256_sub_epi32(n, half))))
        }
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: see the head of this implementation.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }
}

// SAFETY, for all blocks: the instruction set is there, by the contract of `Words`.
impl Words for U32x4 {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(word: u32) -> Self {
        // SAFETY: see the head of this implementation.
        Self(unsafe { _mm256_set1_epi64x(i64::from(word)) })
    }

    #[inline(always)]
    unsafe fn count(first: u32) -> Self {
        // SAFETY: see the head of this implementation.
        unsafe {
            Self(_mm256_add_epi32(_mm256_set1_epi64x(i64::from(first)), _mm256_setr_epi64x(0, 1, 2, 3)))
        }
    }

    #[inline(always)]
    unsafe fn round(c: [Self; 4], multipliers: [Self; 2], key: [Self; 2]) -> [Self; 4] {
        // SAFETY: see the head of this implementation.
        unsafe {
            let first = _mm256_mul_epu32(c[0].0, multipliers[0].0);
            let second = _mm256_mul_epu32(c[2].0, multipliers[1].0);
            let xor = |a, b, c| _mm256_xor_si256(a, _mm256_xor_si256(b, c));
            let zero = xor(_mm256_srli_epi64::<32>(second), c[1].0, key[0].0);
            let two = xor(_mm256_srli_epi64::<32>(first), c[3].0, key[1].0);
            [Self(zero), Self(second), Self(two), Self(first)]
        }
    }

    #[inline(always)]
    unsafe fn kept(block: [Self; 4], threshold: u32) -> u64 {
        // SAFETY: see the head of this implementation.
        unsafe {
            let pair =
                |low: Self, high: Self| _mm256_blend_epi32::<0xAA>(low.0, _mm256_slli_epi64::<32>(high.0));
            let (low, high) = (pair(block[0], block[1]), pair(block[2], block[3]));
            let (even, odd) = (_mm256_unpacklo_epi64(low, high), _mm256_unpackhi_epi64(low, high));
            // Elements that are not above the threshold minus one are dropped.
            if threshold == 0 {
                return u64::from(u32::MAX);
            }
            let most = _mm256_set1_epi16((threshold - 1) as i16);
            let dropped = |bits| _mm256_cmpeq_epi16(_mm256_min_epu16(bits, most), bits);
            // Each half of the result has the byte of an even lane before that of an odd one.
            let bytes = _mm256_packs_epi16(dropped(even), dropped(odd));
            u64::from(!_mm256_movemask_epi8(bytes) as u32)
        }
    }
}
