//! The cookies of one user: name and value, kept until the server or the end of the session deletes them. Domains and paths are
//! left out on purpose, because a trial talks to one address; goose's own jar cannot be emptied in the middle of a run.

use std::fmt::Write;

/// A user's cookies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CookieJar {
    cookies: Vec<(String, String)>,
}

impl CookieJar {
    /// Takes over one `Set-Cookie` header.
    pub fn set(&mut self, header: &str) {
        let mut parts = header.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        self.cookies.retain(|(kept, _)| kept != name);
        let deleted = parts.any(|attribute| {
            let (key, age) = attribute.split_once('=').unwrap_or((attribute, ""));
            key.eq_ignore_ascii_case("max-age") && age.trim().parse::<i64>().is_ok_and(|age_s| age_s <= 0)
        });
        if !deleted {
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
    }

    /// The value of the `Cookie` header, or `None` without cookies.
    #[must_use]
    pub fn header(&self) -> Option<String> {
        let mut header = String::new();
        for (name, value) in &self.cookies {
            let gap = if header.is_empty() { "" } else { "; " };
            // Writing to a string cannot fail.
            let _ = write!(header, "{gap}{name}={value}");
        }
        (!header.is_empty()).then_some(header)
    }

    /// Forgets everything: the next request opens a new session.
    pub fn clear(&mut self) {
        self.cookies.clear();
    }
}
