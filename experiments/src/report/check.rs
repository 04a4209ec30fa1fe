//! The third invariant, held over the templates: no digit of a result is typed by hand.
//!
//! Digits may stand in code (minijinja's and Typst's), in comments, in quoted code, in labels and links, in names that begin with a
//! letter (`p50`), and in phrases that the caller allows by name. Everywhere else in a template they are an offence.

use anyhow::Result;

use super::claims;
use super::templates::Templates;

/// A digit that a reader would take for a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offence {
    /// The template below the folder, such as `sections/cache.typ.j2`.
    pub template: String,
    /// The line, counted from one.
    pub line: usize,
    /// The word that holds the digit.
    pub word: String,
}

impl std::fmt::Display for Offence {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { template, line, word } = self;
        write!(
            formatter,
            "`{template}:{line}`: `{word}` is typed by hand; print it with `value(…)`, or allow the phrase by name"
        )
    }
}

/// Finds the digits in the prose of all templates, and in the sentences of the claims, that no allowed phrase covers. The limits of a
/// claim were set before the run; they are no results.
///
/// # Errors
/// When the claims cannot be read.
pub fn check_templates(templates: &Templates, allowed: &[&str]) -> Result<Vec<Offence>> {
    let mut offences: Vec<Offence> = templates.named().flat_map(|(name, text)| check(&name, text, allowed)).collect();
    for claim in &claims::read(templates)? {
        let found = claim.texts().flat_map(|text| check(claims::FILE, text, allowed));
        offences.extend(found.map(|offence| Offence { line: claim.line, ..offence }));
    }
    Ok(offences)
}

fn check(name: &str, text: &str, allowed: &[&str]) -> Vec<Offence> {
    let prose = Scanner::new(text).prose();
    let mut covered: Vec<(usize, usize)> = Vec::new();
    for phrase in allowed.iter().filter(|phrase| !phrase.is_empty()) {
        covered.extend(text.match_indices(phrase).map(|(start, found)| (start, start + found.len())));
    }
    let mut offences: Vec<Offence> = Vec::new();
    let bytes = text.as_bytes();
    let mut skip_to = 0;
    for (offset, _) in bytes.iter().enumerate().filter(|(offset, byte)| byte.is_ascii_digit() && prose[*offset]) {
        if offset < skip_to || covered.iter().any(|(start, end)| (*start..*end).contains(&offset)) {
            continue;
        }
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_.,%+-/".contains(&byte);
        let start = offset - bytes[..offset].iter().rev().take_while(|byte| is_part(**byte)).count();
        let end = offset + bytes[offset..].iter().take_while(|byte| is_part(**byte)).count();
        let digits = offset - bytes[..offset].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        skip_to = offset + bytes[offset..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let is_name =
            digits > 0 && (bytes[digits - 1].is_ascii_alphabetic() || bytes[digits - 1] == b'_') && prose[digits - 1];
        if !is_name {
            let line = bytes[..offset].iter().filter(|byte| **byte == b'\n').count() + 1;
            let word = text.get(start..end).unwrap_or_default().trim_end_matches([',', '.', '-']).to_owned();
            if offences.last().is_none_or(|last| (last.line, &last.word) != (line, &word)) {
                offences.push(Offence { template: name.to_owned(), line, word });
            }
        }
    }
    offences
}

/// Walks through a template and marks the bytes that a reader will see as prose.
struct Scanner<'t> {
    bytes: &'t [u8],
    place: usize,
    prose: Vec<bool>,
}

impl<'t> Scanner<'t> {
    fn new(text: &'t str) -> Self {
        Self { bytes: text.as_bytes(), place: 0, prose: vec![false; text.len()] }
    }

    fn prose(mut self) -> Vec<bool> {
        while self.place < self.bytes.len() {
            self.markup();
            // A bracket that closes nothing ends no content; what follows is prose again.
            self.place += 1;
        }
        self.prose
    }

    fn at(&self, text: &str) -> bool {
        self.bytes[self.place..].starts_with(text.as_bytes())
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.place).copied()
    }

    /// Skips to behind `end`, or to the end of the text.
    fn past(&mut self, end: &str) {
        let rest = &self.bytes[self.place..];
        let found = rest.windows(end.len()).position(|window| window == end.as_bytes());
        self.place += found.map_or(rest.len(), |found| found + end.len());
    }

    /// Reads markup up to an unmatched `]`, which is left to the caller.
    fn markup(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b']' => return,
                _ if self.jinja() => {}
                b'\\' if self.at("\\u{") => self.past("}"),
                b'\\' => self.place += 2,
                b'/' if self.at("//") || self.at("/*") => self.comment(),
                b'h' if self.at("https://") || self.at("http://") => self.word(),
                b'`' => self.quoted(),
                b'<' | b'@' => self.label(byte),
                b'#' => {
                    self.place += 1;
                    self.code();
                }
                b'[' => {
                    self.place += 1;
                    self.markup();
                    self.place += 1;
                }
                _ => {
                    self.prose[self.place] = true;
                    self.place += 1;
                }
            }
        }
    }

    fn comment(&mut self) {
        if self.at("//") { self.past("\n") } else { self.past("*/") }
    }

    fn word(&mut self) {
        while self.peek().is_some_and(|byte| !byte.is_ascii_whitespace() && byte != b']') {
            self.place += 1;
        }
    }

    /// Skips quoted code, whatever the number of backticks.
    fn quoted(&mut self) {
        let ticks = self.bytes[self.place..].iter().take_while(|byte| **byte == b'`').count();
        self.place += ticks;
        if ticks != 2 {
            self.past(&"`".repeat(ticks));
        }
    }

    /// Skips `<label>` and `@reference`; a lone `<` is prose.
    fn label(&mut self, opening: u8) {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        let length = self.bytes[self.place + 1..].iter().take_while(|byte| is_name(**byte)).count();
        let closed = opening == b'@' || self.bytes.get(self.place + 1 + length) == Some(&b'>');
        self.place += if length > 0 && closed { 1 + length } else { 1 };
    }

    /// Skips `{{ … }}`, `{% … %}` and `{# … #}`, and marks the sentences among the strings of an expression.
    fn jinja(&mut self) -> bool {
        let end = match () {
            () if self.at("{#") => {
                self.past("#}");
                return true;
            }
            () if self.at("{{") => "}}",
            () if self.at("{%") => "%}",
            () => return false,
        };
        self.place += 2;
        while self.place < self.bytes.len() && !self.at(end) {
            match self.bytes[self.place] {
                quote @ (b'"' | b'\'') => self.sentence(quote),
                _ => self.place += 1,
            }
        }
        self.place = (self.place + 2).min(self.bytes.len());
        true
    }

    /// A string with a space in it is meant to be read; one without is a key, and the text of `raw_block(…)` is code.
    fn sentence(&mut self, quote: u8) {
        let is_code = self.bytes[..self.place].ends_with(b"raw_block(");
        self.place += 1;
        let start = self.place;
        while self.peek().is_some_and(|byte| byte != quote) {
            self.place += if self.peek() == Some(b'\\') { 2 } else { 1 };
        }
        let end = self.place.min(self.bytes.len());
        if !is_code && self.bytes[start..end].contains(&b' ') {
            self.prose[start..end].fill(true);
        }
        self.place = (end + 1).min(self.bytes.len());
    }

    /// Skips a piece of Typst code after its `#`; content in brackets is markup again.
    fn code(&mut self) {
        let statement = ["let ", "set ", "show ", "show:", "import ", "include ", "if ", "for ", "while "]
            .iter()
            .any(|word| self.at(word));
        while let Some(byte) = self.peek() {
            match byte {
                _ if self.jinja() => {}
                b'(' | b'{' => self.group(),
                b'[' => {
                    self.place += 1;
                    self.markup();
                    self.place += 1;
                }
                b'"' => self.string(),
                b';' => {
                    self.place += 1;
                    return;
                }
                b'\n' | b']' => return,
                _ if statement => self.place += 1,
                _ if byte.is_ascii_alphanumeric() || b"_-".contains(&byte) => self.place += 1,
                b'.' if self.bytes.get(self.place + 1).is_some_and(u8::is_ascii_alphabetic) => self.place += 1,
                _ => return,
            }
        }
    }

    /// Skips `(…)` or `{…}`.
    fn group(&mut self) {
        self.place += 1;
        while let Some(byte) = self.peek() {
            match byte {
                _ if self.jinja() => {}
                b')' | b'}' => {
                    self.place += 1;
                    return;
                }
                b'(' | b'{' => self.group(),
                b'[' => {
                    self.place += 1;
                    self.markup();
                    self.place += 1;
                }
                b'"' => self.string(),
                b'`' => self.quoted(),
                b'/' if self.at("//") || self.at("/*") => self.comment(),
                _ => self.place += 1,
            }
        }
    }

    /// A string of Typst code, which a function may print: like one of minijinja's.
    fn string(&mut self) {
        self.sentence(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    fn words(text: &str, allowed: &[&str]) -> Vec<String> {
        check("t", text, allowed).into_iter().map(|offence| format!("{}: {}", offence.line, offence.word)).collect()
    }

    #[test]
    fn a_number_in_a_sentence_is_an_offence() {
        assert_eq!(
            words("The cache is 4.5 times faster.\n\nIt saves 30% of 2,000.", &[]),
            ["1: 4.5", "3: 30%", "3: 2,000"]
        );
        assert_eq!(words("#finding[It is *3* times _better_]", &[]), ["1: 3"]);
        assert_eq!(words("#grid(columns: 2, [uses 7 rows])", &[]), ["1: 7"]);
        assert_eq!(words(r#"{{ figure("f1", caption="the 3 levels") }}"#, &[]), ["1: 3"]);
        assert_eq!(words("{{ x }}5", &[]), ["1: 5"]);
        assert_eq!(words("#value(\"k\"); 5 and #x 6", &[]), ["1: 5", "1: 6"]);
        assert_eq!(words("a ] 9", &[]), ["1: 9"]);
    }

    #[test]
    fn code_names_and_allowed_phrases_are_not() {
        let text = "{# 1 #}{{ value(\"cache.arms.view.p50_us\") }} and `LIMIT 20` at p99\n#v(1em)\n#set text(size: 9pt)\n// 3\n@table-1 <x-2> https://x.org/3 \\u{31}\n{% if raw(\"a.b\") > 1.2 %}\n```sql\nselect 1\n```\n#let x = 3";
        assert_eq!(words(text, &[]), Vec::<String>::new());
        assert_eq!(words("a PDF/A-3 file and 3 more", &["PDF/A-3"]), ["1: 3"]);
    }
}
