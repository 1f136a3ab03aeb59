//! The profile as text: a line for each part, aligned, with sums for each direction.

use std::fmt::{self, Display, Formatter};

use super::{BoundBy, CeilingsInfo, PartInfo, PassInfo, Profile};

/// Spaces between columns.
const GAP: usize = 2;

const HEADER: [&str; 9] = ["layer", "part", "us", "share", "GFLOP/s", "MB", "FLOP/B", "ceiling", "of it"];

/// The largest ratio of the upper quartile to the fastest step on a quiet machine.
const QUIET: f64 = 1.15;

/// The directions, in the order of a step.
pub(super) const PASSES: [PassInfo; 4] =
    [PassInfo::Forward, PassInfo::Loss, PassInfo::Backward, PassInfo::Outside];

/// Columns of words, left-aligned; the others are numbers, right-aligned.
const WORDS: usize = 2;

impl Display for Profile {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.head(f)?;
        writeln!(f)?;
        align(f, &self.rows())?;
        writeln!(f)?;
        self.foot(f)
    }
}

/// Writes rows in columns.
pub(super) fn align<const COLUMNS: usize>(f: &mut Formatter<'_>, rows: &[[String; COLUMNS]]) -> fmt::Result {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    for row in rows {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| match column < WORDS {
            true => format!("{cell:width$}"),
            false => format!("{cell:>width$}"),
        });
        let line = cells.collect::<Vec<_>>().join(&" ".repeat(GAP));
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}

impl Profile {
    fn head(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let axes: Vec<String> = self.model.input_shape.iter().map(ToString::to_string).collect();
        let data = match self.config.data {
            "twin" => "windows of the built-in synthetic copy",
            _ => "random samples",
        };
        writeln!(
            f,
            "A training step of {}: {} weights, {} {data} of shape ({}), on {}",
            self.model.name,
            self.model.parameters,
            self.config.options.batch_size,
            axes.join(", "),
            self.backend
        )?;
        writeln!(
            f,
            "Medians of {} steps; bytes and operations are those of the whole batch.",
            self.config.options.steps
        )?;
        self.list_ceilings(f)
    }

    pub(super) fn list_ceilings(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(CeilingsInfo { rates: ceilings, .. }) = &self.ceilings else {
            return writeln!(f, "This backend cannot measure ceilings.");
        };
        writeln!(f, "\nCeilings, the best measured between the steps:")?;
        for (index, peak) in ceilings.peaks.iter().enumerate() {
            let own = if index == 0 { "  <- arithmetic" } else { "" };
            writeln!(f, "{:>8.1} GFLOP/s  {}{own}", peak.rate / 1e9, peak.name)?;
        }
        for (index, bandwidth) in ceilings.bandwidths.iter().enumerate() {
            let own = if index == 0 { "  <- bandwidth: the working set of a thread" } else { "" };
            writeln!(f, "{:>8.1} GB/s     {}{own}", bandwidth.rate / 1e9, bandwidth.name)?;
        }
        Ok(())
    }

    fn rows(&self) -> Vec<[String; HEADER.len()]> {
        let mut rows = vec![HEADER.map(Into::into)];
        for pass in PASSES {
            let parts: Vec<&PartInfo> = self.parts.iter().filter(|part| part.pass == pass).collect();
            rows.extend(parts.iter().map(|part| row(part)));
            if parts.len() > 1 {
                rows.push(sum(name(pass), &parts, self.step.parts_seconds));
            }
            if !parts.is_empty() {
                rows.push(Default::default());
            }
        }
        rows.push(sum("all parts", &self.parts.iter().collect::<Vec<_>>(), self.step.parts_seconds));
        rows
    }

    pub(super) fn foot(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let step = &self.step;
        writeln!(
            f,
            "A step without clocks takes {} us: {:.1} steps/s, {:.0} windows/s, {:.1} GFLOP/s{}",
            micros(step.seconds),
            step.steps_per_second,
            step.samples_per_second,
            step.flops_per_second / 1e9,
            step.share_of_peak.map_or(String::new(), |share| format!(", {} of the peak", percent(share))),
        )?;
        writeln!(
            f,
            "(quartiles {} and {}, fastest {})",
            micros(step.lower_quartile),
            micros(step.upper_quartile),
            micros(step.fastest),
        )?;
        writeln!(
            f,
            "The parts add up to {} us, {:+.1} % of that; {} readings of the clock, {:.0} ns each and {} us of a \
             step, are taken off.",
            micros(step.parts_seconds),
            100.0 * (step.agreement - 1.0),
            self.clock.readings,
            self.clock.reading_seconds * 1e9,
            micros(self.clock.seconds),
        )?;
        if step.upper_quartile > QUIET * step.fastest {
            writeln!(
                f,
                "The machine was busy: steps were interrupted, which lengthens the medians of waiting and of whole \
                 steps, but not of short parts. Compare the parts with the fastest step, or try again."
            )?;
        }
        Ok(())
    }
}

pub(super) fn name(pass: PassInfo) -> &'static str {
    match pass {
        PassInfo::Forward => "forward",
        PassInfo::Loss => "loss",
        PassInfo::Backward => "backward",
        PassInfo::Outside => "outside of the program",
    }
}

fn row(part: &PartInfo) -> [String; HEADER.len()] {
    let [flops, bytes, intensity] = work(part.flops, part.bytes, part.seconds);
    let (bound, share) = match &part.ceiling {
        Some(ceiling) => (
            match ceiling.by {
                BoundBy::Arithmetic => "arithmetic",
                BoundBy::Bandwidth => "bandwidth",
            },
            percent(ceiling.share),
        ),
        None => ("", String::new()),
    };
    [
        part.layer.clone().unwrap_or_default(),
        part.what.name().into(),
        micros(part.seconds),
        percent(part.share),
        flops,
        bytes,
        intensity,
        bound.into(),
        share,
    ]
}

fn sum(name: &str, parts: &[&PartInfo], all: f64) -> [String; HEADER.len()] {
    let seconds: f64 = parts.iter().map(|part| part.seconds).sum();
    let flops = parts.iter().map(|part| part.flops).sum();
    let bytes = parts.iter().map(|part| part.bytes).sum();
    let [flops, bytes, intensity] = work(flops, bytes, seconds);
    let share = share_of_ceilings(parts).map_or_else(String::new, percent);
    [
        format!("= {name}"),
        String::new(),
        micros(seconds),
        percent(seconds / all),
        flops,
        bytes,
        intensity,
        String::new(),
        share,
    ]
}

/// The least possible time of all parts that have a ceiling, over their measured time.
pub(super) fn share_of_ceilings(parts: &[&PartInfo]) -> Option<f64> {
    let bound = parts.iter().filter_map(|part| Some((part.ceiling?.seconds, part.seconds)));
    let (least, taken) = bound.fold((0.0, 0.0), |(a, b), (least, taken)| (a + least, b + taken));
    (taken > 0.0).then(|| least / taken)
}

/// GFLOP/s, MB and FLOP/B; empty where there are none.
pub(super) fn work(flops: u64, bytes: u64, seconds: f64) -> [String; 3] {
    let some = |is: bool, text: String| if is { text } else { String::new() };
    [
        some(flops > 0 && seconds > 0.0, format!("{:.1}", flops as f64 / seconds / 1e9)),
        some(bytes > 0, format!("{:.2}", bytes as f64 / 1e6)),
        some(flops > 0 && bytes > 0, format!("{:.2}", flops as f64 / bytes as f64)),
    ]
}

pub(super) fn micros(seconds: f64) -> String {
    format!("{:.1}", seconds * 1e6)
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
