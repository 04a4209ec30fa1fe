//! The bench's program: a table of contents over [`experiments::cli`]. `supervise` is not for people: the stack starts its
//! services through it, before anything else of this program runs.

use std::{ffi::OsString, process::ExitCode};

use experiments::{cli, stack::supervise};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if arguments.first().is_some_and(|name| name == supervise::SUBCOMMAND) {
        return supervise::main(&arguments[1..]);
    }
    cli::main()
}
