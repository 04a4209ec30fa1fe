//! The app from outside, on a real PostgreSQL and a real Redis: one database and one key prefix per test.
//!
//! - `pages`: what the pages say, to people and to browsers.
//! - `lists`: paging walks through everything once.
//! - `comments`: adding them, and refusing to.
//! - `caching`: what is kept, and what is forgotten.
//! - `operation`: starting, health, failures, stopping.
//! - `database`: the schema, the indexes, the queries and their offline data.
//! - `seeding`: the same seed, the same rows.

mod caching;
mod comments;
mod database;
mod harness;
mod lists;
mod operation;
mod pages;
mod seeding;
