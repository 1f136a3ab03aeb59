//! File formats. Readers trust nothing: every length is checked before it is used, and a file with any error is refused
//! as a whole, by name. Writers are atomic.
//!
//! | file | module |
//! |---|---|
//! | models: an architecture, its weights, and further data | [`model_file`] |
//! | named tensors (safetensors), on which models and checkpoints are built | [`tensor_file`] |
//! | models from one format to another | [`convert`] |
//! | Keras's files of models and of weights | [`keras_archive`], [`keras_weights`], [`keras_h5`] |
//! | models for other programs (ONNX), written only | [`onnx`] |
//! | zip archives and HDF5 files, as Keras writes them | [`zip`], [`hdf5`], [`container`] |
//! | arrays (`.npy`) | [`arrays`] |
//! | atomic writes | [`atomic`] |
//! | folders of results, with a list of the files that glassbox wrote | [`output_folder`] |
//! | locks, so that only one run at a time writes to a place | [`lock`] |
//! | checksums | [`hash`] |

#![forbid(unsafe_code)]

pub mod arrays;
pub mod atomic;
pub mod container;
pub mod convert;
pub mod hash;
pub mod hdf5;
pub mod keras_archive;
pub mod keras_h5;
pub mod keras_weights;
pub mod lock;
pub mod model_file;
pub mod onnx;
pub mod output_folder;
pub mod tensor_file;
pub mod zip;
