//! Running mean and standard deviation.

/// The moments of the values so far, by Welford's recurrence: exact for constant values, and stable.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moments {
    count: usize,
    mean: f64,
    /// The sum of squared distances from the mean.
    squares: f64,
}

impl Moments {
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1;
        let distance = value - self.mean;
        self.mean += distance / self.count as f64;
        self.squares += distance * (value - self.mean);
    }

    pub(super) fn extend(&mut self, values: &[f64]) {
        values.iter().for_each(|value| self.add(*value));
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn mean(&self) -> f64 {
        self.mean
    }

    /// The standard deviation of the population; 0 without values.
    pub(super) fn std(&self) -> f64 {
        (self.squares / self.count.max(1) as f64).max(0.0).sqrt()
    }
}
