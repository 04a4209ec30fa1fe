//! The app from outside, on a real PostgreSQL and a real Redis: one database and one key prefix per test.
//!
//! - `pages`: what the pages say, to people and to browsers.
//! - `lists`: paging walks through everything once.
//! - `comments`: adding them, and refusing to.
//! - `caching`: what is kept, and what is forgotten.
//! - `edge`: what holds for every route: names of requests, headers, limits, errors.
//! - `metrics`: what the server counts, and to whom it tells.
//! - `operation`: starting, health, failures, the log.
//! - `stopping`: no request is lost.
//! - `database`: the schema, the indexes, the queries and their offline data.
//! - `seeding`: the same seed, the same rows.

mod caching;
mod comments;
mod database;
mod edge;
mod harness;
mod lists;
mod metrics;
mod operation;
mod pages;
mod seeding;
mod stopping;
mod wire;
