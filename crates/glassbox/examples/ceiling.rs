//! Compares a kernel with the limits of the machine: the three contractions of the tutorial's second convolution, on
//! one thread, as a share of the ceiling of the multiply-add units, and the reference's plain loops.
//!
//! ```sh
//! cargo run --release -p glassbox --example ceiling
//! ```

use std::time::{Duration, Instant};

use glassbox::backend::Backend as _;
use glassbox::ndarray::Array2;
use glassbox::prelude::*;
use glassbox_cpu::{Contraction, Cpu, Operation, Simd};
use glassbox_engine::reference;

/// The shortest of many runs, to exclude disturbances.
fn fastest(mut run: impl FnMut()) -> f64 {
    let began = Instant::now();
    let mut fastest = f64::INFINITY;
    while began.elapsed() < Duration::from_millis(300) {
        let start = Instant::now();
        run();
        fastest = fastest.min(start.elapsed().as_secs_f64());
    }
    fastest
}

fn main() -> Result<(), glassbox::Error> {
    // A window after the first layer has 144 steps of 32 channels; the second has 16 filters of 7 taps, stride 2.
    let geometry = Conv1D::new(16, 7).strides(2).padding(Same).geometry((144, 32).into())?;
    let operations = 2.0 * geometry.multiply_adds() as f64;

    let simd = Simd::choose()?;
    let cpu = Cpu::with_simd(Some(1), simd)?;
    let ceiling = cpu.ceilings(64 * 1024).expect("the CPU measures its ceilings").peaks[0].rate;
    println!("{}: at most {:.1} GFLOP/s", cpu.name(), ceiling / 1e9);

    for operation in Operation::ALL {
        let mut contraction = Contraction::new(simd, operation, &geometry)?;
        let rate = operations / fastest(|| contraction.run());
        println!(
            "{:<17} {:6.1} GFLOP/s, {:3.0} % of the ceiling",
            operation.name(),
            rate / 1e9,
            100.0 * rate / ceiling
        );
    }

    let x = Array2::<f32>::ones((geometry.in_steps, geometry.in_channels));
    let kernel = Array3::ones((geometry.taps, geometry.in_channels, geometry.out_channels));
    let mut y = Array2::zeros((geometry.out_steps, geometry.out_channels));
    let rate = operations / fastest(|| reference::apply(&geometry, x.view(), kernel.view(), y.view_mut()));
    println!("{:<17} {:6.1} GFLOP/s: the same sum as plain loops", "reference", rate / 1e9);
    Ok(())
}
