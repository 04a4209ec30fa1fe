//! Finds the programs that Loadbook runs, and installs those that are missing.
//!
//! # Layout
//!
//! - [`Version`] and [`Needed`]: what a program says of itself, and what is accepted.
//! - [`Program`]: the ordered list of what is looked for, and everything that is known about each.
//! - [`Search`] and [`locate`]: where to look, and the first program that will do.
//! - [`install`]: what the system's package manager or PyPI provides; the only room that changes the machine.
//! - [`doctor`]: the same findings as a table.
//!
//! The crate knows nothing of what the programs are used for, and uses the standard library alone: a fresh machine has to
//! compile it before anything else can be done, and `just setup` starts it every time.

mod command;
mod version;

mod program;
mod search;

pub mod doctor;
pub mod install;

pub use program::Program;
pub use search::{Located, Missing, Search, ask_version, locate, locate_asking};
pub use version::{Needed, Version};
