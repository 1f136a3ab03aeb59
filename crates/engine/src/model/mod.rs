//! Models: sequences of layers, their weights, and Keras's JSON.

mod json;
mod sequential;
mod summary;
mod weights;

pub use json::Compilation;
pub(crate) use json::write_layer;
pub(crate) use sequential::snake_case;
pub use sequential::{NamedLayer, Sequential};
pub use summary::Summary;
pub use weights::{WeightInfo, WeightLayout};
