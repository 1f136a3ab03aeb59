//! The end of a run: what was found, how it compares with the ground truth, and where the results are.

use std::path::Path;

use glassbox_pipeline::detection::stretches;
use glassbox_pipeline::evaluation::{Score, true_anomaly};
use glassbox_pipeline::results::DataInfo;
use glassbox_pipeline::tutorial::TutorialRun;
use glassbox_pipeline::words::counted;

/// Three sentences; `page` is the report, if one was written.
pub(super) fn sentences(run: &TutorialRun, out: &Path, page: Option<&Path>) -> String {
    format!("\n{}\n{}\n{}\n", found(run), against_ground_truth(run), places(out, page))
}

fn found(run: &TutorialRun) -> String {
    let series = &run.data.test.series;
    let stretches: Vec<String> = stretches(&run.detection.points)
        .iter()
        .map(|points| {
            format!("{} to {}", series.timestamp_text(points.start), series.timestamp_text(points.end - 1))
        })
        .collect();
    match stretches.as_slice() {
        [] => "No point of the test series is anomalous.".into(),
        stretches => format!("Anomalous: {}.", stretches.join("; ")),
    }
}

fn against_ground_truth(run: &TutorialRun) -> String {
    let detection = &run.detection;
    let Some(truth) = true_anomaly(&DataInfo::of(&run.data), &run.data.test.series) else {
        return format!(
            "Error above {2:.4}: {0} of {1} windows. Ground truth: not known for this series.",
            detection.windows.len(),
            detection.errors.len(),
            detection.threshold.value()
        );
    };
    let series = &run.data.test.series;
    let score = Score::of(&detection.points, &truth);
    let (first, last) = (series.timestamp_text(truth.start), series.timestamp_text(truth.end - 1));
    let truth = format!("Ground truth: {first} to {last}, {} points", truth.len());
    match score.precision {
        None => format!("{truth}. Detected: none of them."),
        Some(precision) => format!(
            "{truth}. Detected: {} of them, plus {} (recall {:.3}, precision {precision:.3}, F1 {:.3}).",
            score.hits,
            counted(score.points - score.hits, "false positive", "false positives"),
            score.recall,
            score.f1
        ),
    }
}

fn places(out: &Path, page: Option<&Path>) -> String {
    let out = out.display();
    match page {
        Some(page) => format!(
            "Report: {} (open it in a browser). Also in {out}: result.json with all results, and model.safetensors \
             with the detector.",
            page.display()
        ),
        None => {
            format!(
                "Results: in {out}, with all numbers in result.json and the detector in model.safetensors."
            )
        }
    }
}
