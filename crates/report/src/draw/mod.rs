//! A [`Figure`] as an SVG picture, by the library `plotters`; and that picture as a PNG.

mod png;
mod ticks;

use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use ticks::Ticks;

use crate::figure::{Axis, Figure, Mark, Role, Scale};
use crate::theme::{Colour, FAINT, GRID, INK, PAPER, colour};

pub(crate) use png::to_png;

/// Width and height of a picture.
const SIZE: (u32, u32) = (960, 360);
/// Letters; the library writes a font's size into an SVG divided by 1.24.
const LETTERS: u32 = 17;
/// The width of a letter, about.
const LETTER: i32 = 7;

/// The plotting library failed.
#[derive(Debug, thiserror::Error)]
#[error("the plot {id} cannot be drawn: {problem}")]
pub struct DrawError {
    /// Which plot.
    pub id: String,
    /// What the library said.
    pub problem: String,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'b, SVGBackend<'a>, Cartesian2d<Ticks, Ticks>>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// The text of an SVG file.
pub(crate) fn to_svg(figure: &Figure) -> Result<String, DrawError> {
    let mut svg = String::new();
    let drawn = {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        draw(figure, &root).and_then(|()| Ok(root.present()?))
    };
    match drawn {
        Ok(()) => Ok(svg),
        Err(error) => Err(DrawError { id: figure.id.clone(), problem: error.to_string() }),
    }
}

/// A value as a coordinate: of a logarithmic axis its logarithm. Not every value has one: a line has a gap there.
fn place(axis: &Axis, value: f64) -> Option<f64> {
    let place = if axis.scale == Scale::Log { value.log10() } else { value };
    place.is_finite().then_some(place)
}

fn draw(figure: &Figure, root: &Area<'_>) -> Drawn {
    root.fill(&rgb(PAPER))?;
    let bottom = if figure.x_axis.title.is_empty() { 30 } else { 52 };
    let mut chart = ChartBuilder::on(root)
        .margin_top(34)
        .margin_right(30)
        .margin_left(10)
        .margin_bottom(6)
        .x_label_area_size(bottom)
        .y_label_area_size(70)
        .build_cartesian_2d(ticks::x(figure), ticks::y(figure))?;
    spans(figure, &mut chart)?;
    chart
        .configure_mesh()
        .bold_line_style(rgb(GRID))
        .light_line_style(TRANSPARENT)
        .axis_style(rgb(GRID))
        .label_style(text(FAINT))
        .axis_desc_style(text(FAINT))
        .x_desc(&figure.x_axis.title)
        .y_desc(&figure.y_axis.title)
        .draw()?;
    for curve in &figure.curves {
        match curve.mark {
            Mark::Line => line(figure, curve.role, &curve.y, &mut chart)?,
            Mark::Bars => bars(figure, curve.role, &curve.y, &mut chart)?,
        }
    }
    rules(figure, &mut chart, root)?;
    legend(figure, root)
}

fn spans(figure: &Figure, chart: &mut Chart<'_, '_>) -> Drawn {
    let y = chart.y_range();
    for span in &figure.spans {
        let corners = [(span.from, y.start), (span.to, y.end)];
        chart.draw_series([Rectangle::new(corners, rgb(colour(Role::Anomaly)).mix(0.12).filled())])?;
    }
    Ok(())
}

fn line(figure: &Figure, role: Role, y: &[Option<f64>], chart: &mut Chart<'_, '_>) -> Drawn {
    let width = if figure.x.len() > 1000 { 1 } else { 2 };
    let width = if role == Role::Anomaly { 2 } else { width };
    let points: Vec<Option<(f64, f64)>> =
        figure.x.iter().zip(y).map(|(x, y)| Some((*x, place(&figure.y_axis, (*y)?)?))).collect();
    for run in points.split(Option::is_none).filter(|run| !run.is_empty()) {
        let run: Vec<(f64, f64)> = run.iter().copied().flatten().collect();
        let style = rgb(colour(role)).stroke_width(width);
        match run.as_slice() {
            [point] => chart.draw_series([Circle::new(*point, 2, rgb(colour(role)).filled())])?,
            _ => chart.draw_series([PathElement::new(run, style)])?,
        };
    }
    Ok(())
}

fn bars(figure: &Figure, role: Role, y: &[Option<f64>], chart: &mut Chart<'_, '_>) -> Drawn {
    let ends = figure.x.iter().skip(1).copied().chain(figure.x_end);
    let bars = figure.x.iter().zip(ends).zip(y).filter_map(|((start, end), y)| Some((*start, end, (*y)?)));
    chart.draw_series(bars.filter(|(_, _, y)| *y > 0.0).map(|(start, end, y)| {
        let mut bar = Rectangle::new([(start, 0.0), (end, y)], rgb(colour(role)).mix(0.85).filled());
        bar.set_margin(0, 0, 0, 1);
        bar
    }))?;
    Ok(())
}

fn rules(figure: &Figure, chart: &mut Chart<'_, '_>, root: &Area<'_>) -> Drawn {
    let (x, y) = (chart.x_range(), chart.y_range());
    let red = rgb(colour(Role::Anomaly));
    for rule in &figure.rules {
        let at = if rule.vertical { Some(rule.at) } else { place(&figure.y_axis, rule.at) };
        let Some(at) = at else { continue };
        let ends = if rule.vertical { [(at, y.start), (at, y.end)] } else { [(x.start, at), (x.end, at)] };
        chart.draw_series([DashedPathElement::new(ends, 7, 5, red.stroke_width(2))])?;
        let width = rule.label.chars().count() as i32 * LETTER;
        let (across, up) = chart.backend_coord(&ends[1]);
        let (left, _) = chart.backend_coord(&(x.start, y.start));
        // Beside a vertical line, on the side with room; above the right end of the other.
        let (anchor, horizontal) = match rule.vertical {
            true if across - width - 16 > left => ((across - 8, up + 6), HPos::Right),
            true => ((across + 8, up + 6), HPos::Left),
            false => ((across - 8, up - 20), HPos::Right),
        };
        let style = text(colour(Role::Anomaly)).pos(Pos::new(horizontal, VPos::Top));
        root.draw(&Text::new(rule.label.clone(), anchor, style))?;
    }
    Ok(())
}

/// What the colours mean, in a row above the plot.
fn legend(figure: &Figure, root: &Area<'_>) -> Drawn {
    let curves = figure.curves.iter().map(|curve| (curve.name.as_str(), rgb(colour(curve.role)).to_rgba()));
    let spans = figure.spans.iter().map(|span| (span.label.as_str(), rgb(colour(Role::Anomaly)).mix(0.25)));
    let mut left = 80;
    for (name, colour) in curves.chain(spans) {
        root.draw(&Rectangle::new([(left, 13), (left + 16, 19)], colour.filled()))?;
        let style = text(INK).pos(Pos::new(HPos::Left, VPos::Center));
        root.draw(&Text::new(name.to_string(), (left + 22, 16), style))?;
        left += 22 + name.chars().count() as i32 * LETTER + 24;
    }
    Ok(())
}

fn text(colour: Colour) -> TextStyle<'static> {
    ("sans-serif", LETTERS).into_font().color(&rgb(colour))
}

fn rgb(Colour { light: [r, g, b], .. }: Colour) -> RGBColor {
    RGBColor(r, g, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_values_or_one_is_drawn() {
        for axis in [Axis::log("y"), Axis::linear("y")] {
            for values in [vec![], vec![0.0; 4], vec![5.0; 4], vec![f64::NAN, 1e300, f64::MAX, -1.0]] {
                for across in [Axis::time(), Axis::linear("x")] {
                    let x = (0..values.len()).map(|x| 1.4e9 + 300.0 * x as f64).collect();
                    let figure = Figure::new("f", "f", across, axis.clone(), x)
                        .line("a curve", Role::Series, values.clone())
                        .rule(false, 0.0, "a rule");
                    let svg = to_svg(&figure).unwrap();
                    assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN"), "{values:?}: {svg}");
                }
            }
        }
    }
}
