//! `glassbox tutorial --study`: what would improve the tutorial, measured.

use glassbox_formats::output_folder::OutputFolder;
use glassbox_lab::study::{self, Study, StudyOptions};
use glassbox_pipeline::nab::TutorialData;
use glassbox_pipeline::training::TrainOptions;

use crate::args::TutorialArgs;
use crate::device::one_thread;
use crate::failure::{Failure, Kind, OrFail as _};
use crate::interrupt;
use crate::progress::Jobs;

/// Checks, before any training, that there is a ground truth to measure a study against.
pub(super) fn require_truth(data: &TutorialData) -> Result<(), Failure> {
    Ok(study::require_truth(data).map(drop)?)
}

/// Makes the study and writes it beside the tutorial's results.
pub(super) fn run(
    args: &TutorialArgs,
    out: &mut OutputFolder,
    data: &TutorialData,
    train: &TrainOptions,
    silent: bool,
) -> Result<Study, Failure> {
    let seeds = usize::try_from(args.study_seeds).or_fail(Kind::Input)?;
    let options = StudyOptions { seeds, train: train.clone(), ..StudyOptions::default() };
    let mut progress = Jobs::new(silent, "Study");
    let study =
        study::run(data, &one_thread, args.compute.workers()?, &options, &mut |done| progress.advance(done))
            .map_err(|error| Failure::from(error).or_again(args))?;
    study::write(out, &study).or_fail(Kind::Output)?;
    Ok(study)
}

impl Failure {
    /// A study is made in one go: says so, if it was interrupted.
    fn or_again(self, args: &TutorialArgs) -> Self {
        if !self.is_interruption() {
            return self;
        }
        let kept = args.out.display();
        let message = format!(
            "interrupted during the study, of which nothing is kept; the tutorial's results are in {kept}"
        );
        Self::new(Kind::Interrupted, message).then("to run both again", &interrupt::same_command())
    }
}
