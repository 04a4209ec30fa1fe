//! The one way for a text into Typst: whatever it says, it appears verbatim and never runs.
//!
//! Typst reads `\u{2a}` as the character `*` both in markup and inside a string literal, and in neither does it mean anything else.
//! So every character that could mean something is written that way, and one rule serves both places; a template cannot pick the
//! wrong one.

use std::fmt::Write as _;

/// Escapes `text` for markup (`[…]` or the body of a template) and for the inside of a string literal (`"…"`).
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 4);
    let characters: Vec<char> = printable(text).chars().collect();
    for (index, character) in characters.iter().enumerate() {
        let inner_space = *character == ' '
            && index > 0
            && characters[index - 1] != ' '
            && characters.get(index + 1).is_some_and(|next| *next != ' ');
        // Typst trims and merges spaces in markup, so that only a single one between two words can stay as it is.
        let plain = character.is_ascii_alphanumeric()
            || *character == ','
            || inner_space
            || (!character.is_ascii() && !character.is_whitespace());
        if plain {
            escaped.push(*character);
        } else {
            let _ = write!(escaped, "\\u{{{:x}}}", u32::from(*character));
        }
    }
    escaped
}

/// Writes `text` as a string literal of Typst code, readable in the generated file.
#[must_use]
pub fn literal(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in printable(text).chars() {
        match character {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(character);
            }
            _ if character.is_control() || (character.is_whitespace() && character != ' ') => {
                let _ = write!(quoted, "\\u{{{:x}}}", u32::from(character));
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// Replaces what no page can show (control characters other than line break and tab, and noncharacters) by the sign for it: PDF/A
/// refuses a character without a glyph, and a report must not fail because an error text holds a stray byte.
#[must_use]
pub fn printable(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let shown = |character: char| match character {
        '\n' | '\t' => character,
        '\r' => '\n',
        _ if character.is_control() => char::REPLACEMENT_CHARACTER,
        '\u{feff}' | '\u{fffe}'..='\u{ffff}' => char::REPLACEMENT_CHARACTER,
        _ if u32::from(character) & 0xfffe == 0xfffe => char::REPLACEMENT_CHARACTER,
        _ => character,
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{escape, literal, printable};

    /// Reads escapes back as Typst does.
    fn read(escaped: &str) -> String {
        let mut parts = escaped.split("\\u{");
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (code, rest) = part.split_once('}').expect("an escape is closed");
            text.extend(u32::from_str_radix(code, 16).ok().and_then(char::from_u32));
            text.push_str(rest);
        }
        text
    }

    #[test]
    fn what_means_something_is_escaped() {
        assert_eq!(escape("users, 2 each"), "users, 2 each");
        assert_eq!(escape("#x"), r"\u{23}x");
        assert_eq!(escape("a  b "), r"a\u{20}\u{20}b\u{20}");
        assert_eq!(literal("say \"a\\b\"\n"), r#""say \"a\\b\"\u{a}""#);
        assert_eq!(escape("1. = -"), r"1\u{2e} \u{3d} \u{2d}");
    }

    proptest! {
        #[test]
        fn nothing_but_words_and_escapes_is_left(text in any::<String>()) {
            let escaped = escape(&text);
            prop_assert_eq!(read(&escaped), printable(&text));
            let rest: String = escaped.split("\\u{").enumerate().map(|(index, part)| if index == 0 { part } else { part.split_once('}').map_or(part, |(_, rest)| rest) }).collect();
            prop_assert!(rest.chars().all(|character| character.is_ascii_alphanumeric() || character == ' ' || character == ',' || !character.is_ascii()));
        }
    }
}
