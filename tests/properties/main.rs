//! What must hold whatever the numbers are.

mod algebra;
mod layers;
mod pieces;
mod receptive_field;
mod training;
