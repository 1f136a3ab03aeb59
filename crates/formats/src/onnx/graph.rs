//! A graph of operators, as an ONNX file has it.

use std::collections::{BTreeMap, BTreeSet};

use super::message::Message;

/// The type of 32-bit floats, and that of 64-bit integers.
const FLOAT: i64 = 1;
const INT64: i64 = 7;

/// An attribute of an operator.
pub(super) enum Attribute {
    Int(i64),
    Float(f32),
    Text(&'static str),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Texts(Vec<&'static str>),
}

/// A use of an operator.
struct Operator {
    kind: &'static str,
    inputs: Vec<String>,
    outputs: Vec<String>,
    attributes: Vec<(&'static str, Attribute)>,
}

/// Operators in order, and the constants that they read.
#[derive(Default)]
pub(super) struct Graph {
    operators: Vec<Operator>,
    constants: Vec<Message>,
    /// The names of constants by what they are of, which several operators may read.
    of_constants: BTreeMap<String, String>,
    /// All names: constants and signals share them.
    names: BTreeSet<String>,
}

impl Graph {
    /// Takes this name, or one like it if it is taken.
    pub(super) fn take_name(&mut self, name: &str) -> String {
        let mut free = name.to_owned();
        while !self.names.insert(free.clone()) {
            free.push('\'');
        }
        free
    }

    /// Adds an operator of one output, and returns the name of that.
    pub(super) fn add(
        &mut self,
        kind: &'static str,
        inputs: &[&str],
        attributes: Vec<(&'static str, Attribute)>,
    ) -> String {
        self.add_with(kind, inputs, attributes, 0)
    }

    /// Adds an operator whose output number `output` is read, and returns the name of that.
    pub(super) fn add_with(
        &mut self,
        kind: &'static str,
        inputs: &[&str],
        attributes: Vec<(&'static str, Attribute)>,
        output: usize,
    ) -> String {
        let name = self.take_name(&format!("{kind}:{}", self.operators.len()));
        let mut outputs = vec![String::new(); output];
        outputs.push(name.clone());
        let inputs = inputs.iter().map(|input| (*input).to_owned()).collect();
        self.operators.push(Operator { kind, inputs, outputs, attributes });
        name
    }

    /// Gives the output of the last operator the name of a layer, and returns it.
    pub(super) fn name_last(&mut self, name: &str) -> String {
        let name = self.take_name(name);
        let last = self.operators.last_mut().and_then(|last| last.outputs.last_mut());
        last.expect("an operator with an output").clone_from(&name);
        name
    }

    /// Adds the same signal under another name, and returns that.
    pub(super) fn copy(&mut self, signal: &str, name: &str) -> String {
        self.add("Identity", &[signal], vec![]);
        self.name_last(name)
    }

    /// Adds a constant of 32-bit floats, unless there is one of this name, and returns its name.
    pub(super) fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, shape, FLOAT, bytes)
    }

    /// Adds a constant of integers, and returns its name.
    pub(super) fn ints(&mut self, values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(&format!("{values:?}"), &[values.len()], INT64, bytes)
    }

    fn constant(&mut self, of: &str, shape: &[usize], kind: i64, bytes: Vec<u8>) -> String {
        if let Some(name) = self.of_constants.get(of) {
            return name.clone();
        }
        let name = self.take_name(of);
        let axes = shape.iter().fold(Message::default(), |message, axis| message.int(1, *axis as i64));
        self.constants.push(axes.int(2, kind).bytes(8, &name).bytes(9, bytes));
        self.of_constants.insert(of.to_owned(), name.clone());
        name
    }

    /// The message of the graph, with these inputs and outputs.
    pub(super) fn message(self, name: &str, inputs: Vec<Message>, outputs: Vec<Message>) -> Message {
        let operators = self.operators.iter().map(Operator::message);
        let graph = Message::default().all(1, operators).bytes(2, name).all(5, self.constants);
        graph.all(11, inputs).all(12, outputs)
    }
}

impl Operator {
    fn message(&self) -> Message {
        let name = self.outputs.last().map_or("", String::as_str);
        let operator =
            Message::default().all(1, &self.inputs).all(2, &self.outputs).bytes(3, name).bytes(4, self.kind);
        operator.all(5, self.attributes.iter().map(|(name, value)| value.message(name)))
    }
}

impl Attribute {
    fn message(&self, name: &str) -> Message {
        let named = Message::default().bytes(1, name);
        match self {
            Self::Float(value) => named.float(2, *value).int(20, 1),
            Self::Int(value) => named.int(3, *value).int(20, 2),
            Self::Text(value) => named.bytes(4, value).int(20, 3),
            Self::Floats(values) => {
                values.iter().fold(named, |message, value| message.float(7, *value)).int(20, 6)
            }
            Self::Ints(values) => {
                values.iter().fold(named, |message, value| message.int(8, *value)).int(20, 7)
            }
            Self::Texts(values) => named.all(9, values).int(20, 8),
        }
    }
}

/// The message of an input or an output: its name, and the lengths of its axes after the batch, which is open.
pub(super) fn signal(name: &str, axes: &[usize]) -> Message {
    let batch = Message::default().bytes(2, "batch");
    let axes = axes.iter().map(|axis| Message::default().int(1, *axis as i64));
    let shape = Message::default().all(1, std::iter::once(batch).chain(axes));
    let tensor = Message::default().int(1, FLOAT).bytes(2, shape);
    Message::default().bytes(1, name).bytes(2, Message::default().bytes(1, tensor))
}
