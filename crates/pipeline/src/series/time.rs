//! The forms of a timestamp. Parsing is strict: a text that is not understood completely is refused, because a guess
//! would be a wrong time that nobody notices.
//!
//! ```text
//! date  YYYY-MM-DD    alone, or then 'T', 't' or one space, then time  HH:MM[:SS[.fraction]]
//!                     then nothing (a local clock), or a zone: 'Z', 'z', +HH:MM or -HH:MM
//! epoch seconds       since 1970-01-01T00:00:00Z: 9 to 11 digits, then perhaps a fraction
//! epoch milliseconds  likewise: 12 to 14 digits
//! ```
//!
//! The first is RFC 3339 with its permitted space, and the same without a zone, without seconds, or without a time. A leap
//! second (`:60`) is refused, because a clock that counts 86,400 seconds per day cannot represent it. Numbers of fewer
//! digits are refused because they may be dates: 20140401. Nine to eleven digits of seconds and twelve to fourteen of
//! milliseconds are both the years 1973 to 5138.

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, date};
use jiff::fmt::temporal::DateTimePrinter;

use super::{Clock, TimeError};

/// Parses one timestamp; if it has a zone, it is converted to UTC.
pub(super) fn parse(text: &str) -> Result<(DateTime, Clock), TimeError> {
    // jiff reads more forms than these, and gives the time before for a leap second.
    const FORM: &str = "0000-00-00T00:00:00";
    const TO_THE_MINUTE: usize = "0000-00-00T00:00".len();
    if let Some(epoch) = epoch(text) {
        return epoch.map(|at| (at, Clock::Utc));
    }
    if has_form(text, &FORM[..10]) {
        let day = text.parse::<Date>().map_err(|_| TimeError::NoSuchTime)?;
        return Ok((day.at(0, 0, 0, 0), Clock::Local));
    }
    let has_seconds = text.as_bytes().get(TO_THE_MINUTE) == Some(&b':');
    let form = &FORM[..if has_seconds { FORM.len() } else { TO_THE_MINUTE }];
    let (start, rest) = text.split_at_checked(form.len()).ok_or(TimeError::Form)?;
    let fraction = if has_seconds { fraction(rest)? } else { 0 };
    let zone = &rest[fraction..];
    if !has_form(start, form) || !(matches!(zone, "" | "Z" | "z") || has_form(zone, "+00:00")) {
        return Err(TimeError::Form);
    }
    if has_seconds && start.ends_with(":60") {
        return Err(TimeError::NoSuchTime);
    }
    let at = text[..start.len() + fraction].parse::<DateTime>().map_err(|_| TimeError::NoSuchTime)?;
    if zone.is_empty() {
        return Ok((at, Clock::Local));
    }
    let utc = at.checked_sub(SignedDuration::from_mins(offset(zone)?)).map_err(|_| TimeError::OutOfRange)?;
    if (0..=9999).contains(&utc.year()) { Ok((utc, Clock::Utc)) } else { Err(TimeError::OutOfRange) }
}

/// The length of the fraction of a second that `text` begins with, its point included.
fn fraction(text: &str) -> Result<usize, TimeError> {
    let decimals = text.strip_prefix('.').map(|rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    match decimals {
        None => Ok(0),
        Some(0) => Err(TimeError::Form),
        Some(decimals @ 1..=9) => Ok(1 + decimals),
        Some(_) => Err(TimeError::TooFine),
    }
}

/// The time of a number of seconds or milliseconds since 1970; `None` if the text is not such a number.
fn epoch(text: &str) -> Option<Result<DateTime, TimeError>> {
    let (whole, rest) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let (per_second, digits) = match whole.len() {
        9..=11 => (1, 9),
        12..=14 if rest.is_empty() => (1000, 6),
        _ => return None,
    };
    let fraction = match fraction(rest) {
        Ok(fraction) if fraction == rest.len() => rest.get(1..).unwrap_or(""),
        Ok(_) => return None,
        Err(error) => return Some(Err(error)),
    };
    let number: i64 = whole.parse().ok()?;
    let nanoseconds: i64 = format!("{fraction:0<9}").parse().ok()?;
    let unit = 10_i64.pow(digits);
    let below = number % per_second * unit + nanoseconds;
    let since = SignedDuration::new(number / per_second, i32::try_from(below).ok()?);
    Some(date(1970, 1, 1).at(0, 0, 0, 0).checked_add(since).map_err(|_| TimeError::OutOfRange))
}

/// Returns true if `text` has a digit where `form` has a zero, a separator where it has a `T`, a sign where it has a
/// plus, and else the same characters.
fn has_form(text: &str, form: &str) -> bool {
    let fits = |(found, form): (u8, u8)| match form {
        b'0' => found.is_ascii_digit(),
        b'T' => b"Tt ".contains(&found),
        b'+' => b"+-".contains(&found),
        other => found == other,
    };
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(fits)
}

/// Minutes east of UTC of a zone in one of the forms above.
fn offset(zone: &str) -> Result<i64, TimeError> {
    let Some((hours, minutes)) = zone.split_once(':') else { return Ok(0) };
    let sign = if hours.starts_with('-') { -1 } else { 1 };
    // The limits of RFC 3339.
    match (hours[1..].parse::<i64>(), minutes.parse::<i64>()) {
        (Ok(hours @ 0..24), Ok(minutes @ 0..60)) => Ok(sign * (60 * hours + minutes)),
        _ => Err(TimeError::NoSuchTime),
    }
}

/// Formats a timestamp for a CSV, such that [`parse`] returns the same timestamp.
pub(super) fn show(at: DateTime, clock: Clock) -> String {
    let mut text = vec![];
    write(at, clock, &mut text);
    String::from_utf8(text).expect("digits and signs")
}

/// Appends what [`show`] returns to `out`.
pub(super) fn write(at: DateTime, clock: Clock, out: &mut Vec<u8>) {
    let (separator, zone) = match clock {
        Clock::Local => (b' ', ""),
        Clock::Utc => (b'T', "Z"),
    };
    DateTimePrinter::new()
        .separator(separator)
        .print_datetime(&at, &mut *out)
        .expect("memory can be written to");
    out.extend_from_slice(zone.as_bytes());
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_forms_that_are_read() {
        let at = |h, m, s, ns| date(2014, 4, 1).at(h, m, s, ns);
        for (text, expected, clock) in [
            ("2014-04-01 00:05:00", at(0, 5, 0, 0), Clock::Local),
            ("2014-04-01T00:05:00", at(0, 5, 0, 0), Clock::Local),
            ("2014-04-01 00:05:00.25", at(0, 5, 0, 250_000_000), Clock::Local),
            ("2014-04-01T00:05:00Z", at(0, 5, 0, 0), Clock::Utc),
            ("2014-04-01t00:05:00.000000001z", at(0, 5, 0, 1), Clock::Utc),
            ("2014-04-01 02:05:00+02:00", at(0, 5, 0, 0), Clock::Utc),
            ("2014-03-31T18:35:59.5-05:30", at(0, 5, 59, 500_000_000), Clock::Utc),
            ("2014-04-01T00:05:00-00:00", at(0, 5, 0, 0), Clock::Utc),
            ("2014-04-01", at(0, 0, 0, 0), Clock::Local),
            ("2014-04-01 00:05", at(0, 5, 0, 0), Clock::Local),
            ("2014-04-01T00:05Z", at(0, 5, 0, 0), Clock::Utc),
            ("2014-04-01T02:05+02:00", at(0, 5, 0, 0), Clock::Utc),
            ("1396310700", at(0, 5, 0, 0), Clock::Utc),
            ("1396310700.25", at(0, 5, 0, 250_000_000), Clock::Utc),
            ("1396310700250", at(0, 5, 0, 250_000_000), Clock::Utc),
        ] {
            assert_eq!(parse(text), Ok((expected, clock)), "{text}");
        }
    }

    #[test]
    fn the_forms_that_are_refused() {
        use TimeError::*;
        for (text, why) in [
            ("", Form),
            ("2014-04", Form),
            ("2014-04-01 00", Form),
            ("2014-04-01Z", Form),
            ("2014-04-01 00:05.5", Form),
            ("14-04-01 00:05:00", Form),
            ("2014-4-1 00:05:00", Form),
            ("01/04/2014 00:05:00", Form),
            ("2014-04-01  00:05:00", Form),
            ("2014-04-01 00:05:00.", Form),
            ("2014-04-01 00:05:00 ", Form),
            ("2014-04-01 00:05:00 UTC", Form),
            ("2014-04-01 00:05:00+0200", Form),
            ("2014-04-01 00:05:00+02", Form),
            ("-014-04-01 00:05:00", Form),
            ("20140401", Form),
            ("1396310700.", Form),
            ("1396310700Z", Form),
            ("-1396310700", Form),
            ("1396310700250.5", Form),
            ("139631070025000", Form),
            ("1396310700.0000000001", TooFine),
            ("2014-02-29", NoSuchTime),
            ("2014-04-01 24:00", NoSuchTime),
            ("2014-02-29 00:05:00", NoSuchTime),
            ("2014-13-01 00:05:00", NoSuchTime),
            ("2014-04-01 24:00:00", NoSuchTime),
            ("2014-04-01 23:59:60", NoSuchTime),
            ("2014-04-01 00:05:00+24:00", NoSuchTime),
            ("2014-04-01 00:05:00.0000000001", TooFine),
            ("0000-01-01 00:00:00+00:01", OutOfRange),
            ("9999-12-31 23:59:59-00:01", OutOfRange),
        ] {
            assert_eq!(parse(text), Err(why), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_causes_no_panic(text in ".{0,40}") {
            let _ = parse(&text);
        }

        #[test]
        fn a_timestamp_that_is_read_survives_being_shown(
            text in "[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?|[0-9]{9,14}(\\.[0-9]{1,9})?",
        ) {
            if let Ok((at, clock)) = parse(&text) {
                prop_assert_eq!(parse(&show(at, clock)), Ok((at, clock)));
            }
        }
    }
}
