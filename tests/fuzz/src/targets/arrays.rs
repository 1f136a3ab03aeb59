use glassbox_formats::arrays::{parse_npy, read_npy, write_npy};
use glassbox_tests::compare::compare_bits;

use crate::{Budget, Outcome, refused, require};

const BUDGET: Budget = Budget { steps: (200_000, 400), bytes: (1 << 20, 12) };

pub(super) fn read(input: &[u8]) -> Result<Outcome, String> {
    let array = match BUDGET.spend(input, || parse_npy(input, "input.npy"))? {
        Ok(array) => array,
        Err(error) => return refused(error),
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("array.npy");
    write_npy(&path, array.view()).map_err(|error| error.to_string())?;
    let again = read_npy(&path).map_err(|error| format!("what was written is refused: {error}"))?;
    require(again.dim() == array.dim(), || format!("shape {:?} became {:?}", array.dim(), again.dim()))?;
    let [again, array] = [again, array].map(|array| array.into_raw_vec_and_offset().0);
    compare_bits(&again, &array).map_err(|faults| faults.to_string())?;
    Ok(Outcome::Accepted)
}
