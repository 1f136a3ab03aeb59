//! The CUDA backend by itself, its kernels run on the host: what it must share with the CPU to the bit, how far the
//! rest may be from it, and what it says when it cannot go on. The tests of every backend include it as well.

use glassbox::Device;
use glassbox::training::Checkpoints;
use glassbox_cpu::Cpu;
use glassbox_cuda::Cuda;
use glassbox_cuda::device::Buffer;
use glassbox_cuda::kernels::{At, Control};
use glassbox_engine::backend::{Backend, Dataset, Epoch, Session, State};
use glassbox_engine::layers::{Dense, Dropout, UpSampling1D};
use glassbox_engine::losses::Loss;
use glassbox_engine::masks::{self, MaskAt, WORD, keeps};
use glassbox_engine::model::{Network, Sequential};
use glassbox_engine::optimizers::{Adam, AdamW, Clipping, Optimizer, SGD};
use glassbox_engine::program::MaskSpec;
use glassbox_engine::random::{Purpose, Stream};
use glassbox_engine::samples::Samples;
use glassbox_engine::shape::Shape;
use glassbox_engine::training::Fit;
use glassbox_pipeline::architecture::tutorial_model;
use glassbox_pipeline::training::{TrainOptions, train_autoencoder};
use glassbox_stand_in::Settings;
use glassbox_tests::backends::{Setup, can_run_kernels, cuda_on, kernels_on};
use glassbox_tests::cases::{normals, optimizers};
use glassbox_tests::compare::assert_same_bits;

/// The tutorial's network on windows of 16 steps.
fn model() -> Network {
    tutorial_model(16).expect("a multiple of 4")
}

/// Two waves, of a size like that of a standardised series.
fn series(len: usize) -> Vec<f32> {
    (0..len).map(|t| (t as f32 / 4.6).sin() + 0.4 * (t as f32 / 1.3).cos() - 0.1).collect()
}

fn windows(series: &[f32]) -> Dataset<'_, f32> {
    Dataset::autoencoder(Samples::windows(series, 16, 1).expect("windows"))
}

/// The plain kernels on the host.
fn cuda() -> Cuda {
    kernels_on(&Settings::default())
}

fn session<'a>(backend: &dyn Backend<f32>, model: &'a Network) -> (Box<dyn Session<f32>>, Setup<'a>) {
    let setup = Setup { seed: 5, ..Setup::new(model) };
    (setup.session(backend, model.layout().initial(3)), setup)
}

// ---------------------------------------------------------------------------------------------------------
// The same bits as on the CPU

/// Bit for bit, for every sample of the batch, wherever it stands in an epoch.
#[test]
fn masks_are_those_of_the_engine() {
    if !can_run_kernels() {
        return;
    }
    let cuda = cuda();
    let cases =
        [(0.0, 33usize), (0.2, 1), (0.2, 127), (0.5, 128), (0.999, 129), (0.999_999, 77), (0.2, 4608)];
    let whole = cases.map(|(rate, len)| MaskSpec { rate, len, drawn: len });
    let repeated = [(5, 1), (99, 3), (256, 8), (288, 9), (300, 32), (330, 33)];
    let repeated = repeated.map(|(len, drawn)| MaskSpec { rate: 0.4, len, drawn });
    for (case, spec) in whole.into_iter().chain(repeated).enumerate() {
        let MaskSpec { rate, len, drawn } = spec;
        for seed in [0, u64::MAX, 0x1234_5678_9ABC_DEF0] {
            let (mask, samples, within) = (case % 3, 3, 2);
            // Near the end of what 32 bits can count: the step's low word is what decides.
            let step = (1u64 << 32) - 2 + case as u64;
            let words = len.div_ceil(WORD);
            let control = Control { samples: 100, batch: samples, step }.words();
            let control = Buffer::of(cuda.device(), &control).expect("memory");
            let found = Buffer::zeros(cuda.device(), samples * words).expect("memory");
            let stream = Stream::new(seed, Purpose::Dropout, mask as u32, 0);
            let at = At { control, within, samples };
            let draw = cuda.kernels().draw(&at, &found, spec, stream);
            cuda.device().launch(&draw).expect("a launch");

            let mut expected = vec![0; samples * words];
            for (position, words) in expected.chunks_mut(words).enumerate() {
                let at = MaskAt { mask, step: step + u64::from(within), position };
                masks::draw(seed, at, rate, drawn, words);
                masks::repeat(drawn, len, words);
            }
            let found = found.to_vec().expect("words");
            for (found, expected) in found.chunks(words).zip(expected.chunks(words)) {
                let kept = |words: &[u32]| (0..len).map(|e| keeps(words, e)).collect::<Vec<_>>();
                assert_eq!(kept(found), kept(expected), "{spec:?}, seed {seed}");
            }
        }
    }
}

/// The steps of each optimiser are not near those of the engine but the same, one after the other.
#[test]
fn the_steps_of_optimizers_are_the_engines_to_the_bit() {
    if !can_run_kernels() {
        return;
    }
    let model = model();
    let cuda = cuda();
    for optimizer in optimizers() {
        let setup = Setup { optimizer: optimizer.clone(), ..Setup::new(&model) };
        let mut expected = State::new(model.layout().initial::<f32>(3), &optimizer);
        let mut session = setup.session(&cuda, expected.weights.clone());
        for step in 1..=5 {
            let mut gradient: Vec<f32> = normals(step, model.layout().len());
            // Sizes from what vanishes in epsilon to what dwarfs it, and none at all.
            gradient.iter_mut().enumerate().for_each(|(i, g)| *g *= 10f32.powi(i as i32 % 12 - 8));
            gradient[7] = 0.0;
            session.set_gradient(&gradient).expect("a gradient");
            session.update().expect("a step");
            optimizer.update(step, model.layout(), &mut expected.weights, &gradient, &mut expected.slots);
            let found = session.state().expect("a state");
            let what = |what: &str| format!("{what} of {optimizer:?} after step {step}");
            assert_same_bits(&what("weights"), &found.weights, &expected.weights);
            for (slot, (found, expected)) in
                optimizer.slots().iter().zip(found.slots.iter().zip(&expected.slots))
            {
                assert_same_bits(&what(slot), found, expected);
            }
            assert_eq!(found.step, step);
        }
    }
}

/// The fused update is Adam's, and that is said.
#[test]
fn what_is_not_adam_is_not_fused_and_the_reason_is_said() {
    if !can_run_kernels() {
        return;
    }
    let (model, fused) = (model(), cuda_on(&Settings::default()));
    let describe = |optimizer: Optimizer| {
        let setup = Setup { optimizer, ..Setup::new(&model) };
        let plan = model.plan(setup.loss, setup.optimizer, 0, 32).expect("a plan");
        Backend::<f32>::describe(&fused, &plan).expect("it says how")
    };
    assert!(describe(Adam::default().into()).starts_with("fused training steps"));
    for (optimizer, reason) in [
        (SGD::default().into(), "not that of SGD"),
        (AdamW::default().into(), "not that of AdamW"),
        (Optimizer::from(Adam::default()).weight_decay(0.1), "without weight_decay"),
        (Optimizer::from(Adam::default()).clip(Clipping::Norm(1.0)), "without clipnorm"),
        (Adam { amsgrad: true, ..Adam::default() }.into(), "without amsgrad"),
    ] {
        let found = describe(optimizer);
        assert!(found.contains("not fused: the fused update is Adam's") && found.contains(reason), "{found}");
    }
}

/// Fused kernels have no index maps, and that is said by the layer's name.
#[test]
fn what_rearranges_a_signal_is_not_fused_and_the_reason_is_said() {
    if !can_run_kernels() {
        return;
    }
    let mut model = Sequential::new(Shape::new(8, 2));
    model.add(UpSampling1D::new(2)).expect("a layer").add(Dense::new(2)).expect("a layer");
    let plan = model.plan(Loss::default(), Adam::default().into(), 0, 32).expect("a plan");
    let reason = Backend::<f32>::describe(&cuda_on(&Settings::default()), &plan).expect("it says how");
    assert!(reason.contains("not fused: up_sampling1d is an index map"), "{reason}");
}

// ---------------------------------------------------------------------------------------------------------
// The same bits as before

/// An epoch of more steps than a recording holds, and of a part of a batch at its end, gives what its steps give one
/// by one; and gives it again on another device.
#[test]
fn a_long_epoch_is_its_steps_and_is_the_same_each_time() {
    if !can_run_kernels() {
        return;
    }
    let (model, series) = (model(), series(90));
    let data = windows(&series);
    let order: Vec<u32> = (0..71).map(|i| i * 3 % 71).collect();
    // 36 steps: 32 in one recording, four in another; the last of one sample.
    let epoch = Epoch { epoch: 0, order: &order, batch_size: 2 };
    let run = || {
        let (mut session, _) = session(&cuda(), &model);
        let mut losses = vec![];
        let mean = session.train_epoch(&data, &epoch, &mut |end| losses.push(end.loss)).expect("a loss");
        assert_eq!(losses.len(), 36);
        losses.push(mean);
        (losses, session.state().expect("a state"))
    };
    let (losses, state) = run();
    assert_eq!(run(), (losses, state.clone()));
    assert_eq!(state.step, 36);

    let (mut session, _) = session(&cuda(), &model);
    for batch in order.chunks(2) {
        session.compute_gradient(&data, batch).expect("a loss");
        session.update().expect("a step");
    }
    assert_eq!(session.state().expect("a state"), state);
}

/// Data is told by its values: other numbers in the same place are other data.
#[test]
fn data_that_has_changed_in_place_is_noticed() {
    if !can_run_kernels() {
        return;
    }
    let (model, mut series) = (model(), series(40));
    let (mut session, _) = session(&cuda(), &model);
    let before = session.evaluate(&windows(&series)).expect("a loss");
    assert_eq!(session.evaluate(&windows(&series)).expect("a loss"), before);
    // As many times as data is kept, and more.
    for turn in 1..8 {
        series.iter_mut().for_each(|v| *v += 0.25 * turn as f32);
        let (mut fresh, _) = self::session(&cuda(), &model);
        let expected = fresh.evaluate(&windows(&series)).expect("a loss");
        assert_ne!(expected, before);
        assert_eq!(session.evaluate(&windows(&series)).expect("a loss"), expected);
    }
}

// ---------------------------------------------------------------------------------------------------------
// The CPU's curve

/// One seed, one curve. Both start from the same weights, take the same batches with the same masks, and differ in the
/// order of their sums alone, so in the first loss by a few roundings of f32 (6e-8), of which some hundred add up at
/// random: 1e-6. From then on the difference grows as training makes it: Adam divides each gradient by its own size,
/// so that a step hardly depends on how large an error is relative to the *largest* gradient. Keras's own curves in
/// f32 and f64 are 2e-5 apart after 56 steps of this network; five times that is the bound here, over 60 steps.
#[test]
fn the_loss_curve_of_a_seed_follows_the_cpus() {
    if !can_run_kernels() {
        return;
    }
    let (model, series) = (model(), series(115));
    let data = windows(&series);
    let curve = |backend: &dyn Backend<f32>| -> Vec<f64> {
        let (mut session, _) = session(backend, &model);
        let mut losses = vec![session.evaluate(&data).expect("a loss")];
        for epoch in 0..15 {
            let mut order: Vec<u32> = (0..100).collect();
            Stream::new(5, Purpose::Shuffle, 0, epoch).draws().shuffle(&mut order);
            let epoch = Epoch { epoch: epoch as usize, order: &order, batch_size: 25 };
            losses.push(session.train_epoch(&data, &epoch, &mut |_| {}).expect("a loss"));
        }
        losses.push(session.evaluate(&data).expect("a loss"));
        losses
    };
    let cpu = curve(&Cpu::new(Some(1)).expect("a thread"));
    let cuda = curve(&cuda());
    for (epoch, (cuda, cpu)) in cuda.iter().zip(&cpu).enumerate() {
        let bound = if epoch == 0 { 1e-6 } else { 1e-4 };
        assert!((cuda - cpu).abs() <= bound * cpu, "epoch {epoch}: {cuda}, on the CPU {cpu}");
    }
    // It is a curve: the model learns.
    assert!(cpu[16] < 0.5 * cpu[0], "{cpu:?}");
}

// ---------------------------------------------------------------------------------------------------------
// What it says when it cannot go on

/// A batch that does not fit is refused before the first step, by what it asks for and what there is.
#[test]
fn a_batch_that_does_not_fit_into_memory_is_refused() {
    if !can_run_kernels() {
        return;
    }
    let model = model();
    let cuda = kernels_on(&Settings { memory: 4 << 20, ..Settings::default() });
    let plan = |batch_size| {
        let setup = Setup { batch_size, ..Setup::new(&model) };
        model.plan(setup.loss, setup.optimizer, setup.seed, batch_size).expect("a plan")
    };
    cuda.session(plan(8)).expect("8 samples fit");
    let error = cuda.session(plan(4096)).err().expect("4096 do not").to_string();
    for word in ["out of device memory", "4.0 MiB", "lower the batch size", "on the CPU"] {
        assert!(error.contains(word), "{error}");
    }
    // What was laid out before it failed is given back.
    cuda.session(plan(8)).expect("8 samples still fit");
}

/// A device that is lost in the middle of a run: the error says so, and the last checkpoint is whole. A run that goes
/// on from it on another device ends with the bits of one that was never disturbed.
#[test]
fn a_lost_device_leaves_the_last_checkpoint() {
    if !can_run_kernels() {
        return;
    }
    let (model, series) = (model(), series(80));
    let data = windows(&series);
    let folder = tempfile::tempdir().expect("a folder");
    let options = |resume| TrainOptions {
        fit: Fit { epochs: 4, batch_size: 20, early_stopping: None, ..TrainOptions::default().fit },
        checkpoints: Some(Checkpoints { dir: folder.path().join("run"), every_epoch: true, resume }),
        ..TrainOptions::default()
    };
    let start = model.layout().initial(3);
    let train = |device: Device, options: &TrainOptions| {
        train_autoencoder(&device, &model, Some(&start), data.x, options, vec![])
    };
    let undisturbed = TrainOptions { checkpoints: None, ..options(false) };
    let undisturbed = train(Device::new(cuda()), &undisturbed).expect("a run");

    // An epoch is 3 steps of some twenty launches, and a look at the validation data: this is in the third.
    let lost = kernels_on(&Settings { lost_after: Some(250), ..Settings::default() });
    let error = train(Device::new(lost), &options(false)).expect_err("it is lost");
    let error = error.to_string();
    for word in ["the GPU was lost", "can be resumed"] {
        assert!(error.contains(word), "{error}");
    }
    let resumed = train(Device::new(cuda()), &options(true)).expect("a run");
    assert!((1..4).contains(&resumed.fitted.resumed_from), "after epoch {}", resumed.fitted.resumed_from);
    let weights = [&resumed, &undisturbed].map(|trained| trained.model.flat_weights().expect("weights"));
    assert_same_bits("weights", &weights[0], &weights[1]);
    assert_eq!(resumed.fitted.history, undisturbed.fitted.history);
}

/// A signal that the kernels could not index is refused by name, not computed wrong.
#[test]
fn a_signal_that_is_too_long_is_refused_by_name() {
    if !can_run_kernels() {
        return;
    }
    let mut model = Sequential::new(Shape::new(1 << 22, 5));
    model.add(Dropout::new(0.5)).expect("a layer");
    let setup = Setup::new(&model);
    let plan = model.plan(setup.loss, setup.optimizer, setup.seed, 1).expect("a plan");
    let error = cuda().session(plan).err().expect("refused").to_string();
    assert!(error.contains("(4194304, 5)") && error.contains("16776960"), "{error}");
}
