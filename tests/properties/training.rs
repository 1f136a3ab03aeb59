//! Whole runs: the same bits for the same seed, also after an interruption; and what stops a run says where
//! it stood.

use std::error::Error as StdError;

use glassbox_engine::Float;
use glassbox_engine::backend::{Backend, BatchEnd, Dataset, Session, State};
use glassbox_engine::geometry::Padding;
use glassbox_engine::layers::{Activation, Conv1D, Conv1DTranspose, Dropout};
use glassbox_engine::losses::Loss;
use glassbox_engine::model::{Network, Sequential};
use glassbox_engine::optimizers::{Adam, Optimizer};
use glassbox_engine::reference::Reference;
use glassbox_engine::samples::Samples;
use glassbox_engine::shape::Shape;
use glassbox_engine::training::{
    Callback, Checkpoint, EarlyStopping, EpochEnd, Fit, Fitted, Flow, Monitor, ReduceLROnPlateau, fit,
};
use glassbox_tests::backends::{Setup, backends};
use glassbox_tests::cases::{normals, optimizers};
use glassbox_tests::compare::assert_same_bits;

const WINDOW: usize = 12;

/// The tutorial's network in small: dropout and all.
fn model(rate: f64) -> Network {
    let mut model = Sequential::new(Shape::new(WINDOW, 1));
    let half =
        |filters| Conv1D::new(filters, 5).strides(2).padding(Padding::Same).activation(Activation::Relu);
    let twice = |filters| Conv1DTranspose::new(filters, 5).strides(2).padding(Padding::Same);
    model.add(half(4)).expect("a layer");
    model.add(Dropout::new(rate)).expect("a layer");
    model.add(half(3)).expect("a layer");
    model.add(twice(3).activation(Activation::Relu)).expect("a layer");
    model.add(Dropout::new(rate)).expect("a layer");
    model.add(twice(1)).expect("a layer");
    model.into()
}

fn series<F: Float>() -> Vec<F> {
    let noise: Vec<f32> = normals(9, 70);
    noise.iter().enumerate().map(|(i, z)| F::of(f64::from((i as f32 * 0.4).sin() + 0.2 * z))).collect()
}

struct Run {
    /// Of the masks and shuffles.
    seed: u64,
    /// Of the initial weights.
    weights: u64,
    /// Of dropout.
    rate: f64,
    optimizer: Optimizer,
    options: Fit,
}

impl Run {
    /// Everything that draws or remembers is on.
    fn new(seed: u64) -> Self {
        let early_stopping = EarlyStopping {
            monitor: Monitor::ValLoss,
            patience: 2,
            min_delta: 1e-3,
            restore_best_weights: true,
            ..EarlyStopping::default()
        };
        let options = Fit {
            epochs: 12,
            batch_size: 8,
            validation_split: 0.2,
            shuffle: true,
            early_stopping: Some(early_stopping),
            ..Fit::default()
        };
        Self { seed, weights: seed, rate: 0.2, optimizer: Adam::new(0.02).into(), options }
    }

    fn session<F: Float>(&self, backend: &dyn Backend<F>) -> Box<dyn Session<F>> {
        let model = model(self.rate);
        let setup = Setup {
            optimizer: self.optimizer.clone(),
            seed: self.seed,
            batch_size: self.options.batch_size,
            ..Setup::new(&model)
        };
        setup.session(backend, model.layout().initial(self.weights))
    }

    /// Runs from a checkpoint, or from the start.
    fn run<F: Float>(
        &self,
        backend: &dyn Backend<F>,
        from: Option<Checkpoint<F>>,
        callback: &mut dyn Callback<F>,
    ) -> glassbox_engine::Result<Outcome<F>> {
        let series = series();
        let windows = Samples::windows(&series, WINDOW, 1).expect("windows");
        let mut session = self.session(backend);
        let from = from.unwrap_or_else(|| Checkpoint::start(session.state().expect("a state")));
        let data = Dataset::autoencoder(windows);
        let fitted = fit(&mut *session, &data, &self.options, from, &mut [callback])?;
        let state = session.state()?;
        Ok(Outcome { fitted, weights: state.weights, slots: state.slots.concat(), steps: state.step })
    }
}

#[derive(Debug, Clone)]
struct Outcome<F> {
    fitted: Fitted,
    weights: Vec<F>,
    slots: Vec<F>,
    steps: u64,
}

impl<F: Float> Outcome<F> {
    #[track_caller]
    fn assert_same(&self, other: &Self, what: &str) {
        assert_same_bits(what, &other.weights, &self.weights);
        assert_same_bits(what, &other.slots, &self.slots);
        assert_eq!(other.fitted.history, self.fitted.history, "{what}");
        assert_eq!(
            (other.fitted.stopped_epoch, other.fitted.restored_epoch),
            (self.fitted.stopped_epoch, self.fitted.restored_epoch),
            "{what}"
        );
        assert_eq!(other.steps, self.steps, "{what}");
    }
}

/// Keeps every checkpoint, and says stop after an epoch, or fails.
#[derive(Default)]
struct Watcher<F> {
    checkpoints: Vec<Checkpoint<F>>,
    stop_after: Option<usize>,
    fail_after: Option<usize>,
    told: Vec<String>,
}

impl<F: Float> Callback<F> for Watcher<F> {
    fn on_epoch_begin(&mut self, epoch: usize, epochs: usize) {
        self.told.push(format!("begin {epoch} of {epochs}"));
    }

    fn on_batch_end(&mut self, batch: BatchEnd) {
        self.told.push(format!("batch {} of {}", batch.batch, batch.batches));
    }

    fn on_epoch_end(&mut self, end: &EpochEnd<'_, F>) -> Result<Flow, Box<dyn StdError + Send + Sync>> {
        self.told.push(format!("end {}", end.epoch));
        self.checkpoints.push(end.checkpoint.clone());
        if self.fail_after == Some(end.epoch) {
            return Err("the disk is full".into());
        }
        Ok(if self.stop_after == Some(end.epoch) { Flow::Stop } else { Flow::Continue })
    }
}

fn watcher<F>() -> Watcher<F> {
    Watcher { checkpoints: vec![], stop_after: None, fail_after: None, told: vec![] }
}

fn a_seed_decides<F: Float>(backend: &dyn Backend<F>) {
    let run = |run: Run| run.run(backend, None, &mut watcher()).expect("a run");
    let first = run(Run::new(1));
    first.assert_same(&run(Run::new(1)), &backend.name());
    // Masks and shuffles each depend on the seed by themselves, from the same initial weights.
    for (what, shuffle, rate) in
        [("both", true, 0.2), ("masks", false, 0.2), ("shuffles", true, 0.0), ("neither", false, 0.0)]
    {
        let [one, two] = [1, 2].map(|seed| {
            let start = Run::new(1);
            let options = Fit { shuffle, ..start.options.clone() };
            run(Run { seed, rate, options, ..start }).weights
        });
        assert_eq!(one != two, what != "neither", "{}: {what}", backend.name());
    }
}

#[test]
fn a_seed_decides_every_bit() {
    a_seed_decides::<f64>(&Reference);
    backends().iter().for_each(|backend| a_seed_decides::<f32>(&**backend));
}

/// A run taken up from the checkpoint of any of its epochs ends as it would have: history, early stopping,
/// best weights, moments, all to the bit.
fn resumes<F: Float>(backend: &dyn Backend<F>, run: &Run) {
    let mut watcher = watcher();
    let whole = run.run(backend, None, &mut watcher).expect("a run");
    let epochs = whole.fitted.history.loss.len();
    assert_eq!(watcher.checkpoints.len(), epochs);
    for checkpoint in watcher.checkpoints.clone() {
        let Run { seed, optimizer, .. } = run;
        let what =
            format!("{}, seed {seed}, {optimizer:?}, after epoch {}", backend.name(), checkpoint.epochs);
        let mut rest = self::watcher();
        let resumed = run.run(backend, Some(checkpoint.clone()), &mut rest).expect("a run");
        whole.assert_same(&resumed, &what);
        assert_eq!(rest.checkpoints, watcher.checkpoints[checkpoint.epochs..], "{what}");
        // What a callback is told is the same too, from there on.
        let begin = format!("begin {} of {}", checkpoint.epochs, run.options.epochs);
        let from = watcher.told.iter().position(|told| *told == begin).unwrap_or(watcher.told.len());
        assert_eq!(rest.told, watcher.told[from..], "{what}");
    }
}

#[test]
fn a_run_resumed_at_any_epoch_ends_as_it_would_have() {
    for run in (1..=4).map(Run::new) {
        resumes::<f64>(&Reference, &run);
        backends().iter().for_each(|backend| resumes::<f32>(&**backend, &run));
    }
    // Both ends are met: stopped early, with the weights of an earlier epoch, and run to the end.
    let outcomes: Vec<Fitted> = (1..=4)
        .map(|seed| Run::new(seed).run::<f64>(&Reference, None, &mut watcher()).expect("a run").fitted)
        .collect();
    let stopped =
        |fitted: &Fitted| fitted.stopped_epoch.is_some() && fitted.restored_epoch < fitted.stopped_epoch;
    assert!(outcomes.iter().any(stopped), "{outcomes:?}");
}

#[test]
fn a_run_with_any_optimizer_resumes_with_the_same_bits() {
    for optimizer in optimizers() {
        let mut run = Run { optimizer, ..Run::new(1) };
        run.options.epochs = 4;
        resumes::<f64>(&Reference, &run);
        backends().iter().for_each(|backend| resumes::<f32>(&**backend, &run));
    }
}

/// No epoch is an improvement, so that the learning rate is halved after each second one: the reduced learning rate, the
/// wait and the cooldown go on with the run, and without them it would be another.
#[test]
fn a_learning_rate_that_was_reduced_resumes_with_the_same_bits() {
    fn check<F: Float>(backend: &dyn Backend<F>) {
        let reduce = ReduceLROnPlateau {
            factor: 0.5,
            patience: 1,
            cooldown: 2,
            min_delta: 1e9,
            ..ReduceLROnPlateau::default()
        };
        let plain =
            Run { options: Fit { epochs: 6, early_stopping: None, ..Run::new(1).options }, ..Run::new(1) };
        let reducing = Run { options: plain.options.clone().reduce_lr_on_plateau(reduce), ..Run::new(1) };
        resumes(backend, &reducing);
        let [plain, reducing] = [plain, reducing].map(|run| {
            let mut watcher = watcher();
            let outcome = run.run(backend, None, &mut watcher).expect("a run");
            (outcome.fitted.history.loss, watcher.checkpoints)
        });
        // The first reduction is after the second epoch; the third trains with it.
        assert_eq!(reducing.0[..2], plain.0[..2], "{}", backend.name());
        assert_ne!(reducing.0[2], plain.0[2], "{}", backend.name());
        let rates: Vec<_> =
            reducing.1.iter().map(|checkpoint| checkpoint.reduce_lr_on_plateau.learning_rate).collect();
        let rate = |rate: f64| Some(F::of(0.02).wide() * rate);
        assert_eq!(
            rates,
            [None, rate(0.5), rate(0.5), rate(0.25), rate(0.25), rate(0.125)],
            "{}",
            backend.name()
        );
    }
    check::<f64>(&Reference);
    backends().iter().for_each(|backend| check::<f32>(&**backend));
}

/// A callback that says stop ends a run in good order; taken up from there, it goes on. The best weights are
/// restored in the session, while the checkpoint keeps the last.
#[test]
fn a_run_that_is_told_to_stop_can_go_on() {
    let mut run = Run::new(3);
    run.options.early_stopping = None;
    let whole = run.run::<f64>(&Reference, None, &mut watcher()).expect("a run");
    let mut first = Watcher { stop_after: Some(4), ..watcher() };
    let part = run.run::<f64>(&Reference, None, &mut first).expect("a run");
    assert_eq!(part.fitted.history.loss, whole.fitted.history.loss[..5]);
    let last = first.checkpoints.pop().expect("five of them");
    whole.assert_same(&run.run(&Reference, Some(last), &mut watcher()).expect("a run"), "taken up");
}

#[test]
fn more_epochs_can_be_added() {
    let mut run = Run::new(5);
    run.options.early_stopping = None;
    let whole = run.run::<f64>(&Reference, None, &mut watcher()).expect("a run");
    let mut first = watcher();
    let short = Run { options: Fit { epochs: 7, ..run.options.clone() }, ..Run::new(5) };
    short.run::<f64>(&Reference, None, &mut first).expect("a run");
    let last = first.checkpoints.pop().expect("seven of them");
    whole.assert_same(&run.run(&Reference, Some(last), &mut watcher()).expect("a run"), "seven and five");
}

#[test]
fn a_callbacks_error_is_passed_on() {
    let mut failing = Watcher { fail_after: Some(2), ..watcher() };
    let error = Run::new(1).run::<f64>(&Reference, None, &mut failing).expect_err("the disk is full");
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert_eq!(failing.checkpoints.len(), 3, "training stops with the epoch that called it");
}

// ---------------------------------------------------------------------------------------------------------
// What is not finite

/// Runs on a series and from weights that were tampered with, and gives the error.
fn error_of<F: Float>(
    backend: &dyn Backend<F>,
    run: &Run,
    tamper: impl Fn(&mut [F], &mut State<F>),
) -> glassbox_engine::Error {
    let mut series = series();
    let mut session = run.session(backend);
    let mut checkpoint = Checkpoint::start(session.state().expect("a state"));
    tamper(&mut series, &mut checkpoint.state);
    let data = Dataset::autoencoder(Samples::windows(&series, WINDOW, 1).expect("windows"));
    fit(&mut *session, &data, &run.options, checkpoint, &mut []).expect_err("something is not finite")
}

#[track_caller]
fn says(error: &glassbox_engine::Error, words: &[&str]) {
    assert!(matches!(error, glassbox_engine::Error::NonFinite(_)), "{error:?}");
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is missing: {text}");
    }
}

fn non_finite_numbers_are_located<F: Float>(backend: &dyn Backend<F>) {
    let run = Run::new(1);
    for bad in [F::nan(), F::infinity(), F::neg_infinity()] {
        let value = bad.to_string();
        let error = error_of(backend, &run, |series, _| series[30] = bad);
        // The first window that holds element 30 is the 19th, at its last step.
        says(&error, &["the input", "sample 19, step 11, channel 0", &value]);
        let error = error_of(backend, &run, |_, state| state.weights[5 * 4 + 1] = bad);
        says(&error, &["weight 1 of conv1d.bias", &value]);
    }
    // The first step of such a size takes the weights to 1e30, and products of them beyond f32, so the loss
    // of the second batch is not finite. (f64 holds it: there the rate must be larger.)
    let huge = if F::NAME == "f64" { 1e200 } else { 1e30 };
    let exploding = Run { optimizer: Adam::new(huge).into(), ..Run::new(1) };
    let error = error_of(backend, &exploding, |_, _| {});
    says(&error, &["the output of layer conv1d", "in epoch 1, batch 2", "smaller learning rate"]);
    // With one batch an epoch, the validation meets it first.
    let mut one_batch = Run { optimizer: Adam::new(huge).into(), ..Run::new(1) };
    one_batch.options.batch_size = 64;
    let error = error_of(backend, &one_batch, |_, _| {});
    says(&error, &["the output of layer conv1d", "in epoch 1, after its last batch"]);
    // And with no validation either, nobody but the look at the weights after the epoch: here an update that a
    // moment of almost infinity makes infinite.
    let (early_stopping, validation_split) = (None, 0.0);
    one_batch.options = Fit { early_stopping, validation_split, ..one_batch.options };
    let error = error_of(backend, &one_batch, |_, state| state.slots[0].fill(F::max_value()));
    says(&error, &["weight 0 of conv1d.kernel", "in epoch 1"]);
}

#[test]
fn what_is_not_finite_is_located() {
    non_finite_numbers_are_located::<f64>(&Reference);
    backends().iter().for_each(|backend| non_finite_numbers_are_located::<f32>(&**backend));
}

/// A target that is not finite is not the input's fault.
#[test]
fn a_target_that_is_not_finite_is_named() {
    let run = Run::new(1);
    let mut session = run.session::<f64>(&Reference);
    let (x, mut y) = (vec![0.5; 4 * WINDOW], vec![0.5; 4 * WINDOW]);
    y[2 * WINDOW + 3] = f64::NAN;
    let shape = Shape::new(WINDOW, 1);
    let data = Dataset {
        x: Samples::dense(&x, shape).expect("samples"),
        y: Samples::dense(&y, shape).expect("targets"),
    };
    let start = Checkpoint::start(session.state().expect("a state"));
    let error = fit(&mut *session, &data, &run.options, start, &mut []).expect_err("NaN");
    says(&error, &["the target", "sample 2, step 3, channel 0"]);
}

// ---------------------------------------------------------------------------------------------------------
// Options

#[test]
fn options_that_make_no_sense_are_named() {
    let refused = |word: &str, change: &dyn Fn(&mut Fit)| {
        let mut run = Run::new(1);
        change(&mut run.options);
        let plain = Run::new(1);
        let mut session = plain.session::<f64>(&Reference);
        let start = Checkpoint::start(session.state().expect("a state"));
        let series = series();
        let data = Dataset::autoencoder(Samples::windows(&series, WINDOW, 1).expect("windows"));
        let error = fit(&mut *session, &data, &run.options, start, &mut []).expect_err(word).to_string();
        assert!(error.contains(word), "{word}: {error}");
    };
    refused("batch_size", &|options| options.batch_size = 0);
    refused("batch_size", &|options| options.batch_size = 9);
    for split in [1.0, -0.1, f64::NAN, 0.999] {
        refused("validation_split", &|options| options.validation_split = split);
    }
    refused("monitor", &|options| options.validation_split = 0.0);
    refused("min_delta", &|options| {
        let early_stopping = options.early_stopping.as_mut().expect("there is one");
        early_stopping.min_delta = f64::NAN;
    });
}

#[test]
fn data_that_does_not_fit_the_model_is_refused() {
    let run = Run::new(1);
    for backend in backends() {
        let mut session = run.session::<f32>(&*backend);
        let values = vec![0f32; 24];
        let samples = |steps| Samples::dense(&values, Shape::new(steps, 1)).expect("samples");
        let (good, bad) = (samples(WINDOW), samples(6));
        for data in [Dataset { x: bad, y: good }, Dataset { x: good, y: bad }] {
            assert!(session.compute_gradient(&data, &[0]).is_err(), "{}", backend.name());
            assert!(session.evaluate(&data).is_err(), "{}", backend.name());
        }
        assert!(session.predict(&good, &mut [0.0; 23]).is_err(), "{}", backend.name());
        assert!(session.predict(&bad, &mut [0.0; 48]).is_err(), "{}", backend.name());
        assert!(session.set_gradient(&[0.0]).is_err(), "{}", backend.name());
        let mut state = session.state().expect("a state");
        state.weights.pop();
        assert!(session.set_state(&state).is_err(), "{}", backend.name());
    }
}

/// A plan for nothing, or with an optimiser out of its range, is no plan.
#[test]
fn a_plan_is_checked() {
    let plan = |model: &Network, optimizer, batch| model.plan(Loss::default(), optimizer, 0, batch);
    assert!(plan(&model(0.2), Optimizer::default(), 0).is_err());
    assert!(plan(&Sequential::new(Shape::new(3, 1)), Optimizer::default(), 1).is_err());
    for learning_rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error =
            plan(&model(0.2), Optimizer::Adam(Adam::new(learning_rate)), 1).expect_err("a rate").to_string();
        assert!(error.contains("learning_rate"), "{error}");
    }
}
