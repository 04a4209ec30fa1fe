//! What an account consists of.

use std::fmt;

use super::text::{lines, number, unkeepable, unkeepable_message};
use super::{Problems, Reader, text_field};

/// The longest password, in bytes. Hashing reads all of it, so there must be a limit; nobody types as much.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// The shortest password, in characters.
const PASSWORD_CHARACTERS_MIN: usize = 10;

/// The longest text about oneself, in characters, as in the schema.
const BIO_CHARACTERS_MAX: usize = 2000;

/// The longest e-mail address, in characters, as in the schema: what fits into a `MAIL FROM` command.
const EMAIL_CHARACTERS_MAX: usize = 254;

/// Passwords that are long enough and still among the first that anybody tries.
const COMMON_PASSWORDS: [&str; 12] = [
    "1234567890",
    "12345678910",
    "0123456789",
    "0987654321",
    "1q2w3e4r5t",
    "1qaz2wsx3edc",
    "qwertyuiop",
    "password12",
    "password123",
    "password1234",
    "iloveyou12",
    "changeme123",
];

text_field! {
    /// The name under which somebody writes. Also how they log in.
    Username
}

text_field! {
    /// An e-mail address. Nobody but its owner sees it.
    Email
}

text_field! {
    /// What somebody says about themselves. May be empty.
    Bio
}

/// A password that somebody chose. It is shown nowhere, not even in a log.
#[derive(Clone, Eq, PartialEq)]
pub struct Password(String);

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(***)")
    }
}

impl Username {
    /// Reads a user name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let name = text.trim();
        let starts_well = name.starts_with(|first: char| first.is_ascii_alphanumeric());
        let fits = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        if name.is_empty() {
            Err("Please choose a user name.".to_owned())
        } else if !fits || !starts_well {
            Err("A user name consists of the letters a to z, digits, _ and -, and starts with a letter or a digit."
                .to_owned())
        } else if !(2..=32).contains(&name.len()) {
            Err(format!("A user name has 2 to 32 characters; this one has {}.", number(name.len())))
        } else {
            Ok(Self(name.to_owned()))
        }
    }
}

impl Email {
    /// Reads an e-mail address. Whether it exists, only a letter to it can tell; this sorts out what cannot be one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let email = text.trim();
        if email.is_empty() {
            return Err("Please give your e-mail address.".to_owned());
        }
        let length = email.chars().count();
        if length > EMAIL_CHARACTERS_MAX {
            return Err(format!(
                "An e-mail address has at most {EMAIL_CHARACTERS_MAX} characters; this one has {}.",
                number(length)
            ));
        }
        let is_plausible = |character: char| character.is_alphanumeric() || "!#$%&'*+/=?^_`{|}~.-@".contains(character);
        let halves = email.split_once('@').filter(|(user, host)| !user.is_empty() && is_host(host));
        if halves.is_none() || !email.chars().all(is_plausible) {
            return Err("An e-mail address looks like ada@example.org; this does not.".to_owned());
        }
        Ok(Self(email.to_owned()))
    }
}

fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|character| character.is_alphanumeric() || character == '-')
    };
    host.split('.').all(is_label)
}

impl Password {
    /// Reads a new password. It is taken as it is, with spaces at its ends: it must be what the person types the next time.
    pub fn parse(text: &str) -> Result<Self, String> {
        let length = text.chars().count();
        if text.is_empty() {
            Err("Please choose a password.".to_owned())
        } else if length < PASSWORD_CHARACTERS_MIN {
            Err(format!(
                "A password has at least {PASSWORD_CHARACTERS_MIN} characters; a sentence is easy to remember."
            ))
        } else if text.len() > PASSWORD_BYTES_MAX {
            Err(format!(
                "A password has at most {} bytes; this one has {}.",
                number(PASSWORD_BYTES_MAX),
                number(text.len())
            ))
        } else if text.contains('\0') {
            Err(unkeepable_message("The password", '\0'))
        } else if is_guessable(text) {
            Err("This password is among the first that somebody would try. Please choose another.".to_owned())
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// What is hashed.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

fn is_guessable(password: &str) -> bool {
    let first = password.chars().next();
    let one_character = password.chars().all(|character| Some(character) == first);
    one_character || COMMON_PASSWORDS.iter().any(|common| common.eq_ignore_ascii_case(password))
}

impl Bio {
    /// Reads what somebody says about themselves.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bio = lines(text);
        let length = bio.chars().count();
        if length > BIO_CHARACTERS_MAX {
            let (max, length) = (number(BIO_CHARACTERS_MAX), number(length));
            return Err(format!("This text has at most {max} characters; yours has {length}."));
        }
        match unkeepable(&bio) {
            Some(character) => Err(unkeepable_message("The text", character)),
            None => Ok(Self(bio)),
        }
    }
}

/// A new account as somebody asks for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Registration {
    /// The field `username`.
    pub username: Username,
    /// The field `email`.
    pub email: Email,
    /// The field `password`.
    pub password: Password,
}

impl Registration {
    /// Reads a form or a JSON object.
    pub fn parse(username: &str, email: &str, password: &str) -> Result<Self, Problems> {
        let mut reader = Reader::default();
        let parsed_password = Password::parse(password).and_then(|parsed| {
            let is_name = [username, email].iter().any(|name| name.trim().eq_ignore_ascii_case(password.trim()));
            if is_name {
                Err("A password must not be the user name or the e-mail address.".to_owned())
            } else {
                Ok(parsed)
            }
        });
        let username = reader.take("username", Username::parse(username));
        let email = reader.take("email", Email::parse(email));
        let password = reader.take("password", parsed_password);
        match (username, email, password) {
            (Some(username), Some(email), Some(password)) => Ok(Self { username, email, password }),
            _ => Err(reader.problems()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names() {
        for name in ["Ada", "a1", " grace ", "0_o", "x-", &"x".repeat(32)] {
            assert_eq!(Username::parse(name).unwrap().as_str(), name.trim());
        }
        for name in ["", " ", "a", "-a", "_a", "a b", "é1", "a\0", "a\n", "<b>", "a@b", &"x".repeat(33)] {
            assert!(Username::parse(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn email_addresses() {
        for email in ["ada@example.org", "a.b+c@d", " ü@straße.example ", "o'hara@x-y.z"] {
            assert_eq!(Email::parse(email).unwrap().as_str(), email.trim());
        }
        let long = format!("{}@example.org", "x".repeat(250));
        for email in [
            "",
            "ada",
            "@",
            "a@",
            "@b",
            "a@b@c",
            "a b@c",
            "a@b c",
            "a\0@b",
            "<a@b>",
            "a@b..c",
            "a@-b",
            "a\u{200b}@b",
            &long,
        ] {
            assert!(Email::parse(email).is_err(), "{email:?}");
        }
    }

    #[test]
    fn passwords() {
        for password in ["correct horse", " ten chars", "漢字漢字漢字漢字漢字", &"xy".repeat(512)] {
            assert_eq!(Password::parse(password).unwrap().as_bytes(), password.as_bytes());
        }
        let long = format!("{}x", "xy".repeat(512));
        for password in ["", "short", "aaaaaaaaaaaa", "PASSWORD123", "with\0nul in it", &long] {
            assert!(Password::parse(password).is_err(), "{password:?}");
        }
        assert_eq!(format!("{:?}", Password::parse("correct horse").unwrap()), "Password(***)");
    }

    #[test]
    fn a_password_is_not_the_name() {
        let problems = Registration::parse("engine-room", "a@b.example", "Engine-Room").unwrap_err();
        assert_eq!(problems.of("password"), Some("A password must not be the user name or the e-mail address."));
        assert_eq!(problems.of("username"), None);
    }
}
