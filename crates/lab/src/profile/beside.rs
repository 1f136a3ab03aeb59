//! The same training step on two backends, part by part.
//!
//! Both ran the same program, so a part of one is compared with the part of the other that has the same instruction,
//! or does the same work outside of the program. A fused kernel, which takes a window through the whole program, has no
//! such parts. It is compared with the sum of all that it does: the lines, the gathering of samples, preparation
//! (packing, clearing) and the time that threads wait. The reduction of gradients, which then belongs to Adam's step, is
//! compared with that.
//!
//! Every part of either backend is in exactly one pair, so both columns add up to the parts of their steps.

use serde::Serialize;

use super::{PartInfo, PassInfo, Profile, What};

/// A profile, and that of the same step on another backend.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SideBySide {
    /// The first. Its fields are serialised at the top level, so a reader of [`Profile`] can read this.
    #[serde(flatten)]
    pub profile: Profile,
    /// The second profile, and the comparison.
    pub beside: Beside,
}

/// The second profile, and its comparison with the first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Beside {
    /// The other profile.
    pub profile: Profile,
    /// The step's time without clocks: second profile over first.
    pub step_ratio: f64,
    /// The parts of both: those of the first profile in order, then those that only the second has.
    pub pairs: Vec<Pair>,
}

/// A part of the first profile, and the parts of the second that do the same work.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// Its index in the first profile's parts; `null` where only the second has such a part.
    pub part: Option<usize>,
    /// Indices in the second profile's parts: usually one, none where only the first has such a part, several for a
    /// fused kernel.
    pub beside: Vec<usize>,
    /// Seconds of a step in the first profile.
    pub seconds: f64,
    /// Seconds of a step in the second: the sum of these parts.
    pub beside_seconds: f64,
    /// `beside_seconds / seconds`; `null` where one of the two has no such part, or its time is too short to measure.
    pub ratio: Option<f64>,
}

impl SideBySide {
    /// Pairs the parts of two profiles of the same step.
    pub(super) fn new(profile: Profile, other: Profile) -> Self {
        let pairs = pairs(&profile.parts, &other.parts);
        let step_ratio = other.step.seconds / profile.step.seconds;
        Self { profile, beside: Beside { profile: other, step_ratio, pairs } }
    }

    /// The part of the first profile.
    pub(super) fn part(&self, pair: &Pair) -> Option<&PartInfo> {
        pair.part.map(|part| &self.profile.parts[part])
    }

    /// The parts of the second profile.
    pub(super) fn beside(&self, pair: &Pair) -> Vec<&PartInfo> {
        pair.beside.iter().map(|part| &self.beside.profile.parts[*part]).collect()
    }

    /// The direction of a pair.
    pub(super) fn pass(&self, pair: &Pair) -> PassInfo {
        let parts = self.part(pair).into_iter().chain(self.beside(pair));
        parts.map(|part| part.pass).next().unwrap_or(PassInfo::Outside)
    }
}

fn pairs(first: &[PartInfo], other: &[PartInfo]) -> Vec<Pair> {
    let mut partners = vec![vec![]; first.len()];
    let mut alone = vec![];
    for (index, part) in other.iter().enumerate() {
        match partner(part, first) {
            Some(place) => partners[place].push(index),
            None => alone.push(index),
        }
    }
    let pair = |part: Option<usize>, beside: Vec<usize>| {
        let seconds = part.map_or(0.0, |part| first[part].seconds);
        let beside_seconds: f64 = beside.iter().map(|part| other[*part].seconds).sum();
        let ratio = (seconds > 0.0 && beside_seconds > 0.0).then(|| beside_seconds / seconds);
        Pair { part, beside, seconds, beside_seconds, ratio }
    };
    let here = partners.into_iter().enumerate().map(|(part, beside)| pair(Some(part), beside));
    let mut pairs: Vec<Pair> = here.collect();
    pairs.extend(alone.into_iter().map(|part| pair(None, vec![part])));
    pairs
}

/// The part among `first` that does the work of `part`.
fn partner(part: &PartInfo, first: &[PartInfo]) -> Option<usize> {
    let find = |what: What, instruction: &Option<String>| {
        first.iter().position(|other| other.what == what && other.instruction == *instruction)
    };
    find(part.what, &part.instruction).or_else(|| {
        let all_at_once = find(What::WholeProgram, &None)?;
        match part.what {
            What::Reduction => find(What::Adam, &None),
            _ => Some(all_at_once),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(what: What, instruction: Option<&str>, seconds: f64) -> PartInfo {
        PartInfo {
            layer: None,
            pass: if instruction.is_some() { PassInfo::Forward } else { PassInfo::Outside },
            what,
            instruction: instruction.map(Into::into),
            merged: vec![],
            seconds,
            share: 0.0,
            multiply_adds: 0,
            flops: 0,
            bytes: 0,
            flops_per_second: 0.0,
            bytes_per_second: 0.0,
            intensity: None,
            ceiling: None,
        }
    }

    fn cpu() -> Vec<PartInfo> {
        vec![
            part(What::Output, Some("v1 = A(w0) v0"), 1.0),
            part(What::Output, Some("v2 = A(w1) v1"), 2.0),
            part(What::Packing, None, 4.0),
            part(What::Waiting, None, 8.0),
            part(What::Reduction, None, 16.0),
            part(What::Adam, None, 32.0),
        ]
    }

    /// Places, and seconds on both sides.
    fn found(first: &[PartInfo]) -> Vec<(Option<usize>, Vec<usize>, f64, f64)> {
        let pairs = pairs(first, &cpu()).into_iter();
        pairs.map(|pair| (pair.part, pair.beside, pair.seconds, pair.beside_seconds)).collect()
    }

    #[test]
    fn lines_meet_lines_and_what_one_side_lacks_stands_alone() {
        let plain = [
            part(What::Output, Some("v2 = A(w1) v1"), 0.2),
            part(What::Output, Some("v1 = A(w0) v0"), 0.1),
            part(What::Clearing, None, 0.3),
            part(What::Adam, None, 0.5),
        ];
        let expected = [
            (Some(0), vec![1], 0.2, 2.0),
            (Some(1), vec![0], 0.1, 1.0),
            (Some(2), vec![], 0.3, 0.0),
            (Some(3), vec![5], 0.5, 32.0),
            (None, vec![2], 0.0, 4.0),
            (None, vec![3], 0.0, 8.0),
            (None, vec![4], 0.0, 16.0),
        ];
        assert_eq!(found(&plain), expected);
        let ratios: Vec<Option<f64>> = pairs(&plain, &cpu()).iter().map(|pair| pair.ratio).collect();
        assert_eq!(ratios, [Some(10.0), Some(10.0), None, Some(64.0), None, None, None]);
    }

    #[test]
    fn a_kernel_that_does_all_at_once_is_held_against_all_of_it() {
        let fused = [part(What::WholeProgram, None, 0.5), part(What::Adam, None, 0.25)];
        let expected = [(Some(0), vec![0, 1, 2, 3], 0.5, 15.0), (Some(1), vec![4, 5], 0.25, 48.0)];
        assert_eq!(found(&fused), expected);
    }
}
