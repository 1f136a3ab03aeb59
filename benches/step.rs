//! The tutorial as a whole: a training step, an epoch, scoring, on each path and number of threads.
//!
//! Throughput is in elements a second, an element being one multiplication or one addition of a contraction:
//! read Gelem/s as GFLOP/s. All else that a step does (gathering windows, dropout, loss, summing gradients,
//! Adam) takes time and counts for nothing.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use glassbox_benches::{BATCH, FORWARD_MULTIPLY_ADDS, TRAINING_MULTIPLY_ADDS, WINDOW, plan, series};
use glassbox_cpu::{Cpu, Simd};
use glassbox_engine::backend::{Backend, Dataset, Epoch, Session};
use glassbox_engine::reference::Reference;
use glassbox_engine::samples::Samples;

/// Who is measured: each path with one thread and with two, and the reference.
fn sessions(with_reference: bool) -> Vec<(String, Box<dyn Session<f32>>)> {
    let mut sessions = vec![];
    for simd in Simd::under_test().expect("a path that this machine has") {
        for threads in [1, 2] {
            let cpu = Cpu::with_simd(Some(threads), simd).expect("an available path");
            let session = cpu.session(plan().0).expect("a session");
            sessions.push((format!("{simd}/{threads}"), session));
        }
    }
    if with_reference {
        let session = Backend::<f32>::session(&Reference, plan().0).expect("a session");
        sessions.push(("reference/1".into(), session));
    }
    for (_, session) in &mut sessions {
        session.set_state(&plan().1).expect("the plan's state");
    }
    sessions
}

/// All must make the same loss of a batch, within rounding.
fn check(sessions: &mut [(String, Box<dyn Session<f32>>)], data: &Dataset<'_, f32>) {
    let mut first = None;
    for (name, session) in sessions {
        let loss = session.compute_gradient(data, &[3, 500, 1000]).expect("a gradient");
        let expected = *first.get_or_insert(loss);
        assert!((loss - expected).abs() <= 1e-6 * expected, "{name}: {loss}, {expected}");
    }
}

fn step(c: &mut Criterion) {
    let series = series();
    let data = Dataset::autoencoder(Samples::windows(&series, WINDOW, 1).expect("windows"));
    let batch: Vec<u32> = (0..BATCH as u32).map(|i| i * 28).collect();
    let mut sessions = sessions(true);
    check(&mut sessions, &data);
    let mut group = c.benchmark_group("step");
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Elements((2 * BATCH * TRAINING_MULTIPLY_ADDS) as u64));
    for (name, session) in &mut sessions {
        group.bench_function(name.as_str(), |b| {
            b.iter(|| {
                session.compute_gradient(&data, &batch).expect("a gradient");
                session.update().expect("an update");
            });
        });
    }
    group.finish();
}

fn epoch(c: &mut Criterion) {
    let series = series();
    let data = Dataset::autoencoder(Samples::windows(&series, WINDOW, 1).expect("windows"));
    let order: Vec<u32> = (0..data.len() as u32).collect();
    let mut group = c.benchmark_group("epoch");
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(3));
    group.throughput(Throughput::Elements((2 * data.len() * TRAINING_MULTIPLY_ADDS) as u64));
    for (name, mut session) in sessions(false) {
        group.bench_function(name, |b| {
            b.iter(|| {
                let epoch = Epoch { epoch: 0, order: &order, batch_size: BATCH };
                session.train_epoch(&data, &epoch, &mut |_| {}).expect("a loss that is finite")
            });
        });
    }
    group.finish();
}

fn predict(c: &mut Criterion) {
    let series = series();
    let samples = Samples::windows(&series, WINDOW, 1).expect("windows");
    // The same windows, one after the other: they share nothing.
    let copies: Vec<f32> = (0..samples.len()).flat_map(|window| samples.get(window)).copied().collect();
    let apart = Samples::dense(&copies, samples.shape()).expect("whole windows");
    let mut predictions = vec![0.0; samples.len() * WINDOW];
    let mut group = c.benchmark_group("predict");
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Elements((2 * samples.len() * FORWARD_MULTIPLY_ADDS) as u64));
    for (name, mut session) in sessions(false) {
        for (kind, samples) in [("overlapping", &samples), ("apart", &apart)] {
            group.bench_function(format!("{name}/{kind}"), |b| {
                b.iter(|| session.predict(samples, &mut predictions).expect("predictions"));
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    // Plots and resampling take longer than the measurements.
    config = Criterion::default().without_plots().nresamples(2000).sample_size(30);
    targets = step, epoch, predict
}
criterion_main!(benches);
