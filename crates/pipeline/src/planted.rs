//! Series with planted anomalies, generated from a seed: what a detector finds is measured with them.
//!
//! A series has a row every 15 minutes, 96 a day. Its anomaly is of one [`Kind`], at one [`Place`], and has a known
//! range of rows. Sizes are in standard deviations of the series.
//!
//! `docs/detection.md` has the results; `cargo run --release -p glassbox-pipeline --example planted` computes them.

use std::ops::Range;

use glassbox::Device;
use glassbox_engine::random::{Purpose, Stream};
use glassbox_engine::training::Fit;
use jiff::SignedDuration;

use crate::architecture::tutorial_model;
use crate::detector::{Detector, train_detector};
use crate::error::Result;
use crate::rows::{ThresholdRule, Verdict};
use crate::scaler::Scaler;
use crate::series::{Clock, Series};
use crate::synthetic::START;
use crate::training::TrainOptions;

/// Rows of a day.
pub const DAY: usize = 96;

/// The normal behaviour of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// A daily wave with its first harmonic, and a little noise.
    Daily,
    /// The same, half as high on two days of seven.
    Weekly,
    /// The daily wave on a level that drifts up and down over ten days.
    Drifting,
    /// The daily wave with much noise.
    Noisy,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Daily, Self::Weekly, Self::Drifting, Self::Noisy];

    /// The values without noise, and the standard deviation of the noise.
    fn value(self, row: usize) -> (f64, f64) {
        let turn = |period: usize| std::f64::consts::TAU * (row % period) as f64 / period as f64;
        let wave = 20.0 * turn(DAY).sin() + 8.0 * (2.0 * turn(DAY) + 1.0).sin();
        match self {
            Self::Daily => (50.0 + wave, 2.0),
            Self::Weekly if row / DAY % 7 >= 5 => (50.0 + wave / 2.0, 2.0),
            Self::Weekly => (50.0 + wave, 2.0),
            Self::Drifting => (50.0 + wave + 15.0 * turn(10 * DAY).sin(), 2.0),
            Self::Noisy => (50.0 + wave, 6.0),
        }
    }

    /// `days` days of it; another `seed` gives other noise.
    #[must_use]
    pub fn series(self, days: usize, seed: u64) -> Series {
        self.noisier(days, seed, 1.0)
    }

    /// The same with so many times the noise.
    #[must_use]
    pub fn noisier(self, days: usize, seed: u64, times: f64) -> Series {
        let mut noise = Stream::new(seed, Purpose::Series, 2, self as u32).draws();
        let mut value = |row| {
            let (value, deviation) = self.value(row);
            value + times * deviation * noise.normal()
        };
        let values = (0..days * DAY).map(&mut value).collect();
        let timestamps =
            (0..days * DAY).map(|row| START + SignedDuration::from_mins(15 * row as i64)).collect();
        Series::new("planted", Clock::Local, timestamps, values).expect("finite values")
    }
}

/// An anomaly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One row, 4 standard deviations too high.
    Spike,
    /// Eight hours, 3 standard deviations too high.
    LargeShift,
    /// Eight hours, 1.5 standard deviations too high.
    SmallShift,
    /// Eight hours with the value of the first of them.
    FlatLine,
    /// A day with a wave of eight times the frequency.
    Shape,
    /// A day with additional noise of a standard deviation.
    Noise,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Spike, Self::LargeShift, Self::SmallShift, Self::FlatLine, Self::Shape, Self::Noise];

    /// Number of its rows.
    fn rows(self) -> usize {
        match self {
            Self::Spike => 1,
            Self::LargeShift | Self::SmallShift | Self::FlatLine => DAY / 3,
            Self::Shape | Self::Noise => DAY,
        }
    }

    /// Plants it in a series whose values have this standard deviation. Returns the series and the range of the anomaly's
    /// rows; for a missing day, the two rows around the gap.
    #[must_use]
    pub fn plant(self, series: &Series, deviation: f64, place: Place, seed: u64) -> (Series, Range<usize>) {
        let rows = place.range(self.rows(), series.len());
        let mut values = series.values().to_vec();
        let mut noise = Stream::new(seed, Purpose::Series, 3, self as u32).draws();
        let first = values[rows.start];
        for (step, value) in values[rows.clone()].iter_mut().enumerate() {
            let turn = std::f64::consts::TAU * step as f64 / DAY as f64;
            match self {
                Self::Spike => *value += 4.0 * deviation,
                Self::LargeShift => *value += 3.0 * deviation,
                Self::SmallShift => *value += 1.5 * deviation,
                Self::FlatLine => *value = first,
                Self::Shape => *value = 50.0 + 20.0 * (8.0 * turn).sin(),
                Self::Noise => *value += deviation * noise.normal(),
            }
        }
        let times = series.timestamps().to_vec();
        let planted = Series::new(series.name(), series.clock(), times, values).expect("finite values");
        (planted, rows)
    }
}

/// The place of an anomaly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the first rows.
    Start,
    /// In the middle.
    Middle,
    /// In the last rows.
    End,
}

impl Place {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Start, Self::Middle, Self::End];

    /// The range of an anomaly of so many rows in a series of `len` rows.
    fn range(self, rows: usize, len: usize) -> Range<usize> {
        let start = match self {
            Self::Start => 0,
            Self::Middle => (len - rows) / 2,
            Self::End => len - rows,
        };
        start..start + rows
    }
}

/// Trains the tutorial's model on 28 days of a profile, with windows of a day.
///
/// # Errors
/// If training fails.
pub fn train(device: &Device, profile: Profile, seed: u64) -> Result<Detector> {
    let defaults = TrainOptions::default();
    let options = TrainOptions { fit: Fit { epochs: 30, ..defaults.fit }, seed, ..defaults };
    let series = profile.series(28, seed);
    Ok(train_detector(device, &tutorial_model(DAY)?, None, &series, &options, vec![])?.detector)
}

/// The part of a planted anomaly that a detector finds; all numbers count rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Found {
    /// Rows of the anomaly.
    pub planted: usize,
    /// Rows of it that are said to be anomalous.
    pub hits: usize,
    /// Anomalous rows up to a window before or after it.
    pub near: usize,
    /// Anomalous rows elsewhere: false alarms.
    pub elsewhere: usize,
    /// Rows elsewhere.
    pub normal: usize,
}

impl Found {
    /// Judges 14 days of a profile by the threshold of `rule`, with other noise than in training, and an anomaly in them, or none.
    ///
    /// # Errors
    /// If the detector cannot judge it.
    pub fn measure(
        detector: &Detector,
        device: &Device,
        profile: Profile,
        anomaly: Option<(Kind, Place)>,
        seed: u64,
        rule: ThresholdRule,
    ) -> Result<Self> {
        let normal = profile.series(14, !seed);
        let deviation = Scaler::fit(normal.values())?.std();
        let (series, truth) = match anomaly {
            Some((kind, place)) => kind.plant(&normal, deviation, place, seed),
            None => (normal, 0..0),
        };
        let detection = detector.judge(device, &series, rule)?;
        let near = truth.start.saturating_sub(DAY)..truth.end + if truth.is_empty() { 0 } else { DAY };
        let mut found = Self { planted: truth.len(), ..Self::default() };
        for (row, judged) in detection.rows.iter().enumerate() {
            let anomalous = usize::from(matches!(judged.verdict, Verdict::Anomalous(_)));
            match (truth.contains(&row), near.contains(&row)) {
                (true, _) => found.hits += anomalous,
                (_, true) => found.near += anomalous,
                _ => {
                    found.elsewhere += anomalous;
                    found.normal += 1;
                }
            }
        }
        Ok(found)
    }
}
