//! The stack: private servers that a run starts, waits for, and stops. Of this crate it uses control groups, and nothing else.
//!
//! # Layout
//!
//! - [`RunFolder`] is the place: data, sockets, logs, a lock. It also knows the [`Programs`].
//! - [`Process`] is one child that cannot outlive us, with [`supervise`] as its first moment of life.
//! - [`Postgres`], [`Redis`], [`AppServer`] and [`Nginx`] are the servers; each starts ready and hands out its address.
//! - [`Stack`] holds those of one trial or of one run together; [`up`] runs the two stores alone.

mod folder;
mod poll;
mod port;
mod process;
mod template;
mod user;

mod app;
mod nginx;
mod postgres;
mod postgres_settings;
mod redis;

mod servers;
mod up;

pub mod supervise;

pub use app::{AppOptions, AppServer, CacheLevels, LocalCache, SessionStore};
pub use folder::{FolderInUse, Programs, RunFolder};
pub use nginx::{Balancing, Nginx, NginxOptions};
pub use poll::{TimedOut, wait_until};
pub use port::PortInUse;
pub use postgres::Postgres;
pub use postgres_settings::PostgresSettings;
pub use process::{Ended, Launch, Process};
pub use redis::{Redis, RedisSettings};
pub use servers::Stack;
pub use up::up;
