//! The fused training step of `kernels/fused_step.cu`, run on the host with every access checked.
//!
//! Each network is compiled for itself, which takes the C++ compiler some seconds: so these are a few chosen ones,
//! not hundreds of random ones as in the conformance suite.

use glassbox_cuda::device::Source;
use glassbox_cuda::fused::{FusedSource, Tuning, Tunings, programs};
use glassbox_cuda::kernels::FUSED_FILES;
use glassbox_engine::backend::{Backend, Dataset, Epoch};
use glassbox_engine::geometry::Padding;
use glassbox_engine::layers::{Activation, Conv1D, Conv1DTranspose, Dropout, ELU, LeakyReLU, ReLU};
use glassbox_engine::losses::Loss;
use glassbox_engine::model::{Network, Sequential};
use glassbox_engine::random::{Purpose, Stream};
use glassbox_engine::reference::Reference;
use glassbox_engine::samples::Samples;
use glassbox_engine::shape::Shape;
use glassbox_stand_in::Settings;
use glassbox_tests::backends::{
    Backend32, Setup, backends, can_run_cuda, cuda_on, hopper, predict, properties,
};
use glassbox_tests::cases::{normals, weights};
use glassbox_tests::nvrtc::nvrtc;

/// Shared memory of a block on Hopper.
const HOPPER: usize = 227 * 1024;

/// The tutorial's network, for windows of so many steps.
fn tutorial(steps: usize) -> Network {
    let mut model = Sequential::new(Shape::new(steps, 1));
    let (same, relu) = (Padding::Same, Activation::Relu);
    let encode = |filters| Conv1D::new(filters, 7).strides(2).padding(same).activation(relu);
    let decode = |filters| Conv1DTranspose::new(filters, 7).strides(2).padding(same).activation(relu);
    model.add(encode(32)).unwrap().add(Dropout::new(0.2)).unwrap().add(encode(16)).unwrap();
    model.add(decode(16)).unwrap().add(Dropout::new(0.2)).unwrap().add(decode(32)).unwrap();
    model.add(Conv1DTranspose::new(1, 7).padding(same)).unwrap();
    model.into()
}

/// A GPU of a compute capability, of so much shared memory for a block, and of so many multiprocessors.
fn gpu(capability: (u32, u32), shared_bytes: usize, multiprocessors: usize) -> Settings {
    Settings { capability, shared_bytes, multiprocessors, ..Settings::default() }
}

/// A backend whose steps are fused, on a device of so many multiprocessors.
fn fused(multiprocessors: usize) -> Backend32 {
    Box::new(cuda_on(&hopper(multiprocessors)))
}

/// Windows of a made-up series, and targets.
struct Bench {
    model: Network,
    series: Vec<f32>,
    targets: Vec<f32>,
}

impl Bench {
    fn new(model: Network, samples: usize) -> Self {
        let input = model.input_shape();
        Self {
            series: normals(11, (input.steps + samples - 1) * input.channels),
            targets: normals(12, samples * model.output_shape().len()),
            model,
        }
    }

    fn data(&self) -> Dataset<'_, f32> {
        let input = self.model.input_shape();
        let x = Samples::windows(&self.series, input.steps, input.channels).unwrap();
        Dataset { x, y: Samples::dense(&self.targets, self.model.output_shape()).unwrap() }
    }

    /// Loss and gradient of a batch in the reference, in `f64`.
    fn reference(&self, setup: &Setup<'_>, batch: &[u32]) -> (f64, Vec<f64>) {
        let wide = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
        let (series, targets) = (wide(&self.series), wide(&self.targets));
        let mut session = setup.session::<f64>(&Reference, wide(&weights(&self.model, 3)));
        let input = self.model.input_shape();
        let x = Samples::windows(&series, input.steps, input.channels).unwrap();
        let data = Dataset { x, y: Samples::dense(&targets, self.model.output_shape()).unwrap() };
        let loss = session.compute_gradient(&data, batch).unwrap();
        (loss, session.gradient().unwrap())
    }
}

/// Holds loss and gradient of a batch against the reference in `f64`, on some devices.
fn gradient_agrees(model: Network, loss: Loss, batch: &[u32], devices: Vec<Settings>) {
    let named =
        |device: Settings| -> (String, Backend32) { (format!("{device:?}"), Box::new(cuda_on(&device))) };
    gradient_agrees_on(model, loss, batch, devices.into_iter().map(named).collect());
}

/// The same, on backends that have names.
fn gradient_agrees_on(model: Network, loss: Loss, batch: &[u32], backends: Vec<(String, Backend32)>) {
    let bench = Bench::new(model, *batch.iter().max().unwrap() as usize + 1);
    let setup = Setup { loss, ..Setup::new(&bench.model) };
    let (expected_loss, expected) = bench.reference(&setup, batch);
    for (name, backend) in backends {
        let mut session = setup.session::<f32>(&*backend, weights(&bench.model, 3));
        let found_loss = session.compute_gradient(&bench.data(), batch).unwrap();
        // Each squared difference is off by some ten roundings of f32, 6e-8, and their mean by less, of whatever sign.
        assert!((found_loss - expected_loss).abs() <= 1e-6 * expected_loss, "{found_loss}, {expected_loss}");
        let found = session.gradient().unwrap();
        for tensor in bench.model.layout().tensors() {
            let range = tensor.range.clone();
            let largest = expected[range.clone()].iter().fold(0.0, |a: f64, g| a.max(g.abs()));
            for i in range {
                // Partial sums of n terms of either sign grow as sqrt(k), so that rounding each of them to f32 puts the
                // sum off by 6e-8 sqrt(n / 2) of its own size: 7e-7 for 288 steps summed one after the other, and less
                // in the several shorter sums that threads make of them.
                let error = (f64::from(found[i]) - expected[i]).abs();
                assert!(
                    error <= 1e-6 * largest,
                    "{} [{i}]: {} is not {}, {name}",
                    tensor.name,
                    found[i],
                    expected[i]
                );
            }
        }
    }
}

/// The sources of a model's step and of its scoring; or why they are not fused, and left to the plain kernels.
fn sources(model: &Network, device: &Settings) -> Result<[FusedSource; 2], String> {
    tuned_sources(model, device, Tunings::default())
}

fn tuned_sources(model: &Network, device: &Settings, tunings: Tunings) -> Result<[FusedSource; 2], String> {
    let setup = Setup::new(model);
    let plan = model.plan(setup.loss, setup.optimizer, setup.seed, 32).unwrap();
    programs(&plan, &properties(device), tunings)
}

/// The tutorial's network: each window a block of its own; and two blocks for five windows, so that blocks take
/// several and not as many.
#[test]
fn the_tutorials_gradient_is_within_1e_6_of_the_reference_in_f64() {
    if !can_run_cuda() {
        return;
    }
    sources(&tutorial(288), &hopper(132)).unwrap();
    let batch: Vec<u32> = (0..5).map(|i| i * 29).collect();
    gradient_agrees(tutorial(288), Loss::MeanSquaredError, &batch, vec![hopper(132), hopper(2)]);
}

/// Networks at the edges of what kernels distinguish: channels around fours, strides with and without taps for all of
/// their phases, dilation, valid and causal padding, layers that are no contraction.
fn odd_networks() -> Vec<Network> {
    let (same, valid, causal) = (Padding::Same, Padding::Valid, Padding::Causal);
    let (relu, gelu) = (Activation::Relu, Activation::Gelu { approximate: false });
    let up = |filters, taps, stride| Conv1DTranspose::new(filters, taps).strides(stride);
    let build = |shape: (usize, usize), add: &dyn Fn(&mut Sequential)| {
        let mut model = Sequential::new(Shape::new(shape.0, shape.1));
        add(&mut model);
        Network::from(model)
    };
    vec![
        // Ragged channels, no dropout, a stride of 3 and its way back.
        build((37, 3), &|model| {
            model.add(Conv1D::new(33, 5).strides(3).padding(same).activation(relu)).unwrap();
            model.add(Conv1D::new(7, 3).padding(same)).unwrap();
            model.add(ReLU).unwrap().add(up(5, 4, 3).padding(same).activation(relu)).unwrap();
            model.add(up(2, 3, 1).padding(valid)).unwrap();
        }),
        // A stride of 4 over kernels of 2 and 3 taps: phases that meet none.
        build((29, 1), &|model| {
            model.add(Conv1D::new(9, 3).strides(4).padding(causal).activation(relu)).unwrap();
            model.add(Dropout::new(0.5)).unwrap();
            model.add(up(6, 2, 4).padding(same).activation(relu)).unwrap();
            model.add(Dropout::new(0.3)).unwrap().add(Conv1D::new(4, 1)).unwrap();
        }),
        // Dilation, more taps than are taken at once, no bias.
        build((50, 2), &|model| {
            model.add(Conv1D::new(8, 3).dilation_rate(4).padding(causal).activation(relu)).unwrap();
            model.add(Conv1D::new(16, 17).padding(same).use_bias(false).activation(relu)).unwrap();
            model.add(Dropout::new(0.1)).unwrap().add(Conv1D::new(3, 2).dilation_rate(3)).unwrap();
        }),
        // Nothing that could be fused into a kernel: maps of their own at the start and at the end.
        build((21, 4), &|model| {
            model.add(ReLU).unwrap().add(Dropout::new(0.4)).unwrap();
            model.add(Conv1D::new(12, 4).padding(valid)).unwrap();
            model.add(Dropout::new(0.2)).unwrap().add(ReLU).unwrap();
        }),
        // Curved activations: as arguments, before dropout, as layers, and of both residuals.
        build((23, 2), &|model| {
            model.add(Conv1D::new(7, 3).padding(same).activation(Activation::Tanh)).unwrap();
            model.add(Dropout::new(0.2)).unwrap();
            model.add(Conv1D::new(5, 3).strides(2).padding(same).activation(gelu)).unwrap();
            model.add(Dropout::new(0.3)).unwrap().add(Activation::Sigmoid).unwrap();
            model.add(up(6, 4, 2).padding(same).activation(Activation::Selu)).unwrap();
            model.add(Activation::Silu).unwrap().add(LeakyReLU::default()).unwrap();
            model.add(Conv1D::new(3, 2).padding(same).activation(Activation::Softplus)).unwrap();
            model.add(ELU::new(0.5)).unwrap().add(Activation::Gelu { approximate: true }).unwrap();
        }),
        // One layer, one channel.
        build((11, 1), &|model| {
            model.add(Conv1D::new(1, 3).padding(valid)).unwrap();
        }),
    ]
}

#[test]
fn odd_networks_agree_with_the_reference() {
    if !can_run_cuda() {
        return;
    }
    let losses = [Loss::MeanAbsoluteError, Loss::MeanSquaredError, Loss::huber(0.5).unwrap(), Loss::LogCosh];
    for (model, loss) in odd_networks().into_iter().zip(losses.into_iter().cycle()) {
        sources(&model, &hopper(132)).unwrap();
        gradient_agrees(model, loss, &[4, 0, 2, 7, 5, 1, 3], vec![hopper(3)]);
    }
}

/// NVRTC takes the same sources, and says nothing.
#[test]
fn fused_kernels_compile_for_every_architecture_without_a_warning() {
    let Some(nvrtc) = nvrtc() else { return };
    let compile = |model: &Network, architecture: &str| {
        for FusedSource { file, header, .. } in sources(model, &hopper(132)).unwrap() {
            let mut headers = FUSED_FILES.to_vec();
            headers.push(("fused_program.cuh", &header));
            let (name, text) = *headers.iter().find(|(name, _)| *name == file).unwrap();
            let source = Source { name, text, headers: &headers };
            let compiled = nvrtc.compile(&source, architecture).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(compiled.log, "", "{file}, {architecture}");
        }
    };
    for architecture in ["sm_75", "sm_80", "sm_90", "sm_100"] {
        compile(&tutorial(288), architecture);
    }
    for model in odd_networks() {
        compile(&model, "sm_90");
    }
}

/// Ampere's blocks have less shared memory, where rows lie closer: the tutorial's network fits all the same.
#[test]
fn the_tutorials_step_fits_ampere() {
    if !can_run_cuda() {
        return;
    }
    let ampere = || gpu((8, 0), 163 * 1024, 108);
    let [step, _] = sources(&tutorial(288), &ampere()).unwrap();
    assert_ne!(step, sources(&tutorial(288), &hopper(132)).unwrap()[0]);
    gradient_agrees(tutorial(288), Loss::MeanSquaredError, &[3, 1], vec![ampere()]);
}

/// A network of two strided layers, small enough to be compiled many times.
fn small() -> Network {
    let mut model = Sequential::new(Shape::new(26, 2));
    let (same, relu) = (Padding::Same, Activation::Relu);
    model
        .add(Conv1D::new(8, 5).strides(2).padding(same).activation(relu))
        .unwrap()
        .add(Dropout::new(0.2))
        .unwrap();
    model.add(Conv1DTranspose::new(3, 5).strides(2).padding(same)).unwrap();
    model.into()
}

/// However a step is cut, its gradient is the same within rounding: for numbers of warps that the phases of a
/// transposed convolution share evenly and for others, for the least and the most threads of a block, for tiles as small
/// as can be.
#[test]
fn any_tuning_gives_the_same_gradient() {
    if !can_run_cuda() {
        return;
    }
    let tuning = |threads, straight, fetch| Tuning { threads, straight, fetch };
    let variants =
        [tuning(32, 2200, 0.0), tuning(96, 40, 0.25), tuning(512, 300, 1.0), tuning(1024, 1, 0.25)];
    let backend = |tuning: Tuning| -> Backend32 { Box::new(cuda_on(&hopper(3)).tuned(tuning)) };
    let usual = sources(&small(), &hopper(3)).unwrap();
    for tuning in variants {
        // Fused, and not as it was.
        let cut = tuned_sources(&small(), &hopper(3), tuning.into()).unwrap();
        assert!(cut[0].header.contains(&format!("THREADS = {},", tuning.threads)), "{tuning:?}");
        assert!(cut[0].header != usual[0].header && cut[1].header != usual[1].header, "{tuning:?}");
    }
    let named = variants.map(|tuning| (format!("{tuning:?}"), backend(tuning)));
    gradient_agrees_on(small(), Loss::MeanSquaredError, &[4, 0, 2, 7, 5, 1, 3], named.into());

    // And so are predictions.
    let bench = Bench::new(small(), 5);
    let setup = Setup::new(&bench.model);
    let wide: Vec<f64> = bench.series.iter().map(|v| f64::from(*v)).collect();
    let x = Samples::windows(&wide, bench.data().x.shape().steps, bench.data().x.shape().channels).unwrap();
    let w64 = weights::<f32>(&bench.model, 3).into_iter().map(f64::from).collect();
    let expected = predict(&mut *setup.session::<f64>(&Reference, w64), &x);
    let largest = expected.iter().fold(0.0, |a: f64, v| a.max(v.abs()));
    let mut session = setup.session::<f32>(&*backend(variants[1]), weights(&bench.model, 3));
    for (found, expected) in predict(&mut *session, &bench.data().x).iter().zip(&expected) {
        // Some dozens of terms in each of two layers.
        assert!((f64::from(*found) - expected).abs() <= 1e-6 * largest, "{found} is not {expected}");
    }
}

/// Blocks that no GPU has are refused with the reason, and the plain kernels take the step.
#[test]
fn a_tuning_that_cannot_be_says_why() {
    let usual = Tunings::default().step;
    for (tuning, what) in [
        (Tuning { threads: 0, ..usual }, "0 threads"),
        (Tuning { threads: 100, ..usual }, "100 threads"),
        (Tuning { threads: 2048, ..usual }, "2048 threads"),
        (Tuning { fetch: f64::NAN, ..usual }, "NaN cycles"),
        (Tuning { fetch: -1.0, ..usual }, "-1 cycles"),
    ] {
        let reason = tuned_sources(&small(), &hopper(132), tuning.into()).unwrap_err();
        assert!(reason.contains(what), "{reason}");
    }
}

/// Predictions are those of the reference, and losses are those of the predictions: for more windows than blocks.
#[test]
fn scoring_agrees_with_the_reference() {
    if !can_run_cuda() {
        return;
    }
    for model in [tutorial(288)].into_iter().chain(odd_networks()) {
        sources(&model, &hopper(132)).unwrap();
        let (bench, samples) = (Bench::new(model, 7), 7);
        let setup = Setup::new(&bench.model);
        let data = bench.data();
        let wide: Vec<f64> = bench.series.iter().map(|v| f64::from(*v)).collect();
        let x = Samples::windows(&wide, data.x.shape().steps, data.x.shape().channels).unwrap();
        let w64 = weights::<f32>(&bench.model, 3).into_iter().map(f64::from).collect();
        let expected = predict(&mut *setup.session::<f64>(&Reference, w64), &x);
        let mut session = setup.session::<f32>(&*fused(3), weights(&bench.model, 3));
        let found = predict(&mut *session, &data.x);
        let largest = expected.iter().fold(0.0, |a: f64, v| a.max(v.abs()));
        for (found, expected) in found.iter().zip(&expected) {
            // A few hundred terms in each of a handful of layers.
            assert!((f64::from(*found) - expected).abs() <= 2e-6 * largest, "{found} is not {expected}");
        }
        let predictions = Samples::dense(&found, bench.model.output_shape()).unwrap();
        for loss in Loss::ALL {
            let mut losses = vec![f64::NAN; samples];
            session.sample_losses(&data, loss, &mut losses).unwrap();
            for (index, found) in losses.iter().enumerate() {
                let expected = loss.sample(predictions.get(index), data.y.get(index));
                // Sums in f64 of the same numbers, in another order.
                assert!((found - expected).abs() <= 1e-13 * expected, "{found} is not {expected}");
            }
        }
        let mean = session.evaluate(&data.slice(2..5)).unwrap();
        let mut losses = vec![0.0; samples];
        session.sample_losses(&data, Loss::MeanSquaredError, &mut losses).unwrap();
        assert!((mean - losses[2..5].iter().sum::<f64>() / 3.0).abs() <= 1e-13 * mean);
    }
}

/// A network whose values share places in shared memory since it would not fit otherwise, and one that fits without.
#[test]
fn values_that_share_a_place_do_not_disturb_each_other() {
    if !can_run_cuda() {
        return;
    }
    let bench = Bench::new(tutorial(96), 3);
    let setup = Setup::new(&bench.model);
    let device = |shared_bytes| gpu((9, 0), shared_bytes, 4);
    let gradient = |shared_bytes| {
        let backend = cuda_on(&device(shared_bytes));
        let mut session = setup.session::<f32>(&backend, weights(&bench.model, 3));
        session.compute_gradient(&bench.data(), &[0, 2, 1]).unwrap();
        session.gradient().unwrap()
    };
    let tight = 126 * 1024;
    assert_ne!(
        sources(&bench.model, &device(HOPPER)).unwrap(),
        sources(&bench.model, &device(tight)).unwrap()
    );
    let (roomy, tight) = (gradient(HOPPER), gradient(tight));
    // The same sums in the same order, wherever they lie.
    assert_eq!(roomy, tight);
}

/// Two epochs of training, the last batch short; then the state.
fn train(backend: &dyn Backend<f32>, bench: &Bench, seed: u64) -> (Vec<f64>, Vec<f32>) {
    let setup = Setup { seed, ..Setup::new(&bench.model) };
    let mut session = setup.session(backend, weights(&bench.model, 3));
    let data = bench.data();
    let mut order: Vec<u32> = (0..data.len() as u32).collect();
    let mut losses = vec![];
    for epoch in 0..2 {
        Stream::new(5, Purpose::Shuffle, 0, epoch as u32).draws().shuffle(&mut order);
        let epoch = Epoch { epoch, order: &order, batch_size: 4 };
        losses.push(session.train_epoch(&data, &epoch, &mut |_| {}).unwrap());
    }
    let state = session.state().unwrap();
    (losses, [state.weights, state.slots.concat()].concat())
}

/// A whole fit follows that of another backend, of the plain kernels as a rule: the same masks, the same batches, the same steps.
#[test]
fn training_follows_another_backend() {
    if !can_run_cuda() {
        return;
    }
    let bench = Bench::new(tutorial(48), 10);
    let (losses, state) = train(&*fused(3), &bench, 9);
    let plain = backends().pop().expect("there is always one");
    let (plain_losses, plain_state) = train(&*plain, &bench, 9);
    // Rounded to 1e-6 each, and taken with weights that go apart only where the gradient is near zero, see below: the loss
    // hardly depends on those. Ten times the rounding.
    for (found, expected) in losses.iter().zip(&plain_losses) {
        assert!((found - expected).abs() <= 1e-5 * expected, "{found}, {expected}");
    }
    // Six steps of at most 1e-3 each; where a gradient is near zero, Adam's first steps hang on its rounding.
    let far = state.iter().zip(&plain_state).filter(|(a, b)| (**a - **b).abs() > 1e-5).count();
    assert!(far * 100 <= state.len(), "{far} of {} numbers differ", state.len());
    // Another seed, another run: the comparison can fail.
    let (other, _) = train(&*fused(3), &bench, 10);
    assert!((other[0] - losses[0]).abs() > 1e-4 * losses[0]);
}

#[test]
fn a_run_gives_the_same_bits_again() {
    if !can_run_cuda() {
        return;
    }
    let bench = Bench::new(tutorial(48), 10);
    let run = || train(&*fused(3), &bench, 9);
    let ((losses, state), (losses_again, state_again)) = (run(), run());
    assert_eq!(losses, losses_again);
    assert_eq!(
        state.iter().map(|v| v.to_bits()).collect::<Vec<_>>(),
        state_again.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
    );
}

/// A loss that is not finite leaves the weights as they were before its batch.
#[test]
fn a_loss_that_is_not_finite_stops_the_run() {
    if !can_run_cuda() {
        return;
    }
    let mut bench = Bench::new(tutorial(48), 12);
    let poisoned = 9 * bench.model.output_shape().len();
    bench.targets[poisoned] = f32::NAN;
    let setup = Setup::new(&bench.model);
    let order: Vec<u32> = (0..12).collect();
    let epoch = |order| Epoch { epoch: 0, order, batch_size: 4 };
    let mut session = setup.session::<f32>(&*fused(2), weights(&bench.model, 3));
    let error = session.train_epoch(&bench.data(), &epoch(&order), &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("sample 9") || error.contains("the target"), "{error}");
    let stopped = session.state().unwrap();
    let mut session = setup.session::<f32>(&*fused(2), weights(&bench.model, 3));
    session.train_epoch(&bench.data(), &epoch(&order[..8]), &mut |_| {}).unwrap();
    assert_eq!(stopped.weights, session.state().unwrap().weights);
}

/// A model that does not fit is trained by the plain kernels, and the reason is given.
#[test]
fn what_does_not_fit_says_why() {
    if !can_run_cuda() {
        return;
    }
    let turing = || gpu((7, 5), 64 * 1024, 40);
    let reason = sources(&tutorial(288), &turing()).unwrap_err();
    assert!(reason.contains("KiB of shared memory, a block has at most 64 KiB"), "{reason}");
    // Small, and too many: each has a kernel of code.
    let mut deep = Sequential::new(Shape::new(8, 1));
    for _ in 0..30 {
        deep.add(Conv1D::new(1, 3).padding(Padding::Same)).unwrap();
    }
    let reason = sources(&deep, &hopper(132)).unwrap_err();
    assert!(reason.contains("89 contractions would be too much code, more than 64"), "{reason}");
    let bench = Bench::new(tutorial(96), 2);
    sources(&bench.model, &turing()).unwrap_err();
    let setup = Setup::new(&bench.model);
    let mut session = setup.session::<f32>(&cuda_on(&turing()), weights(&bench.model, 3));
    let (expected, _) = bench.reference(&setup, &[0, 1]);
    let found = session.compute_gradient(&bench.data(), &[0, 1]).unwrap();
    // As in `gradient_agrees`: a mean of squares that are off by some ten roundings of f32.
    assert!((found - expected).abs() <= 1e-6 * expected);
}
