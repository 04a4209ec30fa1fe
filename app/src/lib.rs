//! The specimen: a small blog on axum, PostgreSQL and Redis, built to be measured.
//!
//! # Layout, in the order in which a request meets it
//!
//! - [`config`] reads the environment, once.
//! - [`server`] binds, serves, drains, and does what holds for every request.
//! - [`state`] is what every handler can reach.
//! - [`routes`] holds the pages, one file per resource.
//! - [`client_address`] says who is at the other end, and [`limits`] how often they may do what.
//! - [`session`] is what is remembered of a browser, [`accounts`] how somebody proves to be somebody.
//! - [`input`] holds what people may write, one type per field, and [`writing`] publishes it.
//! - [`cursor`] says where a page of a list begins.
//! - [`cache`] keeps whole pages, fragments and values in Redis.
//! - [`db`] holds the schema, every query, and the list of them.
//! - [`pages`] renders HTML; [`http`] makes a response of a page: ETag, 304, compression.
//! - [`markdown`] makes what authors write safe to show.
//! - [`error`] says what a request that failed is told.
//! - [`demo`] holds posts that a visitor may want to read.
//! - [`seed`] fills a database, the same for the same seed.
//! - [`keys`] derives keys from the secret, [`redis_link`] speaks to Redis where it is not a cache, [`telemetry`] writes the log.
//!
//! The app does not know who measures it: nothing here depends on the experiments.

pub mod accounts;
pub mod cache;
pub mod client_address;
pub mod config;
pub mod cursor;
pub mod db;
pub mod demo;
pub mod error;
pub mod http;
pub mod input;
pub mod keys;
pub mod limits;
pub mod markdown;
pub mod pages;
pub mod redis_link;
pub mod routes;
pub mod seed;
pub mod server;
pub mod session;
pub mod state;
pub mod telemetry;
pub mod writing;
