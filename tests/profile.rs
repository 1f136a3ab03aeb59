//! A profiled step is a step: on every backend it leaves the same bits as an ordinary one, and its parts account
//! for its time.

use std::time::Duration;

use glassbox_engine::geometry::Padding;
use glassbox_engine::layers::{Activation, Conv1D, Conv1DTranspose, Dropout};
use glassbox_engine::model::Sequential;
use glassbox_engine::profile::{Part, PartTime};
use glassbox_engine::random::{Purpose, Stream};
use glassbox_engine::shape::Shape;
use glassbox_tests::backends::{Setup, backends, dataset, launches_kernels};

/// More samples than a chunk has, and not a whole number of chunks.
const BATCH: u32 = 21;

fn model() -> Sequential {
    let mut model = Sequential::new(Shape::new(12, 2));
    let encode = Conv1D::new(5, 3).strides(2).padding(Padding::Same).activation(Activation::Relu);
    model.add(encode).expect("a layer").add(Dropout::new(0.25)).expect("a layer");
    model.add(Conv1DTranspose::new(2, 3).strides(2).padding(Padding::Same)).expect("a layer");
    model
}

fn samples(model: &Sequential) -> Vec<f32> {
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
