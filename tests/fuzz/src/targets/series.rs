use glassbox_pipeline::series::{Columns, parse_csv, write_csv};

use crate::{Budget, Outcome, refused, require, require_plain};

/// A header may have a column for each of its bytes.
const BUDGET: Budget = Budget { steps: (50_000, 400), bytes: (1 << 20, 80) };

pub(super) fn read(input: &[u8]) -> Result<Outcome, String> {
    let columns = Columns::default();
    let parse = |bytes: &[u8]| parse_csv(bytes, "input.csv", &columns);
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
