//! The layout of the weight tensors in one flat vector.

use std::ops::Range;

use crate::error::{Error, NonFinite, Result};
use crate::float::Float;
use crate::initializers::Initializer;
use crate::layers::WeightSpec;
use crate::program::Weight;
use crate::random::{Purpose, Stream};

/// The weight tensors of a model, one after the other in one flat vector. Gradients and moments are in vectors of the
/// same layout. A checkpoint or an average over processes works on whole vectors and needs no knowledge of the tensors; an
/// optimiser needs it only to clip their norms.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WeightLayout {
    tensors: Vec<WeightInfo>,
    len: usize,
}

/// One weight tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightInfo {
    /// Its name, `{layer}.kernel` or `{layer}.bias`.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// The range of its values in the flat vector, row by row.
    pub range: Range<usize>,
    /// Its values before training.
    pub initializer: Initializer,
    /// True if an optimiser trains it. False for a moving statistic, whose gradient is its change in a step, and, as
    /// soon as the program of a step is known, for weights that the loss does not depend on. As in Keras these are not
    /// decayed, and no part of the norms by which a gradient is clipped.
    pub trained: bool,
}

impl WeightLayout {
    /// Appends a tensor and returns its name in programs. [`Sequential`](super::Sequential) calls this for its layers;
    /// code that records a graph by hand calls it for its own tensors.
    pub fn push(&mut self, spec: WeightSpec) -> Weight {
        let WeightSpec { name, shape, initializer, trainable } = spec;
        let range = self.len..self.len + shape.iter().product::<usize>();
        self.len = range.end;
        let name = name.into_owned();
        self.tensors.push(WeightInfo { name, shape, range, initializer, trained: trainable });
        Weight(self.tensors.len() - 1)
    }

    /// The same layout for a program that trains these tensors and no others.
    #[must_use]
    pub(crate) fn training(mut self, trained: &[bool]) -> Self {
        for (tensor, trained) in self.tensors.iter_mut().zip(trained) {
            tensor.trained = *trained;
        }
        self
    }

    /// The ranges of the weights that are trained.
    pub fn trained(&self) -> impl Iterator<Item = Range<usize>> {
        self.runs(true)
    }

    /// The ranges of the weights that are not trained.
    pub fn untrained(&self) -> impl Iterator<Item = Range<usize>> {
        self.runs(false)
    }

    fn runs(&self, trained: bool) -> impl Iterator<Item = Range<usize>> {
        let runs = self.tensors.chunk_by(|a, b| a.trained == b.trained);
        runs.filter(move |run| run[0].trained == trained).map(|run| {
            let last = run.last().unwrap_or(&run[0]);
            run[0].range.start..last.range.end
        })
    }

    /// The tensors, in the order of the layers.
    #[must_use]
    pub fn tensors(&self) -> &[WeightInfo] {
        &self.tensors
    }

    /// The total number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns true if there are no weights.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The range of neighbouring tensors in the flat vector.
    #[must_use]
    pub fn range(&self, tensors: Range<usize>) -> Range<usize> {
        match &self.tensors[tensors] {
            [] => 0..0,
            [first, .., last] => first.range.start..last.range.end,
            [only] => only.range.clone(),
        }
    }

    /// The weights before training: a function of the seed alone.
    #[must_use]
    pub fn initial<F: Float>(&self, seed: u64) -> Vec<F> {
        let mut weights = vec![F::zero(); self.len];
        for (index, tensor) in self.tensors.iter().enumerate() {
            let stream = Stream::new(seed, Purpose::Weights, index as u32, 0);
            tensor.initializer.fill(&mut weights[tensor.range.clone()], &tensor.shape, stream);
        }
        weights
    }

    /// Checks that no weight is NaN or infinite.
    ///
    /// # Errors
    /// Names the first tensor with such a value and the index within it; or states that the length is wrong.
    pub fn require_finite<F: Float>(&self, weights: &[F]) -> Result<()> {
        self.require_len(weights.len())?;
        for tensor in &self.tensors {
            let values = &weights[tensor.range.clone()];
            if let Some(index) = values.iter().position(|w| !w.is_finite()) {
                return Err(NonFinite {
                    value: values[index].wide(),
                    place: format!("weight {index} of {} (shape {:?})", tensor.name, tensor.shape),
                    when: None,
                }
                .into());
            }
        }
        Ok(())
    }

    /// Checks that a flat vector has the length of this layout.
    ///
    /// # Errors
    /// Names both lengths.
    pub fn require_len(&self, found: usize) -> Result<()> {
        match found == self.len {
            true => Ok(()),
            false => Err(Error::Mismatch {
                what: "the flat vector of weights".into(),
                expected: format!("{} values", self.len),
                found: format!("{found}"),
            }),
        }
    }
}
