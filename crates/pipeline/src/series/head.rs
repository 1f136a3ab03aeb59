//! Formats the first rows as pandas does.
//!
//! The rules are those of pandas 2 (`FloatArrayFormatter` with its default of six digits), so that a reader can compare
//! our output with a notebook's.

use super::{Clock, Series, time};

/// Number of decimals that pandas shows by default.
const DIGITS: usize = 6;

pub(super) fn head(series: &Series, n: usize) -> String {
    let n = n.min(series.len());
    let times: Vec<String> = series.timestamps()[..n]
        .iter()
        .map(|&at| match series.clock() {
            Clock::Local => time::show(at, Clock::Local),
            Clock::Utc => time::show(at, Clock::Local) + "+00:00",
        })
        .collect();
    let values = numbers(&series.values()[..n]);

    // A column of numbers has room for a sign, and so has its title; one space separates it from the index.
    let (index, column) = ("timestamp", " value");
    let width =
        |texts: &[String], title: &str| texts.iter().map(String::len).chain([title.len()]).max().unwrap_or(0);
    let left = width(&times, index);
    let right = width(&values, column);
    let mut text = format!("{:left$} {column:>right$}\n{index:left$} {:right$}\n", "", "");
    for (time, value) in times.iter().zip(&values) {
        text.push_str(&format!("{time:left$} {value:>right$}\n"));
    }
    text
}

/// Formats all `values` in one form: fixed, without the zeros that all of them end in; or with an exponent if six
/// decimals would show too few digits of the smallest or too many of the largest.
fn numbers(values: &[f64]) -> Vec<String> {
    let form = |form: &dyn Fn(f64) -> String| -> Vec<String> {
        values.iter().map(|&value| signed(value, form(value))).collect()
    };
    let mut fixed = form(&|value| format!("{value:.DIGITS$}"));
    // At least one decimal stays.
    let zeros = |text: &String| text.len() - text.trim_end_matches('0').len();
    let cut = fixed.iter().map(zeros).min().unwrap_or(0).min(DIGITS - 1);
    fixed.iter_mut().for_each(|text| text.truncate(text.len() - cut));

    let too_long = fixed.iter().any(|text| text.len() > DIGITS + 6);
    let large = values.iter().any(|value| value.abs() > 1e6);
    let small = values.iter().any(|&value| value != 0.0 && value.abs() < 1e-6);
    if small || (too_long && large) { form(&exponent) } else { fixed }
}

/// Adds a space where a negative number has its sign.
fn signed(value: f64, text: String) -> String {
    if value.is_sign_negative() { text } else { format!(" {text}") }
}

/// Formats with an exponent as in C: `1.234560e+07`, with a sign and at least two digits.
fn exponent(value: f64) -> String {
    let text = format!("{value:.DIGITS$e}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, size) = exponent.strip_prefix('-').map_or(('+', exponent), |size| ('-', size));
            format!("{digits}e{sign}{size:0>2}")
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    /// Expected texts are those of pandas for the same values (without the space for the sign).
    #[test]
    fn numbers_take_pandas_forms() {
        for (values, expected) in [
            ([18.324_918_539_2, 21.90912].as_slice(), ["18.324919", "21.909120"].as_slice()),
            (&[45.0, 1.5], &["45.0", "1.5"]),
            (&[45.0, -0.25], &["45.00", "-0.25"]),
            (&[100.0], &["100.0"]),
            (&[1e-7, 1.0], &["1.000000e-07", "1.000000e+00"]),
            (&[12_345_678.9], &["12345678.9"]),
            (&[1e100], &["1.000000e+100"]),
            (&[1_234_567.5, 1.25], &["1234567.50", "1.25"]),
            (&[-123_456.123_456], &["-123456.123456"]),
            (&[-1_234_567.125], &["-1234567.125"]),
            (&[0.1, 0.123_456_789_1], &["0.100000", "0.123457"]),
            (&[1e6], &["1000000.0"]),
        ] {
            let shown = numbers(values);
            assert_eq!(shown.iter().map(|text| text.trim_start()).collect::<Vec<_>>(), expected);
        }
        assert_eq!(numbers(&[]), [""; 0]);
    }

    #[test]
    fn n_may_be_anything() {
        let times = vec![date(2014, 4, 1).at(0, 0, 0, 0)];
        let series = Series::new("one", Clock::Utc, times, vec![-1.25]).unwrap();
        assert_eq!(
            series.head(usize::MAX),
            "                           value\n\
             timestamp                       \n\
             2014-04-01 00:00:00+00:00  -1.25\n"
        );
        assert_eq!(series.head(0), "           value\ntimestamp       \n");
    }
}
