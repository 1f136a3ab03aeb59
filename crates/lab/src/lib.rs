//! The laboratory: experiments on the tutorial.
//!
//! | question | module |
//! |---|---|
//! | What would improve it? | [`study`] |
//! | Does it match Keras, over many seeds? | [`replicate`] |
//! | Where does the time of a training step go? | [`profile`] |
//! | Is a difference more than chance? | [`statistics`] |
//! | How are many models trained in parallel? | [`jobs`] |

#![forbid(unsafe_code)]

pub mod jobs;
pub mod profile;
pub mod replicate;
pub mod statistics;
pub mod study;
