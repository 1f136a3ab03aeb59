//! The forms of a timestamp. Parsing is strict: a text that is not understood completely is refused, because a guess
//! would be a wrong time that nobody notices.
//!
//! ```text
//! date  YYYY-MM-DD    then 'T', 't' or one space    then time  HH:MM:SS[.fraction]
//! then nothing (a local clock), or a zone: 'Z', 'z', +HH:MM or -HH:MM
//! ```
//!
//! This is RFC 3339 with its permitted space, and the same without a zone. A leap second (`:60`) is refused, because a
//! clock that counts 86,400 seconds per day cannot represent it.

use jiff::SignedDuration;
use jiff::civil::DateTime;

use super::{Clock, TimeError};

/// Parses one timestamp; if it has a zone, it is converted to UTC.
pub(super) fn parse(text: &str) -> Result<(DateTime, Clock), TimeError> {
    let mut rest = Rest(text.as_bytes());
    let year = rest.number(4)?;
    rest.one_of(b"-")?;
    let month = rest.number(2)?;
    rest.one_of(b"-")?;
    let day = rest.number(2)?;
    rest.one_of(b"Tt ")?;
    let hour = rest.number(2)?;
    rest.one_of(b":")?;
    let minute = rest.number(2)?;
    rest.one_of(b":")?;
    let second = rest.number(2)?;
    let nanosecond = rest.fraction()?;
    let zone = rest.zone()?;
    if !rest.0.is_empty() {
        return Err(TimeError::Form);
    }
    // Two digits fit an i8, four an i16, nine an i32.
    let small = |number: i32| number as i8;
    let at = DateTime::new(
        year as i16,
        small(month),
        small(day),
        small(hour),
        small(minute),
        small(second),
        nanosecond,
    )
    .map_err(|_| TimeError::NoSuchTime)?;
    let Some(minutes) = zone else { return Ok((at, Clock::Local)) };
    let utc = at.checked_sub(SignedDuration::from_mins(minutes)).map_err(|_| TimeError::OutOfRange)?;
    if (0..=9999).contains(&utc.year()) { Ok((utc, Clock::Utc)) } else { Err(TimeError::OutOfRange) }
}

/// Formats a timestamp for a CSV, such that [`parse`] returns the same timestamp.
pub(super) fn show(at: DateTime, clock: Clock) -> String {
    let (year, month, day) = (at.year(), at.month(), at.day());
    let (hour, minute, second) = (at.hour(), at.minute(), at.second());
    let (between, zone) = match clock {
        Clock::Local => (' ', ""),
        Clock::Utc => ('T', "Z"),
    };
    let fraction = match at.subsec_nanosecond() {
        0 => String::new(),
        nanoseconds => format!(".{nanoseconds:09}").trim_end_matches('0').to_owned(),
    };
    format!("{year:04}-{month:02}-{day:02}{between}{hour:02}:{minute:02}:{second:02}{fraction}{zone}")
}

/// The rest of the text.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn one_of(&mut self, expected: &[u8]) -> Result<u8, TimeError> {
        match self.0 {
            [first, rest @ ..] if expected.contains(first) => {
                self.0 = rest;
                Ok(*first)
            }
            _ => Err(TimeError::Form),
        }
    }

    /// Parses exactly `digits` digits, at most nine.
    fn number(&mut self, digits: usize) -> Result<i32, TimeError> {
        (0..digits).try_fold(0, |number, _| {
            let digit = self.one_of(b"0123456789")?;
            Ok(10 * number + i32::from(digit - b'0'))
        })
    }

    /// Parses nanoseconds: nothing, or a point and one to nine digits.
    fn fraction(&mut self) -> Result<i32, TimeError> {
        if self.one_of(b".").is_err() {
            return Ok(0);
        }
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        match digits {
            0 => Err(TimeError::Form),
            1..=9 => Ok(self.number(digits)? * 10_i32.pow(9 - digits as u32)),
            _ => Err(TimeError::TooFine),
        }
    }

    /// Parses the zone, in minutes east of UTC, if there is one.
    fn zone(&mut self) -> Result<Option<i64>, TimeError> {
        let sign = match self.one_of(b"Zz+-") {
            Err(_) => return Ok(None),
            Ok(b'+') => 1,
            Ok(b'-') => -1,
            Ok(_) => return Ok(Some(0)),
        };
        let hours = self.number(2)?;
        self.one_of(b":")?;
        let minutes = self.number(2)?;
        // The limits of RFC 3339.
        if hours < 24 && minutes < 60 {
            Ok(Some(sign * i64::from(60 * hours + minutes)))
        } else {
            Err(TimeError::NoSuchTime)
        }
    }
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
        ] {
            assert_eq!(parse(text), Ok((expected, clock)), "{text}");
        }
    }

    #[test]
    fn the_forms_that_are_refused() {
        use TimeError::*;
        for (text, why) in [
            ("", Form),
            ("2014-04-01", Form),
            ("2014-04-01 00:05", Form),
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
            ("1396310400", Form),
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
            text in "[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})?",
        ) {
            if let Ok((at, clock)) = parse(&text) {
                prop_assert_eq!(parse(&show(at, clock)), Ok((at, clock)));
            }
        }
    }
}
