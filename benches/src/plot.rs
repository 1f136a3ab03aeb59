//! How something grows, as a picture: panels in rows, in each of them lines over a size in powers of two.

use std::error::Error;
use std::ops::Range;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const GRID: RGBColor = RGBColor(0xE6, 0xE6, 0xE6);
/// Of lines, in order. They differ in lightness too (after Okabe and Ito).
const COLOURS: [RGBColor; 3] =
    [RGBColor(0x00, 0x72, 0xB2), RGBColor(0xD5, 0x5E, 0x00), RGBColor(0x00, 0x8A, 0x63)];

/// Of a panel, in pixels.
const SIZE: (u32, u32) = (440, 420);

/// A panel.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// What grows.
    pub x: String,
    /// What is measured.
    pub y: Upwards,
    /// At most three.
    pub lines: Vec<Line>,
}

/// What is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upwards {
    /// Shares of a ceiling, from 0 to 1: shown in percent.
    Share,
    /// Numbers that are more than 0, in powers of two, and what they are.
    Powers(String),
}

/// A line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What it is.
    pub name: String,
    /// Sizes, and what was measured at each.
    pub points: Vec<(f64, f64)>,
}

/// Writes the picture, an SVG file.
///
/// # Errors
/// If it cannot be drawn or written.
pub fn write(file: &Path, rows: &[Vec<Panel>]) -> Result<(), Box<dyn Error>> {
    Ok(std::fs::write(file, svg(rows)?)?)
}

/// The picture.
///
/// # Errors
/// If it cannot be drawn.
pub fn svg(rows: &[Vec<Panel>]) -> Result<String, Box<dyn Error>> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(1).max(1);
    let size = (SIZE.0 * columns as u32, SIZE.1 * rows.len() as u32);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE)?;
        let areas = root.split_evenly((rows.len(), columns));
        for (row, areas) in rows.iter().zip(areas.chunks(columns)) {
            for (panel, area) in row.iter().zip(areas) {
                draw(panel, area).map_err(|error| error.to_string())?;
            }
        }
        root.present()?;
    }
    Ok(svg)
}

fn draw(panel: &Panel, area: &DrawingArea<SVGBackend<'_>, Shift>) -> Result<(), Box<dyn Error>> {
    let points = || panel.lines.iter().flat_map(|line| &line.points);
    let up = |y: f64| if panel.y == Upwards::Share { 100.0 * y } else { y.log2() };
    let across = range(points().map(|(x, _)| x.log2()));
    let (upwards, what, legend) = match &panel.y {
        Upwards::Share => (0.0..100.0, "share of the ceiling, %", SeriesLabelPosition::LowerRight),
        Upwards::Powers(what) => {
            let Range { start, end } = range(points().map(|(_, y)| up(*y)));
            // Some room below, and above as much as the names of the lines need.
            let span = end - start;
            (start - 0.1 * span..end + 0.3 * span, what.as_str(), SeriesLabelPosition::UpperLeft)
        }
    };
    let power = |value: &f64| match value.fract() == 0.0 {
        true => format!("{}", value.exp2()),
        false => String::new(),
    };
    let label = |value: &f64| if panel.y == Upwards::Share { format!("{value:.0}") } else { power(value) };
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .x_label_area_size(48)
        .y_label_area_size(64)
        .build_cartesian_2d(across, upwards)?;
    chart
        .configure_mesh()
        .bold_line_style(GRID)
        .light_line_style(WHITE)
        .label_style(("sans-serif", 15, &INK))
        .axis_desc_style(("sans-serif", 17, &INK))
        .x_desc(panel.x.as_str())
        .y_desc(what)
        .x_label_formatter(&power)
        .y_label_formatter(&label)
        .draw()?;
    for (line, colour) in panel.lines.iter().zip(COLOURS) {
        let points: Vec<(f64, f64)> = line.points.iter().map(|(x, y)| (x.log2(), up(*y))).collect();
        chart
            .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?
            .label(&line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(points.into_iter().map(|point| Circle::new(point, 4, colour.filled())))?;
    }
    // One line is what the axis says.
    if panel.lines.len() > 1 {
        chart
            .configure_series_labels()
            .position(legend)
            .label_font(("sans-serif", 15, &INK))
            .background_style(WHITE)
            .draw()?;
    }
    Ok(())
}

/// All values, and something even if there is but one.
fn range(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values {
        (least, most) = (least.min(value), most.max(value));
    }
    if least > most {
        return 0.0..1.0;
    }
    least..most.max(least + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_and_axis_is_in_the_picture() {
        let line = |name: &str, points: &[(f64, f64)]| Line { name: name.into(), points: points.into() };
        let times = Panel {
            x: "windows in a batch".into(),
            y: Upwards::Powers("ns a window".into()),
            lines: vec![
                line("measured", &[(128.0, 300.0), (1024.0, 150.0), (65_536.0, 90.0)]),
                line("least", &[(128.0, 90.0), (1024.0, 90.0), (65_536.0, 90.0)]),
            ],
        };
        let shares = Panel {
            x: "channels".into(),
            y: Upwards::Share,
            lines: vec![line("one <point>", &[(1.0, 0.4)]), line("another", &[(1.0, 0.5)])],
        };
        let empty = Panel { x: "nothing".into(), y: Upwards::Share, lines: vec![] };
        let svg = svg(&[vec![times, shares.clone()], vec![shares, empty]]).expect("a picture");
        for text in ["windows in a batch", "ns a window", "measured", "least", "channels", "nothing", "1024"]
        {
            assert!(svg.contains(text), "{text} in {svg}");
        }
        assert!(svg.contains("one &lt;point&gt;") && svg.trim_end().ends_with("</svg>"), "{svg}");
        // Two lines of three points, two of one in each of two panels, and no place that is no number.
        assert_eq!(svg.matches("<circle").count(), 10);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
