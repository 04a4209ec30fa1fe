//! Offers requests to a web server and records what came back; goose is the engine. It refuses to know what runs behind the
//! address, how that was started, and what the numbers will be used for.
//!
//! A **trial** is one child process: [`run::Runner`] starts it with a [`spec::TrialSpec`], hears its [`event::Event`]s and reads
//! its [`result::TrialResult`]; [`trial`] is the child's side. In the child, [`schedule`] says when each request is due and
//! [`request`] what it asks for (both are pure functions of the seed), [`pace`] keeps the time, [`worker`] sends, and
//! [`recorder`] counts.

pub mod cookies;
pub mod engine;
pub mod event;
pub mod pace;
pub mod recorder;
pub mod request;
pub mod result;
pub mod run;
pub mod schedule;
pub mod spec;
pub mod trial;
pub mod validate;
pub mod worker;
