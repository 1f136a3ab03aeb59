//! The work of a training step besides its contractions, as single functions, for benches and readers who want to run
//! one alone. In a training step they run in place, as lines of a program.

use glassbox_engine::Result;
use glassbox_engine::losses::Loss;
use glassbox_engine::masks::MaskAt;

use crate::kernels::{loss, masks, sums};
use crate::simd::{Isa, Simd};

/// The functions of one path.
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
    /// The functions of the path `simd`. The path of `matrixmultiply` has micro-kernels only for products, so it uses
    /// those of the portable path.
    ///
    /// # Errors
    /// If the processor does not support the path.
    pub fn new(simd: Simd) -> Result<Self> {
        Ok(Self(Isa::new(simd.require_available()?).unwrap_or(Isa::PORTABLE)))
    }

    /// Draws a dropout mask of `len` elements, as [`draw`](glassbox_engine::masks::draw) does: one bit per element, set
    /// if it is kept.
    ///
    /// # Panics
    /// If `words` is too short.
    pub fn draw(&self, seed: u64, at: MaskAt, rate: f64, len: usize, words: &mut [u32]) {
        masks::draw(self.0, seed, at, rate, len, words);
    }

    /// Computes the loss of one sample, and stores in `dy` the gradient of the mean loss of a batch.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn loss(&self, loss: Loss, y: &[f32], target: &[f32], batch: usize, dy: &mut [f32]) -> f64 {
        loss::gradient(self.0, loss, y, target, batch, dy)
    }

    /// `sums[c] += sum over t of x[t, c]`: the gradient of a bias.
    ///
    /// # Panics
    /// If the length of `x` is not a multiple of that of `sums`.
    pub fn sum_steps(&self, x: &[f32], sums: &mut [f32]) {
        sums::sum_steps(self.0, x, sums);
    }

    /// `total[i] += part[i]`: adds the gradient of a chunk of samples to that of the batch.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn reduce(&self, total: &mut [f32], part: &[f32]) {
        sums::add(self.0, total, part);
    }
}
