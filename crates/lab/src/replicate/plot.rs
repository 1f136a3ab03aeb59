//! Distribution functions as pictures: the part of all runs with a value no larger, ours and Keras's.

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::schema::values;
use super::{Comparison, KerasRuns, PublishedRun, Replication};

/// The colours differ in lightness too (after Okabe and Ito), and ours has the thicker line.
const OURS: RGBColor = RGBColor(0x00, 0x72, 0xB2);
const KERAS: RGBColor = RGBColor(0xD5, 0x5E, 0x00);
const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const FAINT: RGBColor = RGBColor(0x77, 0x77, 0x77);
const GRID: RGBColor = RGBColor(0xE6, 0xE6, 0xE6);

const PANEL: (u32, u32) = (560, 420);
const HEADING: u32 = 64;

/// A picture could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("the distributions cannot be drawn: {0}")]
pub struct PlotError(String);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'b, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// All quantities in one picture, as the text of an SVG file.
///
/// # Errors
/// If the plotting library fails.
pub(super) fn overview(replication: &Replication, keras: &KerasRuns) -> Result<String, PlotError> {
    svg((3 * PANEL.0, 2 * PANEL.1 + HEADING), |root| {
        let (top, rest) = root.split_vertically(HEADING);
        heading(&top, replication)?;
        for (panel, comparison) in rest.split_evenly((2, 3)).iter().zip(&replication.comparison) {
            draw(panel, replication, keras, comparison)?;
        }
        Ok(())
    })
}

/// One quantity, as the text of an SVG file.
///
/// # Errors
/// If the plotting library fails.
pub(super) fn single(
    replication: &Replication,
    keras: &KerasRuns,
    comparison: &Comparison,
) -> Result<String, PlotError> {
    svg((PANEL.0 + 120, PANEL.1 + HEADING), |root| {
        let (top, rest) = root.split_vertically(HEADING);
        heading(&top, replication)?;
        draw(&rest, replication, keras, comparison)
    })
}

fn svg(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String, PlotError> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE)
            .map_err(|error| error.to_string())
            .and_then(|()| draw(&root).map_err(|error| error.to_string()))
            .and_then(|()| root.present().map_err(|error| error.to_string()))
            .map_err(PlotError)?;
    }
    Ok(svg)
}

/// What both lines are.
fn heading(area: &Area<'_>, replication: &Replication) -> Drawn {
    let indicative = if replication.indicative { " on other data: only indicative" } else { "" };
    let lines = [
        (OURS, 4, format!("glassbox, {} seeds{indicative}", replication.runs.len())),
        (KERAS, 2, format!("Keras, {} seeds", replication.keras.measured.len())),
        (FAINT, 0, "published runs of Keras".to_string()),
    ];
    let mut left = 24;
    for (colour, width, label) in lines {
        let stroke = [(left, 36), (left + 34, 36)];
        match width {
            0 => {
                for top in [22, 32, 42] {
                    area.draw(&PathElement::new([(left + 17, top), (left + 17, top + 6)], dashed(colour)))?;
                }
            }
            _ => area.draw(&PathElement::new(stroke, colour.stroke_width(width)))?,
        }
        let style = text(19, INK).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new(label.clone(), (left + 44, 36), style))?;
        left += 44 + 9 * label.chars().count() as i32 + 36;
    }
    Ok(())
}

fn draw(area: &Area<'_>, replication: &Replication, keras: &KerasRuns, comparison: &Comparison) -> Drawn {
    let quantity = comparison.quantity.as_str();
    let (ours, theirs) = (values(quantity, &replication.runs), values(quantity, &keras.measured));
    let published: Vec<f64> = keras.published.iter().filter_map(|run| of_published(quantity, run)).collect();
    let (low, high) = bounds([&ours[..], &theirs, &published].concat().into_iter());
    let Comparison { distance, p, .. } = comparison;
    let title = format!("{}: distance {distance:.3}, p = {p:.3}", label(quantity));
    let mut chart = ChartBuilder::on(area)
        .margin(14)
        .caption(title, text(20, INK))
        .x_label_area_size(40)
        .y_label_area_size(52)
        .build_cartesian_2d(low..high, 0.0..1.01)?;
    chart
        .configure_mesh()
        .bold_line_style(GRID)
        .light_line_style(WHITE)
        .axis_style(FAINT)
        .label_style(text(15, FAINT))
        .axis_desc_style(text(15, INK))
        .x_labels(6)
        .y_labels(6)
        .x_label_formatter(&|x| short(*x, high))
        .x_desc(unit(quantity))
        .y_desc("part of the runs")
        .draw()?;
    for x in published {
        vertical(&mut chart, x)?;
    }
    for (values, style) in [(&theirs, KERAS.stroke_width(2)), (&ours, OURS.mix(0.85).stroke_width(4))] {
        chart.draw_series([PathElement::new(steps(values, low, high), style)])?;
    }
    Ok(())
}

/// A published run has one value and no distribution.
fn vertical(chart: &mut Chart<'_, '_>, x: f64) -> Drawn {
    let dash = |i: i32| {
        PathElement::new([(x, f64::from(i) / 20.0), (x, (f64::from(i) + 0.5) / 20.0)], dashed(FAINT))
    };
    chart.draw_series((0..20).map(dash))?;
    Ok(())
}

fn dashed(colour: RGBColor) -> ShapeStyle {
    colour.stroke_width(2)
}

/// The empirical distribution function between two bounds, as the corners of its steps.
fn steps(values: &[f64], low: f64, high: f64) -> Vec<(f64, f64)> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let mut corners = vec![(low, 0.0)];
    for (below, x) in sorted.into_iter().enumerate() {
        corners.push((x, below as f64 / n));
        corners.push((x, (below + 1) as f64 / n));
    }
    corners.push((high, 1.0));
    corners
}

/// The least and the largest value, with some room: enough of it that a part of the axis, added to either bound, makes
/// another number. Else the plotting library, which adds mark to mark, would never come to the end of the axis.
fn bounds(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let least = values.clone().fold(f64::INFINITY, f64::min);
    let most = values.fold(f64::NEG_INFINITY, f64::max);
    let room = if most > least { 0.05 * (most - least) } else { 0.5 };
    let room = room.max(1e-9 * least.abs().max(most.abs()).max(f64::MIN_POSITIVE.sqrt()));
    (least - room, most + room)
}

fn of_published(quantity: &str, run: &PublishedRun) -> Option<f64> {
    match quantity {
        "epochs" => run.epochs.map(|epochs| epochs as f64),
        "threshold" => Some(run.threshold),
        "windows" => Some(run.windows as f64),
        "points" => Some(run.points as f64),
        _ => None,
    }
}

fn label(quantity: &str) -> &str {
    match quantity {
        "windows" => "anomalous windows",
        "points" => "anomalous points",
        "loss" => "last loss",
        "val_loss" => "last val_loss",
        other => other,
    }
}

fn unit(quantity: &str) -> &str {
    match quantity {
        "threshold" => "standard deviations of the training series",
        "loss" | "val_loss" => "mean squared error of normalised values",
        _ => "",
    }
}

fn short(x: f64, most: f64) -> String {
    match most {
        most if most >= 10.0 => format!("{x:.0}"),
        most if most >= 0.1 => format!("{x:.2}"),
        _ => format!("{x:.3}"),
    }
}

fn text(size: u32, colour: RGBColor) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&colour)
}

#[cfg(test)]
mod tests {
    use plotters::coord::ranged1d::{BoldPoints, Ranged};

    use super::*;

    #[test]
    fn a_distribution_function_rises_at_each_value() {
        assert_eq!(
            steps(&[3.0, 1.0], 0.0, 4.0),
            [(0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (3.0, 0.5), (3.0, 1.0), (4.0, 1.0)]
        );
        assert_eq!(bounds([2.0, 2.0].into_iter()), (1.5, 2.5));
        assert_eq!(bounds([1.0, 3.0].into_iter()), (0.9, 3.1));
    }

    #[test]
    fn an_axis_has_few_marks_whatever_the_numbers_are() {
        let largest = f64::from(f32::MAX);
        for values in
            [[0.0, largest], [largest, largest], [1e17, 1e17], [1e30, 1e30 * (1.0 + 1e-15)], [0.0, 5e-324]]
        {
            let (low, high) = bounds(values.into_iter());
            let part = (high - low) / 1000.0;
            assert!(low + part > low && high - part < high && high - low < f64::INFINITY, "{values:?}");
            // What the library makes of it.
            let axis = RangedCoordf64::from(low..high);
            assert!(axis.key_points(BoldPoints(6)).len() <= 20, "{values:?}");
        }
    }
}
