//! The table of a model, as Keras prints it.

use std::fmt;

use super::Sequential;

/// The model summary. It is displayed as `model.summary()` of Keras 3 prints it on a terminal of a given width,
/// 80 columns by default: `println!("{}", model.summary())`.
#[derive(Debug, Clone, Copy)]
pub struct Summary<'a> {
    model: &'a Sequential,
    columns: usize,
    line_length: Option<usize>,
}

/// Width of Keras's widest table.
const WIDEST: usize = 88;
/// Columns that Keras leaves free at the right edge of a terminal.
const MARGIN: usize = 4;
/// Minimum width. Keras refuses narrower tables, whose columns are too small to be useful.
const NARROWEST: usize = 40;

impl<'a> Summary<'a> {
    pub(super) fn new(model: &'a Sequential) -> Self {
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

    /// The widths of the cells. Keras gives the columns 45, 35 and 20 % of the table, then subtracts borders and
    /// padding (10 characters): 3, 4 and 3.
    fn widths(&self) -> [usize; 3] {
        let length =
            self.line_length.unwrap_or(WIDEST.min(self.columns.saturating_sub(MARGIN))).max(NARROWEST);
        let (first, second) = (length * 45 / 100, length * 80 / 100);
        [first - 3, second - first - 4, length - second - 3]
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        let rule = |left: char, cross: char, right: char, dash: char| {
            let cells = widths.map(|width| dash.to_string().repeat(width + 2));
            format!("{left}{}{right}", cells.join(&cross.to_string()))
        };
        for line in wrap(&format!("Model: \"{}\"", self.model.name()), self.columns, LongWord::Fold) {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "{}", rule('┏', '┳', '┓', '━'))?;
        row(f, ["Layer (type)", "Output Shape", "Param #"].map(String::from), widths, '┃')?;
        writeln!(f, "{}", rule('┡', '╇', '┩', '━'))?;
        for (index, layer) in self.model.layers().iter().enumerate() {
            if index > 0 {
                writeln!(f, "{}", rule('├', '┼', '┤', '─'))?;
            }
            let parameters = self.model.layout().range(layer.weights.clone()).len();
            let cells = [
                format!("{} ({})", layer.name, layer.layer.class_name()),
                layer.output.batch("None").to_string(),
                grouped(parameters),
            ];
            row(f, cells, widths, '│')?;
        }
        writeln!(f, "{}", rule('└', '┴', '┘', '─'))?;
        let total = with_memory(self.model.layout().len());
        writeln!(f, " Total params: {total}")?;
        writeln!(f, " Trainable params: {total}")?;
        write!(f, " Non-trainable params: {}", with_memory(0))
    }
}

fn row(f: &mut fmt::Formatter<'_>, cells: [String; 3], widths: [usize; 3], bar: char) -> fmt::Result {
    let [first, second, third] = [0, 1, 2].map(|i| wrap(&cells[i], widths[i], LongWord::Cut));
    let [w0, w1, w2] = widths;
    for line in 0..first.len().max(second.len()).max(third.len()) {
        let [a, b, c] = [&first, &second, &third].map(|lines| lines.get(line).map_or("", String::as_str));
        writeln!(f, "{bar} {a:<w0$} {bar} {b:<w1$} {bar} {c:>w2$} {bar}")?;
    }
    Ok(())
}

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
