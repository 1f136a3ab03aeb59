//! The rounds of a warp's access to shared memory.
//!
//! Shared memory has 32 banks of four bytes. A warp's access is served in as many rounds as the fullest bank asks
//! for, where lanes that read the same word count once. Accesses of 8 bytes go by halves of a warp, those of 16 bytes
//! by quarters (*CUDA C++ programming guide*, shared memory; that wide ones are cut so is what is commonly measured,
//! and not promised).

/// Lanes of a warp.
const LANES: usize = 32;
const BANKS: usize = 32;

/// The rounds of an access of `width` neighbouring floats, 1, 2 or 4, at each lane's address, counted in floats.
pub(super) fn rounds(width: usize, address: impl Fn(usize) -> usize) -> usize {
    let group = LANES / width;
    (0..LANES).step_by(group).map(|first| busiest_bank(width, (first..first + group).map(&address))).sum()
}

fn busiest_bank(width: usize, addresses: impl Iterator<Item = usize>) -> usize {
    let mut words: Vec<usize> = addresses.flat_map(|address| address..address + width).collect();
    words.sort_unstable();
    words.dedup();
    let mut load = [0; BANKS];
    for word in words {
        load[word % BANKS] += 1;
    }
    load.into_iter().max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::rounds;

    #[test]
    fn rounds_are_those_of_the_programming_guide() {
        assert_eq!(rounds(1, |lane| lane), 1, "neighbours");
        assert_eq!(rounds(1, |_| 7), 1, "one word for all");
        assert_eq!(rounds(1, |lane| 2 * lane), 2, "every other word");
        assert_eq!(rounds(1, |lane| 33 * lane), 1, "a padded column");
        assert_eq!(rounds(1, |lane| 32 * lane), 32, "a column");
        assert_eq!(rounds(4, |lane| 4 * lane), 4, "neighbouring quads");
        assert_eq!(rounds(4, |lane| 32 * (lane % 8)), 32, "eight quads on the same banks");
        assert_eq!(rounds(4, |lane| 36 * (lane % 8)), 4, "the same, padded");
        assert_eq!(rounds(2, |lane| 2 * lane), 2, "neighbouring pairs");
    }
}
