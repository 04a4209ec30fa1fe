//! What a trial's process tells its parent while it runs, as lines of JSON on its standard output. Each line carries a prefix,
//! because goose prints there too and cannot be told not to.

use std::io::Write;

use serde::{Deserialize, Serialize};

const PREFIX: &str = "@loadbook ";

/// Something that happened on the trial's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A phase began.
    Phase {
        /// Its name.
        name: String,
    },
    /// The measured window began, with this phase. Comes right after that phase's own event.
    Measuring {
        /// The first measured phase.
        phase: String,
    },
    /// The measured window ended; late requests may still be under way.
    Measured,
}

impl Event {
    /// Prints the event as one line of standard output. A parent that no longer listens is not an error of the trial.
    pub fn emit(&self) {
        if let Ok(json) = serde_json::to_string(self) {
            let mut output = std::io::stdout().lock();
            let _ = writeln!(output, "{PREFIX}{json}").and_then(|()| output.flush());
        }
    }

    /// Reads a line; `None` when it is not an event.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line.trim_end().strip_prefix(PREFIX)?).ok()
    }
}
