//! Facts on losses.

use glassbox_engine::losses::Loss;
use glassbox_tests::cases::{cases, integers, normals};
use proptest::prelude::*;
use proptest::sample::select;

/// The gradient, and the loss that comes with it.
fn gradient(loss: Loss, y: &[f64], target: &[f64], batch: usize) -> (f64, Vec<f64>) {
    let mut dy = vec![f64::NAN; y.len()];
    let value = loss.gradient(y, target, batch, &mut dy);
    (value, dy)
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn a_loss_is_zero_at_its_target_and_nowhere_else(n in 1usize..=40, at in any::<usize>(), seed: u64) {
        let mut y: Vec<f64> = normals(seed, n);
        for loss in Loss::ALL {
            prop_assert_eq!(loss.sample(&y, &y), 0.0);
            prop_assert_eq!(gradient(loss, &y, &y, 3), (0.0, vec![0.0; n]));
        }
        let target = y.clone();
        y[at % n] += 0.5;
        prop_assert_eq!(Loss::MeanSquaredError.sample(&y, &target), 0.25 / n as f64);
        prop_assert_eq!(Loss::MeanAbsoluteError.sample(&y, &target), 0.5 / n as f64);
        prop_assert_eq!(Loss::huber(1.0).unwrap().sample(&y, &target), 0.125 / n as f64);
        prop_assert!((Loss::LogCosh.sample(&y, &target) * n as f64 - 0.5f64.cosh().ln()).abs() <= 1e-15);
    }

    /// Sides exchanged, the value stays and the gradient turns round; differences doubled, the squared error
    /// is four times as large and the absolute one twice. Whole numbers: all exact.
    #[test]
    fn losses_are_even_and_homogeneous(n in 1usize..=40, batch in 1usize..=9, seed: u64) {
        let (y, target) = (integers(seed, n), integers(!seed, n));
        let twice = |v: &[f64]| v.iter().map(|v| 2.0 * v).collect::<Vec<f64>>();
        for loss in Loss::ALL {
            let (value, dy) = gradient(loss, &y, &target, batch);
            prop_assert_eq!(value, loss.sample(&y, &target));
            let (swapped, opposite) = gradient(loss, &target, &y, batch);
            prop_assert_eq!(swapped, value);
            prop_assert_eq!(opposite, dy.iter().map(|d| -d).collect::<Vec<f64>>());
        }
        for (loss, degree) in [(Loss::MeanSquaredError, 2), (Loss::MeanAbsoluteError, 1)] {
            let (value, dy) = gradient(loss, &y, &target, batch);
            prop_assert_eq!(loss.sample(&twice(&y), &twice(&target)), value * f64::from(1 << degree));
            // Euler: sum of dy (y - target) = degree * loss, of which the batch has its share.
            let sum: f64 = dy.iter().zip(&y).zip(&target).map(|((d, y), t)| d * (y - t)).sum();
            let expected = f64::from(degree) * value / batch as f64;
            // A sum of at most 40 terms of one sign.
            prop_assert!((sum - expected).abs() <= 1e-14 * expected, "{sum} {expected}");
        }
    }

    /// Within delta, Huber's loss is half the squared error; beyond, it is a line along the absolute error.
    #[test]
    fn hubers_loss_is_half_a_square_and_then_a_line(
        n in 1usize..=40, batch in 1usize..=9, delta in select(&[0.25, 1.0, 3.0][..]), seed: u64,
    ) {
        let (y, target): (Vec<f64>, Vec<f64>) = (normals(seed, n), normals(!seed, n));
        let huber = Loss::huber(delta).unwrap();
        for (y, target) in y.iter().zip(&target) {
            let of = |loss| gradient(loss, &[*y], &[*target], batch);
            let ((value, dy), (square, d_square)) = (of(huber), of(Loss::MeanSquaredError));
            let (absolute, d_absolute) = of(Loss::MeanAbsoluteError);
            if absolute <= delta {
                prop_assert_eq!((value, 2.0 * dy[0]), (0.5 * square, d_square[0]));
            } else {
                let line = delta * (absolute - 0.5 * delta);
                // Two roundings on either side.
                prop_assert!((value - line).abs() <= 1e-15 * line, "{value} {line}");
                prop_assert!((dy[0] - delta * d_absolute[0]).abs() <= 1e-15 * dy[0].abs());
            }
        }
    }

    /// `log cosh` lies below Huber's loss with a delta of 1, and above the line that it ends as. Its derivative is
    /// tanh.
    #[test]
    fn log_cosh_lies_between_a_square_and_a_line(seed: u64, scale in select(&[1e-6, 1e-3, 1.0, 10.0, 1e3][..])) {
        for difference in normals::<f64>(seed, 40) {
            let difference = scale * difference;
            let of = |loss| gradient(loss, &[difference], &[0.0], 1);
            let ((value, dy), (huber, _)) = (of(Loss::LogCosh), of(Loss::huber(1.0).unwrap()));
            let line = difference.abs() - std::f64::consts::LN_2;
            prop_assert!(value <= huber * (1.0 + 1e-15) && value >= line, "{difference}: {line} {value} {huber}");
            prop_assert_eq!(dy[0], difference.tanh());
            // The central difference, which is off by step^2 / 6 of the third derivative.
            let step = 1e-4 * difference.abs().min(1.0);
            let at = |x| Loss::LogCosh.sample(&[x], &[0.0]);
            let slope = (at(difference + step) - at(difference - step)) / (2.0 * step);
            prop_assert!((slope - dy[0]).abs() <= 1e-7 * dy[0].abs(), "{difference}: {slope} is not {}", dy[0]);
        }
    }

    #[test]
    fn a_loss_of_nan_is_nan(n in 1usize..=40, at in any::<usize>(), seed: u64) {
        let (mut y, target): (Vec<f64>, Vec<f64>) = (normals(seed, n), normals(!seed, n));
        y[at % n] = f64::NAN;
        for loss in Loss::ALL {
            prop_assert!(loss.sample(&y, &target).is_nan() && loss.sample(&target, &y).is_nan());
            let (value, dy) = gradient(loss, &y, &target, 2);
            prop_assert!(value.is_nan() && dy[at % n].is_nan());
        }
    }
}
