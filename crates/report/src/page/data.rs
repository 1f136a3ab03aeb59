//! The data of the page's script: every plot, and the heat maps of every layer for the observed windows.

use glassbox_figures::{Figure, heatmap};
use glassbox_pipeline::inside::Observed;
use glassbox_pipeline::series::Series;
use serde::Serialize;

use super::inside::Look;
use crate::figures::{mean_error, times};

#[derive(Serialize)]
pub(super) struct Data<'a> {
    pub(super) figures: Vec<&'a Figure>,
    /// The ids of plots over the same rows, which show the same part of them.
    pub(super) linked: Vec<&'a str>,
    pub(super) inside: Option<InsideData<'a>>,
}

impl Data<'_> {
    /// The data as text for a `<script>`, which must not contain `<`.
    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).expect("numbers and texts").replace('<', "\\u003c")
    }
}

/// The windows, for the slider.
#[derive(Serialize)]
pub(super) struct InsideData<'a> {
    /// The error above which a window is anomalous.
    threshold: f64,
    /// The names of the columns.
    columns: Vec<String>,
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

/// A window; its values are `(steps, columns)`, row by row.
#[derive(Serialize)]
pub(super) struct WindowData<'a> {
    /// Its index and times.
    name: String,
    error: f64,
    verdict: String,
    /// The times of its rows.
    x: Vec<f64>,
    input: &'a [f32],
    output: &'a [f32],
    /// The values of each map in base64: a signed byte for each value, `(steps, channels)` row by row.
    maps: Vec<String>,
}

impl<'a> WindowData<'a> {
    /// A window of `series`. `what` comes before its index in its name.
    pub(super) fn new(
        what: String,
        series: &Series,
        window: &'a Observed,
        look: &Look<'_>,
        verdict: String,
    ) -> Self {
        let (first, last) = (window.id.window, window.id.window + look.steps() - 1);
        let (from, to) = (series.timestamp_text(first), series.timestamp_text(last));
        Self {
            name: format!("{what} {first}, {from} to {to}"),
            error: mean_error(window),
            verdict,
            x: times(series, first..last + 1).1,
            input: &window.input,
            output: window.outputs.last().map_or(&[], Vec::as_slice),
            maps: look.maps.iter().map(|map| heatmap::bytes(&map.values(window), map.full)).collect(),
        }
    }
}

impl<'a> InsideData<'a> {
    pub(super) fn new(
        look: &Look<'_>,
        threshold: f64,
        columns: Vec<String>,
        windows: Vec<WindowData<'a>>,
    ) -> Self {
        let program = look.model.inference_program();
        let field = |step| program.receptive_field(program.output, step);
        let fields = (0..look.steps()).map(|step| [field(step).start, field(step).end]).collect();
        let maps = look.maps.iter().map(|map| {
            let (steps, channels) = (map.shape.steps, map.shape.channels);
            MapData { name: map.name.clone(), steps, channels, full: map.full }
        });
        Self { threshold, columns, maps: maps.collect(), windows, fields }
    }
}
