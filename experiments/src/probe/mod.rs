//! Reads what a load costs: CPU time, memory and context switches of each component, and the counters that PostgreSQL, Redis,
//! NGINX and the app keep themselves. It only reads; it refuses to know what the load was and what the numbers will be compared with.
//!
//! Everything is a counter that is read twice: a `difference(before, after)` belongs to each kind. [`component`] says what is
//! counted and [`source`] where it comes from: control groups where the machine has them, and `/proc`.

pub mod app;
pub mod canary;
pub mod component;
pub mod cores;
pub mod hiccup;
pub mod machine;
pub mod nginx;
pub mod noise;
pub mod placement;
pub mod postgres;
pub mod redis;
pub mod sampler;
pub mod source;

#[cfg(target_os = "linux")]
mod groups;
#[cfg(target_os = "linux")]
mod proc;
