//! The questions.
pub mod profile;
