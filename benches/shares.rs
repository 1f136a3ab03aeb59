//! What share of the machine's ceiling is reached, as tables: by each contraction, at the tutorial's layers and
//! at odd shapes, and by the training step and scoring as a whole.
//!
//! No statistics of criterion here, but one thing that it cannot do: the ceiling and what is compared with it
//! are measured in turns, many times over, so that a clock that changes meets both. A share is that of the best
//! time within the best ceiling, which is what an undisturbed machine gives; where neighbours take turns on its
//! cores, the median of a whole step, which stands beside it, says more of them than of the code. With
//! `--test` everything runs once; `whole`, `layers` and `odd` name single tables.

use std::time::Instant;

use glassbox_benches::{
    BATCH, FORWARD_MULTIPLY_ADDS, Operands, TRAINING_MULTIPLY_ADDS, WINDOW, ceiling, layers, odd_shapes,
    plan, series,
};
use glassbox_cpu::{Cpu, Operation, Simd};
use glassbox_engine::backend::{Backend, Dataset};
use glassbox_engine::geometry::Geometry;
use glassbox_engine::samples::Samples;

fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Operations a second in registers, on so many threads at a time: the best that each reaches while all run.
fn ceiling_of(simd: Simd, threads: usize) -> f64 {
    let once = || {
        let mut done = 0.0;
        let time = seconds(|| done = ceiling(simd).unwrap_or(0.0));
        done / time
    };
    std::thread::scope(|scope| {
        let work = || (0..10).map(|_| once()).fold(0.0, f64::max);
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    })
}

/// Microseconds of a contraction, and its share of the ceiling in percent.
fn share(simd: Simd, operation: Operation, operands: &Operands, rounds: usize) -> (f64, f64) {
    let mut contraction = operands.contraction(simd, operation);
    let operations = 2.0 * operands.geometry.multiply_adds() as f64;
    // About a tenth of a millisecond at a time.
    let repeats = (5e6 / operations).ceil() as usize;
    let (mut ceilings, mut times) = (vec![], vec![]);
    for _ in 0..rounds {
        let mut done = 0.0;
        let time = seconds(|| done = ceiling(simd).unwrap_or(0.0));
        ceilings.push(done / time);
        for _ in 0..5 {
            times.push(seconds(|| (0..repeats).for_each(|_| contraction.run())) / repeats as f64);
        }
    }
    let time = least(&times);
    (1e6 * time, 100.0 * operations / time / most(&ceilings))
}

fn table(title: &str, shapes: &[(String, Geometry)], rounds: usize, paths: &[Simd]) {
    for simd in paths {
        println!("\n{title}, {simd}: microseconds and share of the ceiling\n");
        println!("| shape | multiply-adds | apply | apply transposed | correlate |\n|---|---|---|---|---|");
        for (name, geometry) in shapes {
            let operands = Operands::new(*geometry);
            let cells = Operation::ALL.map(|operation| {
                let (time, share) = share(*simd, operation, &operands, rounds);
                format!("{time:.2} / {share:.0} %")
            });
            println!("| {name} | {} | {} |", geometry.multiply_adds(), cells.join(" | "));
        }
    }
}

/// The training step and scoring.
fn whole(rounds: usize, paths: &[Simd]) {
    println!("\nThe tutorial as a whole, batch {BATCH}: milliseconds and share of the ceiling\n");
    println!(
        "| path | threads | ceiling, GFLOP/s | training step | its median | scoring of all windows |\n|---|---|---|---|---|---|"
    );
    let series = series();
    let samples = Samples::windows(&series, WINDOW, 1).expect("windows");
    let data = Dataset::autoencoder(samples);
    let batch: Vec<u32> = (0..BATCH as u32).map(|i| i * 28).collect();
    let mut predictions = vec![0.0; samples.len() * WINDOW];
    for simd in paths {
        for threads in [1, 2] {
            let (plan, state) = plan();
            let cpu = Cpu::with_simd(Some(threads), *simd).expect("an available path");
            let mut session = cpu.session(plan).expect("a session");
            session.set_state(&state).expect("the plan's state");
            let (mut ceilings, mut steps, mut scorings) = (vec![], vec![], vec![]);
            for _ in 0..rounds {
                ceilings.push(ceiling_of(*simd, threads));
                for _ in 0..4 {
                    steps.push(seconds(|| {
                        session.compute_gradient(&data, &batch).expect("a gradient");
                        session.update().expect("an update");
                    }));
                }
                let score = || session.predict(&samples, &mut predictions).expect("predictions");
                scorings.push(seconds(score));
            }
            let (ceiling, step, scoring) = (most(&ceilings), least(&steps), least(&scorings));
            let share = |multiply_adds: usize, time: f64| match ceiling {
                0.0 => String::new(),
                ceiling => format!(" / {:.0} %", 200.0 * multiply_adds as f64 / time / ceiling),
            };
            println!(
                "| {simd} | {threads} | {:.0} | {:.2}{} | {:.2} | {:.1}{} |",
                ceiling / 1e9,
                1e3 * step,
                share(BATCH * TRAINING_MULTIPLY_ADDS, step),
                1e3 * median(steps),
                1e3 * scoring,
                share(samples.len() * FORWARD_MULTIPLY_ADDS, scoring),
            );
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rounds = if arguments.iter().any(|argument| argument == "--test") { 1 } else { 20 };
    let tables = ["whole", "layers", "odd"];
    let named = tables.iter().any(|table| arguments.iter().any(|argument| argument == table));
    let wanted = |table: &str| !named || arguments.iter().any(|argument| argument == table);

    let paths = Simd::under_test().expect("a path that this machine has");
    let with_ceiling: Vec<Simd> = paths.iter().copied().filter(|simd| ceiling(*simd).is_some()).collect();
    if wanted("whole") {
        whole(rounds, &paths);
    }
    if wanted("layers") {
        let layers = layers().map(|(name, geometry)| (name.to_string(), geometry));
        table("The tutorial's layers", &layers, rounds, &with_ceiling);
    }
    if wanted("odd") {
        let name = |g: &Geometry| {
            let Geometry { in_steps, in_channels, out_channels, taps, stride, .. } = g;
            format!("{in_channels}-{out_channels}, {taps} taps, stride {stride}, {in_steps} steps")
        };
        let odd: Vec<_> = odd_shapes().into_iter().map(|g| (name(&g), g)).collect();
        table("Odd shapes", &odd, rounds, &with_ceiling);
    }
}
