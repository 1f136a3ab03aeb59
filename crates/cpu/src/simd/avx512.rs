//! AVX-512: 32 registers of 16 values, masks for the tails.

use std::arch::x86_64::*;

use super::{Task, Vector, Words};

/// Sixteen values.
#[derive(Clone, Copy)]
pub(crate) struct F32x16(__m512);

/// Eight words.
#[derive(Clone, Copy)]
pub(crate) struct U32x8(__m512i);

/// Returns true if the processor has all features that [`run`] enables.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
}

/// Runs a task compiled for AVX-512.
///
/// # Safety
/// * [`is_available`] has returned true;
/// * the task's own contract holds.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(super) unsafe fn run<T: Task>(task: T) {
    // SAFETY: the caller guarantees both conditions.
    unsafe { task.run::<F32x16>() }
}

/// The lowest `n <= 16` bits.
#[inline(always)]
fn first(n: usize) -> __mmask16 {
    ((1u32 << n) - 1) as __mmask16
}

// SAFETY, for all blocks: the instruction set is there, and pointers are valid for what is read or written,
// by the contract of `Vector`. Masked loads and stores touch only the lanes of the mask.
impl Vector for F32x16 {
    const WIDTH: usize = 16;
    const REGISTERS: usize = 32;
    type Words = U32x8;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: see the head of this implementation.
        Self(unsafe { _mm512_set1_ps(value) })
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: see the head of this implementation.
        Self(unsafe { _mm512_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, n: usize) -> Self {
        // SAFETY: see the head of this implementation.
        Self(unsafe { _mm512_maskz_loadu_ps(first(n), from) })
    }

    #[inline(always)]
    unsafe fn prefetch(at: *const f32) {
        // SAFETY: see the head of this implementation; an invalid address is ignored.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: see the head of this implementation.
        unsafe { _mm512_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, n: usize) {
        // SAFETY: see the head of this implementation.
        unsafe { _mm512_mask_storeu_ps(to, first(n), self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: see the head of this implementation.
        Self(unsafe { _mm512_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: see the head of this implementation.
        Self(unsafe { _mm512_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        // SAFETY: see the head of this implementation.
        Self(unsafe { _mm512_div_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: see the head of this implementation.
        Self(unsafe { _mm512_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: see the head of this implementation.
        Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, addend.0) })
    }

    #[inline(always)]
    unsafe fn at_least(self, least: Self) -> Self {
        // `maxps` gives its second operand where one is NaN or both are zero.
        // SAFETY: see the head of this implementation.
        Self(unsafe { _mm512_max_ps(least.0, self.0) })
    }

    #[inline(always)]
    unsafe fn keep(self, bits: u32) -> Self {
        // SAFETY: see the head of this implementation.
        Self(unsafe { _mm512_maskz_mov_ps(bits as __mmask16, self.0) })
    }

    #[inline(always)]
    unsafe fn keep_positive(self, gate: Self) -> Self {
        // SAFETY: see the head of this implementation.
        unsafe {
            let positive = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(gate.0, _mm512_setzero_ps());
            Self(_mm512_maskz_mov_ps(positive, self.0))
        }
    }

    #[inline(always)]
    unsafe fn less(self, other: Self, yes: Self, no: Self) -> Self {
        // SAFETY: see the head of this implementation.
        unsafe {
            let less = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, other.0);
            Self(_mm512_mask_blend_ps(less, no.0, yes.0))
        }
    }

    #[inline(always)]
    unsafe fn abs(self) -> Self {
        // SAFETY: see the head of this implementation.
        Self(unsafe { _mm512_abs_ps(self.0) })
    }

    #[inline(always)]
    unsafe fn with_sign(self, sign: Self) -> Self {
        // 0xD8 is the truth table of `c ? b : a`: the bit of the sign from b, the others from a.
        // SAFETY: see the head of this implementation.
        unsafe {
            let (a, b) = (_mm512_castps_si512(self.0), _mm512_castps_si512(sign.0));
            let bit = _mm512_set1_epi32(i32::MIN);
            Self(_mm512_castsi512_ps(_mm512_ternarylogic_epi32::<0xD8>(a, b, bit)))
        }
    }

    #[inline(always)]
    unsafe fn scale(self, n: Self) -> Self {
        // SAFETY: see the head of this implementation.
        Self(unsafe { _mm512_scalef_ps(self.0, n.0) })
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: see the head of this implementation.
        unsafe {
            let half = _mm256_add_ps(_mm512_castps512_ps256(self.0), _mm512_extractf32x8_ps::<1>(self.0));
            super::avx2::F32x8(half).sum()
        }
    }
}

// SAFETY, for all blocks: the instruction set is there, by the contract of `Words`.
impl Words for U32x8 {
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn splat(word: u32) -> Self {
        // SAFETY: see the head of this implementation.
        Self(unsafe { _mm512_set1_epi64(i64::from(word)) })
    }

    #[inline(always)]
    unsafe fn count(first: u32) -> Self {
        // The even lanes make the lower four blocks below, the odd ones the upper four.
        // SAFETY: see the head of this implementation.
        unsafe {
            let lanes = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
            Self(_mm512_add_epi32(_mm512_set1_epi64(i64::from(first)), lanes))
        }
    }

    #[inline(always)]
    unsafe fn round(c: [Self; 4], multipliers: [Self; 2], key: [Self; 2]) -> [Self; 4] {
        // SAFETY: see the head of this implementation.
        unsafe {
            let first = _mm512_mul_epu32(c[0].0, multipliers[0].0);
            let second = _mm512_mul_epu32(c[2].0, multipliers[1].0);
            // 0x96 is the truth table of a ^ b ^ c.
            let xor = |a, b, c| _mm512_ternarylogic_epi64::<0x96>(a, b, c);
            let zero = xor(_mm512_srli_epi64::<32>(second), c[1].0, key[0].0);
            let two = xor(_mm512_srli_epi64::<32>(first), c[3].0, key[1].0);
            [Self(zero), Self(second), Self(two), Self(first)]
        }
    }

    #[inline(always)]
    unsafe fn kept(block: [Self; 4], threshold: u32) -> u64 {
        // SAFETY: see the head of this implementation.
        unsafe {
            let pair = |low: Self, high: Self| {
                _mm512_mask_blend_epi32(0xAAAA, low.0, _mm512_slli_epi64::<32>(high.0))
            };
            let (low, high) = (pair(block[0], block[1]), pair(block[2], block[3]));
            let (even, odd) = (_mm512_unpacklo_epi64(low, high), _mm512_unpackhi_epi64(low, high));
            // A threshold of 65536 does not fit into 16 bits, so elements above the threshold minus one are kept.
            if threshold == 0 {
                return u64::MAX;
            }
            let most = _mm512_set1_epi16((threshold - 1) as i16);
            let (even, odd) = (_mm512_cmpgt_epu16_mask(even, most), _mm512_cmpgt_epu16_mask(odd, most));
            u64::from(even) | u64::from(odd) << 32
        }
    }
}
