//! What people may write: one type per field, which holds only what is right. It knows nothing of HTML, JSON or the database, and
//! keeps the promise that the database's constraints accept whatever a type here accepts (a test asks the database).
//!
//! A field that is wrong is answered with a sentence for the person who wrote it. The sentences of a form come together, as
//! [`Problems`], so that nobody has to send a form once per mistake. Pages and the JSON API show the same ones.

mod account;
mod tags;
mod text;
mod writing;

pub use account::{Bio, Email, PASSWORD_BYTES_MAX, Password, Registration, Username};
pub use tags::{TAGS_MAX, TagName, TagNames};
pub use writing::{
    COMMENT_CHARACTERS_MAX, CommentContent, CommentInput, POST_CHARACTERS_MAX, PostContent, PostInput,
    TITLE_CHARACTERS_MAX, Title,
};

/// One field that is wrong, and what would be right.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The name of the field, as in the form and in the JSON object.
    pub field: &'static str,
    /// A sentence for the person who wrote it.
    pub message: String,
}

/// Everything that is wrong with a form, in the order of its fields. Never empty.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the input is wrong in {} place(s)", .0.len())]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// One problem.
    pub fn one(field: &'static str, message: impl Into<String>) -> Self {
        Self(vec![Problem { field, message: message.into() }])
    }

    /// The problems in the order of the fields.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// What is wrong with a field, if anything is.
    pub fn of(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|problem| problem.field == field).map(|problem| problem.message.as_str())
    }
}

/// Collects what is wrong while the fields of a form are read one after the other.
#[derive(Default)]
struct Reader(Vec<Problem>);

impl Reader {
    /// Takes a field that was read, or remembers why it could not be.
    fn take<T>(&mut self, field: &'static str, read: Result<T, String>) -> Option<T> {
        read.map_err(|message| self.0.push(Problem { field, message })).ok()
    }

    fn problems(self) -> Problems {
        Problems(self.0)
    }
}

/// Defines a field that is a checked text: how it is shown in a log, and how it is read.
macro_rules! text_field {
    ($(#[$documentation:meta])* $name:ident) => {
        $(#[$documentation])*
        #[derive(Clone, Debug, Eq, PartialEq)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text, taken out.
            pub fn into_string(self) -> String {
                self.0
            }
        }
    };
}
use text_field;
