//! Tests of reading and writing CSV.

use jiff::civil::date;
use jiff::{SignedDuration, civil::DateTime};
use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Loaded, SeriesError> {
    parse_csv(text.as_bytes(), "folder/some.csv", &Columns::default())
}

fn values(text: &str) -> Vec<f64> {
    parse(text).unwrap().series.values().to_vec()
}

/// The error message for an invalid text; it names the file.
fn refusal(text: impl AsRef<[u8]>) -> String {
    let error = parse_csv(text.as_ref(), "folder/some.csv", &Columns::default()).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("folder/some.csv"), "{message}");
    message
}

const TWO_ROWS: &str = "timestamp,value\n2014-04-01 00:00:00,1.5\n2014-04-01 00:05:00,-2e1\n";

#[test]
fn a_plain_file() {
    let Loaded { series, skipped, warnings, extreme } = parse(TWO_ROWS).unwrap();
    assert_eq!((skipped.len(), extreme), (0, None));
    assert_eq!(series.name(), "some");
    assert_eq!(series.clock(), Clock::Local);
    assert_eq!(series.timestamps()[1], date(2014, 4, 1).at(0, 5, 0, 0));
    assert_eq!(series.values(), [1.5, -20.0]);
    assert_eq!(series.len(), 2);
    assert!(warnings.is_empty());
}

#[test]
fn what_is_tolerated() {
    let expected = [1.5, -20.0];
    assert_eq!(values(&TWO_ROWS.replace('\n', "\r\n")), expected);
    assert_eq!(values(&TWO_ROWS.replace('\n', "\r")), expected);
    assert_eq!(values(TWO_ROWS.trim_end()), expected);
    assert_eq!(values(&format!("\u{FEFF}{TWO_ROWS}")), expected);
    assert_eq!(values(&format!("\u{FEFF}{}", TWO_ROWS.replace("timestamp", "\"timestamp\""))), expected);
    assert_eq!(values(&TWO_ROWS.replace('\n', "\n\n")), expected);
    assert_eq!(values(&TWO_ROWS.replace(',', " , ")), expected);
    assert_eq!(values(&TWO_ROWS.replace("1.5", "\"1.5\"")), expected);
}

#[test]
fn columns_are_chosen_by_name_among_any() {
    let text = "note,mm,when\n\"a, b\",3,2014-04-01T00:00:00Z\n,4,2014-04-01T02:00:00+01:00\n";
    let columns = Columns { timestamp: "when".into(), values: vec!["mm".into()] };
    let series = parse_csv(text.as_bytes(), "rain", &columns).unwrap().series;
    assert_eq!((series.name(), series.clock()), ("rain", Clock::Utc));
    assert_eq!(series.values(), [3.0, 4.0]);
    assert_eq!(series.sampling().step, Some(SignedDuration::from_hours(1)));
    assert_eq!(series.timestamp_text(1), "2014-04-01T01:00:00Z");
}

#[test]
fn refusals_say_where_and_what_to_do() {
    let header = "timestamp,value\n";
    let good = "2014-04-01 00:00:00,1\n";
    for (text, parts) in [
        (String::new(), vec!["is empty"]),
        ("\u{FEFF}".into(), vec!["is empty"]),
        ("\n\r\n".into(), vec!["is empty"]),
        (header.into(), vec!["no rows"]),
        ("timestamp,val\n".into(), vec!["line 1", "`value`", "`timestamp`, `val`"]),
        ("\n\ntimestamp;value\n".into(), vec!["line 3", "`timestamp;value`", "separated by commas"]),
        ("timestamp,value,value\n".into(), vec!["line 1", "2 columns `value`"]),
        (format!("{header}{good}2014-04-01 00:05:00\n"), vec!["line 3", "1 field where", "has 2"]),
        (format!("{header}{good}\n2014-04-01 00:05:00,1,5\n"), vec!["line 4", "3 fields where", "has 2"]),
        (format!("{header}{good}2014-04-01 00:05:00,1;5\n"), vec!["line 3", "`1;5`", "not a number"]),
        (format!("{header}{good}2014-04-01 00:05:00,\n"), vec!["line 3", "``", "not a number"]),
        (format!("{header}2014-04-01 00:05:00,NaN\n"), vec!["line 2", "`NaN`", "finite"]),
        (format!("{header}2014-04-01 00:05:00,-inf\n"), vec!["line 2", "`-inf`", "finite"]),
        (format!("{header}2014-04-01 00:05:00,1e999\n"), vec!["line 2", "`1e999`", "finite"]),
        (format!("{header}2014-04-31 00:05:00,1\n"), vec!["line 2", "`2014-04-31", "no such date"]),
        (format!("{header}01.04.2014,1\n"), vec!["line 2", "`01.04.2014`", "expected YYYY-MM-DD"]),
        (format!("{header}{good}2014-04-01T00:05:00Z,1\n"), vec!["line 3", "has a time zone", "lack one"]),
        (format!("{header}\"{}", "x".repeat(1000)), vec!["line 2", "quote", "never closed"]),
        (format!("{header}\"{},1", "x".repeat(1000)), vec!["line 2", "never closed"]),
        (format!("{header}2014-04-01 00:05:00,\"1\n{good}"), vec!["line 2", "never closed"]),
        // This quote means an inch.
        (format!("{header}{good}2014-04-01 00:05:00,1,5\"\n"), vec!["line 3", "3 fields where"]),
    ] {
        for (text, ends) in [(text.clone(), "LF"), (text.replace('\n', "\r\n"), "CRLF")] {
            let message = refusal(&text);
            assert!(message.len() < 400, "{message}");
            for part in &parts {
                assert!(message.contains(part), "with {ends}: `{part}` is not in: {message}");
            }
        }
    }
    let message = refusal([header.as_bytes(), good.as_bytes(), b"2014\xFF"].concat());
    assert!(message.contains("line 3") && message.contains("0xff"), "{message}");
    let message = refusal(b"\xFF\xFEt\0i\0");
    assert!(message.contains("line 1") && message.contains("UTF-16"), "{message}");
}

#[test]
fn a_record_has_a_longest_length() {
    let (header, row) = ("timestamp,value,note\n", "2014-04-01 00:00:00,1.5,");
    let with = |note: &str| format!("{header}{row}{note}\n{row}\n");
    let longest = "x".repeat(LONGEST_RECORD - row.len() - "\n".len());
    assert_eq!(values(&with(&longest)), [1.5, 1.5]);
    // Blank lines belong to no record.
    assert_eq!(values(&format!("{}{}", "\n".repeat(2 * LONGEST_RECORD), with(""))), [1.5, 1.5]);
    for (text, parts) in [
        (with(&format!("{longest}x")), ["line 2", "longer than 1048576 bytes"]),
        (with(&",".repeat(3 * LONGEST_RECORD)), ["line 2", "longer than 1048576 bytes"]),
        (",".repeat(2 * LONGEST_RECORD), ["line 1", "longer than 1048576 bytes"]),
        (with(&format!("\"{longest}x")), ["line 2", "a quote is opened and never closed"]),
        (",".repeat(LONGEST_RECORD), ["no column `timestamp`", "`` and 1048569 more"]),
    ] {
        let message = refusal(&text);
        assert!(message.len() < 500, "{} bytes", message.len());
        for part in parts {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let message = read_csv("no/such.csv".as_ref(), &Columns::default()).unwrap_err().to_string();
    assert!(message.contains("no/such.csv"), "{message}");
}

#[test]
fn a_series_shorter_than_a_window_is_refused() {
    let series = parse(TWO_ROWS).unwrap().series;
    assert!(series.require_window(2).is_ok());
    let message = series.require_window(3).unwrap_err().to_string();
    assert!(message.contains("2 rows") && message.contains("3 steps"), "{message}");
    assert!(series.require_window(0).is_err());
}

#[test]
fn parts_that_make_no_series_are_refused() {
    let times = vec![date(2014, 4, 1).at(0, 0, 0, 0)];
    let new = |times: &[DateTime], values: &[f64]| {
        Series::new("s", Clock::Local, times.to_vec(), values.to_vec()).map(|_| ())
    };
    assert!(matches!(new(&times, &[]), Err(SeriesError::LengthsDiffer { .. })));
    assert!(matches!(new(&[], &[]), Err(SeriesError::NoRows { .. })));
    assert!(matches!(new(&times, &[f64::NAN]), Err(SeriesError::NotFinite { line: 2, .. })));
    assert!(matches!(new(&[DateTime::MIN], &[1.0]), Err(SeriesError::BadTime { line: 2, .. })));
}

#[test]
fn irregular_files_load_with_a_warning_of_each_kind() {
    // A blank line and CRLF, so that a line number is not simply the row plus two.
    let text = "timestamp,value\r\n\r\n\
                2014-04-01 00:00:00,1\r\n2014-04-01 00:05:00,2\r\n2014-04-01 00:10:00,3\r\n\
                2014-04-01 00:05:00,4\r\n2014-04-01 00:10:00,5\r\n2014-04-01 01:10:00,6\r\n\
                2014-04-01 01:16:00,7\r\n";
    let Loaded { series, skipped, warnings, extreme } = parse(text).unwrap();
    assert_eq!((skipped.len(), extreme), (0, None));
    assert_eq!(series.values(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    let shown: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "folder/some.csv: 2 rows repeat the timestamp of an earlier row, the first on line 6; all rows \
             are kept",
            "folder/some.csv: 1 row goes back in time, the first on line 6, by 5m at most; rows keep the order \
             of the file",
            "folder/some.csv: 1 gap of 11 rows in all at a step of 5m, the first before line 8, the longest (1h) \
             before line 8; nothing is filled in, and windows run across",
            "folder/some.csv: sampled unevenly: 1 step is not a whole multiple of the commonest, 5m (50 % of \
             all), the first before line 9; each step counts as one row",
        ]
    );
}

#[test]
fn a_file_with_its_newest_row_first_is_told_so() {
    let text = "timestamp,value\n2014-04-03 00:00:00,1\n2014-04-02 00:00:00,2\n2014-04-01 00:00:00,3\n";
    let warnings = parse(text).unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].to_string().contains("newest row first: reverse it"), "{}", warnings[0]);
}

#[test]
fn rows_that_cannot_be_used_are_left_out_or_refused() {
    let text = "timestamp,value\n\
                2014-04-01 00:00:00,1\n2014-04-01 00:05:00,\n2014-04-01 00:10:00,3\n2014-04-01 00:10:00,4\n\
                2014-04-01 00:05:00,5\n2014-04-01 00:15:00,NaN\n2014-04-01 00:20:00, n/a \n2014-04-01 00:25:00,8\n\
                2014-04-01 00:30:00,9\n2014-04-01 00:35:00,10\n";
    let parse = |text: &str, bad_rows| parse_rows(text.as_bytes(), "some.csv", &Columns::default(), bad_rows);
    let Loaded { series, skipped, warnings, .. } = parse(text, BadRows::Skip).unwrap();
    assert_eq!(series.values(), [1.0, 3.0, 8.0, 9.0, 10.0]);
    let left_out: Vec<_> =
        skipped.iter().map(|row| (row.before, row.line, row.values[0], row.reason)).collect();
    use crate::rows::Reason::{BackInTime, MissingValue, RepeatedTime};
    assert_eq!(
        left_out,
        [
            (1, 3, None, MissingValue),
            (2, 5, Some(4.0), RepeatedTime),
            (2, 6, Some(5.0), BackInTime),
            (2, 7, None, MissingValue),
            (2, 8, None, MissingValue),
        ]
    );
    let shown = warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let left_out = "some.csv: left out 3 rows without a value, 1 row that repeats a timestamp, 1 row that goes back in \
                    time, the first on line 3";
    assert!(shown.starts_with(left_out) && shown.contains("no window runs across"), "{shown}");

    for (text, line, reason) in [
        (text.to_owned(), 3, MissingValue),
        (text.replace("00:05:00,\n", "00:05:00,2\n"), 5, RepeatedTime),
        (text.replace("00:05:00,\n", "00:05:00,2\n").replace("2014-04-01 00:10:00,4\n", ""), 5, BackInTime),
    ] {
        let error = parse(&text, BadRows::Refuse).unwrap_err();
        assert_eq!(error, SeriesError::BadRow { file: "some.csv".into(), line, reason });
    }
    // What is no number at all is an error in any case, and so is a file of missing values.
    assert!(matches!(parse(&text.replace(",8", ",8;0"), BadRows::Skip), Err(SeriesError::BadNumber { .. })));
    let none = "timestamp,value\n2014-04-01 00:00:00,\n";
    assert!(matches!(parse(none, BadRows::Skip), Err(SeriesError::NoRows { .. })));
}

#[test]
fn a_file_in_another_order_is_no_series() {
    let text = "timestamp,value\n2014-04-03 00:00:00,1\n2014-04-02 00:00:00,2\n2014-04-01 00:00:00,3\n";
    let error = parse_rows(text.as_bytes(), "some.csv", &Columns::default(), BadRows::Skip).unwrap_err();
    assert_eq!(error, SeriesError::Unordered { file: "some.csv".into(), line: 3, rows: 2, of: 3 });
}

#[test]
fn stretches_end_at_gaps() {
    let start = date(2014, 4, 1).at(0, 0, 0, 0);
    let stretches = |seconds: &[i64]| {
        let times = seconds.iter().map(|second| start + SignedDuration::from_secs(*second)).collect();
        let series = Series::new("s", Clock::Local, times, vec![0.0; seconds.len()]).unwrap();
        series.stretches(SignedDuration::from_secs(10))
    };
    assert_eq!(stretches(&[0, 20]), [0..1, 1..2]);
    assert_eq!(stretches(&[0, 10, 20, 40]), [0..3, 3..4]);
    // One and a half steps are no gap; half a step, none at all, and back are none that one can go on with.
    assert_eq!(stretches(&[0, 15, 31, 37, 42, 42, 32]), [0..2, 2..4, 4..5, 5..6, 6..7]);
}

fn any_series() -> impl Strategy<Value = Series> {
    // Seconds of the years 0 to 9999 from 1970, and nanoseconds.
    let time = (-62_167_219_199_i64..253_402_300_799, prop_oneof![Just(0), 0..1_000_000_000]).prop_map(
        |(second, nanosecond)| {
            date(1970, 1, 1).at(0, 0, 0, 0).checked_add(SignedDuration::new(second, nanosecond)).unwrap()
        },
    );
    let value = any::<f64>().prop_filter("finite", |value| value.is_finite());
    let rows = prop::collection::vec((time, value), 1..20);
    (rows, any::<bool>()).prop_map(|(rows, utc)| {
        let (times, values) = rows.into_iter().unzip();
        let clock = if utc { Clock::Utc } else { Clock::Local };
        Series::new("some", clock, times, values).unwrap()
    })
}

proptest! {
    #[test]
    fn a_series_survives_its_csv_to_the_bit(
        series in any_series(),
        (time, value) in ("[^\r\n]{1,8}", "[^\r\n]{1,8}"),
    ) {
        // Names are trimmed when read, like all fields.
        let columns = Columns { timestamp: time.trim().to_owned(), values: vec![value.trim().to_owned()] };
        prop_assume!(columns.timestamp != columns.values[0]);
        prop_assume!(!columns.timestamp.starts_with('\u{FEFF}'));
        let mut csv = Vec::new();
        write_csv(&series, &columns, &mut csv).unwrap();
        let back = parse_csv(&csv, "some.csv", &columns).unwrap().series;
        prop_assert_eq!(&back, &series);
        // Equality does not distinguish +0 from -0.
        let bits = |series: &Series| series.values().iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&back), bits(&series));
    }

    #[test]
    fn any_bytes_cause_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for bad_rows in [BadRows::Keep, BadRows::Skip, BadRows::Refuse] {
            let _ = parse_rows(&bytes, "x", &Columns::default(), bad_rows);
        }
    }

    /// The rows and the error of an input do not depend on the pieces in which it arrives.
    #[test]
    fn pieces_of_an_input_are_read_as_the_whole(
        cells in prop::collection::vec(
            prop_oneof![
                4 => "2014-04-0[1-9] 0[0-9]:00,[0-9]",
                1 => "[\\x00-\\x7F\u{FEFF}é\",\r\n]{0,12}",
            ],
            0..12,
        ),
        end in prop_oneof![Just("\n"), Just("\r\n"), Just("\r")],
        mark in prop_oneof![Just("\u{FEFF}"), Just("\u{FEFF}\u{FEFF}"), Just("\u{FF0C}"), Just("")],
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let text = format!("{mark}timestamp,value{end}{}", cells.join(end)).into_bytes();
        let new = || RowReader::new("x", &Columns::default(), BadRows::Skip);
        let read = |mut reader: RowReader, pieces: Vec<&[u8]>| {
            let (mut row, mut read, mut places) = (Row::default(), vec![], vec![]);
            let last = pieces.len() - 1;
            for (index, mut piece) in pieces.into_iter().enumerate() {
                loop {
                    match reader.read(&mut piece, index == last, &mut row) {
                        Ok(true) => read.push(Ok(row.clone())),
                        Ok(false) => break,
                        Err(error) => {
                            read.push(Err(error.clone()));
                            if !(error.is_of_one_row() && reader.has_header()) {
                                return (read, places);
                            }
                        }
                    }
                    places.push(reader.place());
                }
            }
            (read, places)
        };
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len())).collect();
        cuts.sort_unstable();
        let starts = [0].into_iter().chain(cuts.iter().copied());
        let pieces = starts.zip(cuts.iter().copied().chain([text.len()])).map(|(from, to)| &text[from..to]);
        let whole = read(new(), vec![&text]);
        prop_assert_eq!(&read(new(), pieces.collect()), &whole);
        prop_assert_eq!(&read(new(), text.chunks(1).chain([&[][..]]).collect()), &whole);

        // From each place on, the rest.
        for (row, place) in whole.1.iter().enumerate() {
            let rest = read(new().resume(place.expect("a row was read")), vec![&text]);
            prop_assert_eq!(&rest.0, &whole.0[row + 1..]);
        }
    }

    #[test]
    fn damaged_files_cause_no_panic(
        series in any_series(),
        cut in any::<prop::sample::Index>(),
        wounds in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut csv = Vec::new();
        write_csv(&series, &Columns::default(), &mut csv).unwrap();
        csv.truncate(cut.index(csv.len()) + 1);
        for (place, byte) in wounds {
            let place = place.index(csv.len());
            csv[place] = byte;
        }
        if let Ok(loaded) = parse_csv(&csv, "x", &Columns::default()) {
            let _ = loaded.series.head(3);
            let _ = loaded.warnings.iter().map(ToString::to_string).collect::<Vec<_>>();
        }
    }
}
