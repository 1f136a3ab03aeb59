//! Checkpoints: a run that is interrupted and resumed equals the one that was not, to the bit.

mod tiny;

use std::path::Path;

use glassbox::Device;
use glassbox::checkpoint::{CheckpointError, FILE_NAME, from_bytes, to_bytes};
use glassbox::fingerprint::Fingerprint;
use glassbox::interrupt::Interrupt;
use glassbox::training::Checkpoints;
use glassbox_engine::backend::{Backend as _, Dataset, Plan, Session};
use glassbox_engine::model::Network;
use glassbox_engine::optimizers::{Adam, Optimizer};
use glassbox_engine::reference::Reference;
use glassbox_engine::samples::Samples;
use glassbox_engine::training::{
    Callback, Checkpoint, EarlyStopping, EarlyStoppingState, EpochEnd, Fit, Fitted, Flow, History,
    ReduceLROnPlateauState,
};
use glassbox_formats::tensor_file::TensorFile;
use glassbox_pipeline::training::{TrainOptions, Trained, train_autoencoder};
use proptest::prelude::*;

/// All of a run's end but how long it took.
fn outcome(fitted: &Fitted) -> (&History, Option<usize>, Option<usize>) {
    (&fitted.history, fitted.stopped_epoch, fitted.restored_epoch)
}

fn options(dir: Option<&Path>, resume: bool) -> TrainOptions {
    let early_stopping = EarlyStopping { restore_best_weights: true, ..EarlyStopping::patience(3) };
    TrainOptions {
        fit: Fit {
            epochs: 14,
            batch_size: 7,
            validation_split: 0.25,
            early_stopping: Some(early_stopping),
            ..Fit::default()
        },
        seed: 5,
        optimizer: Optimizer::Adam(Adam::new(0.05)),
        checkpoints: dir.map(|dir| Checkpoints { dir: dir.to_owned(), resume, every_epoch: true }),
        ..TrainOptions::default()
    }
}

fn values() -> Vec<f32> {
    tiny::series(60, 0.0).values().iter().map(|v| (*v - 10.0) as f32).collect()
}

fn run<'a>(
    options: &'a TrainOptions,
    callbacks: Vec<&'a mut dyn Callback<f32>>,
) -> Result<Trained, glassbox::Error> {
    train(&tiny::model(), None, &values(), options, callbacks)
}

fn train<'a>(
    model: &Network,
    start: Option<&[f32]>,
    values: &[f32],
    options: &'a TrainOptions,
    callbacks: Vec<&'a mut dyn Callback<f32>>,
) -> Result<Trained, glassbox::Error> {
    let windows = Samples::windows(values, 8, 1).unwrap();
    train_autoencoder(&Device::new(Reference), model, start, windows, options, callbacks)
}

fn weights(trained: &Trained) -> Vec<u32> {
    bits(&trained.model.flat_weights().unwrap())
}

/// Ends training after an epoch, as a kill would but in good order.
struct StopAfter(usize);

impl Callback<f32> for StopAfter {
    fn on_epoch_end(
        &mut self,
        end: &EpochEnd<'_, f32>,
    ) -> Result<Flow, Box<dyn std::error::Error + Send + Sync>> {
        Ok(if end.epoch + 1 == self.0 { Flow::Stop } else { Flow::Continue })
    }
}

fn bits(weights: &[f32]) -> Vec<u32> {
    weights.iter().map(|w| w.to_bits()).collect()
}

#[test]
fn a_resumed_run_equals_the_uninterrupted_one_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let whole_dir = folder.path().join("whole");
    let whole = run(&options(Some(&whole_dir), false), vec![]).unwrap();
    let epochs = whole.fitted.history.loss.len();
    assert!(epochs >= 6 && whole.fitted.restored_epoch.is_some(), "{:?}", whole.fitted);
    let plain = run(&options(None, false), vec![]).unwrap();
    assert_eq!(weights(&plain), weights(&whole), "checkpoints change nothing");

    for stop in 1..=epochs {
        let dir = folder.path().join(stop.to_string());
        run(&options(Some(&dir), false), vec![&mut StopAfter(stop)]).unwrap();
        // With resume, where there is something to resume.
        let resumed = run(&options(Some(&dir), true), vec![]).unwrap();
        assert_eq!(resumed.fitted.resumed_from, stop);
        assert_eq!(weights(&resumed), weights(&whole), "stopped after epoch {stop}");
        assert_eq!(outcome(&resumed.fitted), outcome(&whole.fitted));
        let read = |dir: &Path| std::fs::read(dir.join(FILE_NAME)).unwrap();
        assert_eq!(read(&dir), read(&whole_dir), "the last checkpoint, byte for byte");
    }
    let dir = folder.path().join("none");
    let fresh = run(&options(Some(&dir), true), vec![]).unwrap();
    assert_eq!((fresh.fitted.resumed_from, weights(&fresh)), (0, weights(&whole)));
}

/// Asks to stop in the middle of an epoch, as Ctrl-C does.
struct AskIn(usize, Interrupt);

impl Callback<f32> for AskIn {
    fn on_epoch_begin(&mut self, epoch: usize, _: usize) {
        if epoch + 1 == self.0 {
            self.1.request();
        }
    }
}

#[test]
fn an_interrupted_run_ends_with_its_epoch_and_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let whole = run(&options(None, false), vec![]).unwrap();
    for (every_epoch, epoch) in [(false, 2), (true, 3)] {
        let dir = folder.path().join(epoch.to_string());
        let interrupt = Interrupt::default();
        let checkpoints = Some(Checkpoints { dir: dir.clone(), resume: true, every_epoch });
        let interrupted = TrainOptions {
            checkpoints: checkpoints.clone(),
            interrupt: Some(interrupt.clone()),
            ..options(None, false)
        };
        let error = run(&interrupted, vec![&mut AskIn(epoch, interrupt)]).unwrap_err();
        let file = dir.join(FILE_NAME);
        assert!(
            matches!(&error, glassbox::Error::Interrupted { epochs, of: 14, checkpoint: Some(kept) }
                if *epochs == epoch && *kept == file),
            "{error}"
        );
        assert!(error.to_string().contains(&format!("after epoch {epoch} of at most 14")), "{error}");

        std::fs::copy(&file, dir.join("copy")).unwrap();
        let resumed = run(&TrainOptions { checkpoints, ..options(None, false) }, vec![]).unwrap();
        assert_eq!((resumed.fitted.resumed_from, weights(&resumed)), (epoch, weights(&whole)));
        assert_eq!(outcome(&resumed.fitted), outcome(&whole.fitted));
        // Kept after each epoch if that was asked for, else only by the interruption.
        let again = std::fs::read(&file).unwrap() != std::fs::read(dir.join("copy")).unwrap();
        assert_eq!(again, every_epoch);
    }
    // Nowhere to keep it: it ends all the same.
    let interrupt = Interrupt::default();
    interrupt.request();
    let error =
        run(&TrainOptions { interrupt: Some(interrupt), ..options(None, false) }, vec![]).unwrap_err();
    assert!(matches!(error, glassbox::Error::Interrupted { epochs: 1, checkpoint: None, .. }), "{error}");
}

#[test]
fn more_epochs_are_allowed_and_fewer_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let of = |epochs| {
        let mut options = options(Some(folder.path()), true);
        (options.fit.epochs, options.fit.early_stopping) = (epochs, None);
        options
    };
    run(&of(3), vec![]).unwrap();
    let long = run(&of(5), vec![]).unwrap();
    let whole = run(&TrainOptions { checkpoints: None, ..of(5) }, vec![]).unwrap();
    assert_eq!(weights(&long), weights(&whole));
    let error = run(&of(4), vec![]).unwrap_err().to_string();
    assert!(error.contains("has done 5 epochs already, and 4 are asked for"), "{error}");
}

#[test]
fn another_run_is_refused_with_the_first_difference() {
    let folder = tempfile::tempdir().unwrap();
    let mut same = options(Some(folder.path()), true);
    same.fit.epochs = 1;
    run(&same, vec![]).unwrap();
    let before = std::fs::read(folder.path().join(FILE_NAME)).unwrap();
    let other = |change: fn(&mut TrainOptions)| {
        let mut options = same.clone();
        change(&mut options);
        run(&options, vec![]).unwrap_err().to_string()
    };
    for (error, what) in [
        (other(|o| o.seed = 6), "seed is 5 in it and 6 in this run"),
        (other(|o| o.fit.batch_size = 8), "batch_size is 7 in it and 8 in this run"),
        (other(|o| o.fit.validation_split = 0.1 + 0.2), "is 0.25 in it and 0.30000000000000004 in this run"),
        (other(|o| o.fit.shuffle = false), "shuffle is true in it and false"),
        (other(|o| o.optimizer = Optimizer::Adam(Adam::new(0.01))), "learning_rate is 0.05 in it and 0.01"),
        (other(|o| o.loss = glassbox_engine::losses::Loss::MeanAbsoluteError), "loss is mean_squared_error"),
        (other(|o| o.fit.early_stopping = None), "early_stopping is on in it and off"),
        (other(|o| o.fit.early_stopping.as_mut().unwrap().patience = 4), "patience is 3 in it and 4"),
        (
            other(|o| o.fit.early_stopping.as_mut().unwrap().min_delta = 1e-9),
            "min_delta is 0.0 in it and 1e-9",
        ),
    ] {
        assert!(
            error.contains(what) && error.contains("is the checkpoint of another run"),
            "{what}\n{error}"
        );
    }

    let mut values = values();
    values[59] += 1e-6;
    let error = train(&tiny::model(), None, &values, &same, vec![]).unwrap_err().to_string();
    assert!(error.contains("data is 53 samples of shape (8, 1)"), "{error}");
    let values = self::values();
    let start = vec![0.5; 15];
    let error = train(&tiny::model(), Some(&start), &values, &same, vec![]).unwrap_err().to_string();
    assert!(error.contains("initial weights is sha256"), "{error}");
    let mut model = tiny::model();
    model.add(glassbox_engine::layers::ReLU).unwrap();
    let error = train(&model, None, &values, &same, vec![]).unwrap_err().to_string();
    assert!(error.contains("layer 3 is absent in it and re_lu (ReLU)"), "{error}");
    assert_eq!(std::fs::read(folder.path().join(FILE_NAME)).unwrap(), before, "no refusal harms the file");
}

/// What a checkpoint belongs to.
fn plan() -> (Plan, Fingerprint) {
    let (model, options, values) = (tiny::model(), options(None, false), values());
    let plan = model.plan(options.loss, options.optimizer.clone(), 5, 7).unwrap();
    let data = Dataset::autoencoder(Samples::windows(&values, 8, 1).unwrap());
    let start = plan.layout.initial(5);
    let fingerprint = Fingerprint::of(&model, &plan, &options.fit, &data, &start);
    (plan, fingerprint)
}

fn example() -> Checkpoint<f32> {
    let (plan, _) = plan();
    let state = glassbox_engine::backend::State::new(plan.layout.initial(5), &plan.optimizer);
    let history = History {
        loss: vec![1e-300, 0.1],
        val_loss: vec![0.1 + 0.2, f64::MIN_POSITIVE / 3.0],
        learning_rate: vec![f64::from(0.001f32)],
    };
    Checkpoint { epochs: 2, history, ..Checkpoint::start(state) }
}

#[test]
fn what_is_damaged_is_refused_and_says_what_to_do() {
    let (plan, fingerprint) = plan();
    let bytes = to_bytes(&example(), &plan, &fingerprint);
    let read = |bytes: &[u8]| from_bytes(bytes, "checkpoint.safetensors", &plan, &fingerprint);
    assert_eq!(read(&bytes).unwrap(), example());
    for end in (0..bytes.len()).step_by(13) {
        let error = read(&bytes[..end]).unwrap_err().to_string();
        assert!(error.contains("remove the checkpoint"), "{error}");
    }
    let changed = |change: fn(&mut TensorFile)| {
        let mut file = TensorFile::from_bytes(&bytes, "c").unwrap();
        change(&mut file);
        read(&file.to_bytes()).unwrap_err()
    };
    let damaged = changed(|file| file.tensors.get_mut("m/conv1d.bias").unwrap().values[0] = 1.0);
    assert!(matches!(damaged, CheckpointError::Checksum { .. }), "{damaged}");
    let damaged = changed(|file| drop(file.metadata.insert("glassbox.progress".into(), "{}".into())));
    assert!(matches!(damaged, CheckpointError::Checksum { .. }), "{damaged}");
    let newer = changed(|file| drop(file.metadata.insert("glassbox.checkpoint".into(), "3".into())));
    assert!(
        newer.to_string().contains("`glassbox.checkpoint` in its metadata is `3`, expected 2"),
        "{newer}"
    );
    let model = changed(|file| file.metadata.clear());
    assert!(model.to_string().contains("lacks `glassbox.checkpoint`"), "{model}");
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join(FILE_NAME)).unwrap();
    let error = run(&options(Some(folder.path()), true), vec![]).unwrap_err().to_string();
    assert!(error.contains("cannot read") && error.contains(FILE_NAME), "{error}");
}

#[test]
fn counters_that_no_run_reaches_are_refused_by_name() {
    let (plan, fingerprint) = plan();
    type Change = fn(&mut Checkpoint<f32>);
    let changes: [(&str, Change); 7] = [
        ("history.val_loss", |checkpoint| checkpoint.history.val_loss.push(0.1)),
        ("history.learning_rate", |checkpoint| checkpoint.history.learning_rate = vec![0.1; 3]),
        ("wait", |checkpoint| checkpoint.early_stopping.wait = usize::MAX),
        ("best_epoch", |checkpoint| checkpoint.early_stopping.best_epoch = usize::MAX),
        ("stopped_epoch", |checkpoint| checkpoint.early_stopping.stopped_epoch = Some(usize::MAX)),
        ("stopped_epoch", |checkpoint| checkpoint.early_stopping.stopped_epoch = Some(2)),
        ("step", |checkpoint| checkpoint.state.step = u64::MAX),
    ];
    for (name, change) in changes {
        let mut checkpoint = example();
        change(&mut checkpoint);
        let bytes = to_bytes(&checkpoint, &plan, &fingerprint);
        let error = from_bytes(&bytes, "c.safetensors", &plan, &fingerprint).unwrap_err().to_string();
        assert!(
            error.contains("c.safetensors") && error.contains(name) && error.contains("expected"),
            "{error}"
        );
        // Given to a session directly, a step is refused too.
        let mut session: Box<dyn Session<f32>> = Reference.session(plan.clone()).unwrap();
        assert_eq!(session.set_state(&checkpoint.state).is_err(), name == "step");
    }
}

/// Any finite number: training with another loss is an error.
fn any_f64() -> impl Strategy<Value = f64> {
    any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |x| x.is_finite())
}

prop_compose! {
    fn any_checkpoint()(
        flats in prop::collection::vec(prop::collection::vec(any::<u32>().prop_map(f32::from_bits), 15), 4),
        loss in prop::collection::vec(any_f64(), 0..5),
        kept in any::<bool>(),
        best in prop::option::of(any_f64()),
        stopped in any::<bool>(),
        (wait, best_epoch, step) in any::<(prop::sample::Index, prop::sample::Index, u32)>(),
    ) -> Checkpoint<f32> {
        let epochs = loss.len();
        let stopped_epoch = epochs.checked_sub(1).filter(|_| stopped);
        let (wait, best_epoch) = (wait.index(epochs + 1), best_epoch.index(epochs + 1));
        let step = epochs as u64 * u64::from(step);
        let [weights, m, v, other] = <[_; 4]>::try_from(flats).unwrap();
        Checkpoint {
            state: glassbox_engine::backend::State { weights, slots: vec![m, v], step },
            epochs: loss.len(),
            history: History {
                val_loss: loss[..best_epoch].to_vec(),
                learning_rate: loss[..wait].to_vec(),
                loss,
            },
            early_stopping: EarlyStoppingState {
                wait, best, best_epoch, best_weights: kept.then_some(other), stopped_epoch,
            },
            reduce_lr_on_plateau: ReduceLROnPlateauState::default(),
        }
    }
}

proptest! {
    #[test]
    fn a_round_trip_is_exact(checkpoint in any_checkpoint()) {
        let (plan, fingerprint) = plan();
        let bytes = to_bytes(&checkpoint, &plan, &fingerprint);
        let read = from_bytes(&bytes, "c", &plan, &fingerprint).unwrap();
        // Its bytes say more than `==`, which takes -0 for 0 and no NaN for itself.
        prop_assert_eq!(to_bytes(&read, &plan, &fingerprint), bytes);
        prop_assert_eq!(bits(&read.state.weights), bits(&checkpoint.state.weights));
        prop_assert_eq!(bits(&read.state.slots[1]), bits(&checkpoint.state.slots[1]));
        prop_assert_eq!(read.history, checkpoint.history);
        let (a, b) = (read.early_stopping, checkpoint.early_stopping);
        prop_assert_eq!((a.wait, a.best, a.best_epoch, a.stopped_epoch), (b.wait, b.best, b.best_epoch, b.stopped_epoch));
        prop_assert_eq!(a.best_weights.map(|w| bits(&w)), b.best_weights.map(|w| bits(&w)));
    }

    #[test]
    fn every_flipped_bit_is_found(flip in any::<prop::sample::Index>()) {
        let (plan, fingerprint) = plan();
        let mut bytes = to_bytes(&example(), &plan, &fingerprint);
        let bit = flip.index(8 * bytes.len());
        bytes[bit / 8] ^= 1 << (bit % 8);
        // Found, or in what is not read.
        if let Ok(read) = from_bytes(&bytes, "c", &plan, &fingerprint) {
            prop_assert_eq!(read, example());
        }
    }

    #[test]
    fn arbitrary_bytes_are_no_checkpoint(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (plan, fingerprint) = plan();
        prop_assert!(from_bytes(&bytes, "c", &plan, &fingerprint).is_err());
    }
}
