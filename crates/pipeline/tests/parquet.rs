//! Series in Parquet files: every form of timestamps and values, and damaged files.
#![cfg(feature = "parquet")]

use std::sync::Arc;

use glassbox_engine::random::{Purpose, Stream};
use glassbox_pipeline::series::{BadRows, Clock, Columns, Loaded, SeriesError, WarningKind, parse_rows};
use parquet::basic::Compression;
use parquet::data_type::{
    ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type, Int96, Int96Type,
};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

/// Seconds of 2014-04-01 00:00.
const START: i64 = 1_396_310_400;

/// Writes the next column: its values that are not null, and for an optional one which rows have one.
fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>,
    values: &[T::T],
    there: Option<&[i16]>,
) {
    let mut column = group.next_column().unwrap().expect("a column");
    column.typed::<T>().write_batch(values, there, None).unwrap();
    column.close().unwrap();
}

/// A file with these columns, in row groups that `write` fills, one after the other.
fn file(
    message: &str,
    groups: usize,
    write: impl Fn(usize, &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>),
) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(message).unwrap());
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut bytes = vec![];
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).unwrap();
    for index in 0..groups {
        let mut group = writer.next_row_group().unwrap();
        write(index, &mut group);
        group.close().unwrap();
    }
    writer.close().unwrap();
    bytes
}

fn read(bytes: &[u8]) -> Result<Loaded, SeriesError> {
    parse_rows(bytes, "table.parquet", &Columns::default(), BadRows::Skip)
}

fn text(message: &str, write: impl Fn(usize, &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>)) -> String {
    read(&file(message, 1, write)).unwrap_err().to_string()
}

#[test]
fn every_form_of_timestamps_is_the_same_time() {
    let seconds = [START, START + 300];
    let of = |type_: &str, write: &dyn Fn(&mut SerializedRowGroupWriter<'_, &mut Vec<u8>>)| {
        let message = format!("message m {{ required double value; required {type_}; }}");
        let bytes = file(&message, 1, |_, group| {
            column::<DoubleType>(group, &[0.1, -2.5e-300], None);
            write(group);
        });
        let series = read(&bytes).unwrap_or_else(|error| panic!("{type_}: {error}")).series;
        assert_eq!(series.values(), [0.1, -2.5e-300], "{type_}");
        let local = (series.timestamp_text(0), series.timestamp_text(1));
        (
            series.clock(),
            local.0.replace(['T', 'Z'], " ").trim().to_owned(),
            local.1.replace(['T', 'Z'], " ").trim().to_owned(),
        )
    };
    let times = ("2014-04-01 00:00:00".to_owned(), "2014-04-01 00:05:00".to_owned());
    let long = |scale: i64| {
        move |group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>| {
            column::<Int64Type>(group, &seconds.map(|at| at * scale), None);
        }
    };
    for (unit, scale) in [("MILLIS", 1000), ("MICROS", 1_000_000), ("NANOS", 1_000_000_000)] {
        for (utc, clock) in [(true, Clock::Utc), (false, Clock::Local)] {
            let found = of(&format!("int64 timestamp (TIMESTAMP({unit},{utc}))"), &long(scale));
            assert_eq!(found, (clock, times.0.clone(), times.1.clone()), "{unit}, {utc}");
        }
    }
    // Seconds and milliseconds since 1970, as in a CSV.
    for scale in [1, 1000] {
        assert_eq!(of("int64 timestamp", &long(scale)), (Clock::Utc, times.0.clone(), times.1.clone()));
    }
    let int96 = of("int96 timestamp", &|group| {
        let at = |nanoseconds: u64| {
            let mut at = Int96::new();
            at.set_data(nanoseconds as u32, (nanoseconds >> 32) as u32, 2_440_588 + (START / 86_400) as u32);
            at
        };
        column::<Int96Type>(group, &[at(0), at(300_000_000_000)], None);
    });
    assert_eq!(int96, (Clock::Local, times.0.clone(), times.1.clone()));
    let texts = of("byte_array timestamp (UTF8)", &|group| {
        column::<ByteArrayType>(group, &["2014-04-01", "2014-04-01T00:05"].map(ByteArray::from), None);
    });
    assert_eq!(texts, (Clock::Local, times.0.clone(), times.1.clone()));
    let days = of("int32 timestamp (DATE)", &|group| {
        column::<Int32Type>(group, &[START / 86_400, START / 86_400 + 1].map(|day| day as i32), None);
    });
    assert_eq!(days.2, "2014-04-02 00:00:00");
}

#[test]
fn nulls_are_missing_values_and_row_groups_follow_each_other() {
    let message = "message m { optional float value; required int64 timestamp (TIMESTAMP(MILLIS,false)); optional binary other; }";
    let bytes = file(message, 3, |index, group| {
        column::<FloatType>(group, &[0.1, 3.0], Some(&[1, 0, 1]));
        let at = |row: i64| 1000 * (START + 60 * (3 * index as i64 + row));
        column::<Int64Type>(group, &[at(0), at(1), at(2)], None);
        column::<ByteArrayType>(group, &[], Some(&[0; 3]));
    });
    let loaded = read(&bytes).unwrap();
    assert_eq!((loaded.series.len(), loaded.skipped.len()), (6, 3));
    // The numbers of the file, not their shortest decimals as f32.
    assert_eq!(loaded.series.values()[..2], [f64::from(0.1_f32), 3.0]);
    assert!(matches!(loaded.warnings[0].kind, WarningKind::Skipped { missing: 3, .. }));
    assert_eq!(loaded.warnings[0].line, 3);
    let error = parse_rows(&bytes, "table.parquet", &Columns::default(), BadRows::Refuse).unwrap_err();
    assert!(error.to_string().contains("line 3: missing value"), "{error}");
}

#[test]
fn what_is_not_a_series_is_refused_by_name() {
    let times = |group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>| {
        column::<Int64Type>(group, &[START], None);
    };
    let error = text("message m { required int64 timestamp; required int64 other; }", |_, group| {
        times(group);
        times(group);
    });
    assert!(error.contains("no column `value`") && error.contains("`timestamp`, `other`"), "{error}");
    let error =
        text("message m { required int64 timestamp; required int64 value (DECIMAL(9,2)); }", |_, group| {
            times(group);
            times(group);
        });
    assert!(error.contains("column `value` holds decimals"), "{error}");
    let error = text(
        "message m { required int64 timestamp; required int64 value (TIMESTAMP(NANOS,true)); }",
        |_, group| {
            times(group);
            times(group);
        },
    );
    assert!(error.contains("column `value` holds timestamps"), "{error}");
    let error = text("message m { required int64 timestamp; required double value; }", |_, group| {
        times(group);
        column::<DoubleType>(group, &[f64::INFINITY], None);
    });
    assert!(error.contains("line 2") && error.contains("not a finite"), "{error}");
    let error = text(
        "message m { required int64 timestamp (TIMESTAMP(MILLIS,true)); required double value; }",
        |_, group| {
            column::<Int64Type>(group, &[i64::MAX], None);
            column::<DoubleType>(group, &[1.0], None);
        },
    );
    assert!(error.contains("outside of the years 0 to 9999"), "{error}");
}

#[test]
fn damaged_files_are_refused_or_read_and_never_a_panic() {
    let message = "message m { optional double value; required int64 timestamp (TIMESTAMP(MICROS,true)); }";
    let good = file(message, 2, |index, group| {
        let there: Vec<i16> = (0..50).map(|row| i16::from(row % 7 != 3)).collect();
        let values: Vec<f64> = (0..50).filter(|row| row % 7 != 3).map(f64::from).collect();
        column::<DoubleType>(group, &values, Some(&there));
        let times: Vec<i64> =
            (0..50).map(|row| 1_000_000 * (START + 60 * (50 * index as i64 + row))).collect();
        column::<Int64Type>(group, &times, None);
    });
    read(&good).unwrap();
    let mut draws = Stream::new(1, Purpose::Series, 0, 0).draws();
    let mut refused = 0;
    for _ in 0..20_000 {
        let mut bytes = good.clone();
        for _ in 0..=draws.below(3) {
            let at = 4 + draws.below(bytes.len() as u64 - 4) as usize;
            match draws.below(4) {
                0 => bytes[at] = draws.next_u32() as u8,
                1 => bytes[at] ^= 1 << draws.below(8),
                2 => bytes.truncate(at.max(8)),
                _ => bytes.insert(at, draws.next_u32() as u8),
            }
        }
        refused += usize::from(read(&bytes).is_err());
    }
    assert!(refused > 10_000, "{refused}");
    for end in 0..good.len() {
        assert!(read(&good[..end]).is_err(), "{end}");
    }
}
