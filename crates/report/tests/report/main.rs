//! The pages of small runs: what they show is what was found.

mod drawn;
mod kit;
mod own;
mod refused;
mod told;
