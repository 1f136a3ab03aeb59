//! The real binary, as a user runs it.

mod arrays;
mod devices;
mod errors;
mod fetch;
mod kit;
mod profile;
mod results;
mod resume;
