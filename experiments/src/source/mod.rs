//! What a measurement is made from: the code that it calls and the files that it reads, each with a hash of what it means and not of
//! how it is written. It knows neither the steps nor what their results say; a caller names where to begin.
//!
//! # Layout
//!
//! - [`fingerprint`] is the hash of one file: comments, white space and the order of imports do not count.
//! - [`Code`] follows the paths of Rust code from item to item, so that a change counts where it is called and nowhere else.
//! - [`packages`] are the versions of the crates behind that code.
//! - [`Memory`] remembers what files meant, for as long as they do not change.

mod canonical;
mod code;
mod fingerprint;
mod item;
mod memory;
mod packages;
mod paths;
mod scope;

pub use code::{Code, Reached, Root};
pub use fingerprint::{fingerprint, text_of_sql};
pub use item::RustFile;
pub use memory::Memory;
pub use packages::{build_settings, direct_dependencies, packages};
