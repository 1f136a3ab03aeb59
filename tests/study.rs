//! The study, computed again by plain loops: train, reconstruct, threshold, windows, points, scores.
//!
//! Two seeds, two epochs, and windows of four hours on the twin: small enough for every `cargo test`, and all
//! variants are there. Nothing of the study's own code is used but its list of variants and its models.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use glassbox::Device;
use glassbox_engine::samples::Samples;
use glassbox_engine::training::{EarlyStopping, Fit};
use glassbox_formats::output_folder::OutputFolder;
use glassbox_lab::study::schema::{Study, VariantRun, Verdict};
use glassbox_lab::study::variants::{Rule, TRAININGS, ThresholdRule, VARIANTS, Weights};
use glassbox_lab::study::{self, StudyOptions};
use glassbox_pipeline::detection::PointRule;
use glassbox_pipeline::nab::{self, Source, TutorialData};
use glassbox_pipeline::reconstruction::ErrorMeasure;
use glassbox_pipeline::scaler::Scaler;
use glassbox_pipeline::training::{TrainOptions, train_autoencoder};

const STEPS: usize = 48;
const SEEDS: u64 = 2;

fn options() -> StudyOptions {
    // A patience of 1 and few epochs; still the best epoch need not be the last.
    let defaults = TrainOptions::default();
    let early_stopping =
        defaults.fit.early_stopping.map(|stopping| EarlyStopping { patience: 1, ..stopping });
    let fit = Fit { epochs: 2, early_stopping, ..defaults.fit };
    let train = TrainOptions { seed: 3, fit, ..TrainOptions::default() };
    StudyOptions { seeds: SEEDS as usize, time_steps: STEPS, train }
}

fn one_thread() -> Result<Device, glassbox::Error> {
    Device::cpu_with_threads(1)
}

/// The twin, and its study on two threads: both tests look at it.
static TWIN: LazyLock<(TutorialData, Study)> = LazyLock::new(|| {
    let data = nab::load(&Source::Twin { seed: 1 }).expect("the twin");
    let study = study_with(&data, 2);
    (data, study)
});

fn study_with(data: &TutorialData, workers: usize) -> Study {
    let mut told = vec![];
    let study = study::run(data, &one_thread, workers, &options(), &mut |advance| told.push(advance.done));
    // Eight models with two seeds, and the tutorial's with six, for two ensembles of three.
    assert_eq!(told, (0..=22).collect::<Vec<_>>());
    study.expect("a study of the twin")
}

/// For each window of a series: the mean of |x - reconstruction|, and that of the last step.
type Errors = Vec<(f64, f64)>;

/// Trains plainly, and gives the errors of the training and of the test windows.
fn errors(series: &[Vec<f32>; 2], training: &str, seed: u64, weights: Weights) -> [Errors; 2] {
    let training = TRAININGS.iter().find(|other| other.name == training).expect("a training");
    let model = (training.model)(STEPS).expect("a length that suits");
    let mut train = TrainOptions { seed, ..options().train };
    if let Some(stopping) = &mut train.fit.early_stopping {
        stopping.restore_best_weights = weights == Weights::Best;
    }
    let windows = |values| Samples::windows(values, STEPS, 1).expect("long enough");
    let device = Device::cpu_with_threads(2).expect("threads");
    let mut trained =
        train_autoencoder(&device, &model, None, windows(&series[0]), &train, vec![]).expect("training");
    [&series[0], &series[1]].map(|values| {
        let y = trained.model.predict(&windows(values)).expect("finite");
        let mut errors = vec![];
        for (window, y) in y.outer_iter().enumerate() {
            let apart = |step: usize| f64::from((values[window + step] - y[[step, 0]]).abs());
            let mut sum = 0.0;
            for step in 0..STEPS {
                sum += apart(step);
            }
            errors.push((sum / STEPS as f64, apart(STEPS - 1)));
        }
        errors
    })
}

/// The published loop, and the others, over rows that lie in as many windows as a window has steps.
fn points(anomalous: &[bool], rule: Rule) -> Vec<usize> {
    let rows = anomalous.len() + STEPS - 1;
    (STEPS - 1..=rows - STEPS)
        .filter(|&row| match rule {
            Rule::Windows(PointRule::Published) => (row + 1 - STEPS..row).all(|window| anomalous[window]),
            Rule::Windows(PointRule::Inclusive) => (row + 1 - STEPS..=row).all(|window| anomalous[window]),
            Rule::LastStep => anomalous[row + 1 - STEPS],
        })
        .collect()
}

#[test]
fn the_table_is_what_plain_loops_give() {
    let (data, study) = &*TWIN;
    assert_eq!(study.variants.len(), VARIANTS.len());
    let runs = || study.variants.iter().flat_map(|variant| &variant.runs);
    assert!(
        runs().filter(|run| run.hits > 0).count() > runs().count() / 2,
        "something is found to be scored"
    );
    let (first, last) = (study.truth.first.index, study.truth.last.index);
    assert_eq!(study.truth.first.timestamp, "2014-04-11 09:00:00");
    assert_eq!(study.truth.last.timestamp, "2014-04-11 18:00:00");

    let scaler = Scaler::fit(data.train.series.values()).expect("a series that varies");
    let series = [&data.train, &data.test]
        .map(|part| scaler.normalise(part.series.values()).expect("values in range"));
    let mut known = BTreeMap::new();
    for (variant, result) in VARIANTS.iter().zip(&study.variants) {
        assert_eq!((&result.variant, result.runs.len()), (variant, SEEDS as usize));
        for (index, run) in result.runs.iter().enumerate() {
            let seed = 3 + index as u64;
            assert_eq!(run.seed, seed);
            let members: Vec<[Errors; 2]> = (0..variant.members as u64)
                .map(|member| {
                    let key = (variant.training.as_str(), seed + member * SEEDS, variant.weights);
                    known.entry(key).or_insert_with(|| errors(&series, key.0, key.1, key.2)).clone()
                })
                .collect();
            let mean = |part: usize| -> Vec<f64> {
                let of = |errors: &(f64, f64)| match variant.error {
                    ErrorMeasure::Mean => errors.0,
                    ErrorMeasure::LastStep => errors.1,
                };
                (0..members[0][part].len())
                    .map(|w| members.iter().map(|m| of(&m[part][w])).sum::<f64>() / members.len() as f64)
                    .collect()
            };
            let (train, test) = (mean(0), mean(1));
            let threshold = match variant.threshold {
                ThresholdRule::TrainingMax => train.iter().copied().fold(0.0, f64::max),
                ThresholdRule::ValidationMax => {
                    train[train.len() * 9 / 10..].iter().copied().fold(0.0, f64::max)
                }
                ThresholdRule::TrainingQuantile { q } => {
                    let mut sorted = train.clone();
                    sorted.sort_by(f64::total_cmp);
                    let at = q * (sorted.len() - 1) as f64;
                    let below = at as usize;
                    sorted[below] * (below as f64 + 1.0 - at) + sorted[below + 1] * (at - below as f64)
                }
            };
            // Two orders of adding 96 numbers, and two ways to interpolate: some ulp of f64.
            assert!((run.threshold / threshold - 1.0).abs() < 1e-12, "{}: {threshold}", variant.name);
            let anomalous: Vec<bool> = test.iter().map(|error| *error > run.threshold).collect();
            let found = points(&anomalous, variant.rule);
            check(run, &anomalous, &found, first, last, variant.error, variant.rule);
        }
    }
}

/// Every number of a run against windows and points.
fn check(
    run: &VariantRun,
    anomalous: &[bool],
    found: &[usize],
    first: usize,
    last: usize,
    error: ErrorMeasure,
    rule: Rule,
) {
    let truth: Vec<usize> = (first..=last).collect();
    let rows = |window: usize| match error {
        ErrorMeasure::Mean => window..window + STEPS,
        ErrorMeasure::LastStep => window + STEPS - 1..window + STEPS,
    };
    let (mut windows, mut false_windows) = (0, 0);
    for (window, _) in anomalous.iter().enumerate().filter(|(_, anomalous)| **anomalous) {
        windows += 1;
        false_windows += usize::from(!rows(window).any(|row| truth.contains(&row)));
    }
    assert_eq!((run.windows, run.false_windows), (windows, false_windows));
    let hits: Vec<usize> = found.iter().copied().filter(|point| truth.contains(point)).collect();
    assert_eq!((run.points, run.hits), (found.len(), hits.len()));
    assert_eq!((run.first_point, run.last_point), (found.first().copied(), found.last().copied()));
    let recall = hits.len() as f64 / truth.len() as f64;
    assert_eq!(run.recall, recall);
    let precision = (!found.is_empty()).then(|| hits.len() as f64 / found.len() as f64);
    assert_eq!(run.precision, precision);
    let f1 = match precision {
        Some(precision) if precision + recall > 0.0 => 2.0 * precision * recall / (precision + recall),
        _ => 0.0,
    };
    // Two ways to write the harmonic mean.
    assert!((run.f1 - f1).abs() < 1e-14, "{} and {f1}", run.f1);
    let five_minutes = |steps: usize| steps as f64 * 5.0;
    assert_eq!(run.delay_minutes, hits.first().map(|hit| five_minutes(hit - first)));
    let later = match rule {
        Rule::LastStep => 0,
        Rule::Windows(PointRule::Published) => STEPS - 2,
        Rule::Windows(PointRule::Inclusive) => STEPS - 1,
    };
    assert_eq!(run.live_delay_minutes, hits.first().map(|hit| five_minutes(hit - first + later)));
}

#[test]
fn a_study_is_the_same_for_any_number_of_workers_and_says_what_two_seeds_can() {
    let (data, two) = &*TWIN;
    let without_seconds = |mut study: Study| {
        study.trainings.iter_mut().flat_map(|training| &mut training.fits).for_each(|fit| fit.seconds = 1.0);
        for variant in &mut study.variants {
            variant.runs.iter_mut().for_each(|run| run.seconds = 1.0);
            variant.spread.seconds = None;
        }
        study.conclusion.retain(|sentence| !sentence.starts_with("Training time"));
        study
    };
    let one = study_with(data, 1);
    assert_eq!(without_seconds(one.clone()), without_seconds(two.clone()));

    assert_eq!(one.variants[0].verdict, Verdict::Baseline);
    assert_eq!(one.variants[0].difference, None);
    for variant in &one.variants[1..] {
        let difference = variant.difference.expect("compared with the tutorial");
        assert_eq!(difference.better + difference.equal + difference.worse, SEEDS as usize);
        // Two seeds support no verdict, not even that nothing changes.
        assert_eq!(variant.verdict, Verdict::Unclear, "{}", variant.variant.name);
        let f1: Vec<f64> = variant.runs.iter().map(|run| run.f1).collect();
        let spread = variant.spread.f1.expect("two runs");
        assert_eq!((spread.min, spread.max), (f1[0].min(f1[1]), f1[0].max(f1[1])));
    }

    let folder = tempfile::tempdir().expect("a folder");
    let mut out = OutputFolder::open(folder.path(), &study::FILES, &[]).expect("an empty folder");
    study::write(&mut out, &one).expect("written");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect(name);
    assert_eq!(serde_json::from_str::<Study>(&read("study.json")).expect("a study"), one);
    let csv = read("study.csv");
    assert_eq!(csv.lines().count(), 1 + VARIANTS.len() * SEEDS as usize);
    assert!(csv.lines().all(|line| line.split(',').count() == 16), "{csv}");
    let text = one.to_string();
    assert!(VARIANTS.iter().all(|variant| text.contains(&variant.title)), "{text}");
    assert!(one.conclusion.iter().all(|sentence| text.contains(sentence.as_str())), "{text}");
}

#[test]
fn without_a_known_anomaly_there_is_no_study() {
    let mut data = nab::load(&Source::Twin { seed: 1 }).expect("the twin");
    data.source = Source::Directory("of/the/user".into());
    let refusal = |data: &TutorialData, options: &StudyOptions| {
        study::run(data, &one_thread, 1, options, &mut |_| ()).expect_err("refused").to_string()
    };
    assert!(refusal(&data, &options()).contains("is not known"), "{}", refusal(&data, &options()));
    let data = nab::load(&Source::Twin { seed: 1 }).expect("the twin");
    let none = StudyOptions { seeds: 0, ..options() };
    assert!(refusal(&data, &none).contains("0 seeds"));
    let odd = StudyOptions { time_steps: 100, ..options() };
    assert!(refusal(&data, &odd).contains("multiple of 16"), "{}", refusal(&data, &odd));
}
