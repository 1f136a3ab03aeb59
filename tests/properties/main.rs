//! What must hold whatever the numbers are.

mod algebra;
mod pieces;
mod training;
