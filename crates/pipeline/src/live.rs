//! Detection in a series whose rows are still arriving.
//!
//! A [`LiveDetector`] takes rows one by one and says of each two things, a [`Line`] each:
//!
//! | line | when | score | verdict |
//! |---|---|---|---|
//! | [`Kind::Live`] | at once | of the window that ends at the row | by the threshold of live scores |
//! | [`Kind::Settled`] | when the last window that holds the row has passed, or the stretch has ended | of all windows that hold it | by the threshold of settled scores |
//!
//! The scores are those of [`Detector::judge`] for the whole series, to the bit, and so are the settled verdicts. They do not
//! depend on how many rows are scored at a time. Memory does not depend on the length of the series.
//!
//! A gap, which is a step that is not about the sampling step of the training series, ends a stretch: its last rows are
//! settled, and the rows after it are judged live again from the first whole window on. Rows without a value, repeated
//! rows and rows that go back in time have both of their lines at once.
//!
//! [`Watch`] reads the rows from the bytes of a CSV as they arrive, and its [`State`] goes on with it in another process.
//! [`LineWriter`] writes lines as text.

mod event;
mod lines;
mod state;
mod step_check;
#[cfg(test)]
mod tests;
mod watch;

use glassbox::{Device, Model};
use glassbox_engine::samples::Samples;
use jiff::SignedDuration;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

pub use event::{Event, Kind, Line, Notice};
pub use lines::{Format, LineWriter, Lines};
pub use state::{State, StateError};
pub use watch::{Tally, Watch};

use crate::detector::{Detector, require_channels, require_step};
use crate::error::{Error, Result};
use crate::reconstruction::{PREDICT_BATCH, reconstruct_each};
use crate::rows::{Alarm, Calibration, Judged, Reason, Rows, Running, Terms, ThresholdRule};
use crate::series::{BadRows, Clock, Row, Sieve, follows};
use step_check::StepCheck;

/// Rows that are scored at a time, at most: several batches for each of many threads.
const BLOCK: usize = 1024;

/// A detector for a series whose rows are still arriving; see the [module](self).
///
/// Rows are queued by [`push`](Self::push) and scored by [`flush`](Self::flush). For lines at once, call both for each row;
/// with many rows at hand, push them all and flush once, which scores their windows in parallel.
#[derive(Debug)]
pub struct LiveDetector<'d> {
    detector: &'d Detector,
    calibration: &'d Calibration,
    alarm: Alarm,
    /// The thresholds of settled and of live scores.
    thresholds: [Running; 2],
    model: Model,
    /// The sampling step of the training series.
    step: SignedDuration,
    /// The name of the series, for messages.
    name: String,
    /// The clock of the last row.
    clock: Clock,
    sieve: Sieve,
    steps: StepCheck,
    rows: Rows<'d>,
    recent: Recent,
    /// The normalised values of the row that is being taken.
    normalised: Vec<f32>,
    /// Number of rows that could be used.
    used: usize,
    judged: Judged,
}

/// The last rows of a stretch: all of those that windows to come can hold or settle, and those that are queued.
#[derive(Debug, Default)]
struct Recent {
    timestamps: Vec<DateTime>,
    /// Raw values, `(rows, channels)`.
    values: Vec<Option<f64>>,
    /// The same, normalised.
    normalised: Vec<f32>,
    /// The live score of those that are scored, if they have one.
    live: Vec<Option<f64>>,
}

impl Recent {
    fn len(&self) -> usize {
        self.timestamps.len()
    }

    /// The rows that are not scored yet.
    fn queued(&self) -> usize {
        self.timestamps.len() - self.live.len()
    }

    /// Forgets all but the last `rows`.
    fn keep(&mut self, rows: usize, channels: usize) {
        let gone = self.len() - rows;
        self.timestamps.drain(..gone);
        self.live.drain(..gone);
        self.values.drain(..gone * channels);
        self.normalised.drain(..gone * channels);
    }
}

/// The memory of a [`LiveDetector`], with which another process goes on. The rows that later windows hold too are scored
/// again, which gives the same bits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Memory {
    clock: Clock,
    sieve: Sieve,
    steps: StepCheck,
    used: usize,
    /// The last rows of the stretch, with their raw values.
    rows: Vec<(DateTime, Vec<f64>)>,
    /// Their live scores, relative to the threshold of that moment.
    live: Vec<Option<f64>>,
    /// The thresholds, with all that they have learnt.
    thresholds: [Running; 2],
}

impl<'d> LiveDetector<'d> {
    /// A detector for the series called `name`, before its first row.
    ///
    /// # Errors
    /// If `detector` has no calibration or no sampling step, or too few training scores for `rule`.
    pub fn new(
        detector: &'d Detector,
        device: &Device,
        name: &str,
        rule: ThresholdRule,
        bad_rows: BadRows,
    ) -> Result<Self> {
        let calibration = detector.calibration.as_ref().ok_or(Error::NoCalibration)?;
        let step = detector.sampling_step.ok_or(Error::NoSamplingStep)?;
        require_channels(&detector.model, detector.scalers.len())?;
        let alarm = Alarm::new(rule, calibration)?;
        Ok(Self {
            detector,
            calibration,
            thresholds: alarm.running(calibration),
            alarm,
            model: Model::with_weights(detector.model.clone(), detector.weights.clone(), device.clone())?,
            step,
            name: name.into(),
            clock: Clock::Local,
            sieve: Sieve::new(bad_rows),
            steps: StepCheck::default(),
            rows: Rows::new(calibration),
            recent: Recent::default(),
            normalised: vec![],
            used: 0,
            judged: Judged::unjudged(Reason::BeforeWindow),
        })
    }

    /// The threshold.
    #[must_use]
    pub fn alarm(&self) -> &Alarm {
        &self.alarm
    }

    /// The length of a window, in steps.
    #[must_use]
    pub fn time_steps(&self) -> usize {
        self.detector.time_steps()
    }

    /// Takes the next row. The row is queued; lines that are due before its own are handed to `each`.
    ///
    /// # Errors
    /// Before the row is taken: if the policy for bad rows refuses it, or a value cannot be normalised. If the first rows
    /// have another sampling step than the training series, or an error is not finite, or the device fails: the detector
    /// cannot go on then. The lines of all rows before were handed out.
    pub fn push(&mut self, row: &Row, each: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        let channels = self.detector.scalers.len();
        if row.values.len() != channels {
            let (model, columns) = (self.detector.model.name().into(), row.values.len());
            return Err(Error::Channels { model, channels, columns });
        }
        let before = self.sieve.clone();
        let taken = match self.sieve.take(&self.name, row) {
            Ok(None) => self.normalise(&row.values).map(|()| None),
            Ok(reason) => Ok(reason),
            Err(refused) => Err(refused.into()),
        };
        match taken {
            Ok(None) => {}
            Ok(Some(reason)) => {
                self.flush(each)?;
                each(Event::Notice(Notice::LeftOut { file: self.name.clone(), line: row.line, reason }));
                let Row { timestamp, clock, values, .. } = row;
                for kind in [Kind::Live, Kind::Settled] {
                    let judged = &Judged::unjudged(reason);
                    each(Event::Line(Line { kind, timestamp: *timestamp, clock: *clock, values, judged }));
                }
                return Ok(());
            }
            Err(error) => {
                self.sieve = before;
                self.flush(each)?;
                return Err(error);
            }
        }
        if let Some(last) = before.last() {
            self.check_step(row, last, each)?;
        }
        self.clock = row.clock;
        self.append(row.timestamp, &row.values);
        if self.recent.queued() >= BLOCK { self.flush(each) } else { Ok(()) }
    }

    /// Scores the rows that are queued: hands out their live lines, and the settled lines that are due.
    ///
    /// # Errors
    /// If an error is not finite, or the device fails. The detector cannot go on then.
    pub fn flush(&mut self, each: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        let (steps, channels) = (self.time_steps(), self.detector.scalers.len());
        let Self { calibration, thresholds: [settled, at_once], model, clock, rows, recent, judged, .. } =
            self;
        let Recent { timestamps, values, normalised, live } = recent;
        if live.len() == timestamps.len() {
            return Ok(());
        }
        let mut tell = |kind, row: usize, judged: &Judged| {
            let values = &values[row * channels..][..channels];
            each(Event::Line(Line { kind, timestamp: timestamps[row], clock: *clock, values, judged }));
        };
        // The first rows of a stretch.
        while live.len() < timestamps.len().min(steps - 1) {
            *judged = Judged::unjudged(Reason::BeforeWindow);
            tell(Kind::Live, live.len(), judged);
            live.push(None);
        }
        if timestamps.len() >= steps {
            let first = live.len() + 1 - steps;
            let windows = Samples::windows(&normalised[first * channels..], steps, channels)?;
            reconstruct_each(model.session(PREDICT_BATCH)?, &windows, |x, y| {
                let [oldest, newest] = rows.push(x, y)?;
                judged.judge_live(newest, calibration, at_once);
                let row = live.len();
                live.push(judged.live);
                tell(Kind::Live, row, judged);
                let row = row + 1 - steps;
                judged.judge_settled(oldest, live[row], calibration, settled);
                tell(Kind::Settled, row, judged);
                Ok::<(), Error>(())
            })?;
        }
        // Seldom, so that a row costs no copy of all that are kept.
        if self.recent.len() >= 2 * self.kept() + BLOCK {
            self.recent.keep(self.kept(), channels);
        }
        Ok(())
    }

    /// Ends the series: scores the rows that are queued, and hands out the settled lines of all rows that have none.
    ///
    /// # Errors
    /// As [`LiveDetector::flush`]; if more than half of the rows go back in time; if all rows have another sampling step
    /// than the training series.
    pub fn finish(&mut self, each: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        self.end_stretch(each)?;
        self.sieve.finish(&self.name)?;
        match self.steps.finish() {
            Some(found) => require_step(self.step, found, &self.name),
            None => Ok(()),
        }
    }

    /// Normalises the values of the next row, into `normalised`.
    fn normalise(&mut self, values: &[Option<f64>]) -> Result<()> {
        self.normalised.clear();
        for (scaler, value) in self.detector.scalers.iter().zip(values.iter().flatten()) {
            let normalised = scaler
                .normalise_one(self.used, *value)
                .map_err(|problem| Error::Values { series: self.name.clone(), problem: problem.into() })?;
            self.normalised.push(normalised);
        }
        Ok(())
    }

    /// Queues the row whose values were normalised.
    fn append(&mut self, timestamp: DateTime, values: &[Option<f64>]) {
        self.recent.timestamps.push(timestamp);
        self.recent.values.extend_from_slice(values);
        self.recent.normalised.extend_from_slice(&self.normalised);
        self.used += 1;
    }

    /// Compares the step from the row at `last` to `row` with the sampling step. A gap ends the stretch.
    fn check_step(&mut self, row: &Row, last: DateTime, each: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        let length = row.timestamp.duration_since(last);
        if let Some(found) = self.steps.take(length) {
            let other = require_step(self.step, found, &self.name);
            match self.steps.judge(other) {
                Ok(None) => {}
                Ok(Some(other)) => {
                    self.flush(each)?;
                    each(Event::Notice(Notice::OtherStep { line: row.line, problem: other.into() }));
                }
                Err(error) => {
                    self.flush(each)?;
                    return Err(error);
                }
            }
        }
        if !follows(last, row.timestamp, self.step) {
            self.end_stretch(each)?;
            let (file, line) = (self.name.clone(), row.line);
            each(Event::Notice(Notice::Gap { file, line, length, step: self.step }));
        }
        Ok(())
    }

    /// Settles the rows that no window to come will hold.
    fn end_stretch(&mut self, each: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        self.flush(each)?;
        let (len, channels) = (self.recent.len(), self.detector.scalers.len());
        let open: Vec<Terms> = self.rows.open().skip(1).collect();
        // Without a window, these are all rows of the stretch.
        let unsettled = if len < self.time_steps() { len } else { open.len() };
        for row in len - unsettled..len {
            match open.get(row + unsettled - len) {
                Some(terms) => {
                    let (live, [settled, _]) = (self.recent.live[row], &mut self.thresholds);
                    self.judged.judge_settled(terms, live, self.calibration, settled);
                }
                None => self.judged = Judged::unjudged(Reason::ShortStretch),
            }
            let values = &self.recent.values[row * channels..][..channels];
            let (timestamp, clock, judged) = (self.recent.timestamps[row], self.clock, &self.judged);
            each(Event::Line(Line { kind: Kind::Settled, timestamp, clock, values, judged }));
        }
        self.recent.keep(0, channels);
        self.rows.restart();
        Ok(())
    }

    /// The rows of a stretch that it takes to score its last rows again: those that are unsettled, and those that are in a
    /// window with one of them.
    fn kept(&self) -> usize {
        2 * self.time_steps() - 2
    }

    /// The memory to go on from here; nothing may be queued.
    fn memory(&self) -> Memory {
        let channels = self.detector.scalers.len();
        let first = self.recent.len().saturating_sub(self.kept());
        let row = |row: usize| {
            let values = &self.recent.values[row * channels..][..channels];
            (self.recent.timestamps[row], values.iter().copied().flatten().collect())
        };
        let rows = (first..self.recent.len()).map(row).collect();
        Memory {
            clock: self.clock,
            sieve: self.sieve.clone(),
            steps: self.steps.clone(),
            used: self.used,
            rows,
            live: self.recent.live[first..].to_vec(),
            thresholds: self.thresholds.clone(),
        }
    }

    /// Returns the part of a memory that no detector like this one leaves, for example in a damaged file.
    fn problem(&self, memory: &Memory) -> Option<&'static str> {
        let Memory { sieve, steps, used, rows, live, thresholds, .. } = memory;
        let fits = |(_, values): &(DateTime, Vec<f64>)| values.len() == self.detector.scalers.len();
        let in_order = rows.is_sorted_by(|a, b| follows(a.0, b.0, self.step));
        [
            ("rows", rows.len() <= self.kept() && rows.iter().all(fits) && in_order),
            ("live", live.len() == rows.len() && live.iter().flatten().all(|score| score.is_finite())),
            ("thresholds", thresholds.iter().all(|threshold| threshold.is_sound(self.alarm.rule))),
            ("used", (rows.len()..1 << 62).contains(used)),
            ("sieve", sieve.is_sound() && rows.last().is_none_or(|last| sieve.last() == Some(last.0))),
            ("steps", steps.is_sound()),
        ]
        .into_iter()
        .find_map(|(part, good)| (!good).then_some(part))
    }

    /// Goes on from a memory without a [problem](Self::problem).
    fn resume(&mut self, memory: Memory) -> Result<()> {
        let Memory { clock, sieve, steps, used, rows, live, thresholds } = memory;
        for (timestamp, values) in &rows {
            let values: Vec<Option<f64>> = values.iter().copied().map(Some).collect();
            self.normalise(&values)?;
            self.append(*timestamp, &values);
        }
        self.flush(&mut |_| ())?;
        (self.recent.live, self.thresholds) = (live, thresholds);
        (self.clock, self.sieve, self.steps, self.used) = (clock, self.sieve.resume(sieve), steps, used);
        Ok(())
    }
}
