//! Merges element-by-element instructions into the kernel that makes their operand.
//!
//! Two rules, applied until neither fits. `v` is a value stored by a kernel with an epilogue E:
//!
//! 1. **Append.** If `v` is read by one `Map` only, to make `w`, then the kernel stores `w` itself, with
//!    the epilogue E followed by the map's.
//! 2. **Read the gate after dropout.** The backward pass of ReLU reads the output `v` of the forward pass,
//!    which would keep rule 1 from dropping it. If `v` ends in ReLU and `w = dropout(v)` with mask m,
//!    then where m keeps an element, `w > 0` just where `v > 0`. A gate that comes after `Dropout(m)` in
//!    its own epilogue meets zeros at all other elements, so it may read `w` in the place of `v`.
//!
//! Neither rule changes the arithmetic of any element, so results are the same to the bit.

use super::{Instruction, Pointwise, Program, Value};

pub(super) fn fuse(program: &Program) -> Program {
    let mut program = program.clone();
    while let Some((kernel, map)) = find_append(&program) {
        append(&mut program, kernel, map);
    }
    drop_unused_values(&mut program);
    program
}

/// A kernel line and the map line that rule 1 merges into it.
fn find_append(program: &Program) -> Option<(usize, usize)> {
    (0..program.lines.len()).find_map(|map| {
        let Instruction::Map { x, y, .. } = program.lines[map].instruction else { return None };
        let kernel = program.lines[..map].iter().position(|line| line.instruction.stores() == Some(x))?;
        // What the map's epilogue reads must exist when the kernel runs, and masks must be drawn.
        let in_time = program.lines[kernel..map].iter().all(|between| {
            between
                .instruction
                .stores()
                .is_none_or(|stored| stored == x || !program.lines[map].instruction.reads().contains(&stored))
        });
        let fits = program.lines[kernel].instruction.takes_epilogue()
            && in_time
            && x != program.output
            && Some(x) != program.input_gradient
            && only_reader(program, map, x, y);
        fits.then_some((kernel, map))
    })
}

/// Whether `x`, read by line `map` to make `y`, has no other reader that rule 2 cannot turn to `y`.
fn only_reader(program: &Program, map: usize, x: Value, y: Value) -> bool {
    let dropout = match program.lines[map].instruction.epilogue() {
        [Pointwise::Dropout(mask)] => Some(*mask),
        _ => None,
    };
    let ends_in_relu = program
        .lines
        .iter()
        .find(|line| line.instruction.stores() == Some(x))
        .is_some_and(|line| line.instruction.epilogue().last() == Some(&Pointwise::Relu));
    program.lines.iter().enumerate().filter(|(index, _)| *index != map).all(|(_, line)| {
        let epilogue = line.instruction.epilogue();
        let gated_reads = epilogue.iter().filter(|op| **op == Pointwise::ReluGate(x)).count();
        let reads = line.instruction.reads().iter().filter(|read| **read == x).count();
        if reads == 0 {
            return true;
        }
        // The gate may sit in this epilogue, or in one that this one's operand already went through.
        let masked = dropout.is_some_and(|mask| {
            let gate = epilogue.iter().position(|op| *op == Pointwise::ReluGate(x)).unwrap_or(0);
            epilogue[..gate].contains(&Pointwise::Dropout(mask))
                || operand_ends_in(program, &line.instruction, Pointwise::Dropout(mask))
        });
        reads == gated_reads && ends_in_relu && masked && x != y
    })
}

/// Whether the operand of a map is stored with an epilogue that ends in `op`.
fn operand_ends_in(program: &Program, instruction: &Instruction, op: Pointwise) -> bool {
    let Instruction::Map { x, .. } = instruction else { return false };
    program
        .lines
        .iter()
        .find(|line| line.instruction.stores() == Some(*x))
        .is_some_and(|line| line.instruction.epilogue().last() == Some(&op))
}

fn append(program: &mut Program, kernel: usize, map: usize) {
    let Instruction::Map { x, y, epilogue } = program.lines.remove(map).instruction else {
        unreachable!("rule 1 merges maps only")
    };
    let line = &mut program.lines[kernel].instruction;
    epilogue_of(line).expect("rule 1 merges into kernels with an epilogue").extend(epilogue);
    match line {
        Instruction::Apply { y: stored, .. }
        | Instruction::ApplyTransposed { y: stored, .. }
        | Instruction::Map { y: stored, .. } => *stored = y,
        _ => unreachable!("only these have an epilogue"),
    }
    for line in &mut program.lines {
        if let Some(epilogue) = epilogue_of(&mut line.instruction) {
            for op in epilogue {
                if *op == Pointwise::ReluGate(x) {
                    *op = Pointwise::ReluGate(y);
                }
            }
        }
    }
    // Masks that the kernel's epilogue now needs are drawn before it.
    let draws: Vec<usize> = (kernel..map)
        .filter(|index| matches!(program.lines[*index].instruction, Instruction::Draw { .. }))
        .collect();
    for (moved, index) in draws.into_iter().enumerate() {
        let line = program.lines.remove(index);
        program.lines.insert(kernel + moved, line);
    }
    for output in &mut program.layer_outputs {
        if *output == Some(x) {
            *output = None;
        }
    }
}

fn epilogue_of(instruction: &mut Instruction) -> Option<&mut Vec<Pointwise>> {
    match instruction {
        Instruction::Apply { epilogue, .. }
        | Instruction::ApplyTransposed { epilogue, .. }
        | Instruction::Map { epilogue, .. } => Some(epilogue),
        _ => None,
    }
}

/// Values that nobody stores any more get no memory.
fn drop_unused_values(program: &mut Program) {
    let mut new_index = vec![None; program.values.len()];
    let mut values = vec![];
    for (index, shape) in program.values.iter().enumerate() {
        let stored = index == program.input.0
            || program.lines.iter().any(|line| line.instruction.stores() == Some(Value(index)));
        if stored {
            new_index[index] = Some(Value(values.len()));
            values.push(*shape);
        }
    }
    let rename = |value: &mut Value| *value = new_index[value.0].expect("what is read is stored");
    for line in &mut program.lines {
        if let Some(epilogue) = epilogue_of(&mut line.instruction) {
            for op in epilogue {
                if let Pointwise::ReluGate(y) = op {
                    rename(y);
                }
            }
        }
        match &mut line.instruction {
            Instruction::Apply { x, y, .. }
            | Instruction::ApplyTransposed { x, y, .. }
            | Instruction::Correlate { x, y, .. }
            | Instruction::Map { x, y, .. }
            | Instruction::Custom { x, y, .. } => {
                rename(x);
                rename(y);
            }
            Instruction::SumSteps { x, .. } => rename(x),
            Instruction::Add { a, b, y } => {
                rename(a);
                rename(b);
                rename(y);
            }
            Instruction::Loss { y, dy, .. } => {
                rename(y);
                rename(dy);
            }
            Instruction::CustomGradient { x, y, dy, dx, .. } => {
                for value in [x, y, dy, dx] {
                    rename(value);
                }
            }
            Instruction::Draw { .. } => {}
        }
    }
    program.values = values;
    rename(&mut program.input);
    rename(&mut program.output);
    for value in program.layer_outputs.iter_mut().chain([&mut program.input_gradient]).flatten() {
        rename(value);
    }
}
