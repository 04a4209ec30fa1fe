//! Lines for a person. Whoever listens may have heard enough (`| head`): then an answer ends there, and a run goes on without a word. It
//! knows no colours and no screen; those are the business of who draws them.

use std::{
    fmt::Arguments,
    io::{self, ErrorKind, Write as _},
};

/// A line of the answer to what was asked, on the standard output.
macro_rules! say {
    ($($words:tt)*) => { $crate::say::answer(format_args!($($words)*)) };
}

/// A line besides the answer, on the standard error: how far it is, or what went wrong.
macro_rules! remark {
    ($($words:tt)*) => { $crate::say::aside(format_args!($($words)*)) };
}

/// Ends the program where nobody listens any more. What it has started notices that by itself, as it does when the program is killed.
pub(crate) fn answer(words: Arguments<'_>) {
    match writeln!(io::stdout(), "{words}") {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            aside(format_args!("error: cannot write to the standard output: {error}"));
            std::process::exit(1)
        }
    }
}

/// That a line is lost is no reason to lose what it tells of.
pub(crate) fn aside(words: Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{words}");
}
