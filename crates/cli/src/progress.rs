//! Progress of a run, on a terminal only. A line never wraps: it shows as much as fits.

use std::time::{Duration, Instant};

use console::Term;
use glassbox_engine::backend::BatchEnd;
use glassbox_engine::training::{Callback, EpochEnd, Flow};
use glassbox_lab::jobs::Advance;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Columns that are not for the message of a live line, beside its prefix: the counter and some of the bar.
const COUNTER: usize = 16;

/// Shows epochs on standard error, one line each as in Keras, with the speed and the time left.
pub(crate) struct Progress {
    quiet: bool,
    bar: ProgressBar,
    /// Start of the first epoch of this run.
    started: Instant,
    /// Start of the epoch.
    epoch_started: Instant,
    /// Epochs done in this run; a resumed run has done more before.
    done: usize,
    /// Maximum number of epochs after this one.
    to_come: usize,
    /// Windows trained on in this epoch so far.
    windows: usize,
}

impl Progress {
    /// Creates a display. It is silent if `quiet`, or if standard error is no terminal.
    pub(crate) fn new(quiet: bool) -> Self {
        let now = Instant::now();
        let (started, epoch_started) = (now, now);
        Self { quiet, bar: ProgressBar::hidden(), started, epoch_started, done: 0, to_come: 0, windows: 0 }
    }

    /// Time left if no epoch is skipped and each takes as long as those so far; `part` of this one is done.
    fn left(&self, part: f64) -> String {
        let to_come = self.to_come as f64 + 1.0 - part;
        let left = remaining(self.started.elapsed(), self.done as f64 + part, to_come);
        format!("at most {} left", brief(left))
    }
}

impl Callback<f32> for Progress {
    fn on_epoch_begin(&mut self, epoch: usize, epochs: usize) {
        self.bar = bar(self.quiet);
        self.bar.set_prefix(format!("Epoch {}/{epochs}", epoch + 1));
        self.epoch_started = Instant::now();
        if self.done == 0 {
            self.started = self.epoch_started;
        }
        (self.to_come, self.windows) = (epochs.saturating_sub(epoch + 1), 0);
    }

    fn on_batch_end(&mut self, batch: BatchEnd) {
        self.windows = batch.samples;
        if self.bar.is_hidden() {
            return;
        }
        self.bar.set_length(batch.batches as u64);
        self.bar.set_position(batch.batch as u64 + 1);
        let left = self.left((batch.batch + 1) as f64 / batch.batches as f64);
        let speed = rate(self.windows, self.epoch_started.elapsed());
        let parts = [format!("loss: {:.4}", batch.loss), left, speed];
        self.bar.set_message(fitting(&parts, columns().saturating_sub(self.bar.prefix().len() + COUNTER)));
    }

    fn on_epoch_end(
        &mut self,
        end: &EpochEnd<'_, f32>,
    ) -> Result<Flow, Box<dyn std::error::Error + Send + Sync>> {
        let took = self.epoch_started.elapsed();
        let batches = self.bar.length().unwrap_or(0).max(1);
        let step = took / u32::try_from(batches).unwrap_or(u32::MAX);
        let mut parts = vec![format!("loss: {:.4}", end.loss)];
        parts.extend(end.val_loss.map(|val_loss| format!("val_loss: {val_loss:.4}")));
        parts.extend([brief(took), rate(self.windows, took), format!("{}/step", brief(step))]);
        self.done += 1;
        // The line stays: it says nothing of the time left, which is out of date at once.
        self.bar.set_style(style("{prefix} {msg}"));
        self.bar.finish_with_message(fitting(&parts, columns().saturating_sub(self.bar.prefix().len() + 1)));
        Ok(Flow::Continue)
    }
}

/// Shows on standard error how many trainings are done, and the time left.
pub(crate) struct Jobs {
    bar: ProgressBar,
    started: Instant,
    /// The part done before this run, which took none of its time.
    before: Option<f64>,
}

impl Jobs {
    /// Creates a display of `what`. It is silent if `quiet`, or if standard error is no terminal.
    pub(crate) fn new(quiet: bool, what: &str) -> Self {
        let bar = bar(quiet);
        bar.set_prefix(what.to_string());
        Self { bar, started: Instant::now(), before: None }
    }

    /// Shows how far the trainings are: first at the start, then after each.
    pub(crate) fn advance(&mut self, advance: Advance) {
        let before = *self.before.get_or_insert(advance.part);
        self.bar.set_length(advance.of as u64);
        self.bar.set_position(advance.done as u64);
        let done = advance.part - before;
        let left = remaining(self.started.elapsed(), done, 1.0 - advance.part);
        match () {
            () if advance.done == advance.of => {
                self.bar.finish_with_message(format!("in {}", brief(self.started.elapsed())));
            }
            () if done == 0.0 => self.bar.tick(),
            () => self.bar.set_message(format!("about {} left", brief(left))),
        }
    }
}

fn bar(quiet: bool) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    ProgressBar::with_draw_target(None, target)
        .with_style(style("{prefix} {pos:>3}/{len:3} {wide_bar} {msg}"))
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("a template")
}

/// Columns of the terminal.
fn columns() -> usize {
    Term::stderr().size().1.into()
}

/// The first `parts` that fit into `columns` together; always the very first.
fn fitting(parts: &[String], columns: usize) -> String {
    let mut line = parts.first().cloned().unwrap_or_default();
    for part in parts.iter().skip(1) {
        let longer = format!("{line} - {part}");
        if longer.len() > columns {
            break;
        }
        line = longer;
    }
    line
}

/// Time that `to_come` takes if `done` took `elapsed`.
fn remaining(elapsed: Duration, done: f64, to_come: f64) -> Duration {
    let seconds = elapsed.as_secs_f64() * (to_come / done).max(0.0);
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)
}

/// `16300 windows/s`
fn rate(windows: usize, took: Duration) -> String {
    format!("{:.0} windows/s", windows as f64 / took.as_secs_f64().max(1e-9))
}

/// `2 min 05 s`, `12 s`, `1.2 s` or `340 ms`.
fn brief(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds if seconds >= 59.5 => {
            let seconds = seconds.round() as u64;
            format!("{} min {:02} s", seconds / 60, seconds % 60)
        }
        seconds if seconds >= 9.95 => format!("{seconds:.0} s"),
        seconds if seconds >= 1.0 => format!("{seconds:.1} s"),
        seconds if seconds >= 0.01 => format!("{:.0} ms", seconds * 1e3),
        seconds => format!("{:.1} ms", seconds * 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_brief() {
        let brief = |seconds| brief(Duration::from_secs_f64(seconds));
        for (seconds, text) in [
            (0.0012, "1.2 ms"),
            (0.34, "340 ms"),
            (1.24, "1.2 s"),
            (12.4, "12 s"),
            (59.6, "1 min 00 s"),
            (125.0, "2 min 05 s"),
        ] {
            assert_eq!(brief(seconds), text);
        }
    }

    #[test]
    fn a_line_shows_whole_parts_and_as_many_as_fit() {
        let parts = ["loss: 0.1", "12 s", "900 windows/s"].map(String::from);
        assert_eq!(fitting(&parts, 80), "loss: 0.1 - 12 s - 900 windows/s");
        assert_eq!(fitting(&parts, 32), "loss: 0.1 - 12 s - 900 windows/s");
        assert_eq!(fitting(&parts, 31), "loss: 0.1 - 12 s");
        assert_eq!(fitting(&parts, 15), "loss: 0.1");
        assert_eq!(fitting(&parts, 0), "loss: 0.1");
    }

    #[test]
    fn what_is_left_is_in_proportion_to_what_is_done() {
        let seconds =
            |elapsed, done, to_come| remaining(Duration::from_secs(elapsed), done, to_come).as_secs_f64();
        assert_eq!(seconds(10, 5.0, 45.0), 90.0);
        assert_eq!(seconds(10, 0.25, 0.75), 30.0);
        // Nothing done yet says nothing about what is left.
        assert_eq!((seconds(10, 0.0, 1.0), seconds(0, 0.0, 0.0)), (0.0, 0.0));
    }
}
