//! The profile as a picture: a roofline plot.
//!
//! The x axis counts floating-point operations for each byte, the y axis floating-point operations a second. No part can
//! lie above the roof: to the left it slants, because the bandwidth limits the operations; to the right it is flat,
//! because the arithmetic units do. Both axes are logarithmic, so the distance from the roof is a ratio.
//!
//! A point is a line of the training program that does floating-point operations; its area is its share of the
//! time of all points. A large point far below the roof is worth optimising.

use glassbox_engine::profile::Ceilings;
use glassbox_figures::{Axis, Dot, DrawError, Figure, Mark, Role, sheet};

use super::{PartInfo, PassInfo, Profile, What};

const SIZE: (u32, u32) = (1240, 860);

/// The kinds of points, in the order of [`kind`].
const KINDS: [&str; 4] = ["forward", "input gradient", "kernel gradient", "all else"];

/// A roofline plot of a profile, as the text of an SVG file.
///
/// # Errors
/// If the plotting library fails.
pub fn roofline_svg(profile: &Profile) -> Result<String, DrawError> {
    sheet("roofline", SIZE, &[vec![figure(profile)]])
}

fn figure(profile: &Profile) -> Figure {
    let points: Vec<&PartInfo> = profile
        .parts
        .iter()
        .filter(|part| part.instruction.is_some() && part.flops > 0 && part.seconds > 0.0)
        .collect();
    let lines = profile.ceilings.as_ref().map(|ceilings| lines(&ceilings.rates)).unwrap_or_default();
    let mut figure = Figure::new(
        "roofline",
        heading(profile),
        Axis::log("floating-point operations for each byte"),
        Axis::log("GFLOP/s"),
        corners(&points, &lines),
    );
    for line in lines {
        let y = figure.x.iter().map(|x| line.at(*x)).collect();
        let (x, y_label) = line.labelled_at();
        let label = vec![Dot { x, y: y_label, area: 0.0, label: line.label }];
        figure = figure.curve("", line.role, Mark::Line, y).dots("", line.role, label);
    }
    let seconds: f64 = points.iter().map(|part| part.seconds).sum();
    for (index, name) in KINDS.into_iter().enumerate() {
        let dot = |part: &&PartInfo| Dot {
            x: part.intensity.unwrap_or(1.0),
            y: part.flops_per_second / 1e9,
            area: part.seconds / seconds,
            label: label(part),
        };
        let dots = points.iter().filter(|part| kind(part) == index).map(dot).collect();
        figure = figure.dots(name, Role::Layer(index as u8), dots);
    }
    figure
}

fn heading(profile: &Profile) -> String {
    let step = &profile.step;
    let peak =
        step.share_of_peak.map_or(String::new(), |share| format!(", {:.0} % of the peak", 100.0 * share));
    format!(
        "Roofline of a training step: {}\n{}, batches of {}: {:.0} us a step, {:.1} GFLOP/s{peak}. \
         Area: share of the time of all points.",
        profile.model.name,
        profile.backend,
        profile.config.options.batch_size,
        step.seconds * 1e6,
        step.flops_per_second / 1e9,
    )
}

/// A ceiling: `slope * x` up to `corner` if it limits bytes, `top` from `corner` on if it limits arithmetic.
struct Line {
    role: Role,
    label: String,
    corner: f64,
    /// GFLOP/s at the corner.
    top: f64,
    /// GB/s of a ceiling that limits bytes.
    slope: Option<f64>,
}

impl Line {
    fn at(&self, x: f64) -> Option<f64> {
        match self.slope {
            Some(slope) => (x <= self.corner).then_some(slope * x),
            None => (x >= self.corner).then_some(self.top),
        }
    }

    /// Below the corner of a slanted line, at the start of a flat one.
    fn labelled_at(&self) -> (f64, f64) {
        let along = if self.slope.is_some() { 0.8 } else { 1.0 };
        (along * self.corner, along * self.top)
    }
}

/// The ceilings; the first of each kind limits this step.
fn lines(ceilings: &Ceilings) -> Vec<Line> {
    let role = |index: usize| if index == 0 { Role::Limit } else { Role::Aside };
    let bandwidth = ceilings.bandwidths[0].rate / 1e9;
    let mut lines: Vec<Line> = vec![];
    for (index, ceiling) in ceilings.peaks.iter().enumerate() {
        let peak = ceiling.rate / 1e9;
        // Two instruction sets may have nearly the same ceiling: one line and one label for both.
        match lines.iter_mut().find(|other| (peak / other.top - 1.0).abs() < 0.03) {
            Some(other) => other.label += &format!(" = {}", ceiling.name),
            None => lines.push(Line {
                role: role(index),
                label: format!("{peak:.0} GFLOP/s: {}", ceiling.name),
                corner: peak / bandwidth,
                top: peak,
                slope: None,
            }),
        }
    }
    let own = lines[0].top;
    let highest = lines.iter().map(|line| line.top).fold(0.0, f64::max);
    lines.extend(ceilings.bandwidths.iter().enumerate().map(|(index, ceiling)| {
        let (slope, top) = (ceiling.rate / 1e9, if index == 0 { own } else { highest });
        let label = format!("{slope:.0} GB/s: {}", ceiling.name);
        Line { role: role(index), label, corner: top / slope, top, slope: Some(slope) }
    }));
    lines
}

/// The x of the figure: the corners of the ceilings, and margins around them and the points.
fn corners(points: &[&PartInfo], lines: &[Line]) -> Vec<f64> {
    let mut x: Vec<f64> = lines.iter().map(|line| line.corner).collect();
    let all = x.iter().copied().chain(points.iter().filter_map(|part| part.intensity));
    let (least, most) = all.fold((f64::INFINITY, 0.0_f64), |(least, most), x| (least.min(x), most.max(x)));
    if least <= most {
        x.extend([least / 2.0, 2.0 * most]);
    }
    x.sort_by(f64::total_cmp);
    x
}

/// The index of a part's kind in [`KINDS`].
fn kind(part: &PartInfo) -> usize {
    match part.what {
        What::Output | What::Recurrence if part.pass == PassInfo::Forward => 0,
        What::InputGradient | What::Recurrence => 1,
        What::KernelGradient => 2,
        _ => 3,
    }
}

/// The layer; with what is computed, where the colour does not tell it.
fn label(part: &PartInfo) -> String {
    match (&part.layer, part.what) {
        (Some(layer), What::Output | What::InputGradient | What::KernelGradient) => layer.clone(),
        (Some(layer), what) => format!("{layer}, {}", what.name()),
        (None, what) => what.name().into(),
    }
}
