//! scaffold
pub mod device;
mod error;
pub use error::*;
