//! Writes a series as CSV, such that reading it gives the same series to the bit.

use std::io::{self, Write};

use super::{Columns, Series};

/// Writes `series` as CSV with a header and LF line ends. [`parse_csv`](super::parse_csv) reads the same series from
/// it: values have enough digits to distinguish them from every other f64, timestamps as many decimals as they need.
///
/// To a file, use [`atomic::write_with`](glassbox_formats::atomic::write_with).
///
/// # Errors
/// If writing to `out` fails.
pub fn write_csv(series: &Series, columns: &Columns, out: &mut dyn Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record([&columns.timestamp].into_iter().chain(&columns.values))?;
    for row in 0..series.len() {
        // `Debug` formats a float as its shortest exact decimal, with an exponent if that is shorter.
        let values = series.columns().iter().map(|values| format!("{:?}", values[row]));
        csv.write_record([series.timestamp_text(row)].into_iter().chain(values))?;
    }
    csv.flush()
}
