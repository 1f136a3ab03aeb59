//! The laboratory: what is measured about the tutorial.
//!
//! | question | module |
//! |---|---|
//! | What would improve it? | [`study`] |
//! | Does it match Keras, over many seeds? | [`replicate`] |
//! | Where does the time of a training step go? | [`profile`] |
//! | Is a difference more than chance? | [`statistics`] |
//! | Training many models side by side | [`jobs`] |

#![forbid(unsafe_code)]

pub mod jobs;
pub mod profile;
pub mod replicate;
pub mod statistics;
pub mod study;
