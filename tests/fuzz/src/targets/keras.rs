use glassbox_engine::layers::Registry;
use glassbox_formats::container::Unpacked;
use glassbox_formats::hdf5;
use glassbox_formats::model_file::{ModelFile, ModelFileError, SavedModel};
use glassbox_tests::compare::compare_bits;

use crate::{Budget, Outcome, refused, require};

/// Compressed content may unpack to this much, whatever the length of the input.
const UNPACKED: usize = 1 << 20;
const BUDGET: Budget = Budget { steps: (30_000_000, 4_000), bytes: (UNPACKED * 8, 60) };

/// Reads a model of Keras, in any of its formats.
pub(super) fn model(input: &[u8]) -> Result<Outcome, String> {
    let parse = |bytes: &[u8]| -> Result<SavedModel, ModelFileError> {
        ModelFile::from_bytes(bytes, "input.keras", UNPACKED)?.into_model(None, &Registry::default())
    };
    let saved = match BUDGET.spend(input, || parse(input))? {
        Ok(saved) => saved,
        Err(error) => return refused(error),
    };
    let write = |saved: &SavedModel| {
        saved
            .bytes_for("input.keras".as_ref())
            .map_err(|error| format!("what was read is not written: {error}"))
    };
    let written = write(&saved)?;
    let again = parse(&written).map_err(|error| format!("what was written is refused: {error}"))?;
    compare_bits(&again.weights, &saved.weights).map_err(|faults| faults.to_string())?;
    require(again.training == saved.training, || "another state of training when read again".into())?;
    require(again.model.to_json() == saved.model.to_json(), || "another model when read again".into())?;
    require(again.metadata == saved.metadata, || "other entries when read again".into())?;
    require(write(&again)? == written, || "other bytes when written again".into())?;
    Ok(Outcome::Accepted)
}

/// Reads an HDF5 file.
pub(super) fn weights(input: &[u8]) -> Result<Outcome, String> {
    let parse = |bytes: &[u8]| hdf5::read(bytes, &mut Unpacked::at_most(UNPACKED));
    let root = match BUDGET.spend(input, || parse(input))? {
        Ok(root) => root,
        Err(error) => return refused(error),
    };
    let written = hdf5::write(&root);
    let again = parse(&written).map_err(|error| format!("what was written is refused: {error}"))?;
    require(hdf5::write(&again) == written, || "other bytes when written again".into())?;
    Ok(Outcome::Accepted)
}
