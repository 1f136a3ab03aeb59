//! The end of a run: what was found, how well that is the truth, and where to look.

use std::path::Path;

use glassbox_pipeline::detection::stretches;
use glassbox_pipeline::evaluation::{Score, true_anomaly};
use glassbox_pipeline::tutorial::TutorialRun;

/// Three sentences; `page` is the report, if one was written.
pub(super) fn sentences(run: &TutorialRun, out: &Path, page: Option<&Path>) -> String {
    format!("\n{}\n{}\n{}\n", found(run), against_the_truth(run), places(out, page))
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

fn against_the_truth(run: &TutorialRun) -> String {
    let detection = &run.detection;
    let Some(truth) = true_anomaly(&run.data) else {
        return format!(
            "{} of {} windows have an error above {:.4}; what is truly anomalous in this series is not known here.",
            detection.windows.len(),
            detection.errors.len(),
            detection.threshold.value()
        );
    };
    let series = &run.data.test.series;
    let score = Score::of(&detection.points, &truth);
    let (first, last) = (series.timestamp_text(truth.start), series.timestamp_text(truth.end - 1));
    let truly = format!("Truly anomalous is {first} to {last}");
    match score.precision {
        None => format!("{truly}, of which nothing was found."),
        Some(precision) => format!(
            "{truly}: of its {} points {} were found, and {} others (recall {:.3}, precision {precision:.3}, F1 {:.3}).",
            truth.len(),
            score.hits,
            score.points - score.hits,
            score.recall,
            score.f1
        ),
    }
}

fn places(out: &Path, page: Option<&Path>) -> String {
    let out = out.display();
    match page {
        Some(page) => format!(
            "Open {} in a browser to see all of it; {out} also has every number in result.json and the detector in \
             model.safetensors.",
            page.display()
        ),
        None => {
            format!("The results are in {out}: result.json has all of them, model.safetensors the detector.")
        }
    }
}
