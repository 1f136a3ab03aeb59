//! The training loop.

mod callback;
mod early_stopping;
mod fit;
mod history;

pub use callback::{Callback, EpochEnd, Flow};
pub use early_stopping::{EarlyStopping, EarlyStoppingState, Mode, Monitor};
pub use fit::{Checkpoint, Fit, Fitted, fit, split_at};
pub use history::History;
