//! An epilogue as passes that the kernels can make.

use glassbox_engine::program::{Mask, Pointwise, Value, Weight};

/// Up to one of each function, applied in the order of the fields: what `epilogue.cuh` can do in one go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Pass {
    pub(super) bias: Option<Weight>,
    pub(super) relu: bool,
    pub(super) dropout: Option<Mask>,
    pub(super) gate: Option<Value>,
}

/// Cuts an epilogue into passes, at least one. Nearly all are one; a bias after a ReLU begins another.
pub(super) fn passes(epilogue: &[Pointwise]) -> Vec<Pass> {
    let mut passes = vec![Pass::default()];
    // Where the function before stands in a pass.
    let mut last = None;
    for function in epilogue {
        let place = match function {
            Pointwise::AddBias(_) => 0,
            Pointwise::Relu => 1,
            Pointwise::Dropout(_) => 2,
            Pointwise::ReluGate(_) => 3,
        };
        if last.is_some_and(|last| last >= place) {
            passes.push(Pass::default());
        }
        last = Some(place);
        let pass = passes.last_mut().expect("at least one");
        match *function {
            Pointwise::AddBias(bias) => pass.bias = Some(bias),
            Pointwise::Relu => pass.relu = true,
            Pointwise::Dropout(mask) => pass.dropout = Some(mask),
            Pointwise::ReluGate(gate) => pass.gate = Some(gate),
        }
    }
    passes
}

#[cfg(test)]
mod tests {
    use super::*;
    use glassbox_engine::geometry::Padding;
    use glassbox_engine::layers::{Conv1D, Dropout, ReLU};
    use glassbox_engine::losses::Loss;
    use glassbox_engine::model::Sequential;
    use glassbox_engine::program::Instruction;
    use glassbox_engine::shape::Shape;

    #[test]
    fn functions_stay_in_order() {
        let mut model = Sequential::new(Shape::new(8, 1));
        let conv = Conv1D::new(2, 3).padding(Padding::Same);
        for layer in 0..2 {
            model.add(conv.clone()).unwrap();
            model.add(Dropout::new(0.25 * f64::from(layer + 1))).unwrap();
            model.add(ReLU).unwrap();
        }
        let program = model.training_program(Loss::default()).fused();
        let mut seen = 0;
        for line in &program.lines {
            let epilogue = line.instruction.epilogue();
            let apart: Vec<Pointwise> = passes(epilogue)
                .iter()
                .flat_map(|pass| {
                    let relu = pass.relu.then_some(Pointwise::Relu);
                    let (bias, gate) =
                        (pass.bias.map(Pointwise::AddBias), pass.gate.map(Pointwise::ReluGate));
                    [bias, relu, pass.dropout.map(Pointwise::Dropout), gate].into_iter().flatten()
                })
                .collect();
            assert_eq!(apart, epilogue);
            if matches!(line.instruction, Instruction::Apply { .. }) {
                seen = seen.max(passes(epilogue).len());
            }
        }
        // Bias and dropout; then ReLU.
        assert_eq!(seen, 2);
        assert_eq!(passes(&[]), [Pass::default()]);
    }
}
