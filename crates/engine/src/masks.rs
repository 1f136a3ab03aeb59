//! Dropout masks, as bits.

use crate::random::{Purpose, Stream};

/// Identifies one mask of a run: a training step and a sample of its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaskAt {
    /// Index of the dropout layer in [`Program::masks`](crate::program::Program::masks).
    pub mask: usize,
    /// Training steps taken before this one.
    pub step: u64,
    /// The sample's position in the batch.
    pub position: usize,
}

/// Number of elements in one word of a mask.
pub const WORD: usize = u32::BITS as usize;

/// Number of elements that one block of random bits decides: 16 bits each.
pub const ELEMENTS_PER_BLOCK: usize = 8;

/// The threshold for a rate: an element is kept if its 16 random bits are at least this.
///
/// With 16 bits per element instead of 32, dropout costs half as much. The rate is rounded to a multiple of 2^-16: a
/// rate of 0.2 drops 13107 of 65536, or 0.199997 of the elements.
#[must_use]
pub fn drop_below(rate: f64) -> u32 {
    (rate * 65536.0).round() as u32
}

/// Writes a mask of `len` elements into `words`: bit b of word w is set if element 32 w + b is kept. It is a pure
/// function of the run's seed, of `at`, and of the element.
///
/// Block i of a sample decides elements 8 i to 8 i + 7: two from each of its words, the low half first.
///
/// # Panics
/// If `words` is too short.
pub fn draw(seed: u64, at: MaskAt, rate: f64, len: usize, words: &mut [u32]) {
    let stream = Stream::new(seed, Purpose::Dropout, at.mask as u32, at.step as u32);
    let threshold = drop_below(rate);
    let mut index = (at.position as u64) << 32;
    for word in &mut words[..len.div_ceil(WORD)] {
        *word = 0;
        for byte in 0..WORD / ELEMENTS_PER_BLOCK {
            let block = stream.block(index);
            index += 1;
            for (pair, bits) in block.into_iter().enumerate() {
                let keep = u32::from(bits & 0xFFFF >= threshold) | u32::from(bits >> 16 >= threshold) << 1;
                *word |= keep << (byte * ELEMENTS_PER_BLOCK + 2 * pair);
            }
        }
    }
}

/// Repeats the first `drawn` bits of a mask up to its element `len`: element e has bit `e % drawn`.
///
/// # Panics
/// If `words` is too short.
pub fn repeat(drawn: usize, len: usize, words: &mut [u32]) {
    for element in drawn..len {
        let (word, bit) = (element / WORD, element % WORD);
        let keep = u32::from(keeps(words, element % drawn));
        words[word] = words[word] & !(1 << bit) | keep << bit;
    }
}

/// Returns true if a mask keeps `element`.
#[must_use]
pub fn keeps(words: &[u32], element: usize) -> bool {
    words[element / WORD] >> (element % WORD) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(seed: u64, at: MaskAt, rate: f64, len: usize) -> Vec<bool> {
        let mut words = vec![u32::MAX; len.div_ceil(WORD)];
        draw(seed, at, rate, len, &mut words);
        (0..len).map(|e| keeps(&words, e)).collect()
    }

    #[test]
    fn the_rate_is_the_fraction_dropped() {
        let at = MaskAt { mask: 1, step: 5, position: 3 };
        for rate in [0.0, 0.2, 0.5, 0.9] {
            let n = 100_000;
            let dropped = mask(1, at, rate, n).iter().filter(|keep| !**keep).count() as f64;
            let expected = rate * n as f64;
            // Binomial: five standard deviations of at most 158.
            assert!(
                (dropped - expected).abs() <= 5.0 * (expected * (1.0 - rate)).sqrt(),
                "{rate}: {dropped}"
            );
        }
    }

    #[test]
    fn bits_repeat() {
        let at = MaskAt { mask: 1, step: 5, position: 3 };
        for (drawn, len) in [(1, 40usize), (3, 100), (32, 96), (33, 99), (50, 50)] {
            let bits = mask(1, at, 0.5, drawn);
            let mut words = vec![0; len.div_ceil(WORD)];
            draw(1, at, 0.5, drawn, &mut words);
            repeat(drawn, len, &mut words);
            assert!((0..len).all(|e| keeps(&words, e) == bits[e % drawn]), "{drawn} of {len}");
        }
    }

    #[test]
    fn masks_differ_between_steps_samples_layers_and_seeds() {
        let at = MaskAt { mask: 0, step: 0, position: 0 };
        let base = mask(1, at, 0.5, 256);
        assert_ne!(base, mask(2, at, 0.5, 256));
        assert_ne!(base, mask(1, MaskAt { mask: 1, ..at }, 0.5, 256));
        assert_ne!(base, mask(1, MaskAt { step: 1, ..at }, 0.5, 256));
        assert_ne!(base, mask(1, MaskAt { position: 1, ..at }, 0.5, 256));
        // A longer mask starts with the shorter one.
        assert_eq!(base[..100], mask(1, at, 0.5, 100));
    }
}
