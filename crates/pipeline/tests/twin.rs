//! The built-in twin against the real files that it stands in for.

use glassbox_pipeline::scaler::Scaler;
use glassbox_pipeline::series::{Columns, Series, read_csv};
use glassbox_pipeline::synthetic::{self, Subset};

mod common;

const FILES: [(Subset, &str); 2] = [
    (Subset::Train, "artificialNoAnomaly/art_daily_small_noise.csv"),
    (Subset::Test, "artificialWithAnomaly/art_daily_jumpsup.csv"),
];

/// The noise of each value: value / level - 1.
fn noise(part: Subset, series: &Series) -> Vec<f64> {
    let levels = synthetic::hourly_levels(part);
    series.values().iter().zip(0..).map(|(value, row)| value / levels[row / 12] - 1.0).collect()
}

#[test]
fn the_real_files_are_the_twins_levels_and_a_uniform_noise() {
    let Some(nab) = common::nab_data() else { return };
    for (part, file) in FILES {
        let real = read_csv(&nab.join(file), &Columns::default()).unwrap().series;
        assert_eq!(real.timestamps(), synthetic::series(part, 0).timestamps(), "{file}");
        let scaler = Scaler::fit(real.values()).unwrap();
        let (mean, std) = part.real_moments();
        assert!(
            (scaler.mean() / mean - 1.0).abs() < 1e-12 && (scaler.std() / std - 1.0).abs() < 1e-12,
            "{file}"
        );
        let noise = noise(part, &real);
        // Row by row, so every hour of every day, the jump's among them, has the twin's level.
        assert!(noise.iter().all(|u| u.abs() <= 0.1), "{file}");
        // By hour of the day: 168 values each, a mean of theirs has standard error 0.0577 / sqrt(168).
        for hour in 0..24 {
            let of_hour = (0..4032).filter(|row| row / 12 % 24 == hour).map(|row| noise[row]);
            let mean = of_hour.sum::<f64>() / 168.0;
            assert!(mean.abs() < 4.0 * 0.0577 / 168.0_f64.sqrt(), "{file}, hour {hour}: {mean}");
        }
        // Uniform: the empirical law of 4032 values stays within the Kolmogorov-Smirnov bound (0.1 %).
        let mut sorted = noise.clone();
        sorted.sort_by(f64::total_cmp);
        let law = |u: f64| (u + 0.1) / 0.2;
        let distance = sorted.iter().zip(1..).map(|(&u, k)| {
            let (below, above) = (f64::from(k - 1) / 4032.0, f64::from(k) / 4032.0);
            (law(u) - below).abs().max((law(u) - above).abs())
        });
        let distance = distance.fold(0.0, f64::max);
        assert!(distance < 1.95 / 4032.0_f64.sqrt(), "{file}: {distance}");
    }
}
