//! Laws of the layers that are no convolutions: pooling, dropout of whole channels, normalisation.

use glassbox_engine::geometry::Padding;
use glassbox_engine::layers::{
    AveragePooling1D, Dropout, Layer, LayerNormalization, MaxPooling1D, SpatialDropout1D, TimeDistributed,
};
use glassbox_engine::losses::Loss;
use glassbox_engine::masks::MaskAt;
use glassbox_engine::model::{Network, Sequential};
use glassbox_engine::program::{Instruction, Pooling};
use glassbox_engine::reference::{Interpreter, Sample, pool, pool_gradient};
use glassbox_engine::samples::Samples;
use glassbox_engine::shape::Shape;
use glassbox_tests::backends::{Setup, backends, predict};
use glassbox_tests::cases::{BOUNDARIES, cases, integers, normals};
use ndarray::Array2;
use proptest::prelude::*;
use proptest::sample::select;

fn model(input: Shape, layer: impl Layer + 'static) -> Network {
    let mut model = Sequential::new(input);
    model.add(layer).expect("a layer that fits");
    model.into()
}

/// The prediction for one sample, on every backend.
fn predictions(model: &Network, x: &[f32]) -> Vec<(String, Vec<f32>)> {
    let of = |backend: glassbox_tests::backends::Backend32| {
        let weights = model.layout().initial(1);
        let mut session = Setup::new(model).session(&*backend, weights);
        let x = Samples::dense(x, model.input_shape()).expect("a sample");
        (backend.name(), predict(&mut *session, &x))
    };
    backends().into_iter().map(of).collect()
}

/// An input, and windows that fit it: size, strides, padding.
fn windows() -> impl Strategy<Value = (Shape, usize, usize, Padding)> {
    let padding = select(&[Padding::Valid, Padding::Same][..]);
    (1usize..=30, select(BOUNDARIES.channels), 1usize..=7, 1usize..=5, padding).prop_map(
        |(steps, channels, size, strides, padding)| {
            let size = if padding == Padding::Valid { size.min(steps) } else { size };
            (Shape::new(steps, channels), size, strides, padding)
        },
    )
}

/// The steps of each window, as one would explain them: from the first place on, a stride further each time; "same" begins
/// as much before the signal as it ends after it, and what is outside does not count.
fn steps_of_windows(steps: usize, size: usize, strides: usize, padding: Padding) -> Vec<Vec<usize>> {
    let (count, before) = match padding {
        Padding::Same => {
            let count = steps.div_ceil(strides);
            (count, ((count - 1) * strides + size).saturating_sub(steps) / 2)
        }
        _ => ((steps - size) / strides + 1, 0),
    };
    let window = |t: usize| {
        let places = (0..size).map(move |i| (t * strides + i).checked_sub(before));
        places.flatten().filter(|step| *step < steps).collect()
    };
    (0..count).map(window).collect()
}

proptest! {
    #![proptest_config(cases(150))]

    /// On whole numbers, whose sums are exact: every backend gives the very maximum and the very mean.
    #[test]
    fn pooling_is_its_definition((input, size, strides, padding) in windows(), seed: u64) {
        let x: Vec<f32> = integers(seed, input.len()).iter().map(|v| *v as f32).collect();
        let windows = steps_of_windows(input.steps, size, strides, padding);
        let of = |finish: fn(Vec<f32>) -> f32| -> Vec<f32> {
            let channel = |window: &[usize], c| window.iter().map(|t| x[t * input.channels + c]).collect();
            windows.iter().flat_map(|w| (0..input.channels).map(move |c| finish(channel(w, c)))).collect()
        };
        let largest = of(|window| window.into_iter().fold(f32::NEG_INFINITY, f32::max));
        let mean = of(|window| window.iter().sum::<f32>() / window.len() as f32);
        let max = model(input, MaxPooling1D { pool_size: size, strides, padding });
        let average = model(input, AveragePooling1D { pool_size: size, strides, padding });
        for (model, expected) in [(max, largest), (average, mean)] {
            for (name, y) in predictions(&model, &x) {
                prop_assert_eq!(&y, &expected, "{}", name);
            }
        }
    }

    /// `<P x, y> = <x, P^T y>`: the gradient of the mean is its adjoint. That of the maximum is the adjoint of the choice
    /// that x makes.
    #[test]
    fn the_gradient_of_pooling_is_its_adjoint((input, size, strides, padding) in windows(), seed: u64) {
        let model = model(input, MaxPooling1D { pool_size: size, strides, padding });
        let program = model.inference_program();
        let Instruction::Pool { geometry, .. } = program.lines[0].instruction else { panic!("{program}") };
        let signal = |shape: Shape, seed| {
            Array2::from_shape_vec((shape.steps, shape.channels), normals::<f64>(seed, shape.len())).expect("a signal")
        };
        let (x, dy) = (signal(input, seed), signal(geometry.output(), !seed));
        for pooling in [Pooling::Max, Pooling::Average] {
            let (mut y, mut dx) = (Array2::from_elem(dy.dim(), f64::NAN), Array2::from_elem(x.dim(), f64::NAN));
            pool(pooling, &geometry, x.view(), y.view_mut());
            pool_gradient(pooling, &geometry, x.view(), dy.view(), dx.view_mut());
            let (form, transposed) = ((&y * &dy).sum(), (&x * &dx).sum());
            let size = (&y * &dy).mapv(f64::abs).sum();
            prop_assert!((form - transposed).abs() <= 1e-13 * size, "{:?}: {} {}", pooling, form, transposed);
        }
    }

    /// A channel is dropped at all steps or at none, and by the very bits that would drop the elements of a single step.
    #[test]
    fn dropped_channels_are_dropped_at_all_steps(
        steps in 1usize..=20, channels in select(BOUNDARIES.channels), seed: u64, position in 0usize..5,
    ) {
        let kept = |layer: Network| {
            let program = layer.training_program(Loss::default());
            let (len, output) = (layer.input_shape().len(), program.output);
            let mut interpreter = Interpreter::<f64>::new(program, layer.layout().clone());
            interpreter.draw_masks(seed, MaskAt { mask: 0, step: 2, position });
            let (x, target) = (vec![1.0; len], vec![0.0; len]);
            interpreter.run(Sample { x: &x, target: &target, batch: 1 }, &[], &mut []);
            interpreter.value(output).to_vec()
        };
        let whole = kept(model(Shape::new(steps, channels), SpatialDropout1D::new(0.5)));
        let step = kept(model(Shape::new(1, channels), Dropout::new(0.5)));
        prop_assert!(step.iter().all(|v| *v == 0.0 || *v == 2.0));
        for row in whole.chunks(channels) {
            prop_assert_eq!(row, &step);
        }
    }

    /// A signal that is twice as large has the same result, to the bit, with an epsilon that is four times as large. And
    /// the channels of a step sum to zero.
    #[test]
    fn a_normalisation_takes_out_the_scale(
        steps in 1usize..=9, channels in select(BOUNDARIES.channels), seed: u64,
    ) {
        let input = Shape::new(steps, channels);
        let x: Vec<f32> = normals(seed, input.len());
        let twice: Vec<f32> = x.iter().map(|v| 2.0 * v).collect();
        let layer = LayerNormalization::new().epsilon(0.125);
        let one = predictions(&model(input, layer.clone()), &x);
        // It treats each step by itself.
        let by_step = predictions(&model(input, TimeDistributed::new(layer.clone())), &x);
        let values = |predictions: &[(String, Vec<f32>)]| predictions.iter().map(|(_, y)| y.clone()).collect::<Vec<_>>();
        prop_assert_eq!(values(&by_step), values(&one));
        let two = predictions(&model(input, layer.epsilon(0.5)), &twice);
        for ((name, one), (_, two)) in one.iter().zip(&two) {
            prop_assert_eq!(one, two, "{}", name);
            for row in one.chunks(channels) {
                // Each of at most 33 numbers is off by a few roundings of the mean, scaled by at most 3.
                prop_assert!(row.iter().sum::<f32>().abs() <= 1e-4, "{}: {:?}", name, row);
            }
        }
    }
}
