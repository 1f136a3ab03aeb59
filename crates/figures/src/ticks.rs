//! The range of an axis, its marks and their labels.

use std::ops::Range;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use crate::figure::{Dot, Figure, Scale};

const DAY: f64 = 86_400.0;

/// An axis with its marks. On a logarithmic axis, values are logarithms.
#[derive(Debug, Clone)]
pub(super) struct Ticks {
    scale: Scale,
    start: f64,
    end: f64,
    at: Vec<f64>,
}

/// The largest value of an axis. Beyond it a difference of two values, or the margin beside one, would be infinite.
const LARGEST: f64 = f64::MAX / 16.0;
/// The least length of an axis, relative to its largest value: marks then differ in spite of rounding.
const SHORTEST: f64 = 1e-9;
/// The margin on both sides of a single value, relative to it.
const AROUND: f64 = 0.1;
/// The most marks of an axis.
const MOST: usize = 32;

/// The x axis, from the first x to the last.
pub(super) fn x(figure: &Figure) -> Ticks {
    let scale = figure.x_axis.scale;
    let ends = [figure.x.first().copied(), figure.x_end.or(figure.x.last().copied())];
    let rules = figure.rules.iter().filter(|rule| rule.vertical).map(|rule| rule.at);
    let values = ends.into_iter().flatten().chain(rules).chain(of_dots(figure, |dot| dot.x));
    let (start, end) = match span(values.filter_map(|value| figure.x_axis.place(value))) {
        Some((low, high)) if low < high => longer(low, high),
        // A row, an epoch, a second: half of one to each side.
        Some((only, _)) => longer(only - 0.5, only + 0.5),
        None => (0.0, 1.0),
    };
    Ticks { scale, start, end, at: marks(scale, start, end, 8) }
}

/// The y axis: all values and rules, and some margin above.
pub(super) fn y(figure: &Figure) -> Ticks {
    let scale = figure.y_axis.scale;
    let rules = figure.rules.iter().filter(|rule| !rule.vertical).map(|rule| rule.at);
    let curves = figure.curves.iter().flat_map(|curve| curve.y.iter().flatten().copied());
    let values = curves.chain(rules).chain(of_dots(figure, |dot| dot.y));
    let values = span(values.filter_map(|value| figure.y_axis.place(value)));
    if matches!(scale, Scale::Log | Scale::Powers) {
        // Without a positive value, from 1 to 10.
        let (low, high) = values.unwrap_or((0.0, 1.0));
        let (start, end) = (low - 0.08, high + 0.15);
        return Ticks { scale, start, end, at: marks(scale, start, end, 8) };
    }
    let (low, high) = values.unwrap_or((0.0, 1.0));
    // An axis of positive values includes 0 if they reach down to near it.
    let low = if low > 0.0 && low < 0.6 * high { 0.0 } else { low };
    let (low, high) = match low == high {
        true if low == 0.0 => (0.0, 1.0),
        true => longer(low - AROUND * low.abs(), high + AROUND * high.abs()),
        false => longer(low, high),
    };
    let room = 0.06 * (high - low);
    let start = if low == 0.0 { 0.0 } else { low - room };
    let end = high + room;
    Ticks { scale, start, end, at: marks(scale, start, end, 6) }
}

fn of_dots(figure: &Figure, of: fn(&Dot) -> f64) -> impl Iterator<Item = f64> + '_ {
    figure.dots.iter().flat_map(move |dots| dots.dots.iter().map(of))
}

fn marks(scale: Scale, start: f64, end: f64, most: usize) -> Vec<f64> {
    match scale {
        Scale::Linear => round(start, end, most),
        Scale::Log => decades(start, end),
        Scale::Powers => {
            let double = 2f64.log10();
            multiples(start, end, double * ((end - start) / double / most as f64).ceil().max(1.0))
        }
        Scale::Time => days(start, end),
    }
}

/// The least and the largest of the finite values, if there are any.
fn span(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let values = values.filter(|value| value.is_finite()).map(|value| value.clamp(-LARGEST, LARGEST));
    values.fold(None, |span, v| {
        let (low, high) = span.unwrap_or((v, v));
        Some((low.min(v), high.max(v)))
    })
}

/// The range, widened to at least [`SHORTEST`]: an axis of no length has no marks and cannot place a value.
fn longer(low: f64, high: f64) -> (f64, f64) {
    let least = (SHORTEST * low.abs().max(high.abs())).max(f64::MIN_POSITIVE / f64::EPSILON);
    let missing = 0.5 * (least - (high - low)).max(0.0);
    (low - missing, high + missing)
}

impl Ranged for Ticks {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (low, high): (i32, i32)) -> i32 {
        let part = (value - self.start) / (self.end - self.start);
        // Clamped to a number of pixels that an i32 holds; NaN becomes the start.
        low + (part.clamp(-100.0, 100.0) * f64::from(high - low)).round() as i32
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
            Scale::Log => number(10f64.powf(*value), f64::INFINITY),
            Scale::Powers => (value / 2f64.log10()).round().exp2().to_string(),
            Scale::Linear => {
                number(*value, self.at.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min))
            }
        }
    }
}

/// Midnights; on a shorter axis hours or minutes.
fn days(start: f64, end: f64) -> Vec<f64> {
    const HOUR: f64 = 3600.0;
    let fixed = [
        60.0,
        300.0,
        900.0,
        HOUR,
        3.0 * HOUR,
        6.0 * HOUR,
        12.0 * HOUR,
        DAY,
        2.0 * DAY,
        7.0 * DAY,
        28.0 * DAY,
    ];
    let step = fixed
        .into_iter()
        .find(|step| (end - start) / step <= 14.0)
        .unwrap_or(((end - start) / 10.0 / DAY).ceil() * DAY);
    multiples(start, end, step)
}

/// At most `most` round numbers, 1, 2 or 5 times a power of ten apart.
fn round(start: f64, end: f64, most: usize) -> Vec<f64> {
    let rough = (end - start) / most as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough);
    multiples(start, end, step.unwrap_or(10.0 * power))
}

/// The multiples of `step` from `start` to `end`; none if `step` is not positive and finite.
fn multiples(start: f64, end: f64, step: f64) -> Vec<f64> {
    let first = (start / step).ceil();
    if !(step > 0.0 && step.is_finite() && first.is_finite()) {
        return vec![];
    }
    // Rounding may put the last one slightly beyond the end.
    let within = |at: &f64| *at <= end + 1e-9 * step.min(end - start);
    (0..MOST).map(|index| (first + index as f64) * step).take_while(within).collect()
}

/// Powers of ten; on a short axis also twice and five times them.
fn decades(start: f64, end: f64) -> Vec<f64> {
    let factors: &[f64] = if end - start < 1.6 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    // The axis may span all powers that an f64 has: the step keeps the marks apart.
    let apart = ((end - start) / 12.0).ceil().max(1.0);
    let all = multiples(start.floor(), end, apart)
        .into_iter()
        .flat_map(|power| factors.iter().map(move |factor| factor.log10() + power));
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

/// Formats a mark: without trailing zeros and the digits of rounding errors, but with enough digits to tell it from
/// a mark that is `step` away.
fn number(value: f64, step: f64) -> String {
    // Digits after the first one, or after the decimal point.
    let digits = |from: f64| {
        if step.is_finite() { (from - step.log10().floor()).clamp(0.0, 16.0) as usize } else { 0 }
    };
    match value.abs() {
        0.0 => "0".into(),
        size if !(1e-4..1e6).contains(&size) => format!("{value:.*e}", digits(size.log10().floor())),
        _ => {
            let text = format!("{value:.*}", digits(0.0).max(6));
            text.trim_end_matches('0').trim_end_matches('.').into()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::figure::{Axis, Role};

    #[test]
    fn marks_are_round_and_within() {
        assert_eq!(round(0.0, 1.0, 6), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(round(17.0, 183.0, 6), [50.0, 100.0, 150.0]);
        assert_eq!(number(0.6000000000000001, 0.2), "0.6");
        assert_eq!(number(-1.5, 0.5), "-1.5");
        assert_eq!(number(2e-5, f64::INFINITY), "2e-5");
        assert_eq!(number(2.5e6, 5e5), "2.5e6");
        assert_eq!(number(5.000_000_02, 1e-8), "5.00000002");
        assert_eq!(days(0.0, 14.0 * DAY).len(), 15);
        assert_eq!(date(10.0 * DAY), "11 Jan");
        assert_eq!(date(9.0 * 3600.0), "09:00");
    }

    #[test]
    fn powers_of_two_are_exact_and_thinned_where_they_are_many() {
        let texts = |high: f64| -> Vec<String> {
            let x = vec![1.0, high];
            let ticks = super::x(&Figure::new("f", "f", Axis::powers("x"), Axis::linear("y"), x));
            ticks.at.iter().map(|at| ticks.format_ext(at)).collect()
        };
        assert_eq!(texts(8.0), ["1", "2", "4", "8"]);
        assert_eq!(texts(65_536.0), ["1", "4", "16", "64", "256", "1024", "4096", "16384", "65536"]);
    }

    #[test]
    fn decades_are_thinned_where_they_are_many() {
        assert_eq!(decades(0.0, 3.0), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(decades(-0.08, 0.4), [0.0, 2f64.log10()]);
        let all = decades(f64::MIN_POSITIVE.log10(), f64::MAX.log10());
        assert!((8..=13).contains(&all.len()), "{all:?}");
    }

    /// Up, over these values.
    fn up(axis: Axis, y: &[f64]) -> Ticks {
        let x = (0..y.len()).map(|x| x as f64).collect();
        super::y(&Figure::new("f", "f", Axis::linear("x"), axis, x).line("c", Role::Series, y.to_vec()))
    }

    #[test]
    fn an_axis_with_no_value_or_one_has_a_length() {
        for nothing in [&[][..], &[0.0, 0.0], &[f64::NAN, f64::INFINITY], &[-1.0]] {
            let ticks = up(Axis::log("y"), nothing);
            // From just below 1 to just above 10.
            assert_eq!((ticks.start, ticks.end), (-0.08, 1.15), "{nothing:?}");
            assert_eq!(ticks.at.len(), 4, "1, 2, 5 and 10: {:?}", ticks.at);
        }
        for value in [5.0, -5.0, 1e300, -f64::MAX, 5e-324, 0.0] {
            let ticks = up(Axis::linear("y"), &[value, value]);
            let value = value.clamp(-LARGEST, LARGEST);
            assert!(ticks.start <= value && value < ticks.end, "{value}: {ticks:?}");
        }
        let ticks = up(Axis::linear("y"), &[5.0; 3]);
        let texts: Vec<String> = ticks.at.iter().map(|at| ticks.format_ext(at)).collect();
        assert_eq!(texts, ["4.6", "4.8", "5", "5.2", "5.4"]);
    }

    fn any_number() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<f64>(),
            -1e3..1e3f64,
            prop::sample::select(vec![0.0, 5.0, f64::NAN, f64::INFINITY, f64::MIN, f64::MAX, 5e-324, 1.4e9]),
        ]
    }

    proptest! {
        #[test]
        fn any_axis_ends_and_has_marks_that_can_be_told_apart(
            mut x in prop::collection::vec(any_number(), 0..5),
            y in prop::collection::vec(any_number(), 0..5),
            near in -4i64..5,
            rule in any_number(),
            log: bool,
            across in 0..4_usize,
        ) {
            // Neighbours of a value, as rounding makes them.
            if let Some(first) = x.first().copied() {
                x.push(f64::from_bits(first.to_bits().wrapping_add_signed(near)));
            }
            let across = [Axis::time(), Axis::linear("x"), Axis::log("x"), Axis::powers("x")][across].clone();
            let up = if log { Axis::log("y") } else { Axis::linear("y") };
            let mut y: Vec<f64> = y;
            if let Some(first) = y.first().copied() {
                y.push(f64::from_bits(first.to_bits().wrapping_add_signed(near)));
            }
            let figure = Figure::new("f", "f", across, up, x).line("c", Role::Series, y).rule(true, rule, "r").rule(false, rule, "r");
            for ticks in [super::x(&figure), super::y(&figure)] {
                prop_assert!(ticks.start < ticks.end && (ticks.end - ticks.start).is_finite(), "{ticks:?}");
                prop_assert!(ticks.at.len() <= MOST, "{ticks:?}");
                prop_assert!(ticks.at.is_sorted_by(|a, b| a < b), "{ticks:?}");
                // As far beyond the ends as rounding goes.
                let slack = 1e-6 * (ticks.end - ticks.start);
                for at in &ticks.at {
                    prop_assert!(ticks.start - slack <= *at && *at <= ticks.end + slack, "{ticks:?}");
                    ticks.format_ext(at);
                }
                if ticks.scale == Scale::Linear {
                    let texts: std::collections::BTreeSet<String> = ticks.at.iter().map(|at| ticks.format_ext(at)).collect();
                    prop_assert!(texts.len() == ticks.at.len() && texts.len() > 1, "{ticks:?}, {texts:?}");
                }
                for value in [f64::NAN, f64::INFINITY, f64::MIN, f64::MAX, 0.0] {
                    ticks.map(&value, (300, 10));
                }
            }
        }

        #[test]
        fn marks_of_any_range_are_few(start in any_number(), end in any_number()) {
            prop_assert!(round(start, end, 6).len() <= MOST);
            prop_assert!(days(start, end).len() <= MOST);
            prop_assert!(decades(start, end).len() <= 3 * MOST);
        }
    }
}
