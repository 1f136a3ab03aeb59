//! A profiled step is a step: on every backend it leaves the same bits as an ordinary one, and its parts account
//! for its time.

use std::collections::BTreeMap;
use std::time::Duration;

use glassbox_cpu::Cpu;
use glassbox_engine::backend::Backend;
use glassbox_engine::geometry::Padding;
use glassbox_engine::layers::{
    Activation, Add, AveragePooling1D, Bidirectional, Concatenate, Conv1D, Conv1DTranspose, Cropping1D,
    Dense, Dropout, Flatten, GRU, LSTM, LayerNormalization, MaxPooling1D, Multiply, RepeatVector, Reshape,
    TimeDistributed, UpSampling1D, ZeroPadding1D,
};
use glassbox_engine::losses::Loss;
use glassbox_engine::model::{Functional, Network, Sequential};
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::profile::{Part, PartTime};
use glassbox_engine::random::{Purpose, Stream};
use glassbox_engine::reference::Reference;
use glassbox_engine::shape::Shape;
use glassbox_lab::profile::{PartInfo, Profile, ProfileOptions, What, run, run_beside};
use glassbox_tests::backends::{Setup, backends, backends_and_fused, dataset, launches_kernels};

/// More samples than a chunk has, and not a whole number of chunks.
const BATCH: u32 = 21;

fn model() -> Network {
    let mut model = Sequential::new(Shape::new(12, 2));
    let encode = Conv1D::new(5, 3).strides(2).padding(Padding::Same).activation(Activation::Relu);
    model.add(encode).expect("a layer").add(Dropout::new(0.25)).expect("a layer");
    model.add(Conv1DTranspose::new(2, 3).strides(2).padding(Padding::Same)).expect("a layer");
    model.into()
}

fn samples(model: &Network) -> Vec<f32> {
    let mut draws = Stream::new(11, Purpose::Check, 0, 0).draws();
    (0..BATCH as usize * model.input_shape().len()).map(|_| draws.normal() as f32).collect()
}

#[test]
fn a_profiled_step_is_an_ordinary_step_to_the_bit() {
    let model = model();
    let x = samples(&model);
    let data = dataset(&model, &x, &x);
    let batch: Vec<u32> = (0..BATCH).rev().collect();
    for backend in backends() {
        let session = || Setup::new(&model).session(&*backend, model.layout().initial(3));
        let (mut ordinary, mut profiled) = (session(), session());
        // The second step starts from moments and weights that the first one left.
        for step in 1..=2 {
            let loss = ordinary.compute_gradient(&data, &batch).expect("a loss");
            ordinary.update().expect("a step");
            let profile = profiled.profile_step(&data, &batch).expect("a profile");
            assert_eq!(profile.loss.to_bits(), loss.to_bits(), "{}, step {step}", backend.name());
            let (expected, found) = (ordinary.state().expect("a state"), profiled.state().expect("a state"));
            assert_eq!(found, expected, "{}, step {step}", backend.name());
            assert_eq!(profiled.gradient().expect("one"), ordinary.gradient().expect("one"));
        }
    }
}

#[test]
fn the_parts_of_a_step_are_all_of_it() {
    let model = model();
    let x = samples(&model);
    let data = dataset(&model, &x, &x);
    let batch: Vec<u32> = (0..BATCH).collect();
    for backend in backends() {
        let mut session = Setup::new(&model).session(&*backend, model.layout().initial(3));
        let lines = session.plan().training.lines.len();
        let profile = session.profile_step(&data, &batch).expect("a profile");
        let name = backend.name();
        assert_eq!(profile.samples, BATCH as usize, "{name}");

        // Each part once, and the lines in order.
        let expected = [
            Part::Packing,
            Part::Clearing,
            Part::Gather,
            Part::Waiting,
            Part::Reduction,
            Part::Update,
            Part::Fused,
        ];
        let expected: Vec<Part> = expected.into_iter().chain((0..lines).map(Part::Line)).collect();
        assert_eq!(profile.parts.iter().map(|time| time.part).collect::<Vec<_>>(), expected, "{name}");

        // Every line ran for every sample, and the clock was read then: after each of them, or, where a kernel
        // takes all samples at once, after that.
        let readings = if launches_kernels(&*backend) { 1 } else { u64::from(BATCH) };
        for line in 0..lines {
            let time = profile.part(Part::Line(line));
            assert!(time.readings >= readings, "{name}: {time:?}");
            assert_eq!(time.threads, profile.threads, "{name}: {time:?}");
        }
        let busy: Duration = profile.parts.iter().map(|time| time.busy).sum();
        assert!(
            busy > Duration::ZERO && busy <= profile.wall * profile.threads as u32,
            "{name}: {profile:?}"
        );
        let in_step: Duration = profile.parts.iter().map(PartTime::in_step).sum();
        // A division rounds down, by less than a nanosecond.
        let rounding = Duration::from_nanos(profile.parts.len() as u64);
        assert!(in_step <= profile.wall && profile.wall - in_step <= rounding, "{name}: {profile:?}");
    }
}

#[test]
fn ceilings_are_there_where_a_backend_can_measure_them_and_are_numbers() {
    for backend in backends() {
        let Some(ceilings) = backend.ceilings(100_000) else { continue };
        for ceiling in ceilings.peaks.iter().chain(&ceilings.bandwidths) {
            // Nothing that this runs on does a thousandth of this, or a thousand times as much.
            assert!(ceiling.rate > 1e7 && ceiling.rate < 1e15, "{}: {ceiling:?}", backend.name());
        }
        assert!(!ceilings.peaks.is_empty() && !ceilings.bandwidths.is_empty(), "{}", backend.name());
    }
}

/// A graph of all layers but convolutions and dropout.
fn graph() -> Network {
    let mut model = Functional::new();
    let x = model.input((12, 4));
    let mut build = || {
        let a = model.call(LSTM::new(5).return_sequences(true), &[x])?;
        let b = model.call(GRU::new(5).return_sequences(true), &[a])?;
        let sum = model.call(Add, &[a, b])?;
        let normal = model.call(LayerNormalization::default(), &[sum])?;
        let product = model.call(Multiply, &[sum, normal])?;
        let inner = GRU::new(3).reset_after(false).return_sequences(true);
        let both = model.call(Bidirectional::new(inner), &[product])?;
        let most = model.call(MaxPooling1D::new(2), &[both])?;
        let mean = model.call(AveragePooling1D::new(2), &[both])?;
        let most = model.call(UpSampling1D::new(2), &[most])?;
        let mean = model.call(ZeroPadding1D::new(3, 3), &[mean])?;
        let all = model.call(Concatenate::default(), &[most, mean])?;
        let all = model.call(TimeDistributed::new(Dense::new(3).activation(Activation::Tanh)), &[all])?;
        let all = model.call(Cropping1D::new(1, 1), &[all])?;
        let code = model.call(Flatten, &[all])?;
        let code = model.call(Dense::new(6), &[code])?;
        let code = model.call(Reshape::new((2, 3)), &[code])?;
        let code = model.call(LSTM::new(2), &[code])?;
        model.call(RepeatVector::new(12), &[code])
    };
    let y = build().expect("layers that fit");
    model.outputs(&[y]).expect("a model")
}

/// The CPU computes the product of an input along with the steps of a recurrence, the reference before them: the work of
/// each layer is the same. And each part has a ceiling.
#[test]
fn every_layer_has_its_work_and_its_share_of_the_ceiling() {
    let model = graph();
    let cpu = Cpu::new(Some(2)).expect("two threads");
    let [reference, fast] = [&Reference as &dyn Backend<f32>, &cpu]
        .map(|backend| run(backend, &model, None, &BRIEF).expect("a profile"));
    let work = |profile: &Profile| {
        let mut work: BTreeMap<(Option<String>, String), (u64, u64)> = BTreeMap::new();
        for part in profile.parts.iter().filter(|part| part.instruction.is_some()) {
            let of = work.entry((part.layer.clone(), format!("{:?}", part.pass))).or_default();
            *of = (of.0 + part.multiply_adds, of.1 + part.flops);
        }
        work
    };
    let (expected, found) = (work(&reference), work(&fast));
    assert_eq!(found, expected);
    let lstm = |pass: &str| found[&(Some("lstm".into()), pass.into())].0;
    // Twelve steps of four channels, and eleven of the five units before them, times the four gates of five units. Backward
    // again for each kernel, and for the state before; the sample has no gradient.
    let (input, state) = (12 * 4 * 20, 11 * 5 * 20);
    assert_eq!((lstm("Forward"), lstm("Backward")), (5 * (input + state), 5 * (input + 2 * state)));
    for layer in model.layers() {
        let has = |pass: &str| found.contains_key(&(Some(layer.name.clone()), pass.into()));
        // A sum passes its gradient on as it is.
        let passes_on = layer.layer.class_name() == "Add";
        assert!(has("Forward") && has("Backward") != passes_on, "{}", layer.name);
    }

    let recurrences = fast.parts.iter().filter(|part| part.what == What::Recurrence);
    assert_eq!(recurrences.count(), 2 * 5, "the steps and their gradients, of five recurrences");
    let merged: Vec<&String> = fast.parts.iter().flat_map(|part| &part.merged).collect();
    assert!(!merged.is_empty() && reference.parts.iter().all(|part| part.merged.is_empty()), "{merged:?}");
    for part in &fast.parts {
        let bound = part.what != What::Waiting && part.seconds > 0.0;
        assert_eq!(part.ceiling.is_some(), bound, "{part:?}");
        assert!(
            part.ceiling.is_none_or(|ceiling| ceiling.share > 0.0 && ceiling.share.is_finite()),
            "{part:?}"
        );
        assert!(!part.merged.contains(part.instruction.as_ref().unwrap_or(&String::new())), "{part:?}");
    }

    // Several samples take each step together.
    let plan = model.plan(Loss::default(), Optimizer::default(), 1, BRIEF.batch_size).expect("a plan");
    let sample = plan.training.len() * size_of::<f32>();
    assert!(
        fast.ceilings.expect("measured").working_set > 2 * (sample + plan.layout.len() * size_of::<f32>())
    );
}

/// As few steps as show everything.
const BRIEF: ProfileOptions = ProfileOptions { batch_size: 5, steps: 2, seed: 1 };

fn sum_of(parts: &[PartInfo]) -> f64 {
    parts.iter().map(|part| part.seconds).sum()
}

/// Kernels, on a GPU or on the host, and the CPU beside them, with plain steps and with fused ones: each part is held
/// against the same work, and nothing is lost on the way.
#[test]
fn the_same_step_side_by_side_is_the_same_work() {
    let model = model();
    let cpu = Cpu::new(Some(2)).expect("two threads");
    let backends = backends_and_fused().into_iter().filter(|backend| launches_kernels(&**backend));
    let mut fused = vec![];
    for backend in backends {
        let both = run_beside([&*backend, &cpu], &model, None, &BRIEF).expect("two profiles");
        let (here, there) = (&both.profile, &both.beside.profile);
        assert_eq!((&here.model, &here.config), (&there.model, &there.config));
        assert!(there.backend.starts_with("cpu") && launches_kernels(&*backend), "{}", here.backend);
        let is_fused = here.parts.iter().any(|part| part.what == What::WholeProgram);
        fused.push(is_fused);

        // Each part once, on both sides.
        let each = |parts: Vec<usize>, of: &Profile| {
            let mut parts = parts;
            parts.sort_unstable();
            assert_eq!(parts, (0..of.parts.len()).collect::<Vec<_>>(), "{both:?}");
        };
        each(both.beside.pairs.iter().filter_map(|pair| pair.part).collect(), here);
        each(both.beside.pairs.iter().flat_map(|pair| pair.beside.clone()).collect(), there);
        let (mut of_lines, mut sums) = (0, [0.0, 0.0]);
        for pair in &both.beside.pairs {
            let parts: Vec<PartInfo> = pair.beside.iter().map(|part| there.parts[*part].clone()).collect();
            assert_eq!(pair.beside_seconds, sum_of(&parts));
            sums = [sums[0] + pair.seconds, sums[1] + pair.beside_seconds];
            let Some(part) = pair.part.map(|part| &here.parts[part]) else {
                assert!((pair.seconds, pair.ratio) == (0.0, None) && parts.len() == 1, "{pair:?}");
                continue;
            };
            assert_eq!(pair.seconds, part.seconds);
            if part.instruction.is_some() {
                of_lines += 1;
                let same = |other: &PartInfo| {
                    (&other.instruction, &other.layer, other.pass, other.what, other.flops, other.bytes)
                        == (&part.instruction, &part.layer, part.pass, part.what, part.flops, part.bytes)
                };
                assert!(parts.len() == 1 && same(&parts[0]), "{part:?}, {parts:?}");
            }
            if part.what == What::WholeProgram {
                // The same arithmetic, since all lines are in it, and nothing else does any.
                assert_eq!(parts.iter().map(|part| part.flops).sum::<u64>(), part.flops);
                let lines =
                    |parts: &[PartInfo]| parts.iter().filter(|part| part.instruction.is_some()).count();
                assert_eq!(lines(&parts), lines(&there.parts), "{parts:?}");
            }
        }
        assert_eq!(of_lines == 0, is_fused, "{}", here.backend);
        // Sums of the same numbers in another order.
        for (sum, profile) in sums.into_iter().zip([here, there]) {
            let parts = profile.step.parts_seconds;
            assert!((sum - parts).abs() <= 1e-12 * parts, "{sum} is not {parts}");
        }
        assert_eq!(both.beside.step_ratio, there.step.seconds / here.step.seconds);

        let text = both.to_string();
        assert!(text.starts_with(&here.to_string()), "{text}");
        assert!(text.contains(&format!("Beside it, the same steps on {}", there.backend)), "{text}");
        assert_eq!(text.contains("= the whole program"), is_fused, "{text}");
        assert_eq!(text.contains("= backward"), !is_fused, "{text}");
        assert!(text.contains("= all parts") && text.contains(" times as long."), "{text}");
        // A table that fits a screen.
        let table = text.lines().skip_while(|line| !line.starts_with("Beside it"));
        let table = table.take_while(|line| !line.starts_with("On cpu"));
        let widest = table.map(|line| line.chars().count()).max();
        assert!(widest <= Some(120), "{widest:?}: {text}");

        // Who reads the JSON of one profile reads this.
        let json = serde_json::to_value(&both).expect("JSON");
        let alone = serde_json::to_value(here).expect("JSON");
        for (key, value) in alone.as_object().expect("an object") {
            assert_eq!(&json[key], value, "{key}");
        }
        assert_eq!(json["beside"]["profile"], serde_json::to_value(there).expect("JSON"));
        let pairs = json["beside"]["pairs"].as_array().expect("pairs");
        assert_eq!(pairs.len(), both.beside.pairs.len());
        assert!(pairs.iter().all(|pair| pair.get("ratio").is_some() && pair["beside"].is_array()), "{json}");
        assert!(alone.get("beside").is_none(), "{alone}");
    }
    // Both ways were seen, but on a machine that can run neither.
    fused.sort_unstable();
    assert!(fused.is_empty() || fused == [false, true], "{fused:?}");
}
