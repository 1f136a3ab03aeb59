//! The two floating-point types that the engine computes in.

use std::fmt::{Debug, Display};
use std::iter::Sum;

use num_traits::NumAssign;

/// A real number: `f32` for speed, `f64` for gradient checks and as the reference for rounding errors.
pub trait Float:
    num_traits::Float + NumAssign + Sum + Default + Debug + Display + Send + Sync + 'static
{
    /// The type's name in Rust.
    const NAME: &'static str;

    /// `value`, rounded to this type.
    fn of(value: f64) -> Self;

    /// This value as `f64`; exact for both types.
    fn wide(self) -> f64;

    /// The complementary error function, `1 - erf(self)`, without its cancellation.
    #[must_use]
    fn erfc(self) -> Self;
}

impl Float for f32 {
    const NAME: &'static str = "f32";

    fn of(value: f64) -> Self {
        value as Self
    }

    fn wide(self) -> f64 {
        f64::from(self)
    }

    fn erfc(self) -> Self {
        libm::erfcf(self)
    }
}

impl Float for f64 {
    const NAME: &'static str = "f64";

    fn of(value: f64) -> Self {
        value
    }

    fn wide(self) -> f64 {
        self
    }

    fn erfc(self) -> Self {
        libm::erfc(self)
    }
}
