//! The real binary, as a user runs it.

mod arrays;
mod compiled;
mod devices;
mod errors;
mod fetch;
mod gpu;
mod interrupt;
mod kit;
mod manners;
mod outputs;
mod profile;
mod replicate;
mod report;
mod results;
mod resume;
mod shell;
mod study;
