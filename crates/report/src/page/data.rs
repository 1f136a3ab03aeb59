//! The data of the page's script: every plot, and the heat maps of every layer for the observed windows.

use glassbox_pipeline::inside::Inside;
use glassbox_pipeline::synthetic::Subset;
use serde::Serialize;

use crate::Results;
use crate::figures::mean_error;
use glassbox_figures::Figure;
use glassbox_figures::heatmap;

#[derive(Serialize)]
struct Data<'a> {
    figures: Vec<&'a Figure>,
    inside: Option<InsideData<'a>>,
}

/// The windows, for the slider.
#[derive(Serialize)]
struct InsideData<'a> {
    threshold: f64,
    maps: Vec<MapData>,
    windows: Vec<WindowData<'a>>,
    /// The receptive field of each step of the output: its first step of the input, and one past its last.
    fields: Vec<[usize; 2]>,
}

#[derive(Serialize)]
struct MapData {
    name: String,
    steps: usize,
    channels: usize,
    /// The value of the byte 127.
    full: f32,
}

#[derive(Serialize)]
struct WindowData<'a> {
    series: Subset,
    window: usize,
    from: String,
    to: String,
    error: f64,
    input: &'a [f32],
    output: &'a [f32],
    /// The values of each map in base64: a signed byte for each value, `(steps, channels)` row by row.
    maps: Vec<String>,
}

/// The data as text for a `<script>`, which must not contain `<`.
pub(super) fn json(results: &Results, drawn: &[(&Figure, String)]) -> String {
    let data = Data {
        figures: drawn.iter().map(|(figure, _)| *figure).collect(),
        inside: results.inside.as_ref().map(|inside| of(results, inside)),
    };
    serde_json::to_string(&data).expect("numbers and texts").replace('<', "\\u003c")
}

fn of<'a>(results: &'a Results, inside: &'a Inside) -> InsideData<'a> {
    let maps = results.maps(inside);
    let windows = inside.windows.iter().map(|window| {
        let series = results.series(window.id.series);
        let first = window.id.window;
        WindowData {
            series: window.id.series,
            window: first,
            from: series.timestamp_text(first),
            to: series.timestamp_text(first + window.input.len() - 1),
            error: mean_error(window),
            input: &window.input,
            output: window.outputs.last().map_or(&[], Vec::as_slice),
            maps: maps.iter().map(|map| heatmap::bytes(&map.values(window), map.full)).collect(),
        }
    });
    let windows = windows.collect();
    let model = &results.detector.model;
    let program = model.inference_program();
    let field = |step| program.receptive_field(program.output, step);
    let fields = (0..model.output_shape().steps).map(|step| [field(step).start, field(step).end]).collect();
    let maps = maps.into_iter().map(|map| {
        let (steps, channels) = (map.shape.steps, map.shape.channels);
        MapData { name: map.name, steps, channels, full: map.full }
    });
    let maps = maps.collect();
    InsideData { threshold: results.result.threshold, maps, windows, fields }
}
