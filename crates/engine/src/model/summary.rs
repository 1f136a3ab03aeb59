//! The table of a model, as Keras prints it.

use std::collections::HashSet;
use std::fmt;

use super::network::{Kind, Network, Node, Part, Source};

/// The model summary. It is displayed as `model.summary()` of Keras 3 prints it on a terminal of a given width,
/// 80 columns by default: `println!("{}", model.summary())`.
#[derive(Debug, Clone, Copy)]
pub struct Summary<'a> {
    model: &'a Network,
    columns: usize,
    line_length: Option<usize>,
}

/// Columns that Keras leaves free at the right edge of a terminal.
const MARGIN: usize = 4;
/// Minimum width. Keras refuses narrower tables, whose columns are too small to be useful.
const NARROWEST: usize = 40;

impl<'a> Summary<'a> {
    pub(super) fn new(model: &'a Network) -> Self {
        Self { model, columns: 80, line_length: None }
    }

    /// Sets the width of the terminal, in columns.
    #[must_use]
    pub fn columns(self, columns: usize) -> Self {
        Self { columns, ..self }
    }

    /// Sets the width of the table; Keras's `line_length`.
    #[must_use]
    pub fn line_length(self, line_length: usize) -> Self {
        Self { line_length: Some(line_length), ..self }
    }

    /// The columns of the table. A model that is no plain sequence has one more.
    fn table(&self) -> Table {
        if is_sequence(self.model) {
            return Table {
                headers: &["Layer (type)", "Output Shape", "Param #"],
                widest: 88,
                ends: &[0.45, 0.8, 1.0],
                margins: &[3, 4, 3],
            };
        }
        Table {
            headers: &["Layer (type)", "Output Shape", "Param #", "Connected to"],
            widest: 108,
            ends: &[0.3, 0.56, 0.74, 1.0],
            margins: &[3, 3, 4, 3],
        }
    }

    /// The widths of the cells. Keras gives each column its part of the table, then subtracts borders and padding.
    fn widths(&self, table: &Table) -> Vec<usize> {
        let columns = self.columns.saturating_sub(MARGIN);
        let length = self.line_length.unwrap_or(table.widest.min(columns)).max(NARROWEST);
        let mut start = 0;
        let width = |(end, margin): (&f64, &usize)| {
            let end = (end * length as f64) as usize;
            end - std::mem::replace(&mut start, end) - margin
        };
        table.ends.iter().zip(table.margins).map(width).collect()
    }

    /// The cells of an input or a layer.
    fn cells(&self, part: Part, connections: &[Vec<String>]) -> Vec<String> {
        let model = self.model;
        match part {
            Part::Input(input) => {
                let input = &model.inputs()[input];
                let name = format!("{} (InputLayer)", input.name);
                vec![name, input.shape.batch("None").to_string(), "0".into(), "-".into()]
            }
            Part::Layer(index) => {
                let layer = &model.layers()[index];
                vec![
                    format!("{} ({})", layer.name, layer.layer.class_name()),
                    layer.output.batch("None").to_string(),
                    grouped(model.layout().range(layer.weights.clone()).len()),
                    connections[index].join(", "),
                ]
            }
        }
    }
}

/// The columns of a table.
struct Table {
    headers: &'static [&'static str],
    /// Width of the widest table.
    widest: usize,
    /// Where each column ends, as a part of the table.
    ends: &'static [f64],
    /// The characters of each column that borders and padding take.
    margins: &'static [usize],
}

/// Returns true if each layer reads the one before, and no layer is called twice.
fn is_sequence(model: &Network) -> bool {
    let mut read = HashSet::new();
    let chained = |node: &Node| node.inputs.len() == 1 && read.insert(node.inputs[0]);
    model.inputs.len() == 1 && model.nodes.len() == model.layers.len() && model.nodes.iter().all(chained)
}

/// For each layer, the signals that it reads, as `name[call][0]`.
fn connections(model: &Network) -> Vec<Vec<String>> {
    let mut called = vec![0; model.layers.len()];
    let calls: Vec<usize> = model
        .nodes
        .iter()
        .map(|node| {
            called[node.layer] += 1;
            called[node.layer] - 1
        })
        .collect();
    let mut connections = vec![vec![]; model.layers.len()];
    for node in &model.nodes {
        for source in &node.inputs {
            let call = match *source {
                Source::Input(_) => 0,
                Source::Node(node) => calls[node],
            };
            connections[node.layer].push(format!("{}[{call}][0]", model.source_name(*source)));
        }
    }
    connections
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.table();
        let widths = self.widths(&table);
        let rule = |left: char, cross: char, right: char, dash: char| {
            let cells = widths.iter().map(|width| dash.to_string().repeat(width + 2));
            format!("{left}{}{right}", cells.collect::<Vec<_>>().join(&cross.to_string()))
        };
        for line in wrap(&format!("Model: \"{}\"", self.model.name()), self.columns, LongWord::Fold) {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "{}", rule('┏', '┳', '┓', '━'))?;
        row(f, table.headers, &widths, HEADER)?;
        writeln!(f, "{}", rule('┡', '╇', '┩', '━'))?;
        let connections = connections(self.model);
        // Keras lists the inputs of functional models only.
        let listed = |part: &&Part| self.model.kind == Kind::Functional || matches!(part, Part::Layer(_));
        for (index, part) in self.model.order.iter().filter(listed).enumerate() {
            if index > 0 {
                writeln!(f, "{}", rule('├', '┼', '┤', '─'))?;
            }
            let cells = self.cells(*part, &connections);
            row(f, &cells[..widths.len()], &widths, '│')?;
        }
        writeln!(f, "{}", rule('└', '┴', '┘', '─'))?;
        let layout = self.model.layout();
        let trainable: usize = layout.trained().map(|range| range.len()).sum();
        writeln!(f, " Total params: {}", with_memory(layout.len()))?;
        writeln!(f, " Trainable params: {}", with_memory(trainable))?;
        write!(f, " Non-trainable params: {}", with_memory(layout.len() - trainable))
    }
}

fn row(f: &mut fmt::Formatter<'_>, cells: &[impl AsRef<str>], widths: &[usize], bar: char) -> fmt::Result {
    let cells = cells.iter().zip(widths).map(|(cell, width)| wrap(cell.as_ref(), *width, LongWord::Cut));
    let cells: Vec<Vec<String>> = cells.collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    for line in 0..height {
        for (column, (lines, width)) in cells.iter().zip(widths).enumerate() {
            // Headers stand on the line below them.
            let line = if bar == HEADER { (line + lines.len()).checked_sub(height) } else { Some(line) };
            let text = line.and_then(|line| lines.get(line)).map_or("", String::as_str);
            match column {
                PARAMETERS => write!(f, "{bar} {text:>width$} ")?,
                _ => write!(f, "{bar} {text:<width$} ")?,
            }
        }
        writeln!(f, "{bar}")?;
    }
    Ok(())
}

/// Between the headers of two columns.
const HEADER: char = '┃';

/// The column of numbers, which is aligned to the right.
const PARAMETERS: usize = 2;

/// Treatment of a word that is longer than a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LongWord {
    /// The end of the word is replaced by an ellipsis.
    Cut,
    /// The word continues in the next line.
    Fold,
}

/// Breaks text between words. A word keeps the spaces after it, as in Keras's titles.
fn wrap(text: &str, width: usize, long: LongWord) -> Vec<String> {
    let mut lines: Vec<String> = vec![];
    let mut line = String::new();
    for word in text.split_inclusive(' ') {
        let needed = word.trim_end().chars().count();
        if !line.is_empty() && line.chars().count() + needed > width {
            lines.push(std::mem::take(&mut line));
        }
        line.push_str(word);
        while long == LongWord::Fold && line.trim_end().chars().count() > width {
            let rest = line.split_off(line.char_indices().nth(width).map_or(line.len(), |(at, _)| at));
            lines.push(std::mem::replace(&mut line, rest));
        }
    }
    lines.push(line);
    if long == LongWord::Cut {
        for line in &mut lines {
            *line = line.trim_end().to_string();
            if line.chars().count() > width {
                *line = line.chars().take(width - 1).chain(['…']).collect();
            }
        }
    }
    lines
}

/// `9505` as `9,505`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `9505` parameters of 4 bytes as `9,505 (37.13 KB)`.
fn with_memory(parameters: usize) -> String {
    let mut size = (parameters * 4) as f64;
    let mut units = ["B", "KB", "MB", "GB", "TB", "PB"].iter();
    let mut unit = units.next().unwrap_or(&"");
    for next in units {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = next;
    }
    format!("{} ({size:.2} {unit})", grouped(parameters))
}
