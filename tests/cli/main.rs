//! The real binary, as a user runs it.

mod arrays;
mod checkpoints;
mod compiled;
mod detect;
mod devices;
mod disk;
mod errors;
mod fetch;
mod folders;
mod gpu;
mod interrupt;
mod keras;
mod kit;
mod locks;
mod manners;
mod nab;
mod outputs;
mod page;
mod profile;
mod replicate;
mod report;
mod results;
mod resume;
mod shell;
mod study;
mod watch;
