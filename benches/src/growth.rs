//! How a training step on a GPU grows: a row of a table for each size, and the panels of a picture.

use std::error::Error;
use std::path::Path;

use crate::limits::{Machine, Step, Verdict};
use crate::{BATCH, WINDOW};
use glassbox_figures::{Axis, Figure, Mark, Role, sheet};

/// What is trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Windows in a batch.
    pub batch: usize,
    /// Steps of a window.
    pub window: usize,
    /// Times the tutorial's channels.
    pub channels: usize,
}

/// The tutorial's.
pub const TUTORIAL: Size = Size { batch: BATCH, window: WINDOW, channels: 1 };

/// What a step of it took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grown {
    /// Of what.
    pub size: Size,
    /// Seconds of a step: the best and the median.
    pub step: (f64, f64),
    /// Floating-point operations a second in the best.
    pub flops: f64,
    /// That over the measured peak.
    pub share: f64,
    /// What limits the best.
    pub verdict: Verdict,
}

impl Grown {
    /// A step that took so long.
    #[must_use]
    pub fn new(size: Size, work: Step, machine: &Machine, best: f64, median: f64) -> Self {
        let flops = work.windows as f64 * work.flops as f64 / best;
        let share = flops / machine.flops;
        Self { size, step: (best, median), flops, share, verdict: work.limited_by(machine, best) }
    }

    /// Its row.
    #[must_use]
    pub fn row(&self) -> String {
        let Self { size, step: (best, median), flops, share, verdict } = self;
        let Size { batch, window, channels } = size;
        format!(
            "| {batch} | {window} | x{channels} | {:.1} | {:.1} | {:.0} | {:.0} | {:.0} % | {verdict} |",
            1e6 * best,
            1e6 * median,
            self.window_nanos(*best),
            flops / 1e9,
            100.0 * share,
        )
    }

    fn window_nanos(&self, step: f64) -> f64 {
        1e9 * step / self.size.batch as f64
    }
}

/// The head of the table.
pub const HEAD: &str = "\
| batch | steps a window | channels | best, us | median, us | ns a window | GFLOP/s | of peak | limited by |
|---|---|---|---|---|---|---|---|---|
";

/// The row of a size that cannot be measured.
#[must_use]
pub fn row_without(Size { batch, window, channels }: Size, why: &str) -> String {
    format!("| {batch} | {window} | x{channels} | {why} | | | | | |")
}

/// Writes rows of panels as an SVG file.
///
/// # Errors
/// If they cannot be drawn, or the file cannot be written.
pub fn write(file: &Path, rows: &[Vec<Figure>]) -> Result<(), Box<dyn Error>> {
    Ok(std::fs::write(file, sheet("growth", (480, 420), rows)?)?)
}

/// A panel over sizes in powers of two: at most three named curves, each with a value for each size.
#[must_use]
pub fn panel(what: &str, y: Axis, sizes: Vec<f64>, curves: Vec<(String, Vec<f64>)>) -> Figure {
    let figure = Figure::new(what, "", Axis::powers(what), y, sizes);
    let roles = [Role::Series, Role::Model, Role::Layer(0)];
    curves.into_iter().zip(roles).fold(figure, |figure, ((name, y), role)| {
        figure.curve(name, role, Mark::Dotted, y.into_iter().map(Some).collect())
    })
}

/// A panel of shares of a ceiling, each from 0 to 1 and shown in percent.
#[must_use]
pub fn shares(what: &str, sizes: Vec<f64>, mut curves: Vec<(String, Vec<f64>)>) -> Figure {
    curves.iter_mut().flat_map(|(_, shares)| shares).for_each(|share| *share *= 100.0);
    panel(what, Axis::linear("share of the ceiling, %"), sizes, curves).rule(false, 100.0, "ceiling")
}

/// One of the numbers of a size.
type Number = fn(&Size) -> usize;

/// Above the time of a window, and the least that its longest limit allows; below the share of the peak. By batch, by
/// window and by channels, the tutorial's in each of them.
#[must_use]
pub fn panels(all: &[Grown]) -> Vec<Vec<Figure>> {
    let of: [(&str, Number); 3] = [
        ("windows in a batch", |size| size.batch),
        ("steps in a window", |size| size.window),
        ("times the channels", |size| size.channels),
    ];
    // What differs from the tutorial in this alone.
    let chosen = |size: Number| {
        let others = move |grown: &&Grown| {
            let Size { batch, window, channels } = TUTORIAL;
            let same =
                [grown.size.batch == batch, grown.size.window == window, grown.size.channels == channels];
            let differ = same.iter().filter(|same| !**same).count();
            differ == 0 || (differ == 1 && size(&grown.size) != size(&TUTORIAL))
        };
        let mut chosen: Vec<&Grown> = all.iter().filter(others).collect();
        chosen.sort_by_key(|grown| size(&grown.size));
        chosen
    };
    let sizes = |size: Number| chosen(size).iter().map(|grown| size(&grown.size) as f64).collect();
    let curve = |name: &str, size: Number, y: &dyn Fn(&Grown) -> f64| {
        (name.to_string(), chosen(size).into_iter().map(y).collect())
    };
    let times = of.map(|(x, size)| {
        let measured = curve("measured", size, &|grown| grown.window_nanos(grown.step.0));
        let least = curve("the least that its limit allows", size, &|grown| {
            grown.window_nanos(grown.verdict.bound.seconds)
        });
        panel(x, Axis::powers("ns a window"), sizes(size), vec![measured, least])
    });
    let shares = of.map(|(x, size)| {
        shares(x, sizes(size), vec![curve("of the arithmetic", size, &|grown| grown.share)])
    });
    vec![times.into(), shares.into()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{Bound, Limit};

    fn grown(batch: usize, window: usize, channels: usize, best: f64) -> Grown {
        let bound = Bound { limit: Limit::Arithmetic, seconds: best / 2.0 };
        let verdict = Verdict { bound, share: 0.5 };
        let size = Size { batch, window, channels };
        Grown { size, step: (best, 1.25 * best), flops: 30e12, share: 0.5, verdict }
    }

    #[test]
    fn a_row_has_what_its_head_says() {
        let row = grown(1024, 288, 1, 204.8e-6).row();
        assert_eq!(row, "| 1024 | 288 | x1 | 204.8 | 256.0 | 200 | 30000 | 50 % | arithmetic, 50 % |");
        let cells = |line: &str| line.matches('|').count();
        for line in HEAD.lines().chain([&*row, &*row_without(TUTORIAL, "out of memory")]) {
            assert_eq!(cells(line), 10, "{line}");
        }
    }

    #[test]
    fn a_measured_step_is_held_against_the_machine() {
        let machine = Machine { flops: 60e12, memory: 4e12, reads: 8e12, launch: 1e-6, multiprocessors: 132 };
        let work = Step::fused(128, 6_000_000, (288, 288), 9505, 2, 132);
        let grown = Grown::new(TUTORIAL, work, &machine, 25.6e-6, 30e-6);
        // 128 windows of 6 MFLOP in 25.6 us: 30 TFLOP/s.
        assert!((grown.flops - 30e12).abs() < 1e3 && (grown.share - 0.5).abs() < 1e-9, "{grown:?}");
        assert_eq!(grown.verdict.bound.limit, Limit::Arithmetic);
    }

    #[test]
    fn each_panel_has_the_tutorial_and_what_differs_in_its_size_alone() {
        let all = [
            grown(128, 288, 1, 30e-6),
            grown(8192, 288, 1, 1e-3),
            grown(1024, 288, 1, 2e-4),
            grown(128, 1024, 1, 1e-4),
            grown(128, 288, 4, 4e-4),
        ];
        let rows = panels(&all);
        for row in &rows {
            let found: Vec<Vec<f64>> = row.iter().map(|panel| panel.x.clone()).collect();
            assert_eq!(found, [vec![128.0, 1024.0, 8192.0], vec![288.0, 1024.0], vec![1.0, 4.0]]);
        }
        // 30 us over 128 windows, and half of that.
        let first = [0, 1].map(|curve: usize| rows[0][0].curves[curve].y[0].expect("a time"));
        assert!((first[0] - 234.375).abs() < 1e-9 && (first[1] - 117.1875).abs() < 1e-9, "{first:?}");
        assert_eq!(rows[1][2].curves[0].y[1], Some(50.0));
        let svg = sheet("growth", (480, 420), &rows).expect("a picture");
        for text in ["times the channels", "ns a window", "measured", "share of the ceiling, %"] {
            assert!(svg.contains(text), "{text} in {svg}");
        }
    }
}
