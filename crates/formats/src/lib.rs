//! Files in and out. Reading trusts nothing: every length is checked before it is used, and a file with anything
//! wrong is refused as a whole, by name. Writing is all or nothing.
//!
//! | file | module |
//! |---|---|
//! | models: an architecture, its weights, and what else belongs to them | [`model_file`] |
//! | named tensors (safetensors), on which models and checkpoints are built | [`tensor_file`] |
//! | arrays (`.npy`) | [`arrays`] |
//! | files that are whole or not there at all | [`atomic`] |
//! | a folder of results, and which files in it are ours | [`output_folder`] |
//! | one run at a time in a place | [`lock`] |
//! | checksums | [`hash`] |

#![forbid(unsafe_code)]

pub mod arrays;
pub mod atomic;
pub mod hash;
pub mod lock;
pub mod model_file;
pub mod output_folder;
pub mod tensor_file;
