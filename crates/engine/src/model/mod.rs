//! Models: graphs of layers, their weights, and Keras's JSON.

mod functional;
mod json;
mod names;
mod network;
mod order;
mod sequential;
mod summary;
mod weights;

pub use functional::{Functional, Tensor};
pub use json::Compilation;
pub(crate) use json::write_layer;
pub use names::snake_case;
pub use network::{Input, NamedLayer, Network, Node, Source};
pub use sequential::Sequential;
pub use summary::Summary;
pub use weights::{WeightInfo, WeightLayout};
