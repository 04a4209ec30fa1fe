//! The stack against the real programs.

mod balancer;
mod folders;
mod processes;
mod runner;
mod site;
mod stores;
