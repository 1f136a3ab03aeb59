//! From the errors of windows to the numbers of each variant and seed.

use super::schema::{
    RowRange, Study, StudyConfig, TrainingResult, VariantResult, VariantRun, VariantSpread, Verdict,
};
use super::variants::{BASELINE, Rule, TRAININGS, ThresholdRule, VARIANTS, Variant};
use super::{Fits, SCHEMA, StudyOptions, Task, members, seeds};
use crate::statistics::Spread;
use crate::study::fits::{Errors, Fit};
use glassbox_pipeline::Result;
use glassbox_pipeline::detection::{PointRule, Threshold, anomalous_points, anomalous_windows, indices};
use glassbox_pipeline::evaluation::Score;
use glassbox_pipeline::nab::TutorialData;
use glassbox_pipeline::reconstruction::ErrorMeasure;
use glassbox_pipeline::results::{DataInfo, Point, Stretch, Versions};
use glassbox_pipeline::series::Series;
use glassbox_pipeline::statistics::quantile;

/// The study without its conclusion.
pub(super) fn study(data: &TutorialData, options: &StudyOptions, task: &Task, fits: &Fits) -> Result<Study> {
    let series = &data.test.series;
    let point = |index: usize| Point { index, timestamp: series.timestamp_text(index) };
    let mut trainings = vec![];
    for training in TRAININGS.iter() {
        let of_it = fits.iter().filter(|((name, _), _)| *name == training.name);
        let model = (training.model)(options.time_steps)?;
        trainings.push(TrainingResult {
            name: training.name.into(),
            architecture: serde_json::from_str(&model.to_json()).expect("JSON was written"),
            parameters: model.layout().len(),
            fits: of_it.map(|(_, fit)| fit.result.clone()).collect(),
        });
    }
    let mut variants = vec![];
    for variant in VARIANTS.iter() {
        let mut runs = vec![];
        for seed in seeds(options) {
            let of_members: Vec<&Fit> = members(variant, seed, options)
                .map(|seed| &fits[&(variant.training.as_str(), seed)])
                .collect();
            runs.push(run(variant, seed, &of_members, task, series)?);
        }
        variants.push(VariantResult {
            variant: variant.clone(),
            spread: VariantSpread::of(&runs),
            runs,
            difference: None,
            verdict: Verdict::Baseline,
            finding: String::new(),
        });
    }
    Ok(Study {
        schema: SCHEMA,
        versions: Versions::current(),
        data: DataInfo::of(data),
        truth: Stretch {
            first: point(task.truth.start),
            last: point(task.truth.end - 1),
            count: task.truth.len(),
        },
        config: StudyConfig {
            seeds: seeds(options).collect(),
            time_steps: options.time_steps,
            train: options.train.clone(),
        },
        judged: RowRange { first: task.judged.start, last: task.judged.end.saturating_sub(1) },
        baseline: BASELINE.into(),
        trainings,
        variants,
        conclusion: vec![],
    })
}

/// One variant under one seed.
fn run(variant: &Variant, seed: u64, fits: &[&Fit], task: &Task, series: &Series) -> Result<VariantRun> {
    let errors: Vec<&Errors> =
        fits.iter().map(|fit| &fit.errors[&(variant.weights, variant.error)]).collect();
    let errors = mean_errors(&errors);
    let threshold = threshold(variant.threshold, &errors.train, task)?;
    let windows = anomalous_windows(&errors.test, threshold)?;
    let points = points(variant.rule, &windows, task)?;
    let score = Score::of(&points, &task.truth);

    let minutes = |row: usize| {
        let times = series.timestamps();
        times[row].duration_since(times[task.truth.start]).as_secs_f64() / 60.0
    };
    // The last row that the verdict on a point asks.
    let asked = |point: usize| match variant.rule {
        Rule::LastStep => point,
        Rule::Windows(PointRule::Published) => point + task.steps - 2,
        Rule::Windows(PointRule::Inclusive) => point + task.steps - 1,
    };
    let is_false = |window: &&usize| {
        let last = **window + task.steps - 1;
        match variant.error {
            ErrorMeasure::Mean => last < task.truth.start || **window >= task.truth.end,
            ErrorMeasure::LastStep => !task.truth.contains(&last),
        }
    };
    let windows = indices(&windows);
    Ok(VariantRun {
        seed,
        threshold: threshold.value(),
        windows: windows.len(),
        false_windows: windows.iter().filter(is_false).count(),
        points: score.points,
        hits: score.hits,
        first_point: points.first().copied(),
        last_point: points.last().copied(),
        precision: score.precision,
        recall: score.recall,
        f1: score.f1,
        delay_minutes: score.first_hit.map(minutes),
        live_delay_minutes: score.first_hit.map(|point| minutes(asked(point))),
        epochs: fits.iter().map(|fit| fit.result.epochs).sum(),
        seconds: fits.iter().map(|fit| fit.result.seconds).sum(),
    })
}

/// The mean over the members of an ensemble, window by window.
fn mean_errors(members: &[&Errors]) -> Errors {
    let mean = |part: fn(&Errors) -> &[f64]| {
        let sum = |window: usize| members.iter().map(|errors| part(errors)[window]).sum::<f64>();
        (0..part(members[0]).len()).map(|window| sum(window) / members.len() as f64).collect()
    };
    Errors { train: mean(|errors| &errors.train), test: mean(|errors| &errors.test) }
}

fn threshold(rule: ThresholdRule, train: &[f64], task: &Task) -> Result<Threshold> {
    match rule {
        ThresholdRule::TrainingMax => Threshold::from_training_errors(train),
        ThresholdRule::ValidationMax => Threshold::from_training_errors(&train[task.validation.clone()]),
        ThresholdRule::TrainingQuantile { q } => {
            let mut sorted = train.to_vec();
            sorted.sort_by(f64::total_cmp);
            Threshold::new(quantile(&sorted, q))
        }
    }
}

/// The anomalous rows among those that are judged.
fn points(rule: Rule, windows: &[bool], task: &Task) -> Result<Vec<usize>> {
    match rule {
        Rule::Windows(rule) => anomalous_points(windows, task.steps, rule),
        Rule::LastStep => Ok(task.judged.clone().filter(|point| windows[point + 1 - task.steps]).collect()),
    }
}

impl VariantSpread {
    fn of(runs: &[VariantRun]) -> Self {
        let spread = |value: fn(&VariantRun) -> Option<f64>| {
            Spread::of(&runs.iter().filter_map(value).collect::<Vec<_>>())
        };
        Self {
            f1: spread(|run| Some(run.f1)),
            precision: spread(|run| run.precision),
            recall: spread(|run| Some(run.recall)),
            delay_minutes: spread(|run| run.delay_minutes),
            live_delay_minutes: spread(|run| run.live_delay_minutes),
            windows: spread(|run| Some(run.windows as f64)),
            false_windows: spread(|run| Some(run.false_windows as f64)),
            points: spread(|run| Some(run.points as f64)),
            threshold: spread(|run| Some(run.threshold)),
            epochs: spread(|run| Some(run.epochs as f64)),
            seconds: spread(|run| Some(run.seconds)),
        }
    }
}
