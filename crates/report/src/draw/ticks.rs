//! Where an axis has its marks, and what stands there.

use std::ops::Range;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use crate::figure::{Figure, Scale};

const DAY: f64 = 86_400.0;

/// An axis with its marks. Of a logarithmic one, values are their logarithms.
#[derive(Clone)]
pub(super) struct Ticks {
    scale: Scale,
    start: f64,
    end: f64,
    at: Vec<f64>,
}

/// Across: from the first x to the last.
pub(super) fn x(figure: &Figure) -> Ticks {
    let rules = || figure.rules.iter().filter(|rule| rule.vertical).map(|rule| rule.at);
    let start = rules().fold(figure.x.first().copied().unwrap_or(0.0), f64::min);
    let end = rules().fold(figure.x_end.or(figure.x.last().copied()).unwrap_or(1.0), f64::max);
    let (start, end) = if start < end { (start, end) } else { (start - 0.5, end + 0.5) };
    let scale = figure.x_axis.scale;
    let at = if scale == Scale::Time { days(start, end) } else { round(start, end, 8) };
    Ticks { scale, start, end, at }
}

/// Up: all values and rules, and some room above.
pub(super) fn y(figure: &Figure) -> Ticks {
    let scale = figure.y_axis.scale;
    let rules = figure.rules.iter().filter(|rule| !rule.vertical).map(|rule| rule.at);
    let values = figure.curves.iter().flat_map(|curve| curve.y.iter().flatten().copied()).chain(rules);
    let values = values.filter(|value| value.is_finite() && (scale != Scale::Log || *value > 0.0));
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
    if scale == Scale::Log {
        let (start, end) = (low.log10() - 0.08, high.log10() + 0.15);
        return Ticks { scale, start, end, at: decades(start, end) };
    }
    // Zero belongs to an axis whose values are all on one side of it and reach down to near it.
    let low = if low > 0.0 && low < 0.6 * high { 0.0 } else { low };
    let room = 0.06 * (high - low).max(f64::MIN_POSITIVE);
    let start = if low == 0.0 { 0.0 } else { low - room };
    let end = high + room;
    Ticks { scale, start, end, at: round(start, end, 6) }
}

impl Ranged for Ticks {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (low, high): (i32, i32)) -> i32 {
        let part = (value - self.start) / (self.end - self.start);
        low + (part * f64::from(high - low)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.at.clone()
    }

    fn range(&self) -> Range<f64> {
        self.start..self.end
    }
}

impl ValueFormatter<f64> for Ticks {
    fn format_ext(&self, value: &f64) -> String {
        match self.scale {
            Scale::Time => date(*value),
            Scale::Log => number(10f64.powf(*value)),
            Scale::Linear => number(*value),
        }
    }
}

/// Midnights, or hours where the axis is shorter than three days.
fn days(start: f64, end: f64) -> Vec<f64> {
    let step = [3600.0, 3.0 * 3600.0, 6.0 * 3600.0, 12.0 * 3600.0, DAY, 2.0 * DAY, 7.0 * DAY, 28.0 * DAY]
        .into_iter()
        .find(|step| (end - start) / step <= 14.0)
        .unwrap_or(((end - start) / 10.0 / DAY).ceil() * DAY);
    let first = (start / step).ceil() as i64;
    (first..).map(|i| i as f64 * step).take_while(|at| *at <= end).collect()
}

/// Round numbers: 1, 2 or 5 times a power of ten apart, `most` of them at most.
fn round(start: f64, end: f64, most: usize) -> Vec<f64> {
    let rough = (end - start) / most as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(10.0 * power);
    let first = (start / step).ceil() as i64;
    (first..).map(|i| i as f64 * step).take_while(|at| *at <= end * (1.0 + 1e-12)).collect()
}

/// Powers of ten, and twice and five times them where there are few.
fn decades(start: f64, end: f64) -> Vec<f64> {
    let factors: &[f64] = if end - start < 1.6 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let powers = start.floor() as i32..=end.ceil() as i32;
    let all = powers.flat_map(|power| factors.iter().map(move |factor| factor.log10() + f64::from(power)));
    all.filter(|at| (start..=end).contains(at)).collect()
}

fn date(seconds: f64) -> String {
    let at = Timestamp::from_second(seconds as i64).map(|at| at.to_zoned(TimeZone::UTC));
    match at {
        Ok(at) if at.hour() == 0 && at.minute() == 0 => at.strftime("%-d %b").to_string(),
        Ok(at) => at.strftime("%H:%M").to_string(),
        Err(_) => String::new(),
    }
}

/// Without the digits that rounding left, and without those that say nothing.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if !(1e-4..1e6).contains(&size) => format!("{value:.0e}"),
        _ => format!("{value:.6}").trim_end_matches('0').trim_end_matches('.').into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_within() {
        assert_eq!(round(0.0, 1.0, 6), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(round(17.0, 183.0, 6), [50.0, 100.0, 150.0]);
        assert_eq!(number(0.6000000000000001), "0.6");
        assert_eq!(number(-1.5), "-1.5");
        assert_eq!(number(2e-5), "2e-5");
        assert_eq!(days(0.0, 14.0 * DAY).len(), 15);
        assert_eq!(date(10.0 * DAY), "11 Jan");
        assert_eq!(date(9.0 * 3600.0), "09:00");
    }
}
