//! The section on the internals of the model.

use glassbox_engine::model::NamedLayer;
use glassbox_pipeline::inside::{Activity, Inside, Norms, Observed};
use glassbox_pipeline::synthetic::Subset;

use crate::figures::{mean_error, worst_row, worst_window};
use crate::folder::Folder;
use glassbox_figures::heatmap::Grid;

/// The data of the section's template.
pub(super) struct InsideView {
    /// The windows that are shown without JavaScript.
    pub(super) windows: Vec<WindowView>,
    pub(super) observed: usize,
    pub(super) kernels: Vec<KernelView>,
    pub(super) activity: Vec<ActivityView>,
    pub(super) dead: usize,
    pub(super) units: usize,
    pub(super) fields: Vec<FieldView>,
    pub(super) field: FieldView,
    pub(super) edge: FieldView,
    pub(super) worst: Worst,
    pub(super) moved: Option<Moved>,
}

pub(super) struct WindowView {
    pub(super) title: String,
    pub(super) figure: &'static str,
    pub(super) maps: Vec<MapView>,
}

/// A heat map.
pub(super) struct MapView {
    pub(super) name: String,
    pub(super) steps: usize,
    pub(super) channels: usize,
    pub(super) picture: String,
}

/// The kernel of a layer.
pub(super) struct KernelView {
    pub(super) layer: String,
    pub(super) shape: String,
    pub(super) arrangement: String,
    pub(super) largest: String,
    pub(super) picture: String,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// The activity of a layer's units.
pub(super) struct ActivityView {
    pub(super) layer: String,
    pub(super) units: Vec<UnitView>,
    pub(super) dead: usize,
}

pub(super) struct UnitView {
    pub(super) percent: u32,
    pub(super) title: String,
    pub(super) dead: bool,
}

/// The receptive field of one step of a layer's output.
pub(super) struct FieldView {
    pub(super) layer: String,
    pub(super) steps: usize,
    pub(super) step: usize,
    pub(super) first: usize,
    pub(super) last: usize,
    pub(super) length: usize,
    pub(super) minutes: usize,
}

/// The row of the test series with the largest reconstruction error.
pub(super) struct Worst {
    pub(super) at: String,
    pub(super) error: String,
    pub(super) value: String,
    pub(super) reconstruction: String,
    pub(super) typical: String,
    pub(super) ratio: String,
}

/// Norms over all layers together.
pub(super) struct Moved {
    pub(super) first_gradient: String,
    pub(super) last_gradient: String,
    pub(super) first_update: String,
    pub(super) last_update: String,
}

impl InsideView {
    pub(super) fn of(folder: &Folder, inside: &Inside) -> Self {
        let model = &folder.detector.model;
        let activity: Vec<ActivityView> = inside
            .activity
            .iter()
            .map(|(layer, activity)| units(&model.layers()[*layer], activity))
            .collect();
        let fields = fields(folder);
        Self {
            windows: windows(folder, inside),
            observed: inside.windows.len(),
            kernels: kernels(folder),
            dead: activity.iter().map(|layer| layer.dead).sum(),
            units: activity.iter().map(|layer| layer.units.len()).sum(),
            activity,
            field: field(folder, model.layers().len() - 1, model.output_shape().steps / 2),
            edge: field(folder, model.layers().len() - 1, 0),
            fields,
            worst: worst(folder, inside),
            moved: moved(&inside.norms),
        }
    }
}

/// The layers whose output is shown, each with its largest absolute value over all windows. The last layer, whose output is
/// the reconstruction, and dropout, which does nothing in inference, are left out.
pub(super) fn shown_layers(folder: &Folder, inside: &Inside) -> Vec<(usize, f32)> {
    let layers = folder.detector.model.layers();
    let shown = layers[..layers.len() - 1].iter().enumerate();
    shown
        .filter(|(_, layer)| layer.layer.class_name() != "Dropout")
        .map(|(index, _)| {
            let values = inside.windows.iter().flat_map(|window| window.outputs[index].iter());
            (index, values.fold(0.0, |largest: f32, value| largest.max(value.abs())))
        })
        .collect()
}

fn windows(folder: &Folder, inside: &Inside) -> Vec<WindowView> {
    let train = inside.windows.iter().find(|window| window.id.series == Subset::Train);
    let layers = shown_layers(folder, inside);
    let view = |window: &Observed, name: &str, figure| WindowView {
        title: format!("{name}: mean absolute error {:.4}", mean_error(window)),
        figure,
        maps: layers
            .iter()
            .map(|(index, full)| {
                let layer = &folder.detector.model.layers()[*index];
                let grid = Grid::signal(&window.outputs[*index], layer.output.channels);
                MapView {
                    name: layer.name.clone(),
                    steps: layer.output.steps,
                    channels: layer.output.channels,
                    picture: grid.to_address(*full),
                }
            })
            .collect(),
    };
    let train = train.map(|window| view(window, "The first training window", "first-window"));
    let worst = worst_window(inside)
        .map(|window| view(window, "The test window with the largest error", "worst-window"));
    train.into_iter().chain(worst).collect()
}

fn kernels(folder: &Folder) -> Vec<KernelView> {
    let (model, weights) = (&folder.detector.model, &folder.detector.weights);
    let kernels = model.layout().tensors().iter().filter(|tensor| tensor.shape.len() == 3);
    kernels
        .map(|tensor| {
            let kernel = &weights[tensor.range.clone()];
            let layer = tensor.name.trim_end_matches(".kernel");
            // Keras's shape of a transposed convolution is (taps, out, in).
            let transposed =
                model.layers().iter().any(|l| l.name == layer && l.layer.class_name() == "Conv1DTranspose");
            let [taps, a, b] = [tensor.shape[0], tensor.shape[1], tensor.shape[2]];
            let (inputs, outputs) = if transposed { (b, a) } else { (a, b) };
            let value = |tap: usize, input: usize, output: usize| {
                let (row, column) = if transposed { (output, input) } else { (input, output) };
                kernel[(tap * a + row) * b + column]
            };
            // With a single channel a block would be a thin strip, so filters become columns.
            let (grid, arrangement) = if inputs == 1 {
                let values =
                    (0..taps).flat_map(|tap| (0..outputs).map(move |o| Some(value(tap, 0, o)))).collect();
                (
                    Grid { width: outputs, height: taps, values },
                    format!("a column for each of {outputs} filters, a row for each tap"),
                )
            } else if outputs == 1 {
                let values =
                    (0..taps).flat_map(|tap| (0..inputs).map(move |i| Some(value(tap, i, 0)))).collect();
                (
                    Grid { width: inputs, height: taps, values },
                    format!("a column for each of {inputs} input channels, a row for each tap"),
                )
            } else {
                let text = format!(
                    "a block for each of {outputs} filters, with a column for each of {taps} taps and a row for each of {inputs} input \
                     channels"
                );
                (Grid::blocks(taps, inputs, outputs, value), text)
            };
            KernelView {
                layer: layer.into(),
                shape: format!("{taps} taps, {inputs} in, {outputs} out"),
                arrangement,
                largest: format!("{:.3}", grid.largest()),
                picture: grid.to_address(grid.largest()),
                width: grid.width,
                height: grid.height,
            }
        })
        .collect()
}

fn units(layer: &NamedLayer, activity: &Activity) -> ActivityView {
    let units = activity.active.iter().zip(&activity.mean).enumerate();
    ActivityView {
        layer: layer.name.clone(),
        units: units
            .map(|(unit, (active, mean))| UnitView {
                percent: (100.0 * active).round() as u32,
                title: format!(
                    "unit {unit}: active at {:.1} % of the steps, mean output {mean:.3}",
                    100.0 * active
                ),
                dead: *active == 0.0,
            })
            .collect(),
        dead: activity.dead().len(),
    }
}

/// The receptive field of the middle step of each layer with weights.
fn fields(folder: &Folder) -> Vec<FieldView> {
    let layers = folder.detector.model.layers();
    let with_weights = layers.iter().enumerate().filter(|(_, layer)| !layer.weights.is_empty());
    with_weights.map(|(index, layer)| field(folder, index, layer.output.steps / 2)).collect()
}

fn field(folder: &Folder, layer: usize, step: usize) -> FieldView {
    let program = folder.detector.model.inference_program();
    let value = program.layer_outputs[layer].expect("inference keeps the output of every layer");
    let field = program.receptive_field(value, step);
    let minutes = folder.train.sampling().step.map_or(0, |step| step.as_mins() as usize);
    FieldView {
        layer: folder.detector.model.layers()[layer].name.clone(),
        steps: folder.detector.model.layers()[layer].output.steps,
        step,
        first: field.start,
        last: field.end.saturating_sub(1),
        length: field.len(),
        minutes: minutes * field.len(),
    }
}

fn worst(folder: &Folder, inside: &Inside) -> Worst {
    let errors = &inside.rows.error;
    let row = worst_row(errors);
    let mut sorted = errors.clone();
    sorted.sort_by(f32::total_cmp);
    let typical = sorted[sorted.len() / 2];
    let (mean, std) = (folder.result.training.mean, folder.result.training.std);
    Worst {
        at: folder.test.timestamp_text(row),
        error: format!("{:.2}", errors[row]),
        value: format!("{:.1}", folder.test.values()[row]),
        reconstruction: format!("{:.1}", f64::from(inside.rows.reconstruction[row]) * std + mean),
        typical: format!("{typical:.3}"),
        ratio: format!("{:.0}", errors[row] / typical),
    }
}

fn moved(norms: &Norms) -> Option<Moved> {
    let all = |tensors: &Vec<f32>| {
        format!("{:.3}", tensors.iter().map(|norm| f64::from(*norm).powi(2)).sum::<f64>().sqrt())
    };
    Some(Moved {
        first_gradient: all(norms.gradients.first()?),
        last_gradient: all(norms.gradients.last()?),
        first_update: all(norms.updates.first()?),
        last_update: all(norms.updates.last()?),
    })
}
