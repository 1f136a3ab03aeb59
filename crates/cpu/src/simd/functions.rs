//! Elementary functions in vectors.
//!
//! | function | for | largest error in units in the last place (ulp) |
//! |---|---|---|
//! | [`exp`] | x <= 88 | 1.15 |
//! | [`expm1`] | x <= 0 | 1.16 |
//! | [`log1p`] | 0 <= x <= 1 | 1.24 |
//! | [`tanh`] | all x | 1.46 |
//! | [`sigmoid`] | all x | 1.87 |
//! | [`softplus`] | all x | 1.94 |
//! | [`normal`] | all x | 5.6; 7.4 on the portable path |
//!
//! These are the largest errors on every 31st `f32`, of the worst path. An ulp is that of the correctly rounded result,
//! also among denormal numbers. NaN gives NaN, and infinities give the limits. AVX-512 and AVX2 give the same bits; the
//! portable path rounds products and sums apart, so its last bits differ.
//!
//! There is no error function: `1 + erf(x / sqrt(2))` loses all digits of a small result, which [`normal`] keeps down to
//! the denormal numbers.
//!
//! Reductions and forms are those of Cody and Waite, *Software Manual for the Elementary Functions*, 1980, and Moshier's
//! Cephes library; polynomials and the rational function are minimax fits (weighted least squares by Lawson's
//! algorithm), rounded to `f32`. Each constant's comment has the error of the fit.
//!
//! Reference: the functions of `f64`, and [`glassbox_engine::activations`].
//!
//! # Safety of the functions
//! * the processor has the instruction set of `V`.

use super::Vector;

/// log(2) in two parts. The first has 10 bits, so that its product with a whole number of 14 bits is exact.
const LN_2: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];
/// `(exp(r) - 1 - r) / r^2` for |r| <= log(2) / 2. Relative to `exp(r) - 1` the fit is off by 2^-32.
const EXP: [f32; 6] = [0.5, 0.166_666_67, 0.041_666_355, 0.008_333_273, 0.001_394_100_8, 0.000_199_140_5];
/// `(2 atanh(s) / s - 2) / s^2` in s^2, for s <= 1 / 3. Relative to `atanh(s)` the fit is off by 2^-27.7.
const LOG: [f32; 4] = [0.666_664_2, 0.400_215_33, 0.280_016_78, 0.280_126_66];
/// `(tanh(x) / x - 1) / x^2` in x^2, for |x| <= 0.625. Relative to `tanh(x)` the fit is off by 2^-27.8.
const TANH: [f32; 5] = [-0.333_332_8, 0.133_314_42, -0.053_739_715, 0.020_639_086, -0.005_704_987];
/// Numerator and denominator of `erfcx(a / sqrt(2)) / 2` for 0 <= a <= 14.5. The fit is off by 2^-27.3. All
/// coefficients are positive, so nothing cancels.
const TAIL: ([f32; 5], [f32; 6]) = (
    [0.5, 0.438_294_95, 0.183_235_15, 0.040_633_235, 0.004_116_311],
    [1.0, 1.674_475, 1.202_503_2, 0.469_470_68, 0.101_858_86, 0.010_317_941],
);

/// The sum of `coefficients[k] x^k`.
#[inline(always)]
unsafe fn polynomial<V: Vector, const N: usize>(x: V, coefficients: [f32; N]) -> V {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let mut sum = V::splat(coefficients[N - 1]);
        for coefficient in coefficients[..N - 1].iter().rev() {
            sum = sum.mul_add(x, V::splat(*coefficient));
        }
        sum
    }
}

/// `x = n log(2) + r` with a whole number n and about |r| <= log(2) / 2, for |x| < 2^13: (n, r).
#[inline(always)]
unsafe fn reduce<V: Vector>(x: V) -> (V, V) {
    // 1.5 2^23: a sum with it has no bits after the point.
    const WHOLE: f32 = 12_582_912.0;
    // SAFETY: guaranteed by the caller.
    unsafe {
        let whole = V::splat(WHOLE);
        let n = x.mul_add(V::splat(std::f32::consts::LOG2_E), whole).sub(whole);
        let r = n.mul_add(V::splat(-LN_2[0]), x);
        (n, n.mul_add(V::splat(-LN_2[1]), r))
    }
}

/// `exp(r)` for |r| <= log(2) / 2.
#[inline(always)]
unsafe fn exp_near_zero<V: Vector>(r: V) -> V {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let one = V::splat(1.0);
        polynomial(r, EXP).mul_add(r, one).mul_add(r, one)
    }
}

/// `exp(x)` for `x <= 88`, which is finite.
#[inline(always)]
pub(crate) unsafe fn exp<V: Vector>(x: V) -> V {
    // SAFETY: guaranteed by the caller.
    unsafe {
        // Below -104 the result is 0.
        let (n, r) = reduce(x.at_least(V::splat(-104.0)));
        exp_near_zero(r).scale(n)
    }
}

/// `exp(x) - 1` for `x <= 0`.
#[inline(always)]
pub(crate) unsafe fn expm1<V: Vector>(x: V) -> V {
    // SAFETY: guaranteed by the caller.
    unsafe {
        // Below -18 the result is -1.
        let (n, r) = reduce(x.at_least(V::splat(-18.0)));
        let curve = r.mul(r).mul(polynomial(r, EXP));
        let one = V::splat(1.0);
        let power = one.scale(n);
        // 2^n exp(r) - 1, the large terms first: 2^n - 1 is exact.
        curve.mul_add(power, r.mul_add(power, power.sub(one)))
    }
}

/// `log(1 + x)` for `0 <= x <= 1`.
#[inline(always)]
pub(crate) unsafe fn log1p<V: Vector>(x: V) -> V {
    // SAFETY: guaranteed by the caller.
    unsafe {
        // 2 atanh(s) = log(1 + x), in the form of FreeBSD's log1p: x is exact, and all else is smaller.
        let s = x.div(V::splat(2.0).add(x));
        let z = s.mul(s);
        let half_square = V::splat(0.5).mul(x).mul(x);
        let rest = z.mul_add(polynomial(z, LOG), half_square).mul(s);
        x.sub(half_square.sub(rest))
    }
}

/// `tanh(x)`
#[inline(always)]
pub(crate) unsafe fn tanh<V: Vector>(x: V) -> V {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let a = x.abs();
        let z = a.mul(a);
        let near_zero = z.mul(polynomial(z, TANH)).mul_add(a, a);
        let e = exp(a.mul(V::splat(-2.0)));
        let one = V::splat(1.0);
        let far = one.sub(e.add(e).div(one.add(e)));
        a.less(V::splat(0.625), near_zero, far).with_sign(x)
    }
}

/// `1 / (1 + exp(-x))`
#[inline(always)]
pub(crate) unsafe fn sigmoid<V: Vector>(x: V) -> V {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let (one, minus_one) = (V::splat(1.0), V::splat(-1.0));
        // The exponential of a negative number, which is at most 1: nothing overflows, and no small result is lost.
        let e = exp(x.with_sign(minus_one));
        // e / (1 + e) as e - e t, which keeps the precision of a small e; and its distance from 1.
        let minus_t = e.div(minus_one.sub(e));
        let most = x.less(V::splat(0.0), e, one);
        minus_t.mul_add(most, most)
    }
}

/// `log(1 + exp(x))`
#[inline(always)]
pub(crate) unsafe fn softplus<V: Vector>(x: V) -> V {
    // SAFETY: guaranteed by the caller.
    unsafe { x.relu().add(log1p(exp(x.with_sign(V::splat(-1.0))))) }
}

/// The normal distribution: the probability of a value below x, and `exp(-x^2 / 2)`, the density times sqrt(2 pi).
#[inline(always)]
pub(crate) unsafe fn normal<V: Vector>(x: V) -> (V, V) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        // Above 14.5 both are 0. NaN stays.
        let most = V::splat(14.5);
        let a = x.abs();
        let a = most.less(a, most, a);
        // x^2 in two parts, since the exponential takes the absolute error of its argument for a relative one: the
        // first is the square of 12 bits (Veltkamp's splitting).
        let split = a.mul(V::splat(4097.0));
        let high = split.sub(split.sub(a));
        let minus_half = V::splat(-0.5);
        let square = high.mul(high).mul(minus_half);
        let rest = a.sub(high).mul(a.add(high)).mul(minus_half);
        let tail = polynomial(a, TAIL.0).div(polynomial(a, TAIL.1));
        let one = V::splat(1.0);
        let (n, r) = reduce(square);
        let e = exp_near_zero(r.add(rest));
        let tail = tail.mul(e).scale(n);
        (x.less(V::splat(0.0), tail, one.sub(tail)), e.scale(n))
    }
}

#[cfg(test)]
mod tests {
    use glassbox_engine::Float;

    use super::*;
    use crate::simd::{Isa, Simd, Task};

    type Function = (&'static str, fn(f64) -> f64, [f32; 2], f64);

    /// Each function with its truth, the range in which it is neither x nor a limit, and its largest error in ulp.
    const FUNCTIONS: [Function; 7] = [
        ("exp", f64::exp, [-105.0, 88.0], 1.5),
        ("expm1", f64::exp_m1, [-19.0, 0.0], 2.0),
        ("log1p", f64::ln_1p, [0.0, 1.0], 2.0),
        ("tanh", f64::tanh, [-10.0, 10.0], 2.0),
        ("sigmoid", |x| 1.0 / (1.0 + (-x).exp()), [-105.0, 18.0], 2.0),
        ("softplus", |x| x.max(0.0) + (-x.abs()).exp().ln_1p(), [-105.0, 30.0], 2.0),
        ("normal", |x| 0.5 * Float::erfc(-x * std::f64::consts::FRAC_1_SQRT_2), [-14.5, 6.0], 8.0),
    ];

    /// Replaces each value by that of a function.
    struct Each<'a>(&'a str, &'a mut [f32]);

    impl Task for Each<'_> {
        #[inline(always)]
        unsafe fn run<V: Vector>(self) {
            let Self(function, values) = self;
            assert!(values.len().is_multiple_of(V::WIDTH));
            for values in values.chunks_exact_mut(V::WIDTH) {
                // SAFETY: the values are as many as a vector has, and the caller guarantees the instruction set.
                unsafe {
                    let x = V::load(values.as_ptr());
                    let y = match function {
                        "exp" => exp(x),
                        "expm1" => expm1(x),
                        "log1p" => log1p(x),
                        "tanh" => tanh(x),
                        "sigmoid" => sigmoid(x),
                        "softplus" => softplus(x),
                        _ => normal(x).0,
                    };
                    y.store(values.as_mut_ptr());
                }
            }
        }
    }

    fn isas() -> Vec<Isa> {
        Simd::under_test().unwrap().into_iter().filter_map(Isa::new).collect()
    }

    fn on(isa: Isa, function: &str, x: &[f32]) -> Vec<f32> {
        let mut y = x.to_vec();
        y.resize(x.len().next_multiple_of(16), 0.0);
        // SAFETY: the task requires only the instruction set.
        unsafe { isa.run(Each(function, &mut y)) };
        y.truncate(x.len());
        y
    }

    /// The distance from the truth in ulp of the correctly rounded result.
    fn error(found: f32, truth: f64) -> f64 {
        let rounded = truth as f32;
        if found == rounded {
            return (f64::from(found) - truth).abs().min(0.5);
        }
        let ulp = f64::from(rounded.abs().next_up()) - f64::from(rounded.abs());
        (f64::from(found) - truth).abs() / ulp
    }

    /// Holds a function to its error on every `stride`-th `f32` of its range, on each path.
    fn check((name, truth, [least, most], bound): Function, stride: usize) {
        let all = (0..=u32::MAX).step_by(stride).map(f32::from_bits);
        let mut x = all.filter(|x| (least..=most).contains(x));
        let mut worst = vec![(0.0, 0.0, 0.0); isas().len()];
        loop {
            let chunk: Vec<f32> = x.by_ref().take(1 << 16).collect();
            if chunk.is_empty() {
                break;
            }
            let truths: Vec<f64> = chunk.iter().map(|x| truth(f64::from(*x))).collect();
            for (isa, worst) in isas().into_iter().zip(&mut worst) {
                let found = on(isa, name, &chunk);
                for ((x, y), truth) in chunk.iter().zip(found).zip(&truths) {
                    let error = error(y, *truth);
                    if error > worst.0 || error.is_nan() {
                        *worst = (error, *x, y);
                    }
                }
            }
        }
        for (isa, (error, x, y)) in isas().into_iter().zip(worst) {
            println!("{name} on {isa:?}: {error:.3} ulp at {x:e}");
            assert!(error <= bound, "{name}({x:e}) = {y:e} is off by {error} ulp on {isa:?}");
        }
    }

    #[test]
    fn errors_are_within_their_bounds() {
        for function in FUNCTIONS {
            check(function, 997);
        }
    }

    /// `cargo test -p glassbox-cpu --lib -- --ignored dense --nocapture` prints the errors of the table above.
    #[test]
    #[ignore = "takes half a minute; CI runs it by name"]
    fn errors_are_within_their_bounds_on_a_dense_grid() {
        for function in FUNCTIONS {
            check(function, 31);
        }
    }

    #[test]
    fn ends_are_limits_and_nan_stays_nan() {
        let (infinity, tiny) = (f32::INFINITY, f32::from_bits(1));
        for isa in isas() {
            for (name, x, y) in [
                ("exp", -infinity, 0.0),
                ("exp", 0.0, 1.0),
                ("expm1", -infinity, -1.0),
                ("expm1", -tiny, -tiny),
                ("log1p", 0.0, 0.0),
                ("log1p", tiny, tiny),
                ("tanh", infinity, 1.0),
                ("tanh", -infinity, -1.0),
                ("tanh", -0.0, -0.0),
                ("tanh", -tiny, -tiny),
                ("sigmoid", infinity, 1.0),
                ("sigmoid", -infinity, 0.0),
                ("softplus", infinity, infinity),
                ("softplus", -infinity, 0.0),
                ("normal", infinity, 1.0),
                ("normal", -infinity, 0.0),
                ("normal", 0.0, 0.5),
            ] {
                let found = on(isa, name, &[x])[0];
                assert_eq!(found.to_bits(), y.to_bits(), "{name}({x:e}) = {found:e} on {isa:?}");
            }
            for (name, ..) in FUNCTIONS {
                assert!(on(isa, name, &[f32::NAN])[0].is_nan(), "{name} on {isa:?}");
            }
        }
    }

    /// Symmetries that hold to the bit.
    #[test]
    fn laws_hold() {
        let x: Vec<f32> = (0..20_000u32).map(|i| (i as f32) * 1e-3).collect();
        let minus: Vec<f32> = x.iter().map(|x| -x).collect();
        for isa in isas() {
            for (y, minus) in on(isa, "tanh", &x).iter().zip(on(isa, "tanh", &minus)) {
                assert_eq!(-y, minus);
            }
            for (y, minus) in on(isa, "sigmoid", &x).iter().zip(on(isa, "sigmoid", &minus)) {
                assert!(
                    (f64::from(*y) + f64::from(minus) - 1.0).abs() <= f64::from(f32::EPSILON),
                    "{y}, {minus}"
                );
            }
            for (y, minus) in on(isa, "normal", &x).iter().zip(on(isa, "normal", &minus)) {
                assert_eq!(*y, 1.0 - minus);
            }
        }
    }

    /// The fused multiply-adds of both paths are the same.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_paths_with_fused_multiply_adds_give_the_same_bits() {
        let (Some(narrow), Some(wide)) = (Isa::new(Simd::Avx2), Isa::new(Simd::Avx512)) else { return };
        for (name, _, [least, most], _) in FUNCTIONS {
            let all = (0..=u32::MAX).step_by(99_991).map(f32::from_bits);
            let x: Vec<f32> = all.filter(|x| (least..=most).contains(x)).collect();
            let bits = |isa| on(isa, name, &x).into_iter().map(f32::to_bits).collect::<Vec<_>>();
            assert!(bits(narrow) == bits(wide), "{name}");
        }
    }
}
