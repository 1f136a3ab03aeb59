//! Thresholds that follow the scores as rows come, for live data.
//!
//! A fixed threshold knows the scores of training only. When the data change slowly, or training was short, its rate of false
//! alarms is not the wanted one. These thresholds begin with that of training and then learn from each score, after the score
//! was compared. Time and memory for a row do not depend on the number of rows before.
//!
//! | rule | learns from | a lasting change |
//! |---|---|---|
//! | [`Adaptive::Peaks`], SPOT | scores up to the threshold: alarms change nothing | keeps alarming |
//! | [`Adaptive::Drift`], DSPOT | the same, relative to the median of the last scores without an alarm | is followed if it is slow |
//! | [`Adaptive::Quantile`], [`Adaptive::RobustZ`] | all of the last rows | becomes normal after about as many rows |
//!
//! SPOT and DSPOT are those of Siffer et al., *Anomaly detection in streams with extreme value theory*, 2017, but for four
//! things: they begin with the training scores in place of the first rows of the stream; the fit is by probability-weighted
//! moments; of the peaks only the last 1000 are kept, so that memory is constant and the rate of peaks is that of the time
//! since the oldest of them; and DSPOT subtracts a running median in place of a mean, because the median is what is known of
//! the training scores.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::distribution::{Distribution, Pareto, quantile_of, robust_z_of};
use super::rule::{Adaptive, ThresholdRule};

/// The most peaks that are kept.
const MOST_PEAKS: usize = 1000;

/// A threshold while scores come: compare a score with [`Running::threshold`], then [`Running::learn`] it. It serialises with
/// all that it has learnt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Running(Kind);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Kind {
    Fixed(f64),
    Peaks(Peaks),
    Drift { level: Recent, peaks: Peaks },
    Window { rule: Adaptive, threshold: f64, recent: Recent },
}

impl Running {
    /// A threshold by `rule` that begins at `threshold`, which the same rule gave for the training scores.
    pub(super) fn new(rule: ThresholdRule, threshold: f64, training: &Distribution) -> Self {
        let ThresholdRule::Adaptive(rule) = rule else { return Self(Kind::Fixed(threshold)) };
        Self(match rule {
            Adaptive::Peaks { rate } => Kind::Peaks(Peaks::new(rate, threshold, 0.0, training)),
            Adaptive::Drift { rate, rows } => {
                let level = Recent::filled(training.median(), rows);
                let peaks = Peaks::new(rate, threshold, level.median(), training);
                Kind::Drift { level, peaks }
            }
            Adaptive::Quantile { rows, .. } | Adaptive::RobustZ { rows, .. } => {
                Kind::Window { rule, threshold, recent: Recent::new(rows) }
            }
        })
    }

    /// The threshold for the next score.
    #[must_use]
    pub fn threshold(&self) -> f64 {
        let threshold = match &self.0 {
            Kind::Fixed(threshold) | Kind::Window { threshold, .. } => *threshold,
            Kind::Peaks(peaks) => peaks.threshold,
            Kind::Drift { level, peaks } => level.median() + peaks.threshold,
        };
        // Scores are compared with it by division.
        threshold.max(f64::from(f32::EPSILON))
    }

    /// Returns false if no threshold by `rule` can have learnt this, for example in a damaged file.
    pub(crate) fn is_sound(&self, rule: ThresholdRule) -> bool {
        match (&self.0, rule) {
            (Kind::Fixed(_), ThresholdRule::Adaptive(_)) => false,
            (Kind::Fixed(threshold), _) => threshold.is_finite() && *threshold >= 0.0,
            (Kind::Peaks(peaks), ThresholdRule::Adaptive(Adaptive::Peaks { rate })) => peaks.is_sound(rate),
            (Kind::Drift { level, peaks }, ThresholdRule::Adaptive(Adaptive::Drift { rate, rows })) => {
                level.is_sound(rows) && level.is_full() && peaks.is_sound(rate)
            }
            (Kind::Window { rule: own, threshold, recent }, ThresholdRule::Adaptive(rule)) => {
                let rows = match rule {
                    Adaptive::Quantile { rows, .. } | Adaptive::RobustZ { rows, .. } => rows,
                    Adaptive::Peaks { .. } | Adaptive::Drift { .. } => return false,
                };
                *own == rule && threshold.is_finite() && recent.is_sound(rows)
            }
            _ => false,
        }
    }

    /// Learns from a finite score that was compared with the threshold.
    pub fn learn(&mut self, score: f64) {
        let alarm = score > self.threshold();
        match &mut self.0 {
            Kind::Fixed(_) => {}
            Kind::Peaks(peaks) if !alarm => peaks.learn(score),
            Kind::Drift { level, peaks } if !alarm => {
                peaks.learn(score - level.median());
                level.learn(score);
            }
            Kind::Peaks(_) | Kind::Drift { .. } => {}
            Kind::Window { rule, threshold, recent } => {
                recent.learn(score);
                if recent.is_full() {
                    *threshold = match rule {
                        Adaptive::RobustZ { z, .. } => robust_z_of(&recent.sorted, *z),
                        Adaptive::Quantile { quantile, .. } => quantile_of(&recent.sorted, *quantile),
                        Adaptive::Peaks { .. } | Adaptive::Drift { .. } => *threshold,
                    };
                }
            }
        }
    }
}

/// SPOT: a Pareto distribution of the excesses of scores over a base, fitted again with each of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Peaks {
    rate: f64,
    /// Scores above it are peaks.
    base: f64,
    threshold: f64,
    /// Number of scores learnt, those of training included.
    rows: u64,
    /// Number of scores before the oldest peak.
    before: u64,
    /// The excess of each peak, and the number of scores up to it; the oldest first.
    recent: VecDeque<(u64, f64)>,
    /// The excesses, ascending.
    sorted: Vec<f64>,
}

impl Peaks {
    /// Begins with the peaks of training, relative to `level`. Their times are not known: they lie evenly.
    fn new(rate: f64, threshold: f64, level: f64, training: &Distribution) -> Self {
        let (base, sorted) = training.peaks();
        let (rows, count) = (training.count() as u64, sorted.len() as u64);
        let recent =
            sorted.iter().zip(1..).map(|(excess, peak)| (rows * peak / count.max(1), *excess)).collect();
        let (base, threshold) = (base - level, threshold - level);
        Self { rate, base, threshold, rows, before: 0, recent, sorted }
    }

    fn is_sound(&self, rate: f64) -> bool {
        let times =
            || [self.before].into_iter().chain(self.recent.iter().map(|(at, _)| *at)).chain([self.rows]);
        self.rate == rate
            && [self.base, self.threshold].iter().all(|value| value.is_finite())
            && times().is_sorted()
            && self.rows < 1 << 62
            && self.recent.len() <= MOST_PEAKS
            && is_sorted_copy(&self.sorted, self.recent.iter().map(|(_, excess)| *excess))
    }

    fn learn(&mut self, score: f64) {
        self.rows += 1;
        let excess = score - self.base;
        if excess <= 0.0 {
            return;
        }
        if self.recent.len() == MOST_PEAKS
            && let Some((at, oldest)) = self.recent.pop_front()
        {
            self.before = at;
            remove(&mut self.sorted, oldest);
        }
        self.recent.push_back((self.rows, excess));
        insert(&mut self.sorted, excess);
        let fraction = self.sorted.len() as f64 / (self.rows - self.before) as f64;
        self.threshold = self.base + Pareto::fit(&self.sorted).exceeded_with((self.rate / fraction).min(1.0));
    }
}

/// The last scores, in the order of time and of size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Recent {
    rows: usize,
    recent: VecDeque<f64>,
    sorted: Vec<f64>,
}

impl Recent {
    fn new(rows: usize) -> Self {
        Self { rows, recent: VecDeque::with_capacity(rows), sorted: Vec::with_capacity(rows) }
    }

    /// Begins with `rows` scores of this value.
    fn filled(value: f64, rows: usize) -> Self {
        Self { rows, recent: VecDeque::from(vec![value; rows]), sorted: vec![value; rows] }
    }

    fn is_sound(&self, rows: usize) -> bool {
        self.rows == rows
            && self.recent.len() <= rows
            && is_sorted_copy(&self.sorted, self.recent.iter().copied())
    }

    fn median(&self) -> f64 {
        self.sorted[self.sorted.len() / 2]
    }

    fn is_full(&self) -> bool {
        self.recent.len() == self.rows
    }

    fn learn(&mut self, score: f64) {
        if self.is_full()
            && let Some(oldest) = self.recent.pop_front()
        {
            remove(&mut self.sorted, oldest);
        }
        self.recent.push_back(score);
        insert(&mut self.sorted, score);
    }
}

/// Returns true if `sorted` has these values, which are finite, in ascending order.
fn is_sorted_copy(sorted: &[f64], values: impl Iterator<Item = f64>) -> bool {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values == sorted && values.iter().all(|value| value.is_finite())
}

fn insert(sorted: &mut Vec<f64>, value: f64) {
    let at = sorted.partition_point(|other| other.total_cmp(&value).is_lt());
    sorted.insert(at, value);
}

fn remove(sorted: &mut Vec<f64>, value: f64) {
    if let Ok(at) = sorted.binary_search_by(|other| other.total_cmp(&value)) {
        sorted.remove(at);
    }
}

#[cfg(test)]
mod tests {
    use glassbox_engine::random::{Purpose, Stream};

    use super::*;

    /// Scores of training: the quantiles of an exponential distribution, relative to the largest.
    fn training(count: usize) -> Distribution {
        let quantile = |rank: usize| -(1.0 - (rank as f64 + 0.5) / count as f64).ln();
        Distribution::of((0..count).map(|rank| quantile(rank) / quantile(count - 1)).collect())
    }

    /// Exponential scores with this mean.
    fn stream(seed: u64, count: usize, scale: f64) -> impl Iterator<Item = f64> {
        let mut draws = Stream::new(seed, Purpose::Series, 10, 0).draws();
        (0..count).map(move |_| -scale * (1.0 - draws.uniform()).ln())
    }

    fn running(rule: Adaptive, training: &Distribution) -> Running {
        let threshold = training.threshold(rule.beginning()).unwrap();
        Running::new(ThresholdRule::Adaptive(rule), threshold, training)
    }

    /// The scale of exponential scores whose median is that of the training scores.
    fn scale(training: &Distribution) -> f64 {
        training.median() / 2_f64.ln()
    }

    /// SPOT as the paper's algorithm has it: all peaks are kept, and everything is computed anew.
    #[test]
    fn spot_is_the_algorithm_of_the_paper() {
        let training = training(5000);
        let rate = 1e-3;
        let mut spot = running(Adaptive::Peaks { rate }, &training);
        let (base, mut peaks) = training.peaks();
        let (mut n, mut z) = (5000.0, training.threshold(ThresholdRule::Peaks(rate)).unwrap());
        let mut alarms = 0;
        for score in stream(3, 20_000, scale(&training)) {
            assert!((spot.threshold() - z).abs() <= 1e-12 * z, "{} and {z}", spot.threshold());
            spot.learn(score);
            if score > z {
                alarms += 1;
                continue;
            }
            n += 1.0;
            if score > base {
                peaks.push(score - base);
                peaks.sort_by(f64::total_cmp);
                z = base + Pareto::fit(&peaks).exceeded_with(rate * n / peaks.len() as f64);
            }
        }
        // 20 expected, with a deviation of 4.5. Alarms are not learnt, which lowers the threshold a little.
        assert!((10..40).contains(&alarms), "{alarms}");
    }

    /// In training the scores were half as large as they are now.
    #[test]
    fn the_rate_becomes_the_wanted_one() {
        let training = training(2000);
        let scale = 2.0 * scale(&training);
        let rules = [
            Adaptive::Quantile { quantile: 0.998, rows: 5000 },
            // Of an exponential distribution, the median absolute deviation is 0.4812 of the mean, and the median ln 2.
            Adaptive::RobustZ { z: (500_f64.ln() - std::f64::consts::LN_2) / (1.4826 * 0.4812), rows: 5000 },
        ];
        for rule in rules {
            let mut running = running(rule, &training);
            let fixed = running.threshold();
            let (mut late, mut late_fixed) = (0, 0);
            for (row, score) in stream(4, 60_000, scale).enumerate() {
                if row >= 20_000 {
                    late += usize::from(score > running.threshold());
                    late_fixed += usize::from(score > fixed);
                }
                running.learn(score);
            }
            // 80 expected of 40,000; half of them and twice as many are more than 4 deviations away.
            assert!((40..160).contains(&late), "{rule:?}: {late}");
            assert!(late_fixed > 10 * 80, "{rule:?}: {late_fixed} without adaption");
        }
    }

    #[test]
    fn alarms_teach_spot_nothing() {
        let training = training(2000);
        for rule in [Adaptive::Peaks { rate: 1e-3 }, Adaptive::Drift { rate: 1e-3, rows: 50 }] {
            let mut running = running(rule, &training);
            stream(5, 100, scale(&training)).for_each(|score| running.learn(score));
            let before = running.clone();
            (0..1000).for_each(|_| running.learn(10.0));
            assert_eq!(running, before, "{rule:?}");
        }
        // The others take a lasting change for normal.
        let mut window = running(Adaptive::RobustZ { z: 5.0, rows: 100 }, &training);
        (0..100).for_each(|_| window.learn(10.0));
        assert!(window.threshold() >= 10.0);
    }

    #[test]
    fn slow_drift_is_followed_by_dspot_and_not_by_spot() {
        let training = training(2000);
        let scale = scale(&training);
        let alarms = |rule: Adaptive| {
            let mut running = running(rule, &training);
            let mut alarms = 0;
            for (row, score) in stream(6, 20_000, scale).enumerate() {
                let score = score + 20.0 * scale * row as f64 / 20_000.0;
                alarms += usize::from(score > running.threshold());
                running.learn(score);
            }
            alarms
        };
        let (spot, dspot) =
            (alarms(Adaptive::Peaks { rate: 1e-3 }), alarms(Adaptive::Drift { rate: 1e-3, rows: 100 }));
        assert!(dspot < 100, "{dspot}");
        assert!(spot > 10 * dspot, "{spot} and {dspot}");
    }

    #[test]
    fn running_windows_are_those_of_the_last_scores() {
        let training = training(2000);
        let scores: Vec<f64> = stream(7, 300, scale(&training)).collect();
        for rule in [Adaptive::Quantile { quantile: 0.9, rows: 50 }, Adaptive::RobustZ { z: 2.0, rows: 50 }] {
            let mut running = running(rule, &training);
            let beginning = training.threshold(rule.beginning()).unwrap();
            for row in 0..scores.len() {
                let expected = match row.checked_sub(50) {
                    None => beginning,
                    Some(first) => {
                        Distribution::of(scores[first..row].to_vec()).threshold(rule.beginning()).unwrap()
                    }
                };
                assert_eq!(running.threshold(), expected, "{rule:?}, row {row}");
                running.learn(scores[row]);
            }
        }
    }

    #[test]
    fn memory_does_not_grow_with_the_rows() {
        let training = training(2000);
        for rule in [Adaptive::Peaks { rate: 1e-4 }, Adaptive::Drift { rate: 1e-4, rows: 100 }] {
            let mut running = running(rule, &training);
            stream(8, 200_000, scale(&training)).for_each(|score| running.learn(score));
            let (Kind::Peaks(peaks) | Kind::Drift { peaks, .. }) = &running.0 else { unreachable!() };
            assert_eq!((peaks.recent.len(), peaks.sorted.len()), (MOST_PEAKS, MOST_PEAKS));
            assert!(peaks.sorted.is_sorted() && peaks.sorted.capacity() <= 2 * MOST_PEAKS);
            // The peaks that are kept are those of about 50,000 rows.
            assert!((40_000..60_000).contains(&(peaks.rows - peaks.before)), "{}", peaks.rows - peaks.before);
            let text = serde_json::to_string(&running).unwrap();
            assert_eq!(serde_json::from_str::<Running>(&text).unwrap(), running);
        }
    }
}
