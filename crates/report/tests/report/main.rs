//! The report of a small run: what it shows is what the run found.

mod drawn;
mod kit;
mod refused;
mod told;
