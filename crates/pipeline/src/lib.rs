//! From a file of numbers to anomalies: csv -> series -> windows -> fit -> threshold -> anomalies -> report.
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
//! | training it | [`training`] |
//! | what it makes of windows, and how far off that is | [`reconstruction`] |
//! | from errors of windows to anomalous windows and points | [`detection`] |
//! | all of it for one series, or for another series later | [`detector`] |
//! | all of it for the tutorial, step by step | [`tutorial`] |
//! | what goes on inside the model, captured as it trains | [`inside`] |
//! | how well what was found lies on the true anomaly | [`evaluation`] |
//! | what would improve it, measured | [`study`] |
//! | over many seeds, against Keras | [`replicate`] |
//! | both of these train side by side | [`jobs`] |
//! | where the time of a training step goes | [`profile`] |
//! | what a run leaves behind | [`results`], [`statistics`] |
//!
//! And the files:
//!
//! | file | module |
//! |---|---|
//! | models and detectors | [`model_file`] |
//! | interrupted runs, and how they are told apart | [`interrupt`], [`checkpoint`], [`fingerprint`] |
//! | both of these are named tensors | [`tensor_file`] |
//! | arrays in and out | [`arrays`] |
//! | files that are whole or not there at all | [`atomic`] |
//! | one run at a time in a folder | [`lock`] |
//! | checksums | [`hash`] |
//! | numbers in sentences | [`words`] |
//!
//! # Units
//! A *step* is one row of a series, whatever time lies between rows (five minutes in the tutorial's
//! files); a *raw value* is in the unit of the CSV's value column; a normalised value is in *standard
//! deviations of the training series*. Each number says which it is.
//!
//! # Errors
//! Each module has one error type. The text of an error is complete by itself: what was being done, what
//! was found, what was expected, what to do. There is no chain of sources to print after it.

#![forbid(unsafe_code)]

pub mod architecture;
pub mod arrays;
pub mod atomic;
pub mod checkpoint;
pub mod detection;
pub mod detector;
pub mod evaluation;
pub mod fingerprint;
pub mod hash;
pub mod inside;
pub mod interrupt;
pub mod jobs;
pub mod lock;
pub mod model_file;
pub mod nab;
pub mod profile;
pub mod reconstruction;
pub mod replicate;
pub mod results;
pub mod scaler;
pub mod series;
pub mod statistics;
pub mod study;
pub mod synthetic;
pub mod tensor_file;
pub mod training;
pub mod tutorial;
pub mod words;
