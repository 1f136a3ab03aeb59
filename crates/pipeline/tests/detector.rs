//! Detectors: trained, saved, loaded, and what they find.

mod tiny;

use glassbox::{Device, Model};
use glassbox_engine::layers::Conv1D;
use glassbox_engine::model::{Network, Sequential};
use glassbox_engine::optimizers::{Adam, Optimizer};
use glassbox_engine::reference::Reference;
use glassbox_engine::shape::Shape;
use glassbox_engine::training::Fit;
use glassbox_pipeline::Error;
use glassbox_pipeline::detection::PointRule;
use glassbox_pipeline::detector::{Detector, train_detector};
use glassbox_pipeline::reconstruction::predict_batches;
use glassbox_pipeline::training::{Split, TrainOptions};

fn options() -> TrainOptions {
    let defaults = TrainOptions::default();
    TrainOptions {
        fit: Fit { epochs: 40, batch_size: 16, ..defaults.fit },
        optimizer: Optimizer::Adam(Adam::new(0.02)),
        ..defaults
    }
}

fn with(change: impl Fn(&mut Fit)) -> TrainOptions {
    let mut options = options();
    change(&mut options.fit);
    options
}

#[test]
fn a_detector_finds_what_it_was_not_trained_on_also_after_a_reload() {
    let (train, test) = (tiny::series(400, 0.0), tiny::series(120, 4.0));
    let mut done =
        train_detector(&Device::new(Reference), &tiny::model(), None, &train, &options(), vec![]).unwrap();
    assert_eq!(done.training_errors.len(), 393);
    let largest = done.training_errors.iter().copied().fold(0.0, f64::max);
    assert_eq!(done.detector.threshold.value().to_bits(), largest.to_bits());

    let found = done.detector.detect(&Device::new(Reference), &test, PointRule::Published).unwrap();
    assert!(
        !found.points.is_empty() && found.points.iter().all(|point| (38..54).contains(point)),
        "{found:?}"
    );
    let inclusive = done.detector.detect(&Device::new(Reference), &test, PointRule::Inclusive).unwrap();
    assert!(inclusive.points.iter().all(|point| found.points.contains(point)));
    // The largest training error is not above itself.
    assert_eq!(
        done.detector.detect(&Device::new(Reference), &train, PointRule::Published).unwrap().windows,
        [0; 0]
    );

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("detector.safetensors");
    done.detector.save(&path).unwrap();
    let loaded = Detector::load(&path).unwrap();
    assert_eq!(loaded.detect(&Device::new(Reference), &test, PointRule::Published).unwrap(), found);

    // The error of a window, by the formula.
    let values = done.detector.scalers[0].normalise(test.values()).unwrap();
    let windows = glassbox_engine::samples::Samples::windows(&values, 8, 1).unwrap();
    let y = done.trained.model.predict(&windows).unwrap();
    let mut again = Model::with_weights(loaded.model, loaded.weights, Device::new(Reference)).unwrap();
    assert_eq!(again.predict(&windows).unwrap(), y);
    for (window, error) in found.errors.iter().enumerate() {
        let mae =
            (0..8).map(|t| f64::from((y[[window, t, 0]] - windows.get(window)[t]).abs())).sum::<f64>() / 8.0;
        // A sum of eight f64 terms.
        assert!((mae - error).abs() <= 1e-15 * 8.0 * mae.max(1.0), "{mae} {error}");
    }
}

#[test]
fn what_cannot_be_trained_or_judged_is_refused_before_any_training() {
    let refusal = |model: &Network, series: &_| {
        let options = with(|fit| fit.epochs = usize::from(u16::MAX));
        train_detector(&Device::new(Reference), model, None, series, &options, vec![])
            .unwrap_err()
            .to_string()
    };
    let mut shorter = Sequential::new(Shape::new(8, 1));
    shorter.add(Conv1D::new(1, 3)).unwrap();
    let error = refusal(&shorter, &tiny::series(100, 0.0));
    assert!(error.contains("makes samples of shape (6, 1) from samples of shape (8, 1)"), "{error}");
    let mut two = Sequential::new(Shape::new(8, 2));
    two.add(Conv1D::new(2, 1)).unwrap();
    let error = refusal(&two, &tiny::series(100, 0.0));
    assert!(error.contains("reads 2 channels"), "{error}");
    let error = refusal(&tiny::model(), &tiny::series(7, 0.0));
    assert!(error.contains("has 7 rows, fewer than one window of 8 steps"), "{error}");
    let error = refusal(&tiny::model(), &tiny::series(8, 0.0));
    assert!(error.contains("validation_split is 0.1 of 1 samples"), "{error}");
    let flat = tiny::series(40, 0.0);
    let flat = glassbox_pipeline::series::Series::new(
        "flat",
        flat.clock(),
        flat.timestamps().to_vec(),
        vec![3.0; 40],
    );
    let error = refusal(&tiny::model(), &flat.unwrap());
    assert!(error.contains("series `flat`: the training series is constant"), "{error}");
    for (bad, named) in [
        (with(|fit| fit.batch_size = 0), "batch_size is 0"),
        (TrainOptions { optimizer: Optimizer::Adam(Adam::new(-1.0)), ..options() }, "learning_rate is -1"),
        (with(|fit| fit.validation_split = 1.0), "validation_split is 1"),
        (with(|fit| fit.validation_split = 0.0), "monitor is val_loss without"),
    ] {
        let series = tiny::series(100, 0.0);
        let error =
            train_detector(&Device::new(Reference), &tiny::model(), None, &series, &bad, vec![]).unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
    }
    let bad = [f32::NAN; 15];
    let error = train_detector(
        &Device::new(Reference),
        &tiny::model(),
        Some(&bad),
        &tiny::series(100, 0.0),
        &options(),
        vec![],
    );
    assert!(error.unwrap_err().to_string().contains("conv1d.kernel"));
}

#[test]
fn a_plain_model_is_no_detector() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plain.safetensors");
    let model = tiny::model();
    let weights = model.layout().initial(0);
    glassbox_formats::model_file::SavedModel::new(model.into(), weights).save(&path).unwrap();
    let error = Detector::load(&path).unwrap_err();
    assert!(matches!(error, Error::NotADetector { .. }), "{error}");
    assert!(error.to_string().contains("plain.safetensors"), "{error}");
}

#[test]
fn a_batch_larger_than_the_data_is_one_batch() {
    let train = tiny::series(60, 0.0);
    let weights = |batch_size| {
        let options = with(|fit| (fit.epochs, fit.batch_size) = (2, batch_size));
        train_detector(&Device::new(Reference), &tiny::model(), None, &train, &options, vec![])
            .unwrap()
            .detector
            .weights
    };
    assert_eq!(weights(47), weights(1 << 40));
}

#[test]
fn the_tutorials_counts() {
    let split = Split::of(3745, &TrainOptions::default().fit).unwrap();
    assert_eq!((split.training, split.validation, split.steps_per_epoch), (3370, 375, 27));
    assert_eq!(predict_batches(3745), 118);
}
