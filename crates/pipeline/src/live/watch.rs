//! From the bytes of a CSV, as they arrive, to lines.

use glassbox::Device;
use glassbox::fingerprint::Fingerprint;
use glassbox_formats::hash::Sha256;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use super::state::Parts;
use super::{Event, Kind, LiveDetector, Notice, State, StateError};
use crate::detector::Detector;
use crate::error::{Error, Result};
use crate::rows::{Alarm, ThresholdRule, Verdict};
use crate::series::{BadRows, Columns, Place, Row, RowReader, SeriesError};

/// Counts of rows by what was said of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Rows with a live line: all rows that could be read.
    pub rows: u64,
    /// Rows that are anomalous by their live score.
    pub live_anomalous: u64,
    /// Rows that are anomalous by their settled score.
    pub anomalous: u64,
    /// Rows that are normal by their settled score.
    pub normal: u64,
    /// Rows that are never judged.
    pub unjudged: u64,
    /// Rows that could not be read.
    pub unreadable: u64,
    /// Gaps.
    pub gaps: u64,
}

impl Tally {
    /// Returns false if no watch can have counted so much, for example in a damaged file.
    fn is_sound(&self) -> bool {
        let Self { rows, live_anomalous, anomalous, normal, unjudged, unreadable, gaps } = *self;
        [rows, live_anomalous, anomalous, normal, unjudged, unreadable, gaps]
            .iter()
            .all(|count| *count < 1 << 62)
    }

    fn count(&mut self, event: &Event<'_>) {
        let counter = match event {
            Event::Line(line) => match (line.kind, line.judged.verdict) {
                (Kind::Live, verdict) => {
                    self.live_anomalous += u64::from(matches!(verdict, Verdict::Anomalous(_)));
                    &mut self.rows
                }
                (Kind::Settled, Verdict::Anomalous(_)) => &mut self.anomalous,
                (Kind::Settled, Verdict::Normal) => &mut self.normal,
                (Kind::Settled, Verdict::Unjudged(_)) => &mut self.unjudged,
            },
            Event::Notice(Notice::Unreadable(_)) => &mut self.unreadable,
            Event::Notice(Notice::Gap { .. }) => &mut self.gaps,
            Event::Notice(_) => return,
        };
        *counter += 1;
    }
}

/// A [`LiveDetector`] on the rows of a CSV, whose bytes are pushed into it in pieces of any size.
///
/// With [`BadRows::Skip`], rows that cannot be read are left out too, and reported; [`parse_rows`](crate::series::parse_rows)
/// refuses a file with such rows.
#[derive(Debug)]
pub struct Watch<'d> {
    detector: LiveDetector<'d>,
    reader: RowReader,
    row: Row,
    columns: Columns,
    bad_rows: BadRows,
    tally: Tally,
    /// The end of the input was reached.
    ended: bool,
    /// The place of the state that it goes on from.
    place: Option<Place>,
    /// The beginning of the input, until it is long enough to look for that place.
    beginning: Option<Vec<u8>>,
    /// The time that the next row has to be later than.
    later_than: Option<DateTime>,
}

impl<'d> Watch<'d> {
    /// A watch on the input called `name`, before its first byte.
    ///
    /// # Errors
    /// As [`LiveDetector::new`].
    pub fn new(
        detector: &'d Detector,
        device: &Device,
        name: &str,
        columns: &Columns,
        rule: ThresholdRule,
        bad_rows: BadRows,
    ) -> Result<Self> {
        Ok(Self {
            detector: LiveDetector::new(detector, device, name, rule, bad_rows)?,
            reader: RowReader::new(name, columns, bad_rows),
            row: Row::default(),
            columns: columns.clone(),
            bad_rows,
            tally: Tally::default(),
            ended: false,
            place: None,
            beginning: None,
            later_than: None,
        })
    }

    /// Takes the next bytes of the input. All lines that are due after the last whole row are handed to `each`.
    ///
    /// # Errors
    /// If the header lacks a column; if a row cannot be used or read, and the policy for bad rows refuses it; if the input
    /// is not the one that it goes on with; as [`LiveDetector::push`]. The lines of all rows before were handed out. It
    /// cannot go on then.
    pub fn feed(&mut self, bytes: &[u8], each: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        self.counting(each, |watch, each| watch.take(bytes, false, each))
    }

    /// Ends the input: the last row need not have a line end, and all rows get their settled lines.
    ///
    /// # Errors
    /// As [`Watch::feed`]; if there is no header; as [`LiveDetector::finish`].
    pub fn finish(&mut self, each: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        self.counting(each, |watch, each| {
            watch.take(&[], true, each)?;
            if std::mem::replace(&mut watch.ended, true) { Ok(()) } else { watch.detector.finish(each) }
        })
    }

    /// The threshold.
    #[must_use]
    pub fn alarm(&self) -> &Alarm {
        self.detector.alarm()
    }

    /// The counts of the rows so far.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// All that decides the lines, by name, but for the input.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut run = Fingerprint::default();
        let model = Sha256::of(&self.detector.detector.to_saved_model().to_bytes());
        run.add("the model", format!("sha256 {model}"));
        run.add("the threshold", self.alarm().rule.to_string());
        run.add("the timestamp column", &self.columns.timestamp);
        run.add("the value columns", self.columns.values.join(", "));
        run.add("bad rows", if self.bad_rows == BadRows::Refuse { "refused" } else { "left out" });
        run
    }

    /// The state to go on from after the last whole row. `run` is the [fingerprint](Watch::fingerprint) and what else decides
    /// the lines, and `output` the number of bytes that were written.
    #[must_use]
    pub fn state(&self, run: &Fingerprint, output: Option<u64>) -> State {
        let place = self.reader.place().or(self.place);
        let (ended, tally) = (self.ended, self.tally);
        State(Parts { run: run.clone(), ended, place, memory: self.detector.memory(), tally, output })
    }

    /// Goes on from a state, before any bytes were fed. `file` is that of the state, for messages.
    ///
    /// Then the input must be fed from its beginning: up to the place of the state, it is compared with what was read. Or an
    /// input whose first row is later than the last row of the state.
    ///
    /// # Errors
    /// If the state is of another run, or none that this detector leaves.
    pub fn resume(&mut self, state: State, run: &Fingerprint, file: &str) -> Result<()> {
        let Parts { run: of_state, ended, place, memory, tally, .. } = state.0;
        if let Some(difference) = run.difference(&of_state) {
            return Err(StateError::OtherRun { file: file.into(), difference }.into());
        }
        let problems = [
            place.is_some_and(|place| !place.is_sound()).then_some("place"),
            (!tally.is_sound()).then_some("tally"),
            self.detector.problem(&memory),
        ];
        if let Some(part) = problems.into_iter().flatten().next() {
            return Err(StateError::Damaged { file: file.into(), problem: format!("bad `{part}`") }.into());
        }
        self.detector.resume(memory)?;
        (self.ended, self.tally) = (ended, tally);
        (self.place, self.beginning) = (place, place.map(|_| vec![]));
        Ok(())
    }

    /// Does some work, and counts what is said meanwhile.
    fn counting(
        &mut self,
        each: &mut dyn FnMut(Event<'_>),
        work: impl FnOnce(&mut Self, &mut dyn FnMut(Event<'_>)) -> Result<()>,
    ) -> Result<()> {
        let mut tally = self.tally;
        let done = work(self, &mut |event| {
            tally.count(&event);
            each(event);
        });
        self.tally = tally;
        done
    }

    fn take(&mut self, bytes: &[u8], end: bool, each: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        let held;
        let mut input = bytes;
        if let (Some(place), Some(mut beginning)) = (self.place, self.beginning.take()) {
            beginning.extend_from_slice(bytes);
            if beginning.len() < place.head() && !end {
                self.beginning = Some(beginning);
                return Ok(());
            }
            held = beginning;
            input = &held;
            let reader = RowReader::new(&self.detector.name, &self.columns, self.bad_rows);
            if place.is_in(input) {
                self.reader = reader.resume(place);
            } else {
                self.reader = reader.with_clock(place);
                self.later_than = self.detector.sieve.last();
                each(Event::Notice(Notice::GoesOn { file: self.detector.name.clone() }));
            }
        }
        loop {
            let problem = match self.reader.read(&mut input, end, &mut self.row) {
                Ok(false) => break,
                Ok(true) => self.take_row(each).err(),
                Err(problem) => Some(problem.into()),
            };
            match problem {
                None => {}
                Some(problem) if self.leaves_out(&problem) => {
                    // After the lines of the rows before.
                    self.detector.flush(each)?;
                    each(Event::Notice(Notice::Unreadable(problem.into())));
                }
                Some(problem) => {
                    self.detector.flush(each)?;
                    return Err(problem);
                }
            }
        }
        self.detector.flush(each)
    }

    fn leaves_out(&self, problem: &Error) -> bool {
        let of_one_row = match problem {
            Error::Series(problem) => problem.is_of_one_row() && self.reader.has_header(),
            Error::Values { .. } => true,
            _ => false,
        };
        of_one_row && self.bad_rows == BadRows::Skip
    }

    fn take_row(&mut self, each: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        let input = || self.detector.name.clone();
        if self.later_than.take().is_some_and(|last| self.row.timestamp <= last) {
            return Err(SeriesError::Changed { file: input() }.into());
        }
        if self.ended {
            return Err(StateError::Ended { input: input() }.into());
        }
        self.detector.push(&self.row, each)
    }
}
