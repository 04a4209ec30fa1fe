//! The bench: it asks the specimen questions, writes what it saw as CSV, and compiles a document from that.
//!
//! # Layout, in the order in which the data flows
//!
//! - `say` has lines for a person; everybody may use it.
//! - [`http`] is the client for servers of this machine.
//! - [`cgroup`] makes groups of processes, counts their CPU time and limits it, where the machine allows it.
//! - [`stack`] starts and stops the private PostgreSQL, Redis, app servers and NGINX, each in a group of its own.
//! - [`load`] offers requests and records what came back; [`probe`] reads what they cost. Gear that the steps share.
//! - [`results`] turns rows into CSV and back, and keeps the conditions under which they were measured.
//! - [`source`] says what code and which files a measurement is made from, and hashes what they mean.
//! - [`stats`] is pure: intervals, tests and verdicts, and what series, histograms and loads allow to say.
//! - [`aggregate`] makes summaries of rows with polars; [`figures`] draws them. Both are pure.
//! - [`steps`] are the questions: one file each, one ordered list.
//! - [`report`] makes the PDF from `results/` alone.
//! - [`pipeline`] is the only file that sees every room; [`cli`] is the door.

#![warn(clippy::print_stdout, clippy::print_stderr)] // `say` does that, and does not panic where nobody listens.

#[macro_use]
mod say;

pub mod cgroup;
pub mod http;

pub mod stack;

pub mod load;
pub mod probe;

pub mod results;

pub mod source;

pub mod stats;

pub mod aggregate;

pub mod figures;

pub mod steps;

pub mod report;

pub mod cli;
pub mod pipeline;
