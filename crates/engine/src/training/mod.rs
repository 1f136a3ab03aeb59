//! The training loop.

mod callback;
mod early_stopping;
mod fit;
mod history;
mod reduce_lr_on_plateau;

pub use callback::{Callback, EpochEnd, Flow};
pub use early_stopping::{EarlyStopping, EarlyStoppingState, Mode, Monitor};
pub use fit::{Checkpoint, Fit, Fitted, fit, split_at};
pub use history::History;
pub use reduce_lr_on_plateau::{ReduceLROnPlateau, ReduceLROnPlateauState};
