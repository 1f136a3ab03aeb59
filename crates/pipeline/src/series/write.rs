//! From a series to CSV, so that reading it back gives the same series to the bit.

use std::io::{self, Write};

use super::{Columns, Series};

/// Writes `series` as CSV with a header and LF line ends, to be read back exactly by
/// [`parse_csv`](super::parse_csv): values have as many digits as tell them apart from every other f64,
/// timestamps as many decimals as they need.
///
/// To a file, use [`atomic::write_with`](glassbox_formats::atomic::write_with).
///
/// # Errors
/// If `out` refuses to be written to.
pub fn write_csv(series: &Series, columns: &Columns, out: &mut dyn Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record([&columns.timestamp, &columns.value])?;
    for (row, value) in series.values().iter().enumerate() {
        // The `Debug` of a float is its shortest exact text, with an exponent where that is shorter.
        csv.write_record([series.timestamp_text(row), format!("{value:?}")])?;
    }
    csv.flush()
}
