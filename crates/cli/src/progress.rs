//! A bar for each epoch, as Keras shows it. On a terminal only: a log wants none.

use std::time::{Duration, Instant};

use glassbox_engine::backend::BatchEnd;
use glassbox_engine::training::{Callback, EpochEnd, Flow};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows epochs on standard error.
pub(crate) struct Progress {
    quiet: bool,
    bar: ProgressBar,
    epochs: usize,
    epoch: usize,
    started: Instant,
}

impl Progress {
    /// A progress display; silent if `quiet`, or if standard error is no terminal.
    pub(crate) fn new(quiet: bool) -> Self {
        Self { quiet, bar: ProgressBar::hidden(), epochs: 0, epoch: 0, started: Instant::now() }
    }
}

impl Callback<f32> for Progress {
    fn on_epoch_begin(&mut self, epoch: usize, epochs: usize) {
        let target = if self.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        self.bar = ProgressBar::with_draw_target(None, target).with_style(
            ProgressStyle::with_template("{prefix} {pos:>3}/{len} {bar:20} {msg}").expect("a template"),
        );
        self.bar.set_prefix(format!("Epoch {}/{epochs}", epoch + 1));
        (self.epoch, self.epochs, self.started) = (epoch, epochs, Instant::now());
    }

    fn on_batch_end(&mut self, batch: BatchEnd) {
        if self.bar.is_hidden() {
            return;
        }
        self.bar.set_length(batch.batches as u64);
        self.bar.set_position(batch.batch as u64 + 1);
        self.bar.set_message(format!("loss: {:.4}", batch.loss));
    }

    fn on_epoch_end(
        &mut self,
        end: &EpochEnd<'_, f32>,
    ) -> Result<Flow, Box<dyn std::error::Error + Send + Sync>> {
        let took = self.started.elapsed();
        let batches = self.bar.length().unwrap_or(0).max(1);
        let step = took / u32::try_from(batches).unwrap_or(u32::MAX);
        let val_loss = end.val_loss.map_or(String::new(), |v| format!(" - val_loss: {v:.4}"));
        self.bar.finish_with_message(format!(
            "{} {}/step - loss: {:.4}{val_loss}",
            brief(took),
            brief(step),
            end.loss
        ));
        Ok(Flow::Continue)
    }
}

/// `1.2 s` or `340 ms`.
fn brief(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{seconds:.1} s"),
        seconds if seconds >= 0.01 => format!("{:.0} ms", seconds * 1e3),
        seconds => format!("{:.1} ms", seconds * 1e3),
    }
}
