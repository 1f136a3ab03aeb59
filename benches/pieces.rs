//! What a training step does beside its contractions, at the sizes of the tutorial: epilogues, dropout masks, the
//! loss, sums over steps, gathering windows, adding up gradients, Adam. On each path, and as the reference does it.
//!
//! Throughput is in elements a second.

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use glassbox_benches::{BATCH, Operands, WINDOW, layers, plan, series};
use glassbox_cpu::{Epilogue, Operation, Pieces, Simd};
use glassbox_engine::losses::Loss;
use glassbox_engine::masks::{self, MaskAt};
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::samples::Samples;

fn paths() -> Vec<Simd> {
    let paths = Simd::under_test().expect("a path that this machine has");
    // It has no kernels but its products.
    paths.into_iter().filter(|simd| *simd != Simd::MatrixMultiply).collect()
}

fn group<'a>(c: &'a mut Criterion, name: &str, elements: usize) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group.warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(300));
    group.throughput(Throughput::Elements(elements as u64));
    group
}

/// Numbers between -1 and 1.
fn wave(len: usize) -> Vec<f32> {
    (0..len).map(|i| (0.1 * i as f32).sin()).collect()
}

/// The first layer with each epilogue that training gives it: what stands between `none` and another is what the
/// epilogue costs.
fn epilogues(c: &mut Criterion) {
    let (layer, geometry) = layers()[0];
    let len = geometry.output().len();
    let operands = Operands::new(geometry);
    let bias = Some(wave(geometry.out_channels));
    let dropout = Some((0.2, vec![0x7F7F_7F7F; len.div_ceil(32)]));
    let epilogues = [
        ("none", Epilogue::default()),
        ("bias", Epilogue { bias: bias.clone(), ..Epilogue::default() }),
        ("bias, ReLU", Epilogue { bias: bias.clone(), relu: true, ..Epilogue::default() }),
        (
            "bias, ReLU, dropout",
            Epilogue { bias, relu: true, dropout: dropout.clone(), ..Epilogue::default() },
        ),
        ("gate", Epilogue { gate: Some(wave(len)), ..Epilogue::default() }),
        ("dropout, gate", Epilogue { dropout, gate: Some(wave(len)), ..Epilogue::default() }),
    ];
    for (name, epilogue) in epilogues {
        let mut group = group(c, &format!("epilogue/{layer}/{name}"), len);
        for simd in paths() {
            let mut contraction = operands.contraction(simd, Operation::Apply);
            contraction.set_epilogue(epilogue.clone());
            group.bench_function(simd.name(), |b| b.iter(|| contraction.run()));
        }
        group.finish();
    }
}

/// The mask of the first dropout layer.
fn masks(c: &mut Criterion) {
    let (len, rate) = (144 * 32, 0.2);
    let seed = 1;
    let at = MaskAt { mask: 0, step: 7, position: 3 };
    let mut group = group(c, "dropout mask", len);
    let mut expected = vec![0; len.div_ceil(32) + 1];
    masks::draw(seed, at, rate, len, &mut expected);
    for simd in paths() {
        let (pieces, mut words) = (Pieces::new(simd).expect("an available path"), vec![0; expected.len()]);
        pieces.draw(seed, at, rate, len, &mut words);
        assert_eq!(words, expected, "{simd}");
        group.bench_function(simd.name(), |b| b.iter(|| pieces.draw(seed, at, rate, len, &mut words)));
    }
    group.bench_function("reference", |b| b.iter(|| masks::draw(seed, at, rate, len, &mut expected)));
    group.finish();
}

/// The loss of one window and its gradient.
fn loss(c: &mut Criterion) {
    let (y, target) = (wave(WINDOW), wave(WINDOW + 7).split_off(7));
    for loss in Loss::ALL {
        let mut group = group(c, &format!("loss/{}", loss.name()), WINDOW);
        let mut dy = vec![0.0; WINDOW];
        let expected = loss.gradient(&y, &target, BATCH, &mut dy);
        for simd in paths() {
            let pieces = Pieces::new(simd).expect("an available path");
            let found = pieces.loss(loss, &y, &target, BATCH, &mut dy);
            // Sums in f64 of the same numbers, in another order.
            assert!((found - expected).abs() <= 1e-12, "{simd}: {found}, {expected}");
            group.bench_function(simd.name(), |b| b.iter(|| pieces.loss(loss, &y, &target, BATCH, &mut dy)));
        }
        group.bench_function("reference", |b| b.iter(|| loss.gradient(&y, &target, BATCH, &mut dy)));
        group.finish();
    }
}

/// The gradient of the fourth layer's bias, and a chunk's gradient to that of the batch.
fn sums(c: &mut Criterion) {
    let x = wave(WINDOW * 32);
    let mut group_ = group(c, "sum over steps", x.len());
    for simd in paths() {
        let (pieces, mut bias) = (Pieces::new(simd).expect("an available path"), [0.0; 32]);
        group_.bench_function(simd.name(), |b| b.iter(|| pieces.sum_steps(&x, &mut bias)));
    }
    group_.finish();
    let part = wave(plan().0.layout.len());
    let mut group_ = group(c, "gradient of a chunk", part.len());
    for simd in paths() {
        let (pieces, mut total) = (Pieces::new(simd).expect("an available path"), vec![0.0; part.len()]);
        group_.bench_function(simd.name(), |b| b.iter(|| pieces.reduce(&mut total, &part)));
    }
    group_.finish();
}

/// The windows of a batch, from anywhere in the series to one place.
fn gather(c: &mut Criterion) {
    let series = series();
    let windows = Samples::windows(&series, WINDOW, 1).expect("windows");
    let mut group = group(c, "gather", BATCH * WINDOW);
    let mut x = vec![0.0; WINDOW];
    group.bench_function("any path", |b| {
        b.iter(|| {
            for index in (0..BATCH).map(|i| i * 28) {
                x.copy_from_slice(windows.get(index));
                black_box(&mut x);
            }
        });
    });
    group.finish();
}

/// Adam on all parameters of the tutorial's model; the same code on every path and in the reference.
fn adam(c: &mut Criterion) {
    let (plan, state) = plan();
    let mut weights = state.weights;
    let (gradient, mut slots) = (wave(weights.len()), state.slots);
    let optimizer = Optimizer::default();
    let mut group = group(c, "Adam", weights.len());
    let mut step = 0;
    group.bench_function("any path", |b| {
        b.iter(|| {
            step += 1;
            optimizer.update(step, &plan.layout, &mut weights, &gradient, &mut slots);
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    // Plots and resampling take longer than the measurements.
    config = Criterion::default().without_plots().nresamples(2000).sample_size(20);
    targets = epilogues, masks, loss, sums, gather, adam
}
criterion_main!(benches);
