//! What must hold whatever the numbers are.

mod algebra;
mod dropout;
mod layers;
mod losses;
mod models;
mod optimizers;
mod overlap;
mod receptive_field;
mod training;
