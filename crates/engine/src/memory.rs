//! Checks that there is enough memory before any of it is allocated.
//!
//! A failed allocation ends the process, and a user can ask for any size: a window of millions of steps, a kernel of
//! billions of taps. So the memory of a [`Plan`] is added up first, with arithmetic that cannot overflow, and the
//! system is asked for that much in one piece, which is freed again untouched ([`require`]). There is no limit of our
//! own except that of any slice, `isize::MAX` bytes: the machine decides. Linux grants more than is free, but no piece
//! larger than memory and swap together, and no more than `ulimit -v`.
//!
//! [`Network::plan`](crate::model::Network::plan) requires the minimum of any backend, so that a model that is
//! too large is refused before its weights are drawn. Each backend's session requires what it needs itself.

use crate::backend::Plan;
use crate::error::{Error, Result};

/// Advice for a model that is too large.
const ADVICE: &str =
    "lower the steps of a window, or the kernel sizes, dilation rates and filters of the layers";

/// Checks that `bytes` bytes can be allocated for `what`; `None` stands for a size that overflows. `advice` names what
/// to lower.
///
/// ```
/// use glassbox_engine::memory::require;
///
/// require("a window", Some(1 << 10), "").unwrap();
/// let error = require("a window", Some(usize::MAX / 4), "lower its steps").unwrap_err().to_string();
/// assert!(error.contains("a window takes at least 4.6 EB") && error.contains("lower its steps"), "{error}");
/// ```
///
/// # Errors
/// [`Error::Memory`] if the system cannot allocate that much.
pub fn require(what: impl Into<String>, bytes: Option<usize>, advice: impl Into<String>) -> Result<()> {
    let lent = bytes.is_some_and(|bytes| {
        let mut piece = Vec::<u8>::new();
        let lent = piece.try_reserve_exact(bytes).is_ok();
        // A compiler may omit an allocation that is never used, and report success.
        std::hint::black_box(&mut piece);
        lent
    });
    if lent {
        return Ok(());
    }
    Err(Error::Memory {
        what: what.into(),
        bytes: bytes.map_or_else(|| "2^64 bytes".into(), shown),
        advice: advice.into(),
    })
}

/// The product, or `None` if it overflows.
#[must_use]
pub fn product(factors: &[usize]) -> Option<usize> {
    factors.iter().try_fold(1usize, |product, factor| product.checked_mul(*factor))
}

/// The sum, or `None` if it overflows.
#[must_use]
pub fn sum(terms: &[Option<usize>]) -> Option<usize> {
    terms.iter().try_fold(0usize, |sum, term| sum.checked_add((*term)?))
}

impl Plan {
    /// The number of values in one sample, in training and in inference together; `None` if it overflows.
    #[must_use]
    pub fn sample_len(&self) -> Option<usize> {
        let values = self.training.values.iter().chain(&self.inference.values);
        values
            .map(|shape| product(&[shape.steps, shape.channels]))
            .try_fold(0usize, |sum, len| sum.checked_add(len?))
    }

    /// Checks that a session has enough memory. It holds the values of `samples` samples at once, `sample` numbers
    /// each; and, besides the weights and the optimiser's state, `vectors` vectors of their length. A number has
    /// `width` bytes.
    ///
    /// # Errors
    /// [`Error::Memory`], which names the model's input, its weights, and what to lower.
    pub fn require_room(
        &self,
        width: usize,
        sample: Option<usize>,
        samples: usize,
        vectors: usize,
    ) -> Result<()> {
        let own = 1 + self.optimizer.slots().len();
        let weights = vectors.checked_add(own).and_then(|vectors| product(&[vectors, self.layout.len()]));
        let values = sample.and_then(|sample| product(&[samples, sample]));
        let bytes = sum(&[weights, values]).and_then(|numbers| product(&[numbers, width]));
        let input = self.training.values[self.training.input.index()];
        let what = format!(
            "a model of {} weights on windows of shape {input}, (steps, channels), {samples} at a time,",
            self.layout.len()
        );
        let advice = if samples > 1 { format!("{ADVICE}; or the number of threads") } else { ADVICE.into() };
        require(what, bytes, advice)
    }
}

/// A number of bytes in a suitable unit.
fn shown(bytes: usize) -> String {
    let units = ["bytes", "kB", "MB", "GB", "TB", "PB", "EB"];
    let power = (bytes.max(1).ilog10() / 3) as usize;
    match power {
        0 => format!("{bytes} bytes"),
        _ => format!("{:.1} {}", bytes as f64 / 1e3f64.powi(power as i32), units[power]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Conv1D, Conv1DTranspose};
    use crate::losses::Loss;
    use crate::model::{Network, Sequential};
    use crate::optimizers::Optimizer;
    use crate::shape::Shape;

    #[test]
    fn sizes_are_shown_in_a_unit_that_suits() {
        assert_eq!([0, 999, 1000, 21_500_000_000].map(shown), ["0 bytes", "999 bytes", "1.0 kB", "21.5 GB"]);
        assert_eq!(shown(usize::MAX), "18.4 EB");
    }

    #[test]
    fn arithmetic_does_not_wrap() {
        assert_eq!((product(&[3, 4]), product(&[1 << 40, 1 << 40])), (Some(12), None));
        assert_eq!(
            (sum(&[Some(1), Some(2)]), sum(&[Some(usize::MAX), Some(1)]), sum(&[None])),
            (Some(3), None, None)
        );
        assert!(require("nothing", Some(0), "").is_ok());
        let error = require("it", None, "lower it").unwrap_err().to_string();
        assert!(error.contains("it takes at least 2^64 bytes"), "{error}");
    }

    /// No machine has an exabyte, so each of these is refused on every machine.
    #[test]
    fn a_plan_that_no_machine_could_hold_is_refused_before_anything_is_made() {
        let plan = |model: &Network| model.plan(Loss::default(), Optimizer::default(), 1, 4).map(|_| ());
        let mut long = Sequential::new(Shape::new(1 << 58, 1));
        long.add(Conv1D::new(2, 1)).unwrap().add(Conv1DTranspose::new(1, 1)).unwrap();
        let mut wide = Sequential::new(Shape::new(1, 1));
        wide.add(Conv1DTranspose::new(1 << 29, 1 << 30)).unwrap();
        for (model, words) in [(long, "shape (288230376151711744, 1)"), (wide, "weights")] {
            let error = plan(&model).unwrap_err();
            assert!(matches!(error, Error::Memory { .. }), "{error}");
            let text = error.to_string();
            assert!(
                text.contains(words) && text.contains("EB") && text.contains("lower the steps"),
                "{text}"
            );
        }
        let mut small = Sequential::new(Shape::new(16, 1));
        small.add(Conv1D::new(1, 1)).unwrap();
        plan(&small).unwrap();
    }
}
