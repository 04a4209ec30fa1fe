//! Reads the text of a PDF as Typst writes it: plain objects, two-byte codes with a `ToUnicode` map, charts within the page. Enough
//! to ask what a reader sees; not a reader for any PDF.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// What a PDF holds.
pub(crate) struct Pdf {
    /// The text of each page, one line per run of characters.
    pub(crate) pages: Vec<String>,
    /// The names of the attached files.
    pub(crate) attachments: Vec<String>,
}

impl Pdf {
    /// Whether the words stand in the document, wherever its lines are broken.
    pub(crate) fn contains(&self, words: &str) -> bool {
        squeeze(&self.pages.concat()).contains(&squeeze(words))
    }

    /// Whether the words stand on a page, counted from one.
    pub(crate) fn page_contains(&self, page: usize, words: &str) -> bool {
        self.pages.get(page - 1).is_some_and(|text| squeeze(text).contains(&squeeze(words)))
    }
}

/// Leaves out what depends on where lines break.
fn squeeze(text: &str) -> String {
    text.chars().filter(|character| !character.is_whitespace() && *character != '\u{200b}').collect()
}

/// Reads a file.
pub(crate) fn read(path: &Path) -> Pdf {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let objects = objects(&bytes);
    let attachments = objects.values().filter(|(head, _)| head.contains("/Type/Filespec"));
    let names = attachments.filter_map(|(head, _)| Some(between(head, "/UF(", ")")?.to_owned())).collect();
    let tree = objects.values().find(|(head, _)| head.contains("/Type/Pages")).expect("a list of pages");
    let kids = between(&tree.0, "/Kids[", "]").expect("pages");
    let pages = kids.split(" 0 R").filter_map(|id| id.trim().parse().ok()).map(|id: u32| page(&objects, id)).collect();
    Pdf { pages, attachments: names }
}

type Objects = BTreeMap<u32, (String, Vec<u8>)>;

/// Every object by number: its dictionary as text, and its stream, unpacked.
fn objects(bytes: &[u8]) -> Objects {
    let mut found = Objects::new();
    let mut rest = bytes;
    while let Some(start) = find(rest, b" 0 obj\n") {
        let number = rest[..start].rsplit(|byte| !byte.is_ascii_digit()).next().unwrap_or_default();
        let number = String::from_utf8_lossy(number).parse().unwrap_or_default();
        rest = &rest[start + 7..];
        let end = find(rest, b"endobj").unwrap_or(rest.len());
        let stream = find(&rest[..end], b"\nstream\n");
        let head = String::from_utf8_lossy(&rest[..stream.unwrap_or(end)]).into_owned();
        let mut content = Vec::new();
        if let Some(stream) = stream {
            let length = between(&head, "/Length ", "/")
                .and_then(|length| length.trim_end_matches('>').parse().ok())
                .unwrap_or(0_usize);
            let packed = &rest[stream + 8..stream + 8 + length];
            if head.contains("FlateDecode") {
                flate2::read::ZlibDecoder::new(packed).read_to_end(&mut content).expect("a packed stream");
            } else {
                content.extend_from_slice(packed);
            }
            // A stream may hold the bytes of the end marks; the length knows better.
            rest = &rest[stream + 8 + length..];
        } else {
            rest = &rest[end..];
        }
        found.insert(number, (head, content));
    }
    let packed: Vec<_> = found.values().filter(|(head, _)| head.contains("/Type/ObjStm")).flat_map(within).collect();
    found.extend(packed);
    found
}

/// The objects of an object stream: a list of numbers and places, then the objects.
fn within((head, content): &(String, Vec<u8>)) -> Vec<(u32, (String, Vec<u8>))> {
    let number =
        |entry: &str| between(head, entry, "/").and_then(|number| number.parse::<usize>().ok()).expect("a number");
    let (list, bodies) = content.split_at(number("/First "));
    let list = String::from_utf8_lossy(list);
    let numbers: Vec<usize> = list.split_whitespace().map(|number| number.parse().expect("a number")).collect();
    assert_eq!(numbers.len(), 2 * number("/N "));
    let ends = numbers.chunks_exact(2).skip(1).map(|pair| pair[1]).chain([bodies.len()]);
    let bodies = numbers.chunks_exact(2).zip(ends).map(|(pair, end)| {
        let body = String::from_utf8_lossy(&bodies[pair[1]..end]).into_owned();
        (u32::try_from(pair[0]).expect("a number of an object"), (body, Vec::new()))
    });
    bodies.collect()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn between<'t>(text: &'t str, start: &str, end: &str) -> Option<&'t str> {
    let rest = &text[text.find(start)? + start.len()..];
    Some(&rest[..rest.find(end).unwrap_or(rest.len())])
}

/// The object that an entry such as `/Contents 975 0 R` refers to.
fn referred<'o>(objects: &'o Objects, head: &str, entry: &str) -> Option<&'o (String, Vec<u8>)> {
    objects.get(&between(head, &format!("{entry} "), " 0 R")?.parse().ok()?)
}

fn page(objects: &Objects, id: u32) -> String {
    let (head, _) = &objects[&id];
    let (resources, _) = referred(objects, head, "/Resources").expect("resources");
    let (_, content) = referred(objects, head, "/Contents").expect("contents");
    let names = between(resources, "/Font<<", ">>").unwrap_or_default();
    let fonts: BTreeMap<&str, BTreeMap<u16, String>> = names
        .split('/')
        .filter_map(|font| {
            let (name, id) = font.split_once(' ')?;
            let (font, _) = objects.get(&id.trim_end_matches(" 0 R").parse().ok()?)?;
            Some((name, unicode(&referred(objects, font, "/ToUnicode")?.1)))
        })
        .collect();
    let empty = BTreeMap::new();
    let mut map = &empty;
    let mut text = String::new();
    let (mut place, mut dictionaries) = (0, 0);
    while place < content.len() {
        match content[place] {
            b'/' => {
                let name: Vec<u8> =
                    content[place + 1..].iter().copied().take_while(u8::is_ascii_alphanumeric).collect();
                map = std::str::from_utf8(&name).ok().and_then(|name| fonts.get(name)).unwrap_or(map);
                place += 1 + name.len();
            }
            b'(' => {
                let (codes, end) = string(content, place + 1);
                // A string in a dictionary says something about glyphs, such as their language; it is not on the page itself.
                let glyphs = if dictionaries > 0 { &[] } else { codes.as_slice() };
                for code in glyphs.chunks_exact(2) {
                    text.push_str(map.get(&u16::from_be_bytes([code[0], code[1]])).map_or("\u{fffd}", String::as_str));
                }
                place = end;
            }
            b'<' if content[place..].starts_with(b"<<") => {
                dictionaries += 1;
                place += 2;
            }
            b'>' if content[place..].starts_with(b">>") => {
                dictionaries -= 1;
                place += 2;
            }
            b'E' if content[place..].starts_with(b"ET") => {
                text.push('\n');
                place += 2;
            }
            _ => place += 1,
        }
    }
    text
}

/// Reads a string up to its closing parenthesis; returns its bytes and the place behind it.
fn string(content: &[u8], mut place: usize) -> (Vec<u8>, usize) {
    let mut bytes = Vec::new();
    // Parentheses in pairs need no escape.
    let mut depth = 0;
    while place < content.len() && (content[place] != b')' || depth > 0) {
        if content[place] != b'\\' {
            depth += i32::from(content[place] == b'(') - i32::from(content[place] == b')');
            bytes.push(content[place]);
            place += 1;
            continue;
        }
        let octal: Vec<u8> =
            content[place + 1..].iter().copied().take(3).take_while(|byte| (b'0'..=b'7').contains(byte)).collect();
        if octal.is_empty() {
            let escaped = content[place + 1];
            bytes.push(match escaped {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'b' => 8,
                b'f' => 12,
                other => other,
            });
            place += 2;
        } else {
            bytes.push(octal.iter().fold(0_u8, |code, digit| code.wrapping_mul(8).wrapping_add(digit - b'0')));
            place += 1 + octal.len();
        }
    }
    (bytes, place + 1)
}

/// Reads the lines `<0014> <00660069>` of a `ToUnicode` map.
fn unicode(map: &[u8]) -> BTreeMap<u16, String> {
    let text = String::from_utf8_lossy(map);
    let pairs = text.lines().filter_map(|line| {
        let (code, characters) = line.strip_prefix('<')?.split_once("> <")?;
        let characters = characters.strip_suffix('>')?;
        let units: Option<Vec<u16>> = (0..characters.len() / 4)
            .map(|index| u16::from_str_radix(&characters[index * 4..index * 4 + 4], 16).ok())
            .collect();
        Some((u16::from_str_radix(code, 16).ok()?, String::from_utf16_lossy(&units?)))
    });
    pairs.collect()
}
