//! The profile as a picture: a roofline plot.
//!
//! Across: floating-point operations for each byte. Up: floating-point operations a second. A part cannot be
//! above the roof: to the left it slants, since so many bytes a second allow no more, to the right it is flat,
//! since the arithmetic units do not. Both axes are logarithmic, so distance from the roof is a ratio.
//!
//! A point is a line of the training program that does floating-point operations; its area is its share of the
//! time of all of them. So what is large and far below the roof is worth some work.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::labels::{Labelled, Rectangle, place};
use super::{CeilingsInfo, PartInfo, PassInfo, Profile, What};

const SIZE: (u32, u32) = (1240, 860);

const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const FAINT: RGBColor = RGBColor(0x77, 0x77, 0x77);
const GRID: RGBColor = RGBColor(0xE6, 0xE6, 0xE6);

/// The kinds of points and their colours, which differ in lightness too (after Okabe and Ito).
const KINDS: [(&str, RGBColor); 4] = [
    ("forward", RGBColor(0x00, 0x72, 0xB2)),
    ("input gradient", RGBColor(0xD5, 0x5E, 0x00)),
    ("kernel gradient", RGBColor(0x00, 0x8A, 0x63)),
    ("all else", RGBColor(0x8A, 0x4F, 0x9E)),
];

/// The picture could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("the roofline cannot be drawn: {0}")]
pub struct RooflineError(String);

/// A roofline plot of a profile, as the text of an SVG file.
///
/// # Errors
/// If the plotting library fails.
pub fn roofline_svg(profile: &Profile) -> Result<String, RooflineError> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        draw(profile, &root).map_err(|error| RooflineError(error.to_string()))?;
        root.present().map_err(|error| RooflineError(error.to_string()))?;
    }
    Ok(svg)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Log = plotters::coord::combinators::LogCoord<f64>;
type Chart<'a, 'b> = ChartContext<'b, SVGBackend<'a>, Cartesian2d<Log, Log>>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw(profile: &Profile, root: &Area<'_>) -> Drawn {
    root.fill(&WHITE)?;
    let points: Vec<&PartInfo> = profile.parts.iter().filter(|part| is_point(part)).collect();
    let ranges = Ranges::of(profile.ceilings.as_ref(), &points);
    heading(profile, root)?;
    let plot = root.margin(84, 12, 12, 24);
    let mut chart = ChartBuilder::on(&plot)
        .x_label_area_size(52)
        .y_label_area_size(74)
        .build_cartesian_2d(ranges.x.log_scale(), ranges.y.log_scale())?;
    chart
        .configure_mesh()
        .bold_line_style(GRID)
        .light_line_style(WHITE)
        .axis_style(FAINT)
        .label_style(text(15, FAINT))
        .axis_desc_style(text(17, INK))
        .x_desc("floating-point operations for each byte")
        .y_desc("GFLOP/s")
        .x_label_formatter(&|value| short(*value))
        .y_label_formatter(&|value| short(*value))
        .draw()?;
    let mut taken = vec![];
    if let Some(ceilings) = &profile.ceilings {
        roof(ceilings, &mut chart, root, &mut taken)?;
    }
    legend(&chart, root, &mut taken)?;
    scatter(&points, &chart, root, &taken)
}

/// Whether a part has a place in the plot.
fn is_point(part: &PartInfo) -> bool {
    part.instruction.is_some() && part.flops > 0 && part.seconds > 0.0
}

/// What the axes show.
struct Ranges {
    x: std::ops::Range<f64>,
    y: std::ops::Range<f64>,
}

impl Ranges {
    fn of(ceilings: Option<&CeilingsInfo>, points: &[&PartInfo]) -> Self {
        let mut xs: Vec<f64> = points.iter().filter_map(|part| part.intensity).collect();
        let mut ys: Vec<f64> = points.iter().map(|part| part.flops_per_second / 1e9).collect();
        if let Some(ceilings) = ceilings {
            // The corner of the roof, and something to the right of it.
            let (peak, bandwidth) = (ceilings.peaks[0].rate, ceilings.bandwidths[0].rate);
            xs.extend([peak / bandwidth / 2.0, peak / bandwidth * 4.0]);
            ys.extend(ceilings.peaks.iter().map(|peak| peak.rate / 1e9));
        }
        let range = |values: &[f64], below: f64, above: f64| {
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(0.0, f64::max);
            if least <= most { least / below..most * above } else { 0.1..10.0 }
        };
        Self { x: range(&xs, 1.7, 1.8), y: range(&ys, 1.7, 1.8) }
    }
}

fn heading(profile: &Profile, root: &Area<'_>) -> Drawn {
    let title = format!("Roofline of a training step: {}", profile.model.name);
    root.draw(&Text::new(title, (24, 18), text(26, INK)))?;
    let step = &profile.step;
    let peak =
        step.share_of_peak.map_or(String::new(), |share| format!(", {:.0} % of the peak", 100.0 * share));
    let line = format!(
        "{}, batches of {}: {:.0} us a step, {:.1} GFLOP/s{peak}. Area: share of the time of all points.",
        profile.backend,
        profile.config.batch_size,
        step.seconds * 1e6,
        step.flops_per_second / 1e9,
    );
    root.draw(&Text::new(line, (24, 50), text(17, FAINT)))?;
    Ok(())
}

/// The ceilings: those that bind in bold, the others for comparison.
fn roof(
    ceilings: &CeilingsInfo,
    chart: &mut Chart<'_, '_>,
    root: &Area<'_>,
    taken: &mut Vec<Rectangle>,
) -> Drawn {
    let (x, y) = (chart.x_range(), chart.y_range());
    let bandwidth = ceilings.bandwidths[0].rate / 1e9;
    let mut labels: Vec<(f64, String)> = vec![];
    for (index, ceiling) in ceilings.peaks.iter().enumerate() {
        let peak = ceiling.rate / 1e9;
        // Two instruction sets may well have one ceiling: a line and a label for both.
        match labels.iter_mut().find(|(other, _)| (peak / *other - 1.0).abs() < 0.03) {
            Some((_, label)) => *label += &format!(" = {}", ceiling.name),
            None => {
                let style = if index == 0 { INK.stroke_width(2) } else { FAINT.stroke_width(1) };
                let corner = (peak / bandwidth).max(x.start);
                chart.draw_series([PathElement::new([(corner, peak), (x.end, peak)], style)])?;
                line_taken(chart, (corner, peak), (x.end, peak), taken);
                labels.push((peak, format!("{peak:.0} GFLOP/s: {}", ceiling.name)));
            }
        }
    }
    for (peak, label) in labels {
        let (left, height) = chart.backend_coord(&((peak / bandwidth).max(x.start), peak));
        write(root, taken, &label, (left + 12, height - 5), VPos::Bottom)?;
    }
    let highest = ceilings.peaks.iter().map(|peak| peak.rate / 1e9).fold(0.0, f64::max);
    for (index, ceiling) in ceilings.bandwidths.iter().enumerate() {
        let slope = ceiling.rate / 1e9;
        let top = if index == 0 { ceilings.peaks[0].rate / 1e9 } else { highest };
        let style = if index == 0 { INK.stroke_width(2) } else { FAINT.stroke_width(1) };
        let start = x.start.max(y.start / slope);
        chart.draw_series([PathElement::new([(start, start * slope), (top / slope, top)], style)])?;
        line_taken(chart, (start, start * slope), (top / slope, top), taken);
        // To the right of the roof's slant, below its corner; above the end of any other.
        let at = if index == 0 { 0.8 * top } else { top };
        let (left, height) = chart.backend_coord(&(at / slope, at));
        let label = format!("{slope:.0} GB/s: {}", ceiling.name);
        match index {
            0 => write(root, taken, &label, (left + 12, height), VPos::Center)?,
            _ => write(root, taken, &label, (left - 40, height - 26 * index as i32), VPos::Bottom)?,
        }
    }
    Ok(())
}

/// Labels keep off a line: small squares along it are taken.
fn line_taken(chart: &Chart<'_, '_>, from: (f64, f64), to: (f64, f64), taken: &mut Vec<Rectangle>) {
    let ((x0, y0), (x1, y1)) = (chart.backend_coord(&from), chart.backend_coord(&to));
    let steps = (x1 - x0).abs().max((y1 - y0).abs()) / 6 + 1;
    taken.extend(
        (0..=steps).map(|i| Rectangle::around((x0 + (x1 - x0) * i / steps, y0 + (y1 - y0) * i / steps), 3)),
    );
}

fn legend(chart: &Chart<'_, '_>, root: &Area<'_>, taken: &mut Vec<Rectangle>) -> Drawn {
    let (x, y) = (chart.x_range(), chart.y_range());
    let (right, bottom) = chart.backend_coord(&(x.end, y.start));
    let (left, top) = (right - 160, bottom - 22 * KINDS.len() as i32 - 14);
    for (row, (name, colour)) in KINDS.iter().enumerate() {
        let middle = top + 22 * row as i32 + 11;
        root.draw(&Circle::new((left, middle), 7, colour.mix(0.75).filled()))?;
        let style = text(16, INK).pos(Pos::new(HPos::Left, VPos::Center));
        root.draw(&Text::new(*name, (left + 16, middle), style))?;
    }
    taken.push(Rectangle { left: left - 14, top: top - 8, right, bottom });
    Ok(())
}

fn scatter(points: &[&PartInfo], chart: &Chart<'_, '_>, root: &Area<'_>, taken: &[Rectangle]) -> Drawn {
    let labels: Vec<String> = points.iter().map(|part| label(part)).collect();
    let seconds: f64 = points.iter().map(|part| part.seconds).sum();
    let labelled: Vec<Labelled> = points
        .iter()
        .zip(&labels)
        .map(|(part, label)| Labelled {
            at: chart.backend_coord(&(part.intensity.unwrap_or(1.0), part.flops_per_second / 1e9)),
            radius: 4 + (32.0 * (part.seconds / seconds).sqrt()) as i32,
            size: size_of_text(label),
        })
        .collect();
    let (x, y) = (chart.x_range(), chart.y_range());
    let ((left, bottom), (right, top)) =
        (chart.backend_coord(&(x.start, y.start)), chart.backend_coord(&(x.end, y.end)));
    let places = place(&labelled, taken, Rectangle { left, top, right, bottom });
    // Lines below, points on them, labels on top of all.
    for (point, place) in labelled.iter().zip(&places) {
        let nearest = (point.at.0.clamp(place.left, place.right), point.at.1.clamp(place.top, place.bottom));
        let apart = f64::from((nearest.0 - point.at.0).pow(2) + (nearest.1 - point.at.1).pow(2)).sqrt();
        if apart > f64::from(point.radius) + 8.0 {
            root.draw(&PathElement::new([point.at, nearest], FAINT.mix(0.7).stroke_width(1)))?;
        }
    }
    for (part, point) in points.iter().zip(&labelled) {
        let (_, colour) = KINDS[kind(part)];
        root.draw(&Circle::new(point.at, point.radius, colour.mix(0.75).filled()))?;
        root.draw(&Circle::new(point.at, point.radius, WHITE.stroke_width(1)))?;
    }
    for ((part, place), label) in points.iter().zip(&places).zip(labels) {
        let (_, colour) = KINDS[kind(part)];
        let style = text(LABEL, darker(colour)).pos(Pos::new(HPos::Left, VPos::Center));
        root.draw(&Text::new(label, (place.left, (place.top + place.bottom) / 2), style))?;
    }
    Ok(())
}

/// The place of its kind in [`KINDS`].
fn kind(part: &PartInfo) -> usize {
    match part.what {
        What::Output if part.pass == PassInfo::Forward => 0,
        What::InputGradient => 1,
        What::KernelGradient => 2,
        _ => 3,
    }
}

/// The layer, and what of it where the colour does not say.
fn label(part: &PartInfo) -> String {
    match (&part.layer, part.what) {
        (Some(layer), What::Output | What::InputGradient | What::KernelGradient) => layer.clone(),
        (Some(layer), what) => format!("{layer}, {}", what.name()),
        (None, what) => what.name().into(),
    }
}

/// Of labels. The library writes a font's size into an SVG divided by 1.24.
const LABEL: u32 = 15;

/// The width and height of a label, about: sans-serif letters are half as wide as their font is high.
fn size_of_text(text: &str) -> (i32, i32) {
    (text.chars().count() as i32 * 13 / 2 + 4, 14)
}

/// A line of text to the right of a point; its place is then taken.
fn write(
    root: &Area<'_>,
    taken: &mut Vec<Rectangle>,
    line: &str,
    (left, y): (i32, i32),
    along: VPos,
) -> Drawn {
    let (width, height) = size_of_text(line);
    let top = if matches!(along, VPos::Bottom) { y - height } else { y - height / 2 };
    taken.push(Rectangle { left: left - 4, top: top - 3, right: left + width + 4, bottom: top + height + 3 });
    root.draw(&Text::new(line.to_string(), (left, y), text(LABEL, INK).pos(Pos::new(HPos::Left, along))))?;
    Ok(())
}

fn text(size: u32, colour: RGBColor) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&colour)
}

fn darker(RGBColor(r, g, b): RGBColor) -> RGBColor {
    let part = |v: u8| (u32::from(v) * 7 / 10) as u8;
    RGBColor(part(r), part(g), part(b))
}

/// A number at an axis: 1, 2, 5, 10, ...; there is no room for those between.
fn short(value: f64) -> String {
    let scientific = format!("{value:e}");
    match scientific.starts_with(['1', '2', '5']) && !scientific.contains('.') {
        true => value.to_string(),
        false => String::new(),
    }
}
