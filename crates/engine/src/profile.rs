//! Where the time of a training step goes: a clock around each of its parts.
//!
//! A backend runs a training step with a [`Clock`] in its hand and tells it at the end of each [`Part`]. There
//! are two clocks. [`NoClock`] is what an ordinary step takes: it has no size and its methods are empty, so a
//! step that is generic over the clock compiles to the code that it would be without one. [`Stopwatch`] is what
//! [`Session::profile_step`](crate::backend::Session::profile_step) takes: one reading of the system's clock at
//! the end of each part, the time since the last reading being the part's.
//!
//! The arithmetic is the same with either clock, so a profiled step gives the same bits as an ordinary one.
//!
//! **What a reading costs** is in every part's time: tens of nanoseconds, times the samples of a batch. It is
//! small beside a contraction, and not beside the sum of one channel. [`reading_cost`] measures it, and
//! [`PartTime::without_readings`] takes it off.
//!
//! What the parts *should* take is in [`cost`](mod@crate::program::cost), and what the machine can do in
//! [`Ceilings`].

use std::time::{Duration, Instant};

/// A part of a training step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Weights into the order in which the kernels read them. Before the samples, on one thread.
    Packing,
    /// Zeros into the gradients that samples are added to.
    Clearing,
    /// A sample from the data to the program's input.
    Gather,
    /// All lines of the training program in one kernel, from the samples to the gradients: a device that takes a
    /// window through all of it at once has no times of its own for the lines.
    Fused,
    /// An instruction of the training program, by its place in
    /// [`Program::lines`](crate::program::Program::lines).
    Line(usize),
    /// Threads with nothing to do while others run samples: at the start, at the end, between two chunks.
    Waiting,
    /// The gradients of all chunks of samples into one. After the samples, on one thread.
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

    /// Where a stopwatch keeps its time.
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

    /// The part whose time is kept there.
    fn at(slot: usize) -> Self {
        match slot.checked_sub(Self::BEFORE_LINES.len()) {
            Some(line) => Self::Line(line),
            None => Self::BEFORE_LINES[slot],
        }
    }
}

/// What a training step tells when a part is done. See the head of this module.
pub trait Clock: Send + Sized {
    /// Whatever was before belongs to no part: the next part begins here.
    fn start(&mut self);

    /// A part ends here, and the next begins.
    fn lap(&mut self, part: Part);

    /// A clock for another thread, with nothing on it.
    fn fork(&self) -> Self;

    /// Some threads have run in parallel since the last part ended, with a clock for each piece of their work:
    /// adds what those show. What was left of the threads' time is [`Part::Waiting`].
    fn join(&mut self, forks: &[Self], threads: usize);
}

/// The clock of an ordinary step: none.
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
    /// Starts now, for a program of so many lines.
    #[must_use]
    pub fn new(lines: usize) -> Self {
        let slot = |slot| PartTime { part: Part::at(slot), busy: Duration::ZERO, readings: 0, threads: 1 };
        let now = Instant::now();
        Self { started: now, last: now, slots: (0..Part::Line(lines).slot()).map(slot).collect() }
    }

    /// What it shows, for a batch of so many samples.
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
    /// Which.
    pub part: Part,
    /// The time that threads spent in it, summed over samples and over threads.
    pub busy: Duration,
    /// Readings of the clock that are in this time.
    pub readings: u64,
    /// Threads among which it was shared out.
    pub threads: usize,
}

impl PartTime {
    /// What it takes of the step's time: a part that is shared out among two threads takes half of the time
    /// that they spend in it. Over all parts this adds up to the step's wall time.
    #[must_use]
    pub fn in_step(&self) -> Duration {
        self.busy / self.threads as u32
    }

    /// [`PartTime::in_step`] in seconds, without the readings of the clock, at so many seconds each.
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
    /// From the start of the step to its end.
    pub wall: Duration,
    /// Each part once, those that take no time on this backend too: first what is outside of the program, then
    /// its lines in order.
    pub parts: Vec<PartTime>,
}

impl StepProfile {
    /// Of a device that measures its own time: the parts in the order in which they were taken, some of them
    /// perhaps in several pieces. Each piece counts as one reading.
    ///
    /// # Panics
    /// If a part is no line of a program of so many lines.
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

/// Seconds that one reading of the clock adds to a part, as [`Stopwatch`] takes it: the least of many tries,
/// since whatever disturbs a try makes it longer.
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

/// What a machine can do at most, measured on it: the roof over every kernel (Williams, Waterman and Patterson,
/// *Roofline: an insightful visual performance model for multicore architectures*, 2009).
///
/// A kernel that needs F floating-point operations on B bytes takes at least `max(F / peak, B / bandwidth)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Ceilings {
    /// The arithmetic that the backend's kernels can reach, first; then others to compare with.
    pub peaks: Vec<Ceiling>,
    /// The traffic with the cache, or the memory, where one thread's values of a sample lie, first; then others.
    pub bandwidths: Vec<Ceiling>,
}

/// One ceiling: of all threads together.
#[derive(Debug, Clone, PartialEq)]
pub struct Ceiling {
    /// What was measured: `avx2, 2 threads`.
    pub name: String,
    /// Floating-point operations, or bytes, a second.
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

    /// Sleeps are at least as long as asked for, so the bounds below hold on any machine.
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
        // Each thread slept once before its clock was started.
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
        // 10 us less 40 readings of 50 ns, on two threads; a rounding of f64.
        assert!((part(40).without_readings(50e-9) - 4e-6).abs() <= 1e-18);
        assert_eq!(part(400).without_readings(50e-9), 0.0);
        let cost = reading_cost();
        assert!(cost > 0.0 && cost < 1e-3, "{cost}");
    }
}
