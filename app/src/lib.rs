//! The specimen: a small blog on axum, PostgreSQL and Redis, built to be measured.
//!
//! # Layout, in the order in which a request meets it
//!
//! - [`config`] reads the environment, once.
//! - [`server`] binds, serves, drains, and does what holds for every request.
//! - [`state`] is what every handler can reach.
//! - [`routes`] holds the pages, one file per resource.
//! - [`cursor`] says where a page of a list begins.
//! - [`cache`] keeps whole pages, fragments and values in Redis.
//! - [`db`] holds the schema, every query, and the list of them.
//! - [`pages`] renders HTML.
//! - [`error`] says what a request that failed is told.
//! - [`seed`] fills a database, the same for the same seed.
//! - [`telemetry`] writes the log.
//!
//! The app does not know who measures it: nothing here depends on the experiments.

pub mod cache;
pub mod config;
pub mod cursor;
pub mod db;
pub mod error;
pub mod pages;
pub mod routes;
pub mod seed;
pub mod server;
pub mod state;
pub mod telemetry;
