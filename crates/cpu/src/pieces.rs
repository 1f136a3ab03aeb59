//! What a training step does beside its contractions, one piece at a time: for benches and whoever wants to look at
//! one. In a training step they run where the values are, as lines of a program.

use glassbox_engine::Result;
use glassbox_engine::losses::Loss;
use glassbox_engine::masks::MaskAt;

use crate::kernels::{loss, masks, sums};
use crate::simd::{Isa, Simd};

/// The pieces, on one path.
///
/// ```
/// use glassbox_cpu::{Pieces, Simd};
///
/// let mut sums = [1.0, 0.0];
/// // Three steps of two channels.
/// Pieces::new(Simd::choose()?)?.sum_steps(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &mut sums);
/// assert_eq!(sums, [10.0, 12.0]);
/// # Ok::<(), glassbox_engine::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Pieces(Isa);

impl Pieces {
    /// The pieces as `simd` has them. The path of `matrixmultiply` has no kernels but its products: it takes those
    /// of the portable path.
    ///
    /// # Errors
    /// If the processor cannot take the path.
    pub fn new(simd: Simd) -> Result<Self> {
        Ok(Self(Isa::new(simd.require_available()?).unwrap_or(Isa::PORTABLE)))
    }

    /// Draws a dropout mask of `len` elements, as [`draw`](glassbox_engine::masks::draw) does:
    /// a bit an element, set if it is kept.
    ///
    /// # Panics
    /// If `words` is too short.
    pub fn draw(&self, seed: u64, at: MaskAt, rate: f64, len: usize, words: &mut [u32]) {
        masks::draw(self.0, seed, at, rate, len, words);
    }

    /// The loss of one sample, and in `dy` the gradient of the mean loss of a batch.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn loss(&self, loss: Loss, y: &[f32], target: &[f32], batch: usize, dy: &mut [f32]) -> f64 {
        loss::gradient(self.0, loss, y, target, batch, dy)
    }

    /// `sums[c] += sum over t of x[t, c]`: the gradient of a bias.
    ///
    /// # Panics
    /// If `x` is not a whole number of rows of as many channels as there are sums.
    pub fn sum_steps(&self, x: &[f32], sums: &mut [f32]) {
        sums::sum_steps(self.0, x, sums);
    }

    /// `total[i] += part[i]`: the gradient of a chunk of samples to that of the batch.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn reduce(&self, total: &mut [f32], part: &[f32]) {
        sums::add(self.0, total, part);
    }
}
