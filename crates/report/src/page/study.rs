//! The section on a study of variants.

use glassbox_lab::statistics::Spread;
use glassbox_lab::study::Study;
use glassbox_lab::study::schema::{VariantResult, Verdict};

/// The data of the section's template.
pub(super) struct StudyView<'a> {
    pub(super) seeds: usize,
    pub(super) rows: Vec<Row<'a>>,
    pub(super) conclusion: &'a [String],
}

/// A variant.
pub(super) struct Row<'a> {
    pub(super) title: &'a str,
    pub(super) change: &'a str,
    pub(super) finding: &'a str,
    pub(super) verdict: &'static str,
    pub(super) kind: &'static str,
    pub(super) f1: String,
    pub(super) f1_range: String,
    /// The least, the mean and the largest F1 on a line as long as the largest of all, in percent.
    pub(super) from: f64,
    pub(super) mean: f64,
    pub(super) width: f64,
    pub(super) precision: String,
    pub(super) recall: String,
    pub(super) delay: String,
    pub(super) live: String,
    pub(super) windows: String,
    pub(super) false_windows: String,
    pub(super) seconds: String,
}

impl<'a> StudyView<'a> {
    pub(super) fn of(study: &'a Study) -> Self {
        Self {
            seeds: study.config.seeds.len(),
            rows: study.variants.iter().map(Row::of).collect(),
            conclusion: &study.conclusion,
        }
    }
}

impl<'a> Row<'a> {
    fn of(variant: &'a VariantResult) -> Self {
        let spread = &variant.spread;
        let f1 = spread.f1.as_ref();
        let mean = |spread: &Option<Spread>, digits: usize| {
            spread.as_ref().map_or_else(|| "–".into(), |spread| format!("{:.digits$}", spread.mean))
        };
        Self {
            title: &variant.variant.title,
            change: &variant.variant.change,
            finding: &variant.finding,
            verdict: match variant.verdict {
                Verdict::Baseline => "baseline",
                other => other.name(),
            },
            kind: match variant.verdict {
                Verdict::Helps => "helps",
                Verdict::Hurts => "hurts",
                _ => "even",
            },
            f1: mean(&spread.f1, 3),
            f1_range: f1.map_or_else(String::new, |f1| format!("{:.3} to {:.3}", f1.min, f1.max)),
            from: f1.map_or(0.0, |f1| 100.0 * f1.min),
            mean: f1.map_or(0.0, |f1| 100.0 * f1.mean),
            width: f1.map_or(0.0, |f1| 100.0 * (f1.max - f1.min)),
            precision: mean(&spread.precision, 3),
            recall: mean(&spread.recall, 3),
            delay: mean(&spread.delay_minutes, 0),
            live: mean(&spread.live_delay_minutes, 0),
            windows: mean(&spread.windows, 1),
            false_windows: mean(&spread.false_windows, 1),
            seconds: mean(&spread.seconds, 1),
        }
    }
}
