//! Tests of a training step of the tutorial's network on every path.
//!
//! Set `GLASSBOX_SIMD` to test one path; the tests fail if the machine does not support it.

mod common;

use glassbox_cpu::{Cpu, Simd};
use glassbox_engine::backend::{Backend, Dataset, Epoch, Session, State};
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::reference::Reference;
use glassbox_engine::samples::Samples;

/// Loss and gradient of the reference in `f64`.
fn reference(series: &[f32], batch: &[u32]) -> (f64, Vec<f64>) {
    let model = common::tutorial();
    let series: Vec<f64> = series.iter().map(|v| f64::from(*v)).collect();
    let weights: Vec<f32> = model.layout().initial(1);
    let weights = weights.into_iter().map(f64::from).collect();
    let mut session: Box<dyn Session<f64>> = Reference.session(common::plan(&model, 32)).unwrap();
    session.set_state(&State::new(weights, &Optimizer::default())).unwrap();
    let data = Dataset::autoencoder(Samples::windows(&series, 288, 1).unwrap());
    let loss = session.compute_gradient(&data, batch).unwrap();
    (loss, session.gradient().unwrap())
}

#[test]
fn a_step_is_within_1e_6_of_the_reference_in_f64() {
    let (model, series) = (common::tutorial(), common::series(900));
    let batch: Vec<u32> = (0..20).map(|i| i * 29).collect();
    let (loss, gradient) = reference(&series, &batch);
    let data = Dataset::autoencoder(Samples::windows(&series, 288, 1).unwrap());
    for simd in Simd::under_test().unwrap() {
        let mut session = Cpu::with_simd(Some(2), simd).unwrap().session(common::plan(&model, 32)).unwrap();
        session.set_state(&State::new(model.layout().initial(1), &Optimizer::default())).unwrap();
        let found = session.compute_gradient(&data, &batch).unwrap();
        // The mean of 20 x 288 squares, summed in f64. Each square is off by about ten roundings of f32, 6e-8 each, of
        // either sign, and their mean by a seventy-sixth of that, 1e-8. The tolerance is ten times that.
        assert!((found - loss).abs() <= 1e-7 * loss, "{simd}: {found}, {loss}");
        let found = session.gradient().unwrap();
        for tensor in model.layout().tensors() {
            let range = tensor.range.clone();
            let largest = gradient[range.clone()].iter().fold(0.0, |a: f64, g| a.max(g.abs()));
            for i in range {
                let error = (f64::from(found[i]) - gradient[i]).abs() / largest;
                // The partial sums of n terms of either sign grow as sqrt(k), so rounding each of them to f32 moves the
                // sum by 6e-8 sqrt(n / 2) of its own size: 7e-7 for the 288 steps of a window, summed one after the
                // other. The lanes of a register make several shorter sums of them, and the errors of the windows
                // average out.
                assert!(error <= 1e-6, "{simd}, {}: {error:e}", tensor.name);
            }
        }
    }
}

/// The results of a run: losses, weights, predictions.
fn run(simd: Simd, threads: usize) -> (Vec<u64>, Vec<u32>, Vec<u32>) {
    let (model, series) = (common::tutorial(), common::series(500));
    let samples = Samples::windows(&series, 288, 1).unwrap();
    let data = Dataset::autoencoder(samples);
    let mut session =
        Cpu::with_simd(Some(threads), simd).unwrap().session(common::plan(&model, 100)).unwrap();
    session.set_state(&State::new(model.layout().initial(1), &Optimizer::default())).unwrap();
    let order: Vec<u32> = (0..data.len() as u32).rev().collect();
    let mut losses = vec![];
    for epoch in 0..2 {
        let epoch = Epoch { epoch, order: &order, batch_size: 100 };
        losses.push(session.train_epoch(&data, &epoch, &mut |_| {}).unwrap().to_bits());
        losses.push(session.evaluate(&data).unwrap().to_bits());
    }
    let mut predictions = vec![0.0; data.len() * 288];
    session.predict(&samples, &mut predictions).unwrap();
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect();
    (losses, bits(&session.state().unwrap().weights), bits(&predictions))
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for simd in Simd::under_test().unwrap() {
        let one = run(simd, 1);
        for threads in [2, 3, 5] {
            assert_eq!(run(simd, threads), one, "{simd}, {threads} threads");
        }
    }
}

#[test]
fn a_path_that_the_machine_lacks_is_refused_by_name() {
    for simd in Simd::ALL.into_iter().filter(|simd| !simd.is_available()) {
        let error = Cpu::with_simd(Some(1), simd).unwrap_err().to_string();
        assert!(error.contains(simd.name()) && error.contains("portable"), "{error}");
    }
}
