//! One binary for all integration tests of the bench: it links once. They need the real programs, and fail without them.

mod blog;
mod browser;
mod cgroup;
mod compare;
mod document;
mod figures;
mod html;
mod load;
mod notebook;
mod pdf;
mod probe;
mod reading;
mod report;
mod rooms;
mod source;
mod specimen;
mod stack;
mod support;
mod torture;
mod unusable;
mod verify;
mod web;
