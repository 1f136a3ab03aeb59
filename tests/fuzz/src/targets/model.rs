use glassbox_engine::random::Draws;
use glassbox_formats::model_file::SavedModel;
use glassbox_pipeline::Error;
use glassbox_pipeline::detector::Detector;
use glassbox_tests::compare::compare_bits;

use crate::mutate::{Checksum, tensors};
use crate::{Budget, Outcome, refused, require};

const BUDGET: Budget = Budget { steps: (500_000, 800), bytes: (1 << 20, 40) };

pub(super) fn read(input: &[u8]) -> Result<Outcome, String> {
    let parse = |bytes: &[u8]| SavedModel::from_bytes(bytes, "input.safetensors");
    let saved = match BUDGET.spend(input, || parse(input))? {
        Ok(saved) => saved,
        Err(error) => return refused(error),
    };
    let written = saved.to_bytes();
    let again = parse(&written).map_err(|error| format!("what was written is refused: {error}"))?;
    compare_bits(&again.weights, &saved.weights).map_err(|faults| faults.to_string())?;
    require(again.model.to_json() == saved.model.to_json(), || "another model when read again".into())?;
    require(again.metadata == saved.metadata, || "other entries when read again".into())?;
    require(again.to_bytes() == written, || "other bytes when written again".into())?;
    match Detector::from_saved_model(saved, "input.safetensors") {
        Ok(detector) => {
            let again = Detector::from_saved_model(detector.to_saved_model(), "input.safetensors");
            let again = again.map_err(|error| format!("what was written is refused: {error}"))?;
            let numbers = |detector: &Detector| (detector.scalers.clone(), detector.threshold);
            require(numbers(&again) == numbers(&detector), || "another detector when written".into())?;
            Ok(Outcome::Accepted)
        }
        Err(Error::NotADetector { .. }) => Ok(Outcome::Accepted),
        Err(error) => refused(error),
    }
}

pub(super) fn mutate(draws: &mut Draws, input: &[u8], other: &[u8]) -> Vec<u8> {
    tensors(draws, input, other, Checksum::Model)
}
