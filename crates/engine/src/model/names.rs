//! The names of layers, as Keras gives them.

use std::collections::{HashMap, HashSet};

/// The names that are taken in a model.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    taken: HashSet<String>,
    /// For each default name of Keras's, the first number that may still be free.
    next: HashMap<String, usize>,
}

impl Names {
    /// Takes a name. Returns false if it is taken, is empty, or has control characters.
    pub(super) fn take(&mut self, name: &str) -> bool {
        !name.is_empty() && !name.contains(char::is_control) && self.taken.insert(name.into())
    }

    /// Gives a name back.
    pub(super) fn release(&mut self, name: &str) {
        self.taken.remove(name);
    }

    /// The default name of the next layer of a class, as in Keras: snake case, with a number from the second layer on.
    /// All numbers below the last one found are taken, so the search continues from there.
    pub(super) fn for_class(&mut self, class_name: &str) -> String {
        let base = snake_case(class_name);
        let mut n = self.next.get(&base).copied().unwrap_or(0);
        loop {
            let name = if n == 0 { base.clone() } else { format!("{base}_{n}") };
            if !self.taken.contains(&name) {
                self.next.insert(base, n);
                return name;
            }
            n += 1;
        }
    }
}

/// Turns the name of a class into that of a layer: `Conv1DTranspose` to `conv1d_transpose`, `ReLU` to `re_lu`, by the rules of Keras's `to_snake_case`: an
/// underscore before a capital that a lower-case letter follows, and between a lower-case letter and a
/// capital. A digit counts as neither.
#[must_use]
pub fn snake_case(class_name: &str) -> String {
    let chars: Vec<char> = class_name.chars().collect();
    let mut snake = String::new();
    for (i, c) in chars.iter().enumerate() {
        let after = chars.get(i + 1);
        let starts_word = c.is_uppercase() && after.is_some_and(|next| next.is_lowercase());
        let ends_word = c.is_uppercase() && i > 0 && chars[i - 1].is_lowercase();
        if i > 0 && (starts_word || ends_word) {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_names_become_kerass_layer_names() {
        for (class, name) in [
            ("Conv1D", "conv1d"),
            ("Conv1DTranspose", "conv1d_transpose"),
            ("ReLU", "re_lu"),
            ("Dropout", "dropout"),
            ("LSTM", "lstm"),
            ("InputLayer", "input_layer"),
        ] {
            assert_eq!(snake_case(class), name);
        }
    }
}
