//! From a file of numbers to anomalies: csv -> series -> windows -> fit -> threshold -> anomalies -> results.
//!
//! This crate knows files, time and people; the mathematics is in `glassbox_engine`. In the order of the
//! tutorial:
//!
//! | step | module |
//! |---|---|
//! | where the tutorial's two files come from | [`nab`] (a folder, a cached download, or the twin) |
//! | the built-in twin of both files | [`synthetic`] |
//! | a series, its CSV, what is odd about its timestamps | [`series`] |
//! | normalising by the training moments | [`scaler`] |
//! | the model | [`architecture`] |
//! | how it is trained | [`training`] |
//! | what it makes of windows, and how far off that is | [`reconstruction`] |
//! | from errors of windows to anomalous windows and points | [`detection`] |
//! | scores and verdicts for rows | [`rows`] |
//! | all of it for one series, or for another series later | [`detector`] |
//! | for a series whose rows are still arriving | [`live`] |
//! | all of it for the tutorial, step by step | [`tutorial`] |
//! | what goes on inside the model, captured as it trains | [`inside`] |
//! | planted anomalies, and what is found of them | [`planted`] |
//! | how well what was found lies on the true anomaly | [`evaluation`] |
//! | what a run leaves behind | [`results`], [`statistics`] |
//! | numbers in sentences | [`words`] |
//!
//! # Units
//! A *step* is one row of a series, whatever time lies between rows (five minutes in the tutorial's
//! files); a *raw value* is in the unit of the CSV's value column; a normalised value is in *standard
//! deviations of the training series*. Each number says which it is.
//!
//! # Errors
//! [`Error`] is the error of this crate, with a [kind](Error::kind) for programs. Its text is complete by itself: there is
//! no chain of sources to print after it.

#![forbid(unsafe_code)]

pub mod architecture;
pub mod detection;
pub mod detector;
mod error;
pub mod evaluation;
pub mod inside;
pub mod live;
pub mod nab;
pub mod planted;
pub mod reconstruction;
pub mod results;
pub mod rows;
pub mod scaler;
pub mod series;
pub mod statistics;
pub mod synthetic;
pub mod training;
pub mod tutorial;
pub mod words;

pub use error::{Error, ErrorKind, Result};
