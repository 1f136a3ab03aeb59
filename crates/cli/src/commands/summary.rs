//! `glassbox summary`

use glassbox_engine::model::{NamedLayer, Network};
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::shape::Shape;
use serde_json::{Value as Json, json};

use super::{TIME_STEPS, print, print_json};
use crate::args::SummaryArgs;
use crate::failure::Failure;

pub(crate) fn run(args: &SummaryArgs) -> Result<(), Failure> {
    let model = args.model.model(TIME_STEPS)?;
    if args.json {
        return print_json(&describe(&model));
    }
    print(&format!("{}\n", model.summary().columns(args.columns.into())))?;
    if args.program {
        let loss = model.compilation(Some(Optimizer::default()), None)?.loss;
        let program = model.training_program(loss).fused();
        let weights = model.layout().tensors().iter().enumerate();
        let names: String = weights.map(|(i, w)| format!("w{i} = {} {:?}\n", w.name, w.shape)).collect();
        print(&format!(
            "\nA training step, for each sample:\n\n{names}\n{program}\n\n{}\n",
            sharing(&model)
        ))?;
    }
    Ok(())
}

/// The steps of the prediction that overlapping windows of a series share.
fn sharing(model: &Network) -> String {
    let program = model.inference_program().fused();
    let shared =
        program.overlap().and_then(|overlap| Some((overlap.new_steps(program.output)?, overlap.period)));
    match shared {
        Some(([start, end], period)) => format!(
            "In inference, overlapping windows share steps: a window has the steps {start} to {} of its prediction in \
             common with the window {period} rows before.",
            end - 1
        ),
        None => "In inference, overlapping windows share no step of the prediction.".into(),
    }
}

fn describe(model: &Network) -> Json {
    let shape = |shape: Shape| shape.axes();
    let layer = |layer: &NamedLayer| {
        json!({
            "name": layer.name,
            "class_name": layer.layer.class_name(),
            "output_shape": shape(layer.output),
            "parameters": model.layout().range(layer.weights.clone()).len(),
        })
    };
    json!({
        "name": model.name(),
        "input_shape": shape(model.input_shape()),
        "output_shape": shape(model.output_shape()),
        "parameters": model.layout().len(),
        "non_trainable_parameters": model.layout().untrained().map(|range| range.len()).sum::<usize>(),
        "layers": model.layers().iter().map(layer).collect::<Vec<_>>(),
    })
}
