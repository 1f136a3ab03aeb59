//! A study as text, and as CSV.

use std::fmt;
use std::io::{self, Write};

use super::schema::{Study, VariantResult};
use crate::statistics::Spread;
use glassbox_pipeline::words::counted;

/// The table of all variants and the conclusion, for a terminal of 150 columns.
impl fmt::Display for Study {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seeds = &self.config.seeds;
        writeln!(
            f,
            "{} variants, {} each. Values are means; F1 also as [min, max]. Ground truth: {} to {}, {} points.",
            self.variants.len(),
            counted(seeds.len(), "seed", "seeds"),
            self.truth.first.timestamp,
            self.truth.last.timestamp,
            self.truth.count
        )?;
        writeln!(
            f,
            "\n{:29}  {:21}  {:>9}  {:>6}  {:>6}  {:>6}  {:>7}  {:>7}  {:>7}  F1 - tutorial's",
            "variant", "F1", "precision", "recall", "delay", "live", "windows", "false w", "seconds"
        )?;
        for variant in &self.variants {
            writeln!(f, "{}", Row(variant))?;
        }
        writeln!(
            f,
            "\ndelay: minutes from the anomaly's first point to the first detected one. live: minutes until that \
             point can\nbe detected in a live series. false w: anomalous windows that contain no point of the \
             anomaly. seconds:\ntraining time on one thread. Last column: mean difference, seeds better/equal/worse, \
             verdict (sign test\nwith Holm's correction, 5 %).\n"
        )?;
        for sentence in &self.conclusion {
            writeln!(f, "- {sentence}")?;
        }
        Ok(())
    }
}

/// A line of the table.
struct Row<'a>(&'a VariantResult);

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let VariantResult { variant, spread, difference, verdict, .. } = self.0;
        let mean = |spread: &Option<Spread>, digits: usize| {
            spread.map_or_else(|| "-".into(), |spread| format!("{:.digits$}", spread.mean))
        };
        let f1 =
            spread.f1.map_or_else(String::new, |f1| format!("{:.3} [{:.3}, {:.3}]", f1.mean, f1.min, f1.max));
        write!(
            f,
            "{:29}  {f1:21}  {:>9}  {:>6}  {:>6}  {:>6}  {:>7}  {:>7}  {:>7}",
            variant.title,
            mean(&spread.precision, 3),
            mean(&spread.recall, 3),
            mean(&spread.delay_minutes, 0),
            mean(&spread.live_delay_minutes, 0),
            mean(&spread.windows, 1),
            mean(&spread.false_windows, 1),
            mean(&spread.seconds, 1),
        )?;
        match difference {
            None => Ok(()),
            Some(d) => {
                write!(f, "  {:+.3} {}/{}/{} {}", d.mean, d.better, d.equal, d.worse, verdict.name())
            }
        }
    }
}

/// Writes a row for each variant and seed: the fields of [`VariantRun`](super::schema::VariantRun) by their names,
/// empty where one is `null`.
///
/// # Errors
/// If writing to `out` fails.
pub fn write_csv(study: &Study, out: &mut dyn Write) -> io::Result<()> {
    let mut csv = csv::WriterBuilder::new().has_headers(false).from_writer(out);
    let numbers = "seed,threshold,windows,false_windows,points,hits,first_point,last_point,precision,recall,f1,\
                   delay_minutes,live_delay_minutes,epochs,seconds";
    csv.write_record(["variant"].into_iter().chain(numbers.split(',')))?;
    for variant in &study.variants {
        for run in &variant.runs {
            csv.serialize((&variant.variant.name, run))?;
        }
    }
    csv.flush()
}
