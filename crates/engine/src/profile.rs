//! Profiles of a training step: the time of each of its parts.
//!
//! A backend runs a training step with a [`Clock`] and calls it at the end of each [`Part`]. There are two clocks.
//! [`NoClock`] is the clock of an ordinary step. It has no size and its methods are empty, so a step that is generic
//! over the clock compiles to the same code as one without a clock. [`Stopwatch`] is the clock of
//! [`Session::profile_step`](crate::backend::Session::profile_step). It reads the system's clock once at the end of
//! each part; the time of the part is the difference to the last reading.
//!
//! The arithmetic is the same with either clock, so a profiled step gives the same bits as an ordinary one.
//!
//! **Cost of a reading.** The time of each part includes its readings: tens of nanoseconds, times the samples of a
//! batch. This is small compared with a contraction, but not compared with the sum of one channel. [`reading_cost`]
//! measures it, and [`PartTime::without_readings`] subtracts it.
//!
//! [`cost`](mod@crate::program::cost) computes the work of each part, and [`Ceilings`] are the limits of the machine.

use std::time::{Duration, Instant};

use serde::Serialize;

/// A part of a training step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Packing weights in the order in which the kernels read them. Before the samples, on one thread.
    Packing,
    /// Zeroing the gradients that samples are added to.
    Clearing,
    /// Copying a sample from the data to the program's input.
    Gather,
    /// All lines of the training program in one kernel, from the samples to the gradients. A device that runs a whole
    /// window through one kernel cannot time the lines separately.
    Fused,
    /// One instruction of the training program, by its index in
    /// [`Program::lines`](crate::program::Program::lines).
    Line(usize),
    /// Idle threads while others run samples: at the start, at the end, and between two chunks.
    Waiting,
    /// Adding the gradients of all chunks of samples. After the samples, on one thread.
    Reduction,
    /// The optimiser's step. On one thread.
    Update,
}

impl Part {
    const BEFORE_LINES: [Self; 7] = [
        Self::Packing,
        Self::Clearing,
        Self::Gather,
        Self::Waiting,
        Self::Reduction,
        Self::Update,
        Self::Fused,
    ];

    /// Index of the part's time in a stopwatch.
    fn slot(self) -> usize {
        match self {
            Self::Line(line) => Self::BEFORE_LINES.len() + line,
            Self::Packing => 0,
            Self::Clearing => 1,
            Self::Gather => 2,
            Self::Waiting => 3,
            Self::Reduction => 4,
            Self::Update => 5,
            Self::Fused => 6,
        }
    }

    /// The part with this index.
    fn at(slot: usize) -> Self {
        match slot.checked_sub(Self::BEFORE_LINES.len()) {
            Some(line) => Self::Line(line),
            None => Self::BEFORE_LINES[slot],
        }
    }
}

/// A clock that a training step calls at the end of each part. See the documentation of this module.
pub trait Clock: Send + Sized {
    /// Starts the next part here. The time before belongs to no part.
    fn start(&mut self);

    /// Ends a part here and starts the next.
    fn lap(&mut self, part: Part);

    /// A new clock for another thread, at zero.
    fn fork(&self) -> Self;

    /// Adds the times of clocks of threads that have run in parallel since the last part ended, one clock for each
    /// piece of their work. The rest of the threads' time is [`Part::Waiting`].
    fn join(&mut self, forks: &[Self], threads: usize);
}

/// The clock of an ordinary step, which does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoClock;

impl Clock for NoClock {
    #[inline(always)]
    fn start(&mut self) {}

    #[inline(always)]
    fn lap(&mut self, _: Part) {}

    #[inline(always)]
    fn fork(&self) -> Self {
        Self
    }

    #[inline(always)]
    fn join(&mut self, _: &[Self], _: usize) {}
}

/// The clock of a profiled step.
#[derive(Debug, Clone)]
pub struct Stopwatch {
    started: Instant,
    last: Instant,
    slots: Vec<PartTime>,
}

impl Stopwatch {
    /// Starts a stopwatch, for a program of `lines` lines.
    #[must_use]
    pub fn new(lines: usize) -> Self {
        let slot = |slot| PartTime { part: Part::at(slot), busy: Duration::ZERO, readings: 0, threads: 1 };
        let now = Instant::now();
        Self { started: now, last: now, slots: (0..Part::Line(lines).slot()).map(slot).collect() }
    }

    /// The profile so far, for a batch of `samples` samples.
    #[must_use]
    pub fn profile(self, loss: f64, samples: usize, threads: usize) -> StepProfile {
        let Self { started, last, slots } = self;
        StepProfile { loss, samples, threads, wall: last - started, parts: slots }
    }
}

impl Clock for Stopwatch {
    fn start(&mut self) {
        self.last = Instant::now();
    }

    fn lap(&mut self, part: Part) {
        let now = Instant::now();
        let slot = &mut self.slots[part.slot()];
        slot.busy += now - self.last;
        slot.readings += 1;
        self.last = now;
    }

    fn fork(&self) -> Self {
        Self::new(self.slots.len() - Part::BEFORE_LINES.len())
    }

    fn join(&mut self, forks: &[Self], threads: usize) {
        let now = Instant::now();
        let all = (now - self.last) * threads as u32;
        let mut busy = Duration::ZERO;
        for fork in forks {
            for (slot, forked) in self.slots.iter_mut().zip(&fork.slots) {
                slot.busy += forked.busy;
                slot.readings += forked.readings;
                busy += forked.busy;
                if forked.readings > 0 {
                    slot.threads = threads;
                }
            }
        }
        let waiting = &mut self.slots[Part::Waiting.slot()];
        waiting.busy += all.saturating_sub(busy);
        waiting.threads = threads;
        self.last = now;
    }
}

/// The time of one part of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartTime {
    /// The part.
    pub part: Part,
    /// The time that threads spent in it, summed over samples and over threads.
    pub busy: Duration,
    /// Number of clock readings that this time includes.
    pub readings: u64,
    /// Number of threads that shared the part.
    pub threads: usize,
}

impl PartTime {
    /// The share of the part in the step's wall time: for a part that two threads share, half of the time that they
    /// spend in it. The shares of all parts add up to the wall time of the step.
    #[must_use]
    pub fn in_step(&self) -> Duration {
        self.busy / self.threads as u32
    }

    /// [`PartTime::in_step`] in seconds, without the clock readings, of which each takes `reading` seconds.
    #[must_use]
    pub fn without_readings(&self, reading: f64) -> f64 {
        (self.busy.as_secs_f64() - self.readings as f64 * reading).max(0.0) / self.threads as f64
    }
}

/// The times of one training step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepProfile {
    /// The mean loss of the batch.
    pub loss: f64,
    /// Samples in the batch.
    pub samples: usize,
    /// Threads that ran them.
    pub threads: usize,
    /// Time from the start of the step to its end.
    pub wall: Duration,
    /// Each part once, including those that take no time on this backend: first the parts outside of the program,
    /// then its lines in order.
    pub parts: Vec<PartTime>,
}

impl StepProfile {
    /// Builds a profile from a device's own measurements: parts in the order in which they ran, of which some may be in
    /// several pieces. Each piece counts as one reading.
    ///
    /// # Panics
    /// If a part is not a line of a program of `lines` lines.
    #[must_use]
    pub fn measured(loss: f64, samples: usize, lines: usize, times: &[(Part, Duration)]) -> Self {
        let slot = |slot| PartTime { part: Part::at(slot), busy: Duration::ZERO, readings: 0, threads: 1 };
        let mut parts: Vec<PartTime> = (0..Part::Line(lines).slot()).map(slot).collect();
        for (part, time) in times {
            let slot = &mut parts[part.slot()];
            slot.busy += *time;
            slot.readings += 1;
        }
        let wall = times.iter().map(|(_, time)| *time).sum();
        Self { loss, samples, threads: 1, wall, parts }
    }

    /// The time of a part.
    ///
    /// # Panics
    /// If the program has no such line.
    #[must_use]
    pub fn part(&self, part: Part) -> &PartTime {
        &self.parts[part.slot()]
    }
}

/// Measures the seconds that one reading of the clock adds to a part. It is the minimum of many tries, because any
/// disturbance makes a try longer.
#[must_use]
pub fn reading_cost() -> f64 {
    const READINGS: usize = 1000;
    let once = || {
        let mut clock = Stopwatch::new(1);
        for _ in 0..READINGS {
            std::hint::black_box(&mut clock).lap(Part::Line(0));
        }
        clock.slots[Part::Line(0).slot()].busy.as_secs_f64() / READINGS as f64
    };
    (0..50).map(|_| once()).fold(f64::INFINITY, f64::min)
}

/// The limits of a machine, measured: the roofline of every kernel (Williams, Waterman and Patterson,
/// *Roofline: an insightful visual performance model for multicore architectures*, 2009).
///
/// A kernel that needs F floating-point operations on B bytes takes at least `max(F / peak, B / bandwidth)`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ceilings {
    /// Arithmetic throughput: of the backend's kernels first, then others to compare with.
    pub peaks: Vec<Ceiling>,
    /// Bandwidth: to the cache or memory that holds one thread's values of a sample first, then others.
    pub bandwidths: Vec<Ceiling>,
}

/// One ceiling, of all threads together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ceiling {
    /// The measured quantity: `avx2, 2 threads`.
    pub name: String,
    /// Floating-point operations, or bytes, per second.
    pub rate: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_a_place_of_its_own() {
        for slot in 0..20 {
            assert_eq!(Part::at(slot).slot(), slot);
        }
    }

    #[test]
    fn no_clock_is_nothing() {
        assert_eq!(size_of::<NoClock>(), 0);
        // A vector of them, one for each chunk of a batch, allocates nothing.
        assert_eq!(std::iter::repeat_n(NoClock, 16).collect::<Vec<_>>().capacity(), usize::MAX);
    }

    /// Sleeps are at least as long as requested, so the bounds below hold on any machine.
    #[test]
    fn laps_go_to_their_parts_and_what_is_left_is_waiting() {
        let pause = Duration::from_millis(5);
        let mut clock = Stopwatch::new(2);
        std::thread::sleep(pause);
        clock.lap(Part::Packing);
        let mut forks = [clock.fork(), clock.fork()];
        std::thread::scope(|scope| {
            for (thread, clock) in forks.iter_mut().enumerate() {
                scope.spawn(move || {
                    std::thread::sleep(pause);
                    clock.start();
                    std::thread::sleep(pause);
                    clock.lap(Part::Line(thread));
                });
            }
        });
        clock.join(&forks, 2);
        let profile = clock.profile(0.5, 3, 2);
        for part in [Part::Packing, Part::Line(0), Part::Line(1)] {
            assert!(profile.part(part).busy >= pause, "{profile:?}");
            assert_eq!(profile.part(part).readings, 1);
        }
        assert_eq!((profile.part(Part::Packing).threads, profile.part(Part::Line(1)).threads), (1, 2));
        // Each thread slept once before its clock started.
        assert!(profile.part(Part::Waiting).busy >= 2 * pause, "{profile:?}");
        assert_eq!(profile.part(Part::Gather).busy, Duration::ZERO);
        let sum: Duration = profile.parts.iter().map(PartTime::in_step).sum();
        // Divisions of a duration round down to nanoseconds.
        assert!(sum <= profile.wall && profile.wall - sum < Duration::from_nanos(100), "{profile:?}");
    }

    #[test]
    fn the_cost_of_readings_is_taken_off_and_leaves_no_less_than_nothing() {
        let part =
            |readings| PartTime { part: Part::Gather, busy: Duration::from_micros(10), readings, threads: 2 };
        // 10 us minus 40 readings of 50 ns, on two threads; a rounding of f64.
        assert!((part(40).without_readings(50e-9) - 4e-6).abs() <= 1e-18);
        assert_eq!(part(400).without_readings(50e-9), 0.0);
        let cost = reading_cost();
        assert!(cost > 0.0 && cost < 1e-3, "{cost}");
    }
}
