//! Figures as SVG pictures, by the library `plotters`.

use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::DrawError;
use crate::figure::{Curve, Dot, Figure, Mark, Role, Span};
use crate::labels::{self, Labelled};
use crate::theme::{Colour, FAINT, GRID, INK, PAPER, colour};
use crate::ticks::{self, Ticks};

/// Width and height of the picture of one figure.
const SIZE: (u32, u32) = (960, 360);
/// The size of all letters; the library writes a font's size into an SVG divided by 1.24.
const LETTERS: u32 = 17;
/// The approximate width of a letter.
const LETTER: i32 = 8;
/// The height of a line of a title.
const TITLE: u32 = 24;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'b, SVGBackend<'a>, Cartesian2d<Ticks, Ticks>>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// The text of an SVG file with one figure, without its title.
///
/// # Errors
/// If the plotting library fails.
pub fn to_svg(figure: &Figure) -> Result<String, DrawError> {
    picture(&figure.id, SIZE, |root| draw(figure, root))
}

/// The text of an SVG file with figures below and beside each other, each with its title in an area of `panel`, which is
/// (width, height) in pixels. `id` names the picture in an error.
///
/// # Errors
/// If the plotting library fails.
pub fn sheet(id: &str, panel: (u32, u32), rows: &[Vec<Figure>]) -> Result<String, DrawError> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(1).max(1);
    let size = (panel.0 * columns as u32, panel.1 * rows.len().max(1) as u32);
    picture(id, size, |root| {
        let areas = root.split_evenly((rows.len().max(1), columns));
        for (figures, areas) in rows.iter().zip(areas.chunks(columns)) {
            for (figure, area) in figures.iter().zip(areas) {
                titled(figure, area)?;
            }
        }
        Ok(())
    })
}

fn picture(id: &str, size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String, DrawError> {
    let mut svg = String::new();
    let drawn = {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let fill = root.fill(&rgb(PAPER)).map_err(Into::into);
        fill.and_then(|()| draw(&root)).and_then(|()| Ok(root.present()?))
    };
    drawn.map(|()| svg).map_err(|error| DrawError::new(id, error))
}

fn titled(figure: &Figure, area: &Area<'_>) -> Drawn {
    let lines = figure.title.lines().count() as u32;
    let (top, rest) = area.split_vertically(TITLE * lines + 8);
    for (index, line) in figure.title.lines().enumerate() {
        let style = text(if index == 0 { INK } else { FAINT });
        top.draw(&Text::new(line, (16, 12 + TITLE as i32 * index as i32), style))?;
    }
    draw(figure, &rest)
}

fn draw(figure: &Figure, area: &Area<'_>) -> Drawn {
    let bottom = if figure.x_axis.title.is_empty() { 30 } else { 52 };
    let mut chart = ChartBuilder::on(area)
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
            Mark::Bars => bars(figure, curve, &mut chart)?,
            _ => line(figure, curve, &mut chart)?,
        }
    }
    rules(figure, &mut chart, area)?;
    dots(figure, &chart, area)?;
    legend(figure, area)
}

fn spans(figure: &Figure, chart: &mut Chart<'_, '_>) -> Drawn {
    let y = chart.y_range();
    for span in &figure.spans {
        let corners = [(span.from, y.start), (span.to, y.end)];
        chart.draw_series([Rectangle::new(corners, rgb(colour(span.role)).mix(0.12).filled())])?;
    }
    Ok(())
}

/// The points of a curve, with `None` for a gap.
fn points(figure: &Figure, curve: &Curve) -> Vec<Option<(f64, f64)>> {
    let point = |(x, y): (&f64, &Option<f64>)| Some((figure.x_axis.place(*x)?, figure.y_axis.place((*y)?)?));
    figure.x.iter().zip(&curve.y).map(point).collect()
}

fn line(figure: &Figure, curve: &Curve, chart: &mut Chart<'_, '_>) -> Drawn {
    let width = match curve.role {
        Role::Anomaly | Role::Limit => 2,
        Role::Aside => 1,
        _ if figure.x.len() > 1000 => 1,
        _ => 2,
    };
    let colour = rgb(colour(curve.role));
    for run in points(figure, curve).split(Option::is_none) {
        let run: Vec<(f64, f64)> = run.iter().copied().flatten().collect();
        if run.len() == 1 || curve.mark == Mark::Dotted {
            let radius = if curve.mark == Mark::Dotted { 4 } else { 2 };
            chart.draw_series(run.iter().map(|point| Circle::new(*point, radius, colour.filled())))?;
        }
        if run.len() > 1 {
            let path = if curve.mark == Mark::Steps { steps(&run) } else { run };
            chart.draw_series([PathElement::new(path, colour.stroke_width(width))])?;
        }
    }
    Ok(())
}

/// The corners of a line that keeps each value until the next.
fn steps(run: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let rises = run.windows(2).flat_map(|pair| [(pair[1].0, pair[0].1), pair[1]]);
    run.first().copied().into_iter().chain(rises).collect()
}

fn bars(figure: &Figure, curve: &Curve, chart: &mut Chart<'_, '_>) -> Drawn {
    let ends = figure.x.iter().skip(1).copied().chain(figure.x_end);
    let bars =
        figure.x.iter().zip(ends).zip(&curve.y).filter_map(|((start, end), y)| Some((*start, end, (*y)?)));
    chart.draw_series(bars.filter(|(_, _, y)| *y > 0.0).map(|(start, end, y)| {
        let mut bar = Rectangle::new([(start, 0.0), (end, y)], rgb(colour(curve.role)).mix(0.85).filled());
        bar.set_margin(0, 0, 0, 1);
        bar
    }))?;
    Ok(())
}

fn rules(figure: &Figure, chart: &mut Chart<'_, '_>, area: &Area<'_>) -> Drawn {
    let (x, y) = (chart.x_range(), chart.y_range());
    let red = rgb(colour(Role::Anomaly));
    for rule in &figure.rules {
        let axis = if rule.vertical { &figure.x_axis } else { &figure.y_axis };
        let Some(at) = axis.place(rule.at) else { continue };
        let ends = if rule.vertical { [(at, y.start), (at, y.end)] } else { [(x.start, at), (x.end, at)] };
        chart.draw_series([DashedPathElement::new(ends, 7, 5, red.stroke_width(2))])?;
        let (across, up) = pixel(chart, area, ends[1]);
        let (left, _) = pixel(chart, area, (x.start, y.start));
        // Beside a vertical line, on the side with room; above the right end of a horizontal one.
        let (anchor, horizontal) = match rule.vertical {
            true if across - width(&rule.label) - 16 > left => ((across - 8, up + 6), HPos::Right),
            true => ((across + 8, up + 6), HPos::Left),
            false => ((across - 8, up - 20), HPos::Right),
        };
        let style = text(colour(Role::Anomaly)).pos(Pos::new(horizontal, VPos::Top));
        area.draw(&Text::new(rule.label.clone(), anchor, style))?;
    }
    Ok(())
}

/// Labelled points: lines that lead to labels below, points on them, labels on top.
fn dots(figure: &Figure, chart: &Chart<'_, '_>, area: &Area<'_>) -> Drawn {
    let mut all: Vec<(Role, &Dot, Labelled)> = vec![];
    for dots in &figure.dots {
        for dot in &dots.dots {
            let (Some(x), Some(y)) = (figure.x_axis.place(dot.x), figure.y_axis.place(dot.y)) else {
                continue;
            };
            let radius = if dot.area > 0.0 { 4 + (32.0 * dot.area.sqrt()) as i32 } else { 0 };
            let size = (width(&dot.label), LETTERS as i32);
            all.push((dots.role, dot, Labelled { at: pixel(chart, area, (x, y)), radius, size }));
        }
    }
    let (x, y) = (chart.x_range(), chart.y_range());
    let ((left, bottom), (right, top)) =
        (pixel(chart, area, (x.start, y.start)), pixel(chart, area, (x.end, y.end)));
    let labelled: Vec<Labelled> = all.iter().map(|(_, _, labelled)| *labelled).collect();
    let frame = labels::Rectangle { left, top, right, bottom };
    let places = labels::place(&labelled, &lines(figure, chart, area), frame);
    for (point, place) in labelled.iter().zip(&places) {
        let nearest = (point.at.0.clamp(place.left, place.right), point.at.1.clamp(place.top, place.bottom));
        let apart = f64::from((nearest.0 - point.at.0).pow(2) + (nearest.1 - point.at.1).pow(2)).sqrt();
        if apart > f64::from(point.radius) + 8.0 {
            area.draw(&PathElement::new([point.at, nearest], rgb(FAINT).mix(0.7).stroke_width(1)))?;
        }
    }
    for (role, _, point) in all.iter().filter(|(_, dot, _)| dot.area > 0.0) {
        area.draw(&Circle::new(point.at, point.radius, rgb(colour(*role)).mix(0.75).filled()))?;
        area.draw(&Circle::new(point.at, point.radius, rgb(PAPER).stroke_width(1)))?;
    }
    for ((role, dot, _), place) in all.iter().zip(&places) {
        let style = text(colour(*role)).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new(dot.label.clone(), (place.left, (place.top + place.bottom) / 2), style))?;
    }
    Ok(())
}

/// Small squares along all curves, for labels to keep clear of.
fn lines(figure: &Figure, chart: &Chart<'_, '_>, area: &Area<'_>) -> Vec<labels::Rectangle> {
    let mut taken = vec![];
    for curve in &figure.curves {
        for pair in points(figure, curve).windows(2) {
            let [Some(from), Some(to)] = pair else { continue };
            let ((x0, y0), (x1, y1)) = (pixel(chart, area, *from), pixel(chart, area, *to));
            let count = (x1 - x0).abs().max((y1 - y0).abs()) / 6 + 1;
            let square = |i| (x0 + (x1 - x0) * i / count, y0 + (y1 - y0) * i / count);
            taken.extend((0..=count).map(|i| labels::Rectangle::around(square(i), 3)));
        }
    }
    taken
}

/// The names of all colours, in a row above the plot.
fn legend(figure: &Figure, area: &Area<'_>) -> Drawn {
    let curves = figure.curves.iter().map(|curve| (&curve.name, rgb(colour(curve.role)).to_rgba()));
    let dots = figure.dots.iter().map(|dots| (&dots.name, rgb(colour(dots.role)).mix(0.75)));
    let mut named: Vec<&Span> = vec![];
    for span in &figure.spans {
        if named.iter().all(|other| other.label != span.label) {
            named.push(span);
        }
    }
    let spans = named.into_iter().map(|span| (&span.label, rgb(colour(span.role)).mix(0.25)));
    let mut left = 80;
    for (name, colour) in curves.chain(dots).chain(spans).filter(|(name, _)| !name.is_empty()) {
        area.draw(&Rectangle::new([(left, 13), (left + 16, 19)], colour.filled()))?;
        let style = text(INK).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new(name.clone(), (left + 22, 16), style))?;
        left += 22 + width(name) + 24;
    }
    Ok(())
}

/// The pixel of a point of the chart, within `area`.
fn pixel(chart: &Chart<'_, '_>, area: &Area<'_>, point: (f64, f64)) -> (i32, i32) {
    let ((x, y), (left, top)) = (chart.backend_coord(&point), area.get_base_pixel());
    (x - left, y - top)
}

/// The approximate width of a text.
fn width(text: &str) -> i32 {
    text.chars().count() as i32 * LETTER
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
    use crate::figure::Axis;

    #[test]
    fn figures_without_values_or_with_one_are_drawn() {
        for axis in [Axis::log("y"), Axis::linear("y"), Axis::powers("y")] {
            for values in [vec![], vec![0.0; 4], vec![5.0; 4], vec![f64::NAN, 1e300, f64::MAX, -1.0]] {
                for across in [Axis::time(), Axis::linear("x"), Axis::log("x"), Axis::powers("x")] {
                    let x: Vec<f64> = (0..values.len()).map(|x| 1.4e9 + 300.0 * x as f64).collect();
                    let dot = |(x, y): (&f64, &f64)| Dot { x: *x, y: *y, area: 0.5, label: "a dot".into() };
                    let dots = x.iter().zip(&values).map(dot).collect();
                    let figure = Figure::new("f", "f", across, axis.clone(), x)
                        .line("a curve", Role::Series, values.clone())
                        .rule(false, 0.0, "a rule")
                        .dots("dots", Role::Layer(0), dots);
                    let svg = to_svg(&figure).unwrap();
                    assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN"), "{values:?}: {svg}");
                }
            }
        }
    }

    #[test]
    fn steps_keep_a_value_until_the_next() {
        assert_eq!(
            steps(&[(0.0, 0.0), (1.0, 0.5), (3.0, 1.0)]),
            [(0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (3.0, 0.5), (3.0, 1.0)]
        );
    }

    #[test]
    fn a_sheet_shows_every_text_and_point_of_its_panels() {
        let panel = |title: &str, y: &[f64]| {
            let x = [128.0, 1024.0, 65_536.0][..y.len()].to_vec();
            let y = y.iter().copied().map(Some).collect();
            Figure::new("p", title, Axis::powers("windows"), Axis::powers("ns"), x)
                .curve("one <line>", Role::Series, Mark::Dotted, y)
                .dots(
                    "kind",
                    Role::Layer(1),
                    vec![Dot { x: 1024.0, y: 90.0, area: 1.0, label: "label".into() }],
                )
        };
        let rows = [
            vec![panel("first\ndetail", &[300.0, 150.0, 90.0]), panel("second", &[1.0])],
            vec![panel("third", &[])],
        ];
        let svg = sheet("s", (440, 420), &rows).unwrap();
        for text in [
            "first",
            "detail",
            "second",
            "third",
            "windows",
            "ns",
            "one &lt;line&gt;",
            "kind",
            "label",
            "1024",
        ] {
            assert!(svg.contains(text), "{text} in {svg}");
        }
        // Four values, and three labelled points of a disc and its edge.
        assert_eq!(svg.matches("<circle").count(), 4 + 3 * 2);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        // Two rows of two columns, and nothing outside of the picture.
        assert!(svg.contains("width=\"880\" height=\"840\""), "{svg}");
        let third = svg.find(">\nthird\n").expect("the title of the third panel");
        assert!(svg[..third].rfind("y=\"4").is_some(), "it stands in the second row");
    }
}
