//! Verdicts on rows: calibrated on training data, the same live, for parts of a series, and from a file.

mod tiny;

use std::ops::Range;

use glassbox::Device;
use glassbox_engine::optimizers::{Adam, Optimizer};
use glassbox_engine::reference::Reference;
use glassbox_engine::training::Fit;
use glassbox_pipeline::Error;
use glassbox_pipeline::architecture::Autoencoder;
use glassbox_pipeline::detector::{Detector, train_detector};
use glassbox_pipeline::rows::{Adaptive, Alarm, Judged, Reason, RowDetection, ThresholdRule, Verdict};
use glassbox_pipeline::series::{Clock, Series, SeriesError};
use glassbox_pipeline::training::TrainOptions;
use jiff::SignedDuration;

/// Windows of 8 steps.
const STEPS: usize = 8;

fn train(series: &Series) -> Detector {
    let defaults = TrainOptions::default();
    let options = TrainOptions {
        fit: Fit { epochs: 20, batch_size: 16, ..defaults.fit },
        optimizer: Optimizer::Adam(Adam::new(0.02)),
        ..defaults
    };
    train_detector(&Device::new(Reference), &tiny::model(), None, series, &options, vec![]).unwrap().detector
}

fn judge(detector: &Detector, series: &Series) -> RowDetection {
    detector.judge(&Device::new(Reference), series, ThresholdRule::Max).unwrap()
}

/// Rows of a series, without those in `without`.
fn rows(series: &Series, rows: Range<usize>, without: Range<usize>) -> Series {
    let kept = || rows.clone().filter(|row| !without.contains(row));
    let times = kept().map(|row| series.timestamps()[row]).collect();
    let values = kept().map(|row| series.values()[row]).collect();
    Series::new(series.name(), series.clock(), times, values).unwrap()
}

fn anomalous(found: &RowDetection) -> Vec<usize> {
    let is_anomalous = |row: &usize| matches!(found.rows[*row].verdict, Verdict::Anomalous(_));
    (0..found.rows.len()).filter(is_anomalous).collect()
}

#[test]
fn no_training_row_is_anomalous_and_the_worst_are_at_the_threshold() {
    let series = tiny::series(400, 0.0);
    for series in [rows(&series, 0..400, 0..0), rows(&series, 0..400, 150..170)] {
        let found = judge(&train(&series), &series);
        assert_eq!(anomalous(&found), [0; 0]);
        let largest =
            |score: fn(&Judged) -> Option<f64>| found.rows.iter().filter_map(score).fold(0.0, f64::max);
        assert_eq!((largest(|row| row.score), largest(|row| row.live)), (1.0, 1.0));
        assert!(found.rows.iter().all(|row| row.verdict == Verdict::Normal));
        // A live score needs a whole window without a gap.
        let live = found.rows.iter().filter(|row| row.live.is_some()).count();
        assert_eq!(live, found.windows);
        assert_eq!(live, series.len() - (STEPS - 1) * if series.len() == 400 { 1 } else { 2 });
    }
}

#[test]
fn a_jump_is_found_wherever_it_is() {
    let detector = train(&tiny::series(400, 0.0));
    let jump = tiny::series(120, 4.0);
    // Its rows 40 .. 52 first, last, in the middle; a part of it; and three of its rows alone.
    for (part, truth) in
        [(0..120, 40..52), (40..120, 0..12), (0..52, 40..52), (51..120, 0..1), (0..41, 40..41)]
    {
        let series = rows(&jump, part.clone(), 0..0);
        let found = anomalous(&judge(&detector, &series));
        assert!(truth.clone().all(|row| found.contains(&row)), "{part:?}: {found:?}");
        let near = truth.start.saturating_sub(STEPS)..truth.end + STEPS;
        assert!(found.iter().all(|row| near.contains(row)), "{part:?}: {found:?}");
    }
}

#[test]
fn a_live_score_is_known_at_its_row() {
    let detector = train(&tiny::series(400, 0.0));
    let series = tiny::series(80, 4.0);
    let whole = judge(&detector, &series);
    for end in [8, 9, 40, 41, 45, 60] {
        let part = judge(&detector, &rows(&series, 0..end, 0..0));
        let live = |found: &RowDetection| found.rows[..end].iter().map(|row| row.live).collect::<Vec<_>>();
        assert_eq!(live(&part), live(&whole), "{end}");
        // The settled score is that of the whole once the last window that holds the row has passed.
        let settled = |found: &RowDetection| found.rows[..end + 1 - STEPS].to_vec();
        assert_eq!(settled(&part), settled(&whole), "{end}");
    }
}

#[test]
fn an_adaptive_threshold_goes_through_the_rows_in_their_order() {
    let mut detector = train(&tiny::series(400, 0.0));
    let series = rows(&tiny::series(120, 4.0), 0..120, 90..95);
    let fixed = judge(&detector, &series);
    let rule = ThresholdRule::Adaptive(Adaptive::RobustZ { z: 6.0, rows: 10 });
    let found = detector.judge(&Device::new(Reference), &series, rule).unwrap();
    let calibration = detector.calibration.take().unwrap();
    let mut by_hand = Alarm::new(rule, &calibration).unwrap().running(&calibration);
    let mut changed = 0;
    for (row, fixed) in found.rows.iter().zip(&fixed.rows) {
        // The fixed threshold is 1: its scores are relative to the training maximum.
        let scores = [(row.score, fixed.score), (row.live, fixed.live)];
        for ((found, score), threshold) in scores.into_iter().zip(&mut by_hand) {
            let expected = score.map(|score| score / threshold.threshold());
            assert_eq!(found, expected);
            score.into_iter().for_each(|score| threshold.learn(score));
        }
        assert_eq!(matches!(row.verdict, Verdict::Anomalous(_)), row.score.is_some_and(|score| score > 1.0));
        changed += usize::from(row.verdict != fixed.verdict);
    }
    assert!(changed > 0, "the threshold did not move");
    let few = ThresholdRule::Adaptive(Adaptive::Quantile { quantile: 0.9, rows: 9 });
    let error = Alarm::new(few, &calibration).unwrap_err().to_string();
    assert!(error.contains("9 rows: expected 10 to 100000"), "{error}");
}

#[test]
fn whether_flat_lines_are_looked_for_depends_on_the_training_series() {
    let family = Autoencoder { filters: [4, 2], dropout: 0.0, ..Autoencoder::default() };
    let defaults = TrainOptions::default();
    let options = TrainOptions { fit: Fit { epochs: 2, batch_size: 32, ..defaults.fit }, ..defaults };
    let wave = tiny::series(300, 0.0);
    // Runs of 4 changes are tried first, and have to be twice as long: of 9 rows, in windows of 12.
    for (plateau, finds) in [(1, true), (4, true), (20, false)] {
        let values = (0..300).map(|row| wave.values()[row / plateau * plateau]).collect();
        let series = Series::new("s", Clock::Local, wave.timestamps().to_vec(), values).unwrap();
        let (device, model) = (Device::new(Reference), family.model_of(12, 1).unwrap());
        let trained = train_detector(&device, &model, None, &series, &options, vec![]).unwrap();
        let calibration = trained.detector.calibration.unwrap();
        assert_eq!(calibration.finds_flat_lines(0), finds, "{plateau}");
    }
}

#[test]
fn a_file_gives_the_same_verdicts_and_an_old_one_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("detector.safetensors");
    let (detector, series) = (train(&tiny::series(400, 0.0)), tiny::series(120, 4.0));
    detector.save(&path).unwrap();
    let loaded = Detector::load(&path).unwrap();
    assert_eq!(loaded.calibration, detector.calibration);
    assert_eq!(loaded.sampling_step, Some(SignedDuration::from_mins(5)));
    assert_eq!(judge(&loaded, &series), judge(&detector, &series));

    let old = Detector { calibration: None, sampling_step: None, ..loaded };
    old.save(&path).unwrap();
    let error = Detector::load(&path).unwrap().judge(&Device::new(Reference), &series, ThresholdRule::Max);
    let error = error.unwrap_err();
    assert!(matches!(error, Error::NoCalibration), "{error}");
    assert!(error.to_string().contains("train it anew"), "{error}");
}

#[test]
fn a_damaged_calibration_is_refused_by_its_part() {
    let detector = train(&tiny::series(100, 0.0));
    let saved = detector.to_saved_model();
    let refusal = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut saved = saved.clone();
        let mut document: serde_json::Value = serde_json::from_str(&saved.metadata["glassbox.rows"]).unwrap();
        change(&mut document);
        saved.metadata.insert("glassbox.rows".into(), document.to_string());
        Detector::from_saved_model(saved, "m.safetensors").unwrap_err().to_string()
    };
    for (part, change) in [
        ("scales", (|document| document["scales"][0] = 0.into()) as fn(&mut serde_json::Value)),
        ("limits", |document| drop(document["limits"].as_array_mut().unwrap().pop())),
        ("window", |document| document["window"] = (-1).into()),
        ("still", |document| document["still"] = serde_json::json!([])),
        ("still", |document| document["still"][0] = serde_json::json!({ "steps": 8, "limit": 1.0 })),
        ("settled", |document| document["settled"]["largest"] = serde_json::json!([0.5, 1.0])),
        ("live", |document| document["live"]["count"] = 0.into()),
    ] {
        let error = refusal(&change);
        assert!(error.contains(&format!("`{part}`")) && error.contains("m.safetensors"), "{error}");
    }
    let error = refusal(&|document| drop(document.as_object_mut().unwrap().remove("live")));
    assert!(error.contains("missing field `live`"), "{error}");
    let mut saved = saved.clone();
    saved.metadata.insert("glassbox.sampling_step".into(), "-PT5M".into());
    let error = Detector::from_saved_model(saved, "m.safetensors").unwrap_err().to_string();
    assert!(error.contains("`-PT5M`") && error.contains("PT5M"), "{error}");
}

#[test]
fn a_gap_splits_a_series() {
    let detector = train(&tiny::series(400, 0.0));
    let series = tiny::series(120, 4.0);
    let found = judge(&detector, &rows(&series, 0..120, 30..60));
    let parts = [0..30, 60..120].map(|part| judge(&detector, &rows(&series, part, 0..0)).rows);
    assert_eq!(found.rows, parts.concat());

    // Five rows between two gaps are fewer than a window.
    let mut short = rows(&series, 0..120, 30..35);
    short = rows(&short, 0..115, 35..60);
    let found = judge(&detector, &short);
    let unjudged = |row: &usize| found.rows[*row].verdict == Verdict::Unjudged(Reason::ShortStretch);
    assert_eq!((0..found.rows.len()).filter(unjudged).collect::<Vec<_>>(), [30, 31, 32, 33, 34]);

    // No stretch is long enough.
    let sparse: Vec<usize> = (0..60).filter(|row| row % 6 != 5).collect();
    let times = sparse.iter().map(|row| series.timestamps()[*row]).collect();
    let values = sparse.iter().map(|row| series.values()[*row]).collect();
    let sparse = Series::new("sparse", Clock::Local, times, values).unwrap();
    let error = detector.judge(&Device::new(Reference), &sparse, ThresholdRule::Max).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Series(SeriesError::NoWholeWindow { stretches: 10, longest: 5, steps: 8, .. })
        ),
        "{error}"
    );
}

#[test]
fn another_sampling_step_is_refused_and_can_be_resampled() {
    let (minutes, start) = (SignedDuration::from_mins, glassbox_pipeline::synthetic::START);
    let detector = train(&tiny::series(400, 0.0));
    let every = |step: i64, rows: i64| {
        let times = (0..rows).map(|row| start + minutes(step * row)).collect();
        let wave = |row: i64| 10.0 + ((step * row) as f64 * 0.14).sin();
        Series::new("other", Clock::Local, times, (0..rows).map(wave).collect()).unwrap()
    };
    for step in [1, 4, 6, 60] {
        let series = every(step, 400);
        let error = detector.judge(&Device::new(Reference), &series, ThresholdRule::Max).unwrap_err();
        let (found, expected) = (format!("every {:#},", minutes(step)), "every 5m:");
        assert!(error.to_string().contains(&found) && error.to_string().contains(expected), "{error}");
        let resampled = series.resampled(minutes(5)).unwrap();
        judge(&detector, &resampled);
    }

    // The mean of the rows in a step.
    let by_minute = every(1, 400).resampled(minutes(5)).unwrap();
    assert_eq!(by_minute.len(), 80);
    assert_eq!(by_minute.timestamps(), every(5, 80).timestamps());
    let mean = every(1, 5).values().iter().sum::<f64>() / 5.0;
    assert!((by_minute.values()[0] - mean).abs() < 1e-12);
    // On the line between its neighbours; the last row has none after it.
    let by_hour = every(60, 3).resampled(minutes(5)).unwrap();
    assert_eq!(by_hour.timestamps(), every(5, 25).timestamps());
    let (first, second) = (every(60, 3).values()[0], every(60, 3).values()[1]);
    assert!((by_hour.values()[3] - (first + 0.25 * (second - first))).abs() < 1e-12);
    assert_eq!(by_hour.values()[24], every(60, 3).values()[2]);
    // The same step changes nothing, and a gap stays one.
    assert_eq!(every(5, 50).resampled(minutes(5)).unwrap(), every(5, 50));
    let gap = rows(&every(60, 10), 0..10, 4..6);
    assert_eq!(gap.resampled(minutes(5)).unwrap().sampling().gaps.unwrap().gaps, 1);
    let error = every(60, 10).resampled(SignedDuration::from_nanos(1)).unwrap_err().to_string();
    assert!(error.contains("memory"), "{error}");
}

#[test]
fn a_lower_threshold_finds_more() {
    let series = tiny::series(1200, 0.0);
    let detector = train(&series);
    let count = |rule| anomalous(&detector.judge(&Device::new(Reference), &series, rule).unwrap()).len();
    assert_eq!(count(ThresholdRule::Max), 0);
    // Of 1200 rows, 1 % are 12.
    assert_eq!(count(ThresholdRule::Quantile(0.99)), 12);
    let peaks = [1e-2, 1e-3, 1e-4].map(|rate| count(ThresholdRule::Peaks(rate)));
    assert!(peaks.is_sorted_by(|a, b| a >= b) && peaks[0] > 0, "{peaks:?}");
}

/// Two columns: the wave, and another one that jumps in rows 60 .. 70.
fn two_columns(rows: usize, jump: f64) -> Series {
    let wave = tiny::series(rows, 0.0);
    let other = |row: usize| {
        500.0 + 80.0 * (row as f64 * 0.4).sin() + if (60..70).contains(&row) { jump } else { 0.0 }
    };
    let columns = vec![wave.values().to_vec(), (0..rows).map(other).collect()];
    Series::of_columns("two", wave.clock(), wave.timestamps().to_vec(), columns).unwrap()
}

#[test]
fn columns_are_judged_together_and_each_has_its_share() {
    let family = Autoencoder { filters: [8, 4], dropout: 0.0, ..Autoencoder::default() };
    let defaults = TrainOptions::default();
    let options = TrainOptions { fit: Fit { epochs: 10, batch_size: 16, ..defaults.fit }, ..defaults };
    let (device, model) = (Device::new(Reference), family.model_of(STEPS, 2).unwrap());
    let trained = train_detector(&device, &model, None, &two_columns(400, 0.0), &options, vec![]).unwrap();
    let detector = Detector { columns: vec!["left".into(), "right".into()], ..trained.detector };
    let moments: Vec<f64> = detector.scalers.iter().map(|scaler| scaler.mean().round()).collect();
    assert_eq!(moments[0], 10.0);
    assert!((moments[1] - 500.0).abs() < 10.0, "{moments:?}");

    let series = two_columns(120, 600.0);
    let found = judge(&detector, &series);
    let rows = anomalous(&found);
    assert!((60..70).all(|row| rows.contains(&row)), "{rows:?}");
    for row in 60..70 {
        let shares = &found.rows[row].shares;
        assert!(shares[1] > 0.5 && (shares[0] + shares[1] - 1.0).abs() < 1e-12, "{row}: {shares:?}");
    }
    assert_eq!(anomalous(&judge(&detector, &two_columns(400, 0.0))), [0; 0]);

    let saved = detector.to_saved_model();
    assert_eq!(saved.metadata["glassbox.columns"], r#"["left","right"]"#);
    let loaded = Detector::from_saved_model(saved.clone(), "m").unwrap();
    assert_eq!((&loaded.columns, &loaded.scalers), (&detector.columns, &detector.scalers));
    assert_eq!(judge(&loaded, &series), found);
    let refusal = |key: &str, text: &str| {
        let mut saved = saved.clone();
        saved.metadata.insert(key.into(), text.into());
        Detector::from_saved_model(saved, "m.safetensors").unwrap_err().to_string()
    };
    for (key, text) in [
        ("glassbox.mean", "1"),
        ("glassbox.std", "1 2 3"),
        ("glassbox.std", "1 -2"),
        ("glassbox.columns", r#"["a"]"#),
    ] {
        let error = refusal(key, text);
        assert!(error.contains(key) && error.contains("m.safetensors"), "{error}");
    }
    let error = detector.judge(&device, &tiny::series(100, 0.0), ThresholdRule::Max).unwrap_err().to_string();
    assert!(error.contains("reads 2 channels") && error.contains("1 value in a row"), "{error}");
}
