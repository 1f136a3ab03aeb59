//! The real binary, as a user runs it.

mod arrays;
mod errors;
mod fetch;
mod kit;
mod profile;
mod report;
mod results;
mod resume;
