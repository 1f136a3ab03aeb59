//! The order of the layers and calls of a graph, as Keras sorts them.
//!
//! The *depth* of a call is the largest number of calls between it and an output. Layers are sorted by depth, those of
//! the same depth as a depth-first search from the outputs meets them. A graph has the same order however it was put
//! together, so that a model that was saved and read again draws the same dropout masks.

use std::collections::HashMap;

use super::network::{Node, Part, Source};

/// The parts of a graph that its outputs depend on, and its inputs.
pub(super) struct Order {
    /// Inputs and layers.
    pub(super) parts: Vec<Part>,
    /// Calls, each after those whose outputs it reads.
    pub(super) nodes: Vec<usize>,
}

impl Order {
    pub(super) fn new(inputs: usize, nodes: &[Node], outputs: &[Source]) -> Self {
        let part = |source: Source| match source {
            Source::Input(input) => Part::Input(input),
            Source::Node(node) => Part::Layer(nodes[node].layer),
        };
        let (sorted, mut met) = search(nodes, outputs, part);
        let (mut depths, mut part_depths) = (HashMap::new(), HashMap::new());
        for source in sorted.iter().rev() {
            // A layer that is called at several depths counts as the deepest so far, and so does the call.
            let depth = *depths.get(source).unwrap_or(&0);
            let depth = depth.max(*part_depths.get(&part(*source)).unwrap_or(&0));
            part_depths.insert(part(*source), depth);
            depths.insert(*source, depth);
            for read in reads(nodes, *source) {
                let deepest = depths.entry(*read).or_insert(0);
                *deepest = (*deepest).max(depth + 1);
            }
        }
        for input in (0..inputs).map(Part::Input) {
            // Nothing reads this input.
            met.entry(input).or_insert(-1);
            part_depths.entry(input).or_insert(0);
        }
        let place = |part: &Part| (std::cmp::Reverse(part_depths[part]), met[part]);
        let mut parts: Vec<Part> = part_depths.keys().copied().collect();
        // Inputs that nothing reads are all met at once, and stay in their order.
        parts.sort_by_key(|part| (place(part), part.index()));
        let mut calls: Vec<usize> = sorted
            .iter()
            .filter_map(|source| match source {
                Source::Node(node) => Some(*node),
                Source::Input(_) => None,
            })
            .collect();
        let depth = |node: usize| std::cmp::Reverse(depths[&Source::Node(node)]);
        calls.sort_by_key(|node| (depth(*node), met[&Part::Layer(nodes[*node].layer)], *node));
        Self { parts, nodes: calls }
    }
}

impl Part {
    fn index(self) -> usize {
        match self {
            Self::Input(index) | Self::Layer(index) => index,
        }
    }

    /// The same part in a model whose layers have other indices.
    pub(super) fn renamed(self, layers: &[Option<usize>]) -> Self {
        match self {
            Self::Input(input) => Self::Input(input),
            Self::Layer(layer) => Self::Layer(layers[layer].expect("a layer that an output depends on")),
        }
    }
}

fn reads(nodes: &[Node], source: Source) -> &[Source] {
    match source {
        Source::Input(_) => &[],
        Source::Node(node) => &nodes[node].inputs,
    }
}

/// Searches the graph depth first from its outputs. Returns the sources, each after those that it reads, and the order
/// in which parts were first met.
fn search(
    nodes: &[Node],
    outputs: &[Source],
    part: impl Fn(Source) -> Part,
) -> (Vec<Source>, HashMap<Part, i64>) {
    let (mut sorted, mut met) = (vec![], HashMap::new());
    let mut begun = std::collections::HashSet::new();
    // A stack of its own: a graph may be deeper than the stack of a thread allows.
    let mut stack: Vec<(Source, usize)> = vec![];
    for output in outputs {
        let mut next = Some(*output);
        loop {
            if let Some(source) = next.take()
                && begun.insert(source)
            {
                let count = met.len() as i64;
                met.entry(part(source)).or_insert(count);
                stack.push((source, 0));
            }
            let Some((source, done)) = stack.last_mut() else { break };
            match reads(nodes, *source).get(*done) {
                Some(read) => {
                    *done += 1;
                    next = Some(*read);
                }
                None => {
                    sorted.push(*source);
                    stack.pop();
                }
            }
        }
    }
    (sorted, met)
}
