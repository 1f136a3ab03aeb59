//! Dropout masks: Philox 4x32-10 in vectors.
//!
//! The bits are those of [`masks::draw`], the reference: block i of a sample decides elements 8 i to 8 i + 7, and an
//! element is kept if its 16 bits are not below the threshold of the rate. Blocks do not depend on each other, so four
//! or eight are drawn at a time, one in each lane.
//!
//! **Words in 64-bit lanes.** A round multiplies 32 by 32 bits and needs both halves of the product, which vectors
//! compute in 64-bit lanes only. So the four words of the counter stay in such lanes all the time. Their high halves
//! may hold anything: the multiplication ignores them, and all other operations are exclusive or. A round then takes
//! 2 multiplications, 2 shifts and 4 exclusive ors for a vector of blocks, without any shuffle.
//!
//! **A mask word in one comparison.** Put together again, four blocks are 32 times 16 bits. One comparison of AVX-512
//! gives the mask word; AVX2 takes two and gathers their sign bits. As loops over arrays that the compiler
//! vectorises, masks took 5 % of a training step; in this form they take half of that.

#[cfg(doc)]
use glassbox_engine::masks;
use glassbox_engine::masks::{ELEMENTS_PER_BLOCK, MaskAt, WORD, drop_below};
use glassbox_engine::random::{Purpose, Stream};

use crate::simd::{Isa, Task, Vector, Words};

/// Writes a mask of `len` elements into `words`, bit for bit as [`masks::draw`] does.
///
/// # Panics
/// If `words` is too short.
pub(crate) fn draw(isa: Isa, seed: u64, at: MaskAt, rate: f64, len: usize, words: &mut [u32]) {
    let stream = Stream::new(seed, Purpose::Dropout, at.mask as u32, at.step as u32);
    let words = &mut words[..len.div_ceil(WORD)];
    // SAFETY: the task requires only the instruction set.
    unsafe { isa.run(Draw { stream, position: at.position as u32, threshold: drop_below(rate), words }) }
}

/// Repeats the first `drawn` bits up to bit `len`, as [`masks::repeat`] does, up to 32 at a time.
///
/// # Panics
/// If `words` is too short.
pub(crate) fn repeat(drawn: usize, len: usize, words: &mut [u32]) {
    let pair = |words: &[u32], at: usize| {
        let high = words.get(at + 1).copied().unwrap_or(0);
        u64::from(words[at]) | u64::from(high) << WORD
    };
    let mut filled = drawn;
    while filled < len {
        // What comes next is what is a whole number of periods back: from here on, as far as the bits are known.
        let from = filled % drawn;
        let count = (filled - from).min(WORD).min(len - filled);
        let ones = (1u64 << count) - 1;
        let bits = pair(words, from / WORD) >> (from % WORD) & ones;
        let (to, shift) = (filled / WORD, filled % WORD);
        let updated = pair(words, to) & !(ones << shift) | bits << shift;
        words[to] = updated as u32;
        if let Some(next) = words.get_mut(to + 1) {
            *next = (updated >> WORD) as u32;
        }
        filled += count;
    }
}

/// # Safety of running it
/// * none.
struct Draw<'a> {
    stream: Stream,
    position: u32,
    threshold: u32,
    words: &'a mut [u32],
}

impl Task for Draw<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
        let ([mut key0, mut key1], turn) = self.stream.words();
        // SAFETY: the caller guarantees the instruction set.
        unsafe {
            // The keys of all rounds are in memory, so that each use is one load.
            let mut keys = [[V::Words::splat(0); 2]; 10];
            for key in &mut keys {
                *key = [V::Words::splat(key0), V::Words::splat(key1)];
                (key0, key1) = (key0.wrapping_add(WEYL[0]), key1.wrapping_add(WEYL[1]));
            }
            let mut block = 0;
            let lanes = V::Words::LANES;
            for words in self.words.chunks_mut(lanes * ELEMENTS_PER_BLOCK / WORD) {
                let kept = bytes::<V::Words>(block, self.position, turn, &keys, self.threshold);
                for (i, word) in words.iter_mut().enumerate() {
                    *word = (kept >> (i * WORD)) as u32;
                }
                block += lanes as u32;
            }
        }
    }
}

/// Draws one byte for each of the blocks from `first` on, as many as there are lanes.
///
/// # Safety
/// * the processor has the instruction set of `W`.
#[inline(always)]
unsafe fn bytes<W: Words>(
    first: u32,
    position: u32,
    [turn, purpose]: [u32; 2],
    keys: &[[W; 2]; 10],
    threshold: u32,
) -> u64 {
    const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
    // SAFETY: guaranteed by the caller.
    unsafe {
        let multipliers = [W::splat(MULTIPLIERS[0]), W::splat(MULTIPLIERS[1])];
        let mut counter = [W::count(first), W::splat(position), W::splat(turn), W::splat(purpose)];
        for key in keys {
            counter = W::round(counter, multipliers, *key);
        }
        W::kept(counter, threshold)
    }
}

#[cfg(test)]
mod tests {
    use glassbox_engine::masks;

    use super::*;
    use crate::simd::Simd;

    #[test]
    fn repeated_bits_are_those_of_the_reference() {
        for drawn in [1, 2, 3, 7, 31, 32, 33, 40, 63, 64, 65, 100] {
            for len in [drawn, drawn + 1, 3 * drawn, 5 * drawn + 7, 1000] {
                let mut expected: Vec<u32> = (0..40).map(|i: u32| i.wrapping_mul(0x9E37_79B9)).collect();
                let mut found = expected.clone();
                masks::repeat(drawn, len, &mut expected);
                repeat(drawn, len, &mut found);
                assert_eq!(found, expected, "{drawn} of {len}");
            }
        }
    }

    #[test]
    fn the_bits_are_those_of_the_reference() {
        for isa in Simd::under_test().unwrap().into_iter().filter_map(Isa::new) {
            for seed in [0, 1, u64::MAX, 0x1234_5678_9ABC_DEF0] {
                for (rate, len) in [
                    (0.0, 33),
                    (0.2, 1),
                    (0.2, 127),
                    (0.5, 128),
                    (0.999, 129),
                    (0.999_999, 77),
                    (0.2, 4608),
                    (0.3, 1000),
                ] {
                    let at = MaskAt { mask: len % 3, step: seed ^ 77, position: len * 5 };
                    let n = len.div_ceil(WORD);
                    let (mut expected, mut found) = (vec![0; n], vec![0xAAAA_AAAA; n + 1]);
                    masks::draw(seed, at, rate, len, &mut expected);
                    draw(isa, seed, at, rate, len, &mut found);
                    assert_eq!(found[..n], expected, "{isa:?}, seed {seed}, rate {rate}, {len} elements");
                    assert_eq!(found[n], 0xAAAA_AAAA, "written beyond the end");
                }
            }
        }
    }
}
