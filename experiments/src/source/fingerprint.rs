//! The hash of what one file means. Rust has a room of its own ([`super::RustFile`]); of SQL, TOML and configurations the comments and
//! the layout do not count; every other file is its bytes.

use crate::results::hash_bytes;

/// The hash of a file with this name and these bytes.
#[must_use]
pub fn fingerprint(name: &str, bytes: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(bytes) else { return hash_bytes(bytes) };
    let meaning = match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("sql") => Some(text_of_sql(text)),
        Some("template") => Some(text_of_configuration(text)),
        Some("toml") => text_of_toml(text),
        _ => None,
    };
    meaning.map_or_else(|| hash_bytes(bytes), |text| hash_bytes(text.as_bytes()))
}

/// A configuration without empty lines, lines of comment, and the white space around a line.
fn text_of_configuration(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.collect::<Vec<_>>().join("\n")
}

fn text_of_toml(text: &str) -> Option<String> {
    let table: toml::Table = text.parse().ok()?;
    serde_json::to_string(&table).ok()
}

/// SQL without comments, with one space for all white space; texts, quoted names and dollar-quoted bodies stay as they are.
#[must_use]
pub fn text_of_sql(sql: &str) -> String {
    let mut text = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(letter) = rest.chars().next() {
        let length = match letter {
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => length_of_comment(rest),
            letter if letter.is_whitespace() => letter.len_utf8(),
            '\'' | '"' => {
                let may_escape = letter == '\'' && is_escaping(&text);
                let length = length_of_quoted(rest, letter, may_escape);
                text.push_str(&rest[..length]);
                rest = &rest[length..];
                continue;
            }
            '$' => {
                let length = length_of_body(rest, &text);
                text.push_str(&rest[..length]);
                rest = &rest[length..];
                continue;
            }
            letter => {
                text.push(letter);
                rest = &rest[letter.len_utf8()..];
                continue;
            }
        };
        // A comment separates words as white space does.
        if !text.is_empty() && !text.ends_with(' ') {
            text.push(' ');
        }
        rest = &rest[length..];
    }
    text.truncate(text.trim_end().len());
    text
}

/// The length of `/* … */`, which may hold others.
fn length_of_comment(text: &str) -> usize {
    let (mut depth, mut place) = (0_u32, 0);
    while place < text.len() {
        let rest = &text.as_bytes()[place..];
        if rest.starts_with(b"/*") {
            (depth, place) = (depth + 1, place + 2);
        } else if rest.starts_with(b"*/") {
            (depth, place) = (depth - 1, place + 2);
            if depth == 0 {
                return place;
            }
        } else {
            place += 1;
        }
    }
    text.len()
}

/// Whether the text before a quote makes `\` special in it: `E'…'`.
fn is_escaping(before: &str) -> bool {
    let mut letters = before.chars().rev();
    letters.next().is_some_and(|letter| letter.eq_ignore_ascii_case(&'e'))
        && !letters.next().is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
}

/// The length up to the closing quote; two quotes in a row are one of the text.
fn length_of_quoted(text: &str, quote: char, may_escape: bool) -> usize {
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((place, letter)) = letters.next() {
        if letter == '\\' && may_escape {
            letters.next();
        } else if letter == quote {
            if letters.peek().is_some_and(|(_, next)| *next == quote) {
                letters.next();
            } else {
                return place + quote.len_utf8();
            }
        }
    }
    text.len()
}

/// The length of `$tag$ … $tag$`; of the sign alone where it is a parameter such as `$1` or a part of a name.
fn length_of_body(text: &str, before: &str) -> usize {
    let Some(end) = text[1..].find('$') else { return 1 };
    let tag = &text[1..=end];
    let is_tag = tag.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
        && !tag.starts_with(|letter: char| letter.is_ascii_digit())
        && !before.ends_with(|letter: char| letter.is_alphanumeric() || letter == '_');
    if !is_tag {
        return 1;
    }
    let mark = &text[..end + 2];
    text[mark.len()..].find(mark).map_or(text.len(), |place| mark.len() + place + mark.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn comments_and_layout_of_sql_do_not_count() {
        let plain = "SELECT a, 'it''s -- no comment' FROM t WHERE b = $1 AND c = E'\\' /*' ORDER BY \"odd  name\"";
        let written = "-- Why.\nSELECT a,\n    'it''s -- no comment' /* in /* two */ levels */\nFROM t -- here\nWHERE b = $1\n  AND c = E'\\' /*'\nORDER BY \"odd  name\"\n";
        assert_eq!(text_of_sql(written), plain);
        assert_eq!(text_of_sql("SELECT $tag$ a  -- b $tag$ ,  $$ c  $$"), "SELECT $tag$ a  -- b $tag$ , $$ c  $$");
        assert_ne!(text_of_sql("SELECT 'a  b'"), text_of_sql("SELECT 'a b'"));
    }

    #[test]
    fn comments_of_configurations_do_not_count() {
        let hash = |text: &str| fingerprint("nginx.conf.template", text.as_bytes());
        assert_eq!(hash("# Why.\nworker_processes 1;\n\n  listen 80;\n"), hash("worker_processes 1;\nlisten 80;"));
        assert_ne!(hash("worker_processes 1;"), hash("worker_processes 2;"));
        let hash = |text: &str| fingerprint("a.toml", text.as_bytes());
        assert_eq!(hash("# Why.\n[a]\nb = 1 # c\n"), hash("a = { b = 1 }"));
        assert_ne!(fingerprint("a.html", b"a b"), fingerprint("a.html", b"a  b"));
    }

    proptest! {
        #[test]
        fn sql_is_made_plain_once_and_for_all(sql in "[-/*'\"$a-cE1 \\n\\\\]{0,40}") {
            let once = text_of_sql(&sql);
            prop_assert_eq!(text_of_sql(&once), once);
        }
    }
}
