//! Where each weight tensor lies in the flat vector of all weights.

use std::ops::Range;

use crate::error::{Error, NonFinite, Result};
use crate::float::Float;
use crate::initializers::Initializer;
use crate::program::Weight;
use crate::random::{Purpose, Stream};

/// All weight tensors of a model, one after the other in one flat vector, and their gradients and moments
/// in vectors of the same layout. An optimiser, a checkpoint or an average over processes works on whole
/// vectors and need not know what is in them.
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
    /// Its values in the flat vector, row by row.
    pub range: Range<usize>,
    /// How it starts.
    pub initializer: Initializer,
}

impl WeightLayout {
    /// Appends a tensor, and gives the name by which a program speaks of it. [`Sequential`](super::Sequential)
    /// does this for its layers; whoever records a graph by hand does it for theirs.
    pub fn push(&mut self, name: impl Into<String>, shape: Vec<usize>, initializer: Initializer) -> Weight {
        let range = self.len..self.len + shape.iter().product::<usize>();
        self.len = range.end;
        self.tensors.push(WeightInfo { name: name.into(), shape, range, initializer });
        Weight(self.tensors.len() - 1)
    }

    /// The tensors, in the order of the layers.
    #[must_use]
    pub fn tensors(&self) -> &[WeightInfo] {
        &self.tensors
    }

    /// The number of values in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no weights.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where neighbouring tensors lie in the flat vector.
    #[must_use]
    pub fn range(&self, tensors: Range<usize>) -> Range<usize> {
        match &self.tensors[tensors] {
            [] => 0..0,
            [first, .., last] => first.range.start..last.range.end,
            [only] => only.range.clone(),
        }
    }

    /// Weights as they are before training: a function of the seed alone.
    #[must_use]
    pub fn initial<F: Float>(&self, seed: u64) -> Vec<F> {
        let mut weights = vec![F::zero(); self.len];
        for (index, tensor) in self.tensors.iter().enumerate() {
            let stream = Stream::new(seed, Purpose::Weights, index as u32, 0);
            tensor.initializer.fill(&mut weights[tensor.range.clone()], &tensor.shape, stream);
        }
        weights
    }

    /// Looks for NaN and infinities.
    ///
    /// # Errors
    /// Names the first tensor that holds one and the index within it; or says that the length is wrong.
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

    /// That a flat vector has as many values as this layout.
    ///
    /// # Errors
    /// Says both numbers.
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
