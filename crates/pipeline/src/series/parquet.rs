//! Tables in Parquet files (feature `parquet`), as CSV: so both have one reader, one set of policies for rows, and the same errors.
//!
//! In errors, row n of the table (from 1) is on line n + 1. Only the requested columns are read. A null is a missing value.
//!
//! | type | as a timestamp | as a value |
//! |---|---|---|
//! | timestamp in milliseconds, microseconds or nanoseconds, with or without UTC; INT96 (without) | yes | no |
//! | date | yes | no |
//! | text | as in a CSV | as in a CSV |
//! | integers, floats and doubles | seconds or milliseconds since 1970, as in a CSV | yes |

use bytes::Bytes;
use glassbox_engine::memory;
use jiff::civil::{DateTime, date};
use jiff::{SignedDuration, Span};
use parquet::basic::{ConvertedType, LogicalType, TimeUnit};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use super::{Clock, Columns, SeriesError, time};

/// Rows that are read at a time.
const BATCH: usize = 1024;

/// The requested columns of a Parquet file as a CSV with a header; columns that are missing are missing there too.
pub(super) fn to_csv(bytes: &[u8], file: &str, columns: &Columns) -> Result<Vec<u8>, SeriesError> {
    // The crate `parquet` asserts things that a damaged file breaks. What is known of them is checked below.
    let read = std::panic::catch_unwind(|| table(bytes, file, columns));
    read.unwrap_or_else(|_| {
        let problem = "its parts contradict each other; write it again".into();
        Err(SeriesError::Parquet { file: file.to_owned(), problem })
    })
}

fn table(bytes: &[u8], file: &str, columns: &Columns) -> Result<Vec<u8>, SeriesError> {
    let bad = |problem: String| SeriesError::Parquet { file: file.to_owned(), problem };
    let fail = |error: ParquetError| bad(error.to_string());
    let reader = SerializedFileReader::new(Bytes::copy_from_slice(bytes)).map_err(fail)?;
    let schema = reader.metadata().file_metadata().schema_descr();
    let all = || schema.columns().iter().map(|column| column.path().parts().join("."));
    let wanted = || [&columns.timestamp].into_iter().chain(&columns.values);
    let mut names: Vec<(usize, String)> = vec![];
    for (place, (name, column)) in all().zip(schema.columns()).enumerate() {
        if wanted().any(|wanted| *wanted == name) {
            kind(column, name == columns.timestamp).map_err(|found| {
                let expected = match name == columns.timestamp {
                    true => "timestamps, dates, texts or numbers",
                    false => "numbers or texts",
                };
                bad(format!("column `{name}` holds {found}, and {expected} are expected; convert it"))
            })?;
            names.push((place, name));
        }
    }
    // A file says how many rows it has before any is read.
    let rows = reader.metadata().file_metadata().num_rows().try_into().unwrap_or(usize::MAX);
    memory::require(
        format!("{file}, a table of {rows} rows,"),
        memory::product(&[rows, names.len().max(1), size_of::<String>()]),
        "split the file, or use a machine with more memory",
    )
    .map_err(|error| SeriesError::Memory { problem: error.to_string() })?;

    let mut csv = csv::Writer::from_writer(vec![]);
    let written = |result: Result<(), csv::Error>| result.map_err(|error| bad(error.to_string()));
    let missing = wanted().any(|wanted| names.iter().all(|(_, name)| name != wanted));
    if missing {
        // Its header alone says so, and what there is.
        written(csv.write_record(all()))?;
        return csv.into_inner().map_err(|error| bad(error.to_string()));
    }
    written(csv.write_record(names.iter().map(|(_, name)| name)))?;
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(fail)?;
        let mut cells: Vec<Vec<String>> = vec![];
        for (place, name) in &names {
            let column = &schema.columns()[*place];
            let kind = kind(column, *name == columns.timestamp).map_err(|found| bad(found.into()))?;
            let chunk = group.metadata().column(*place);
            let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
            if start < 0 || chunk.data_page_offset() < 0 || chunk.compressed_size() < 0 {
                return Err(bad(format!(
                    "column `{name}` has a negative place or size; write the file again"
                )));
            }
            let reader = group.get_column_reader(*place).map_err(fail)?;
            cells.push(texts(reader, column, kind).map_err(&bad)?);
        }
        let rows = cells.first().map_or(0, Vec::len);
        if cells.iter().any(|column| column.len() != rows) {
            return Err(bad("its columns have different lengths".into()));
        }
        for row in 0..rows {
            written(csv.write_record(cells.iter().map(|column| &column[row])))?;
        }
    }
    csv.into_inner().map_err(|error| bad(error.to_string()))
}

/// The meaning of the values of a column.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Numbers and texts.
    Plain,
    Unsigned,
    Date,
    /// Nanoseconds in a unit since 1970.
    Time(i64, Clock),
}

/// The meaning of the values of a column, or a description of what cannot be read.
fn kind(column: &ColumnDescriptor, is_time: bool) -> Result<Kind, &'static str> {
    use parquet::basic::Type;
    if column.max_rep_level() > 0 || column.path().parts().len() != 1 {
        return Err("nested values");
    }
    let time = |nanoseconds, utc| Ok(Kind::Time(nanoseconds, if utc { Clock::Utc } else { Clock::Local }));
    let found = match (column.logical_type_ref(), column.converted_type()) {
        (Some(LogicalType::Timestamp(stamp)), _) => {
            let unit = match stamp.unit {
                TimeUnit::MILLIS => 1_000_000,
                TimeUnit::MICROS => 1000,
                TimeUnit::NANOS => 1,
            };
            time(unit, stamp.is_adjusted_to_u_t_c)
        }
        (_, ConvertedType::TIMESTAMP_MILLIS) => time(1_000_000, true),
        (_, ConvertedType::TIMESTAMP_MICROS) => time(1000, true),
        (_, ConvertedType::DATE) => Ok(Kind::Date),
        (_, ConvertedType::DECIMAL) => Err("decimals"),
        (_, ConvertedType::TIME_MILLIS | ConvertedType::TIME_MICROS) => Err("times of day"),
        (Some(LogicalType::Time(_)), _) => Err("times of day"),
        (
            _,
            ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64,
        ) => Ok(Kind::Unsigned),
        _ => match column.physical_type() {
            Type::INT96 => time(1, false),
            Type::INT32 | Type::INT64 | Type::FLOAT | Type::DOUBLE | Type::BYTE_ARRAY => Ok(Kind::Plain),
            Type::BOOLEAN => Err("truth values"),
            Type::FIXED_LEN_BYTE_ARRAY => Err("bytes"),
        },
    }?;
    match found {
        Kind::Time(..) if !is_time => Err("timestamps"),
        Kind::Date if !is_time => Err("dates"),
        found => Ok(found),
    }
}

/// The texts of a column of a row group; of nulls they are empty.
fn texts(reader: ColumnReader, column: &ColumnDescriptor, kind: Kind) -> Result<Vec<String>, String> {
    let most = column.max_def_level();
    match reader {
        ColumnReader::Int32ColumnReader(reader) => read(reader, most, |value: &i32| match kind {
            Kind::Unsigned => Ok(value.cast_unsigned().to_string()),
            Kind::Date => day(*value),
            _ => Ok(value.to_string()),
        }),
        ColumnReader::Int64ColumnReader(reader) => read(reader, most, |value: &i64| match kind {
            Kind::Unsigned => Ok(value.cast_unsigned().to_string()),
            Kind::Time(unit, clock) => instant(i128::from(*value) * i128::from(unit), clock),
            _ => Ok(value.to_string()),
        }),
        ColumnReader::Int96ColumnReader(reader) => {
            read(reader, most, |value: &parquet::data_type::Int96| {
                // The day is a Julian one, and 1970-01-01 is 2,440,588.
                let [low, high, day] = [0, 1, 2].map(|word| i128::from(value.data()[word]));
                let of_day = (high << 32) + low;
                instant((day - 2_440_588) * 86_400_000_000_000 + of_day, Clock::Local)
            })
        }
        // As an f64, it is the number that the file has.
        ColumnReader::FloatColumnReader(reader) => {
            read(reader, most, |value: &f32| Ok(format!("{:?}", f64::from(*value))))
        }
        ColumnReader::DoubleColumnReader(reader) => {
            read(reader, most, |value: &f64| Ok(format!("{value:?}")))
        }
        ColumnReader::ByteArrayColumnReader(reader) => {
            read(reader, most, |value: &parquet::data_type::ByteArray| {
                let text = std::str::from_utf8(value.data()).map_err(|_| "a text is not UTF-8")?;
                Ok(text.to_owned())
            })
        }
        ColumnReader::BoolColumnReader(_) | ColumnReader::FixedLenByteArrayColumnReader(_) => {
            Err("a column of a type that is not supported".into())
        }
    }
}

/// Reads a column; `most` is the definition level of values that are not null.
fn read<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    most: i16,
    text: impl Fn(&T::T) -> Result<String, String>,
) -> Result<Vec<String>, String> {
    let mut texts = vec![];
    let (mut levels, mut values) = (vec![], vec![]);
    loop {
        levels.clear();
        values.clear();
        let (rows, ..) = reader
            .read_records(BATCH, Some(&mut levels), None, &mut values)
            .map_err(|error| error.to_string())?;
        if rows == 0 {
            return Ok(texts);
        }
        let mut values = values.iter();
        for row in 0..rows {
            let is_null = most > 0 && levels.get(row).is_none_or(|level| *level < most);
            let next = if is_null { None } else { values.next() };
            texts.push(next.map(&text).transpose()?.unwrap_or_default());
        }
    }
}

/// A day since 1970-01-01 as text.
fn day(days: i32) -> Result<String, String> {
    let at = date(1970, 1, 1).checked_add(Span::new().try_days(days).map_err(|error| error.to_string())?);
    at.map(|at| at.to_string()).map_err(|error| error.to_string())
}

/// A time in nanoseconds since 1970-01-01 00:00 as text.
fn instant(nanoseconds: i128, clock: Clock) -> Result<String, String> {
    let beyond = || "a timestamp is outside of the years 0 to 9999".to_owned();
    let seconds = i64::try_from(nanoseconds.div_euclid(1_000_000_000)).map_err(|_| beyond())?;
    let rest = nanoseconds.rem_euclid(1_000_000_000) as i32;
    let at: DateTime = date(1970, 1, 1).at(0, 0, 0, 0);
    let at = at.checked_add(SignedDuration::new(seconds, rest)).map_err(|_| beyond())?;
    if (0..=9999).contains(&at.year()) { Ok(time::show(at, clock)) } else { Err(beyond()) }
}
