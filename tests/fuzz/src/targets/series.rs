use glassbox_pipeline::series::{BadRows, Columns, parse_csv, parse_rows, write_csv};

use crate::{Budget, Outcome, refused, require, require_plain};

/// A header may have a column for each of its bytes.
const BUDGET: Budget = Budget { steps: (50_000, 400), bytes: (1 << 20, 80) };

pub(super) fn read(input: &[u8]) -> Result<Outcome, String> {
    let columns = Columns::default();
    let parse = |bytes: &[u8]| parse_csv(bytes, "input.csv", &columns);
    for bad_rows in [BadRows::Skip, BadRows::Refuse] {
        if let Ok(loaded) = parse_rows(input, "input.csv", &columns, bad_rows) {
            let rows = loaded.series.len() + loaded.skipped.len();
            require(loaded.skipped.iter().all(|row| row.before <= rows), || "a row of no place".into())?;
            loaded.warnings.iter().try_for_each(|warning| require_plain(&warning.to_string()))?;
        }
    }
    let loaded = match BUDGET.spend(input, || parse(input))? {
        Ok(loaded) => loaded,
        Err(error) => return refused(error),
    };
    for warning in loaded.warnings.iter().chain(&loaded.extreme) {
        require_plain(&warning.to_string())?;
    }
    let mut written = vec![];
    write_csv(&loaded.series, &columns, &mut written).expect("memory can be written to");
    let again = parse(&written).map_err(|error| format!("what was written is refused: {error}"))?;
    require(again.series == loaded.series, || "another series when written and read again".into())?;
    Ok(Outcome::Accepted)
}
