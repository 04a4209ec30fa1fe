//! A finished PDF in less than half of its bytes. Typst writes every object by itself as a plain text, and the tags that make a document
//! readable by ear are thousands of them. What is no stream goes into compressed object streams, as PDF 1.5 and PDF/A-3 have them; each
//! object is moved as it stands, to the last byte, and streams stay where they can be seen.

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::{Context, Result, ensure};
use flate2::{Compression, write::ZlibEncoder};
use lopdf::{Document, Object, xref::XrefEntry};
use rayon::prelude::*;

/// Enough for good compression, few enough for a reader that wants one page.
const OBJECTS_PER_STREAM: usize = 500;

/// The same document with compressed objects. The same bytes give the same bytes.
///
/// # Errors
/// When this is not a PDF as Typst writes one.
pub fn compact(bytes: &[u8]) -> Result<Vec<u8>> {
    let document = Document::load_mem(bytes).context("Typst wrote a PDF that cannot be read")?;
    let objects = slices(bytes, &document)?;
    // What names the document and its maker stays a plain text.
    let trailer = &document.trailer;
    let plain = [trailer.get(b"Root"), trailer.get(b"Info")].map(|entry| entry.and_then(Object::as_reference).ok());
    let is_plain = |number: u32| {
        let is_stream = document.get_object((number, 0)).is_ok_and(|object| matches!(object, Object::Stream(_)));
        is_stream || plain.contains(&Some((number, 0)))
    };
    let first = objects.values().map(|slice| slice.start).min().context("the PDF has no object")?;
    let mut file = File { bytes: bytes[..first].to_vec(), places: BTreeMap::new() };
    let (kept, packed): (Vec<_>, Vec<_>) = objects.iter().partition(|(number, _)| is_plain(**number));
    for (number, slice) in kept {
        file.places.insert(*number, Place::Byte(file.bytes.len()));
        file.bytes.extend_from_slice(&bytes[slice.clone()]);
    }
    let mut next = objects.keys().max().map_or(1, |number| number + 1);
    let bodies = packed.iter().map(|(number, slice)| Ok((**number, body(&bytes[(*slice).clone()])?)));
    let bodies: Vec<(u32, &[u8])> = bodies.collect::<Result<_>>()?;
    // To compress takes longer than all else here, so the groups are compressed side by side.
    let streams: Result<Vec<_>> = bodies.par_chunks(OBJECTS_PER_STREAM).map(object_stream).collect();
    for (group, (entries, content)) in bodies.chunks(OBJECTS_PER_STREAM).zip(streams?) {
        file.places.extend((0..).zip(group).map(|(place, (object, _))| (*object, Place::Within(next, place))));
        file.stream(next, &entries, &content);
        next += 1;
    }
    file.finish(next, trailer_words(bytes, document.xref_start)?)
}

/// Where each object lies, by number: from its own beginning to that of the next.
fn slices(bytes: &[u8], document: &Document) -> Result<BTreeMap<u32, std::ops::Range<usize>>> {
    let mut starts = Vec::new();
    for (number, entry) in &document.reference_table.entries {
        match entry {
            XrefEntry::Normal { offset, generation: 0 } => starts.push((*offset as usize, *number)),
            XrefEntry::Free | XrefEntry::UnusableFree => {}
            _ => anyhow::bail!("the object {number} is not written as Typst writes one"),
        }
    }
    starts.sort_unstable();
    let ends = starts.iter().skip(1).map(|(start, _)| *start).chain([document.xref_start]);
    let slices: BTreeMap<_, _> = starts.iter().zip(ends).map(|((start, number), end)| (*number, *start..end)).collect();
    ensure!(slices.values().all(|slice| slice.end <= bytes.len()), "the list of objects leads out of the file");
    Ok(slices)
}

/// What stands between `obj` and `endobj`.
fn body(object: &[u8]) -> Result<&[u8]> {
    let start =
        object.windows(4).position(|window| window == b" obj").context("an object does not begin with `obj`")?;
    let body = object[start + 4..].trim_ascii_end();
    Ok(body.strip_suffix(b"endobj").context("an object does not end with `endobj`")?.trim_ascii())
}

/// The entries of the trailer but for the number of objects, which is another one now.
fn trailer_words(bytes: &[u8], xref_start: usize) -> Result<&str> {
    let tail = std::str::from_utf8(bytes.get(xref_start..).unwrap_or_default()).context("the trailer is no text")?;
    let words = tail.split_once("trailer").and_then(|(_, rest)| rest.split_once("startxref"));
    let words = words.map(|(words, _)| words.trim()).and_then(|words| words.strip_prefix("<<")?.strip_suffix(">>"));
    let words = words.context("the trailer is not written as Typst writes it")?;
    let size = words.strip_prefix("/Size ").context("the trailer does not begin with the number of objects")?;
    Ok(size.trim_start_matches(|digit: char| digit.is_ascii_digit()))
}

/// The entries and the compressed content of a stream: objects without their frames, one after the other behind the list of where each begins.
fn object_stream(bodies: &[(u32, &[u8])]) -> Result<(String, Vec<u8>)> {
    let (mut list, mut content) = (String::new(), Vec::new());
    for (object, body) in bodies {
        list.push_str(&format!("{object} {} ", content.len()));
        content.extend_from_slice(body);
        content.push(b'\n');
    }
    let entries = format!("/Type/ObjStm/N {}/First {}", bodies.len(), list.len());
    Ok((entries, compressed(&[list.as_bytes(), &content].concat())?))
}

fn compressed(content: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    Ok(encoder.finish()?)
}

enum Place {
    /// At this byte.
    Byte(usize),
    /// In this object stream, at this place.
    Within(u32, usize),
}

struct File {
    bytes: Vec<u8>,
    places: BTreeMap<u32, Place>,
}

impl File {
    /// Adds a stream of compressed content.
    fn stream(&mut self, number: u32, entries: &str, packed: &[u8]) {
        self.places.insert(number, Place::Byte(self.bytes.len()));
        let head = format!("{number} 0 obj\n<</Length {}{entries}/Filter/FlateDecode>>\nstream\n", packed.len());
        self.bytes.extend_from_slice(head.as_bytes());
        self.bytes.extend_from_slice(packed);
        self.bytes.extend_from_slice(b"\nendstream\nendobj\n\n");
    }

    /// Ends with the list of all objects, which is a stream as well.
    fn finish(mut self, number: u32, trailer: &str) -> Result<Vec<u8>> {
        let start = self.bytes.len();
        self.places.insert(number, Place::Byte(start));
        let mut list = Vec::new();
        for object in 0..=number {
            let (kind, place, index) = match self.places.get(&object) {
                Some(Place::Byte(byte)) => (1, u32::try_from(*byte)?, 0),
                Some(Place::Within(stream, index)) => (2, *stream, u16::try_from(*index)?),
                None => (0, 0, u16::MAX),
            };
            list.push(kind);
            list.extend_from_slice(&place.to_be_bytes());
            list.extend_from_slice(&index.to_be_bytes());
        }
        self.stream(number, &format!("/Type/XRef/W[1 4 2]/Size {}{trailer}", number + 1), &compressed(&list)?);
        self.bytes.extend_from_slice(format!("startxref\n{start}\n%%EOF").as_bytes());
        Ok(self.bytes)
    }
}
