//! What limits a training step on a GPU: the least times that what it does would take, each by itself, and which of
//! them is the longest.
//!
//! A limit is a count over a rate that was measured in the same run. None is a forecast: a step that did only that could
//! not take less.
//!
//! | limit | the least time | holds for |
//! |---|---|---|
//! | arithmetic | floating-point operations over the measured peak of all multiprocessors | every step |
//! | multiprocessors | the same, where a block does a window on a multiprocessor: as many turns as the windows of the batch need, in each of which every multiprocessor could do one. That is arithmetic with idle multiprocessors, and named where they are more than a tenth of them | fused steps |
//! | second cache, device memory | bytes that leave the multiprocessors, over the rate at which memory of the step's size is read over and over. It is called device memory where this is hardly faster than a copy of what fits no cache, else second cache | every step |
//! | launches | launches times what one without work takes in a recording | every step |
//! | latency | none: said where the longest of these explains less than half of the time. What is left are reads that wait, barriers, the ramp of blocks and launches | every step |
//!
//! **Bytes.** Of a plain step: every tensor that an instruction touches, once, as `engine::program::cost` counts. Of a fused
//! one: for each window its sample, its target and its loss; for each block the weights, and its row of partial sums
//! written and read again; for each weight its gradient, two moments read and written, itself read and written.

use std::fmt;

/// A share of the time below which nothing explains it.
const EXPLAINS: f64 = 0.5;

/// A share of idle multiprocessors above which they are named.
const IDLE: f64 = 0.1;

/// How much faster than device memory a cache is at least.
const CACHED: f64 = 1.25;

/// What was measured of a GPU.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Machine {
    /// Floating-point operations a second.
    pub flops: f64,
    /// Bytes a second of a copy that fits no cache.
    pub memory: f64,
    /// Bytes a second of reads, over and over, of as many bytes as a step touches.
    pub reads: f64,
    /// Seconds of a launch without work, in a recording.
    pub launch: f64,
    /// Multiprocessors.
    pub multiprocessors: usize,
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Windows in the batch.
    pub windows: usize,
    /// Floating-point operations of a window.
    pub flops: u64,
    /// Bytes that leave the multiprocessors, of the whole step.
    pub bytes: u64,
    /// Launches.
    pub launches: u64,
    /// Whether a block takes a window through all of it.
    pub fused: bool,
}

/// What limits a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the head of the file says what they are")]
pub enum Limit {
    Arithmetic,
    Multiprocessors,
    SecondCache,
    DeviceMemory,
    Launches,
}

impl Limit {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Arithmetic => "arithmetic",
            Self::Multiprocessors => "multiprocessors",
            Self::SecondCache => "second cache",
            Self::DeviceMemory => "device memory",
            Self::Launches => "launches",
        }
    }
}

/// The least time that one thing takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// Of what.
    pub limit: Limit,
    /// In seconds, of a whole step.
    pub seconds: f64,
}

/// What limits a step that took some time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// The longest of the least times.
    pub bound: Bound,
    /// That over the time that the step took.
    pub share: f64,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, share) = (self.bound.limit.name(), 100.0 * self.share);
        match self.share >= EXPLAINS {
            true => write!(f, "{name}, {share:.0} %"),
            false => write!(f, "latency ({name} {share:.0} %)"),
        }
    }
}

impl Step {
    /// A plain step: bytes as its instructions have them for a window, launches as they were counted.
    #[must_use]
    pub fn plain(windows: usize, flops: u64, bytes_of_a_window: u64, launches: u64) -> Self {
        Self { windows, flops, bytes: bytes_of_a_window * windows as u64, launches, fused: false }
    }

    /// A fused step on so many multiprocessors: of a model with so many weights, and so many values in a sample and in
    /// its target.
    #[must_use]
    pub fn fused(
        windows: usize,
        flops: u64,
        (sample, target): (usize, usize),
        weights: usize,
        launches: u64,
        multiprocessors: usize,
    ) -> Self {
        let blocks = windows.min(multiprocessors).max(1);
        let number = size_of::<f32>();
        let of_windows = windows * ((sample + target) * number + size_of::<f64>());
        // Of each block: weights in, sums out, sums in again. Of each weight at the end: the gradient out; both
        // moments and itself in and out.
        let of_weights = weights * number * (3 * blocks + 7);
        Self { windows, flops, bytes: (of_windows + of_weights) as u64, launches, fused: true }
    }

    /// The least time of each thing that it does.
    #[must_use]
    pub fn bounds(&self, machine: &Machine) -> Vec<Bound> {
        let arithmetic = self.windows as f64 * self.flops as f64 / machine.flops;
        let mut bounds = vec![Bound { limit: Limit::Arithmetic, seconds: arithmetic }];
        if self.fused {
            let turns = self.windows.div_ceil(machine.multiprocessors);
            let (done, possible) = (self.windows as f64, (turns * machine.multiprocessors) as f64);
            if done < (1.0 - IDLE) * possible {
                bounds.push(Bound { limit: Limit::Multiprocessors, seconds: arithmetic * possible / done });
            }
        }
        let from =
            if machine.reads > CACHED * machine.memory { Limit::SecondCache } else { Limit::DeviceMemory };
        bounds.push(Bound { limit: from, seconds: self.bytes as f64 / machine.reads });
        bounds.push(Bound { limit: Limit::Launches, seconds: self.launches as f64 * machine.launch });
        bounds
    }

    /// What limits it, if it took so many seconds.
    #[must_use]
    pub fn limited_by(&self, machine: &Machine, seconds: f64) -> Verdict {
        let longest = |a: Bound, b: Bound| if b.seconds > a.seconds { b } else { a };
        let bound = self.bounds(machine).into_iter().reduce(longest).expect("there is arithmetic");
        Verdict { bound, share: bound.seconds / seconds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// About an H200, in round numbers.
    const MACHINE: Machine =
        Machine { flops: 60e12, memory: 4e12, reads: 8e12, launch: 1e-6, multiprocessors: 132 };

    /// The tutorial's step, fused.
    fn tutorial(windows: usize) -> Step {
        Step::fused(windows, 2 * 2_942_976, (288, 288), 9505, 2, 132)
    }

    fn seconds(step: &Step, limit: Limit) -> Option<f64> {
        step.bounds(&MACHINE).into_iter().find(|bound| bound.limit == limit).map(|bound| bound.seconds)
    }

    #[test]
    fn the_tutorials_step_is_held_against_its_counts() {
        let step = tutorial(128);
        // 753 MFLOP at 60 TFLOP/s.
        let arithmetic = seconds(&step, Limit::Arithmetic).expect("always there");
        assert!((arithmetic - 12.56e-6).abs() < 0.01e-6, "{arithmetic}");
        // 128 of 132 multiprocessors are as good as all.
        assert_eq!(seconds(&step, Limit::Multiprocessors), None);
        // 128 rows of 38,020 bytes three times, seven more of these, and 128 windows of 2,312 bytes.
        assert_eq!(step.bytes, 38_020 * (3 * 128 + 7) + 128 * 2_312);
        assert_eq!(seconds(&step, Limit::SecondCache), Some(step.bytes as f64 / 8e12));
        assert_eq!(seconds(&step, Limit::Launches), Some(2e-6));
        assert_eq!(step.limited_by(&MACHINE, 20e-6).to_string(), "arithmetic, 63 %");
        assert_eq!(step.limited_by(&MACHINE, 40e-6).to_string(), "latency (arithmetic 31 %)");
    }

    #[test]
    fn idle_multiprocessors_are_named() {
        // One window more than multiprocessors: a second turn for it alone.
        let verdict = tutorial(133).limited_by(&MACHINE, 40e-6);
        assert_eq!(verdict.bound.limit, Limit::Multiprocessors);
        let two_turns = 2.0 * 132.0 * 2.0 * 2_942_976.0 / 60e12;
        assert!((verdict.bound.seconds - two_turns).abs() <= 1e-12 * two_turns, "{verdict:?}");
        assert_eq!(seconds(&tutorial(16), Limit::Multiprocessors), Some(two_turns / 2.0));
        // In many turns the last one counts little.
        assert_eq!(seconds(&tutorial(8192), Limit::Multiprocessors), None);
    }

    #[test]
    fn the_longest_of_the_least_times_limits() {
        // A step with hardly any work.
        let step = Step::plain(1, 1000, 1000, 40);
        assert_eq!(step.limited_by(&MACHINE, 50e-6).to_string(), "launches, 80 %");
        // A step that moves more than it computes, out of a cache and out of memory.
        let step = Step::plain(1024, 6_000_000, 1_000_000, 30);
        assert_eq!(step.limited_by(&MACHINE, 160e-6).to_string(), "second cache, 80 %");
        let far = Machine { reads: 4.2e12, ..MACHINE };
        assert_eq!(step.limited_by(&far, 300e-6).bound.limit, Limit::DeviceMemory);
    }
}
