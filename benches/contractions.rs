//! Each contraction at each of the tutorial's layers, on each path; the crate `gemm` is a yardstick, and the reference
//! the zero of the scale.
//!
//! Throughput is in elements a second, an element being one multiplication or one addition: read Gelem/s as
//! GFLOP/s, and compare with the group `ceiling`. Padding is not counted.

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use glassbox_benches::{Operands, ceiling, layers};
use glassbox_cpu::{Operation, Simd};

fn paths() -> Vec<Simd> {
    Simd::under_test().expect("a path that this machine has")
}

fn brief(group: &mut BenchmarkGroup<'_, WallTime>) {
    group.warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(500));
}

fn ceilings(c: &mut Criterion) {
    let mut group = c.benchmark_group("ceiling");
    brief(&mut group);
    for simd in paths() {
        let Some(operations) = ceiling(simd) else { continue };
        group.throughput(Throughput::Elements(operations as u64));
        group.bench_function(simd.name(), |b| b.iter(|| ceiling(simd)));
    }
    group.finish();
}

fn contractions(c: &mut Criterion) {
    for (layer, geometry) in layers() {
        let operands = Operands::new(geometry);
        for operation in Operation::ALL {
            let mut group = c.benchmark_group(format!("{layer}/{}", operation.name()));
            brief(&mut group);
            group.throughput(Throughput::Elements(2 * geometry.multiply_adds() as u64));
            for simd in paths() {
                let mut contraction = operands.contraction(simd, operation);
                group.bench_function(simd.name(), |b| b.iter(|| contraction.run()));
            }
            let mut yardstick = operands.yardstick(operation);
            group.bench_function("gemm", |b| b.iter(|| yardstick.run()));
            let mut result = vec![0.0; operands.result_len(operation)];
            group.sample_size(10);
            group.bench_function("reference", |b| b.iter(|| operands.reference(operation, &mut result)));
            group.finish();
        }
    }
}

criterion_group! {
    name = benches;
    // Plots and resampling take longer than the measurements.
    config = Criterion::default().without_plots().nresamples(2000).sample_size(30);
    targets = ceilings, contractions
}
criterion_main!(benches);
