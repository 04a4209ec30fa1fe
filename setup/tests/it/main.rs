//! The crate against programs: made-up ones in made-up folders, the real ones of this machine, and the installing script with a
//! made-up `apt-get`.

#[cfg(target_os = "linux")]
mod apt;
mod fixture;
mod launcher;
mod real;
mod search;
