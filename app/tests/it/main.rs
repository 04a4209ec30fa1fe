//! The app from outside, on a real PostgreSQL and a real Redis: one database and one key prefix per test.
//!
//! - `pages`: what the pages say, to people and to browsers.
//! - `lists`: paging walks through everything once.
//! - `accounts`: registering, logging in and out, and what is told to whom.
//! - `sessions`: what is remembered, for whom, where and for how long.
//! - `writing`: posts and comments, and refusing them.
//! - `any_input`: any text in any field is refused or stored, and the database accepts what the forms accept.
//! - `safety`: what other sites send, what comes too often, what is too long.
//! - `api`: the JSON API and its document.
//! - `feed`: the Atom feeds.
//! - `markdown_pages`: what authors write, on pages.
//! - `demo`: the demonstration.
//! - `cache_pages`: what is kept, and what is forgotten.
//! - `cache_rules`: fresh, early, stale and dead, one maker for all, on the cache itself.
//! - `cache_faults`: a Redis that hangs, is dead, or comes back, and many who want one page.
//! - `cache_leaks`: what belongs to one reader reaches no other.
//! - `cache_reads`: nobody is shown less than what was acknowledged.
//! - `cache_values`: the plain interface.
//! - `edge`: what holds for every route: names of requests, headers, limits, errors.
//! - `metrics`: what the server counts, and to whom it tells.
//! - `operation`: starting, health, failures, the log.
//! - `stopping`: no request is lost.
//! - `database`: the schema, the indexes, the queries and their offline data.
//! - `seeding`: the same seed, the same rows.

mod accounts;
mod any_input;
mod api;
mod at_once;
mod browser;
mod cache_faults;
mod cache_leaks;
mod cache_pages;
mod cache_reads;
mod cache_rules;
mod cache_values;
mod database;
mod demo;
mod edge;
mod feed;
mod harness;
mod lists;
mod markdown_pages;
mod metrics;
mod operation;
mod pages;
mod safety;
mod seeding;
mod sessions;
mod stopping;
mod wire;
mod writing;
