//! The blog under faults: the real program, two servers behind NGINX, PostgreSQL and Redis. Small here; `just torture` runs the same at
//! full size.

mod cold_page;
mod draining;
mod long_post;
mod reading;
mod retrying;
mod sessions;
pub(crate) mod site;
mod stores;
mod traffic;

/// The size of a test: `small` in continuous integration, `full` for `just torture`.
fn size<T>(small: T, full: T) -> T {
    if std::env::var_os("TORTURE").is_some_and(|value| value == "full") { full } else { small }
}
