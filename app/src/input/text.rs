//! The rules that every text obeys, whatever field it is in.

/// A text of several lines, as it is kept: line ends are single line feeds, nothing but text at either end.
///
/// Browsers send line ends as CR LF; kept, they would count twice against the limit.
pub(super) fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").trim().to_owned()
}

/// The first character that cannot be kept: PostgreSQL refuses NUL in any text, and neither XML, which the feed is written in, nor a
/// screen can show the other control characters.
pub(super) fn unkeepable(text: &str) -> Option<char> {
    text.chars().find(|&character| match character {
        '\n' | '\t' => false,
        '\u{fffe}' | '\u{ffff}' => true,
        _ => character.is_control(),
    })
}

/// The sentence about a character that cannot be kept.
pub(super) fn unkeepable_message(what: &str, character: char) -> String {
    format!("{what} contains a character that cannot be kept (U+{:04X}). Please remove it.", u32::from(character))
}

/// Whether there is anything to see. A title of spaces, or of characters without a shape, would be a link that nobody can find.
pub(super) fn is_visible(text: &str) -> bool {
    text.chars().any(|character| !character.is_whitespace() && !character.is_control() && !is_shapeless(character))
}

/// Characters that Unicode says to ignore when there is nothing to draw (`Default_Ignorable_Code_Point`), and the two blanks that look
/// like nothing.
fn is_shapeless(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// A number as people write it: `100,000`.
pub(super) fn number(number: usize) -> String {
    let digits = number.to_string();
    let mut written = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            written.push(',');
        }
        written.push(digit);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_are_single() {
        assert_eq!(lines(" a\r\nb\rc\n"), "a\nb\nc");
    }

    #[test]
    fn what_cannot_be_seen_is_nothing() {
        for text in ["", " ", "\u{a0}\u{3000}", "\u{200b}\u{feff}", "\u{202e}", "\u{e0041}", "\t\n"] {
            assert!(!is_visible(text), "{text:?}");
        }
        for text in ["a", "\u{202e}a", ".", "é", "漢", "🦀"] {
            assert!(is_visible(text), "{text:?}");
        }
    }

    #[test]
    fn control_characters_are_found() {
        for text in ["a\0", "\u{1b}[31m", "\u{7f}", "\u{85}", "\u{ffff}"] {
            assert!(unkeepable(text).is_some(), "{text:?}");
        }
        assert_eq!(unkeepable("a\tb\nc"), None);
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(["7", "1,000", "100,000"], [7, 1000, 100_000].map(number).each_ref().map(String::as_str));
    }
}
