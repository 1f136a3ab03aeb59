//! Suggestions for misspelt words in error messages.

/// Returns `; did you mean Conv1D?` if a candidate differs from `word` in case and underscores only, else an empty
/// text. Other differences do not count: Conv2D is one letter away from Conv1D, but a different layer.
pub(crate) fn respelt(word: &str, candidates: &[&str]) -> String {
    let plain = |word: &str| word.replace('_', "").to_lowercase();
    let meant = candidates.iter().find(|candidate| plain(candidate) == plain(word));
    meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"))
}

/// Finds the name among `found` that is probably a misspelt `key`: one wrong letter, or more in a long word.
pub(crate) fn misspelt<'a>(key: &str, found: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    let slips = (key.len() / 4).max(1);
    found
        .map(|other| (strsim::damerau_levenshtein(key, other), other))
        .filter(|(distance, _)| *distance <= slips)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_is_suggested() {
        let classes = ["Conv1D", "ReLU"];
        assert_eq!(respelt("conv_1d", &classes), "; did you mean Conv1D?");
        assert_eq!(respelt("Conv2D", &classes), "");
        let found = ["kernal_size", "name", "strides"].map(String::from);
        let near = |key| misspelt(key, found.iter()).map(String::as_str);
        assert_eq!(near("kernel_size"), Some("kernal_size"));
        assert_eq!(near("stride"), Some("strides"));
        assert_eq!((near("rate"), near("filters")), (None, None));
    }
}
