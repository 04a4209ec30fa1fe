//! Reads a PDF that may come from anywhere: what is attached to it, what its pages hold, and which object a byte belongs to. Whatever the
//! file says of itself is bounded, and nothing in it is run. It does not know what the attachments mean.

use std::collections::BTreeMap;

use lopdf::{Dictionary, Document, LoadOptions, Object, ObjectId, Stream, xref::XrefEntry};

/// A report has a few megabytes. What is larger is not looked at.
const LARGEST_FILE_BYTES: usize = 256 << 20;
/// What one stream of a file may unpack to, and all attachments together.
const LARGEST_STREAM_BYTES: usize = 256 << 20;
const LARGEST_TOTAL_BYTES: usize = 1 << 30;
/// So many files a report may carry, in lists that nest so deep.
const MOST_ATTACHMENTS: usize = 10_000;
const DEEPEST_LIST: usize = 16;
/// The end mark stands in the last bytes; more may follow only as white space.
const END: &[u8] = b"%%EOF";

/// Why a file cannot be read as a PDF.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It does not begin as one.
    #[error("it is not a PDF: it does not begin with `%PDF-`; give a report that Loadbook has made")]
    NotPdf,
    /// It does not end as one.
    #[error("it is cut short: its end mark `%%EOF` is missing; copy or download it again, whole")]
    Truncated,
    /// It is larger than any report.
    #[error("it has {0} bytes, more than any report; give a report that Loadbook has made")]
    TooLarge(usize),
    /// Its structure is broken.
    #[error("it is damaged ({0}); copy or download it again")]
    Damaged(String),
}

/// A PDF.
pub struct Pdf {
    document: Document,
    length: usize,
}

/// An attached file, or why it cannot be unpacked.
pub type Attached = Result<Vec<u8>, String>;

impl Pdf {
    /// Reads a whole file.
    ///
    /// # Errors
    /// When it is no PDF, or not a whole one.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        if !bytes.starts_with(b"%PDF-") {
            return Err(Unreadable::NotPdf);
        }
        if bytes.len() > LARGEST_FILE_BYTES {
            return Err(Unreadable::TooLarge(bytes.len()));
        }
        if !bytes.trim_ascii_end().ends_with(END) {
            return Err(Unreadable::Truncated);
        }
        // What is repaired would not be what a reader sees.
        let options =
            LoadOptions { strict: true, max_decompressed_size: Some(LARGEST_STREAM_BYTES), ..LoadOptions::default() };
        let document = Document::load_mem_with_options(bytes, options).map_err(damaged)?;
        document.catalog().map_err(damaged)?;
        Ok(Self { document, length: bytes.len() })
    }

    /// The program that made it, such as `Typst 0.15.1`, by its own word.
    #[must_use]
    pub fn creator(&self) -> Option<String> {
        let information = self.document.trailer.get_deref(b"Info", &self.document).and_then(Object::as_dict).ok()?;
        lopdf::decode_text_string(information.get(b"Creator").ok()?).ok()
    }

    /// The attached files by name.
    ///
    /// # Errors
    /// When their list makes no sense, or is too long.
    pub fn attachments(&self) -> Result<BTreeMap<String, Attached>, Unreadable> {
        let mut attached = BTreeMap::new();
        let mut left = LARGEST_TOTAL_BYTES;
        for (name, specification) in self.specifications()? {
            let content = self.embedded(specification).and_then(|stream| unpacked(stream, left));
            left -= content.as_ref().map_or(0, Vec::len);
            attached.insert(name, content);
        }
        Ok(attached)
    }

    /// The attached file of this name alone, if there is one.
    ///
    /// # Errors
    /// When the list of attachments makes no sense, or is too long.
    pub fn attachment(&self, name: &str) -> Result<Option<Attached>, Unreadable> {
        let specification = self.specifications()?.remove(name);
        Ok(specification.map(|found| self.embedded(found).and_then(|stream| unpacked(stream, LARGEST_TOTAL_BYTES))))
    }

    /// What is said of each attached file, by its name.
    fn specifications(&self) -> Result<BTreeMap<String, &Dictionary>, Unreadable> {
        let mut named = BTreeMap::new();
        let Some(root) = self.list_of_attachments() else { return Ok(named) };
        let mut specifications = Vec::new();
        self.walk(root, 0, &mut specifications)?;
        for specification in specifications {
            let name = ["UF", "F"].iter().find_map(|key| specification.get_deref(key.as_bytes(), &self.document).ok());
            let name = name.ok_or_else(|| Unreadable::Damaged("an attached file has no name".to_owned()))?;
            let name = lopdf::decode_text_string(name).map_err(damaged)?;
            if named.insert(name.clone(), specification).is_some() {
                return Err(Unreadable::Damaged(format!("two attached files are called `{name}`")));
            }
        }
        Ok(named)
    }

    fn list_of_attachments(&self) -> Option<&Dictionary> {
        let names = self.document.catalog().ok()?.get_deref(b"Names", &self.document).and_then(Object::as_dict).ok()?;
        names.get_deref(b"EmbeddedFiles", &self.document).and_then(Object::as_dict).ok()
    }

    /// Collects what a tree of names lists: pairs of a name and a specification, or further trees.
    fn walk<'d>(
        &'d self,
        node: &'d Dictionary,
        depth: usize,
        found: &mut Vec<&'d Dictionary>,
    ) -> Result<(), Unreadable> {
        if depth > DEEPEST_LIST || found.len() > MOST_ATTACHMENTS {
            return Err(Unreadable::Damaged("its list of attached files does not end".to_owned()));
        }
        let items =
            |key: &[u8]| node.get_deref(key, &self.document).and_then(Object::as_array).map_or(&[][..], Vec::as_slice);
        for pair in items(b"Names").chunks_exact(2) {
            found.push(self.dictionary(&pair[1])?);
        }
        items(b"Kids").iter().try_for_each(|kid| self.walk(self.dictionary(kid)?, depth + 1, found))
    }

    fn dictionary<'d>(&'d self, object: &'d Object) -> Result<&'d Dictionary, Unreadable> {
        self.document.dereference(object).and_then(|(_, object)| object.as_dict()).map_err(damaged)
    }

    fn embedded<'d>(&'d self, specification: &'d Dictionary) -> Result<&'d Stream, String> {
        let files = specification.get_deref(b"EF", &self.document).and_then(Object::as_dict);
        let file = files.and_then(|files| files.get_deref(b"F", &self.document)).and_then(Object::as_stream);
        file.map_err(|error| error.to_string())
    }

    /// The first page, counted from one, on which this file and `other` show something else.
    #[must_use]
    pub fn first_other_page(&self, other: &Self) -> Option<usize> {
        let (own, theirs) = (self.pages(), other.pages());
        let differs = |index: &usize| match (own.get(*index), theirs.get(*index)) {
            (Some(own), Some(theirs)) => self.content(*own) != other.content(*theirs),
            _ => true,
        };
        (0..own.len().max(theirs.len())).find(differs).map(|index| index + 1)
    }

    /// How many pages it has.
    #[must_use]
    pub fn page_count(&self) -> usize {
        self.pages().len()
    }

    fn pages(&self) -> Vec<ObjectId> {
        self.document.page_iter().collect()
    }

    fn content(&self, page: ObjectId) -> Option<Vec<u8>> {
        self.document.get_page_content_with_limit(page, LARGEST_STREAM_BYTES).ok()
    }

    /// What a byte belongs to, in words: the content of a page, an attachment, another object, or the list of objects at the end.
    #[must_use]
    pub fn place(&self, byte: usize) -> String {
        let offsets = self.document.reference_table.entries.iter().filter_map(|(number, entry)| match entry {
            XrefEntry::Normal { offset, .. } => Some((*offset as usize, *number)),
            _ => None,
        });
        let nearest = offsets.filter(|(offset, _)| *offset <= byte).max();
        match nearest {
            _ if byte >= self.document.xref_start && byte <= self.length => "the list of its objects".to_owned(),
            Some((_, number)) => self.object_in_words(number),
            None => "its head".to_owned(),
        }
    }

    fn object_in_words(&self, number: u32) -> String {
        let is_content = |page: &ObjectId| self.document.get_page_contents(*page).iter().any(|(id, _)| *id == number);
        if let Some(page) = self.pages().iter().position(is_content) {
            return format!("the content of page {}", page + 1);
        }
        let object = self.document.get_object((number, 0)).ok();
        let dictionary = object.and_then(|object| match object {
            Object::Stream(stream) => Some(&stream.dict),
            other => other.as_dict().ok(),
        });
        let kind = dictionary.and_then(|dictionary| dictionary.get(b"Type").and_then(Object::as_name).ok());
        match kind {
            Some(kind) => format!("object {number}, a {}", String::from_utf8_lossy(kind)),
            None => format!("object {number}"),
        }
    }
}

/// Where two files differ first, in words: the page, if one shows something else, then the byte and what it belongs to. `sides` says
/// what the files are, such as `in the file`.
#[must_use]
pub fn first_difference(one: &[u8], other: &[u8], sides: [&str; 2]) -> String {
    let length = one.len().min(other.len());
    let byte = one.iter().zip(other).position(|(one, other)| one != other).unwrap_or(length);
    let side = |bytes: &[u8], name: &str| match bytes.get(byte) {
        Some(byte) => format!("{byte:#04x} {name}"),
        None => format!("the end {name}"),
    };
    let bytes = format!("byte {byte} is {} and {}", side(one, sides[0]), side(other, sides[1]));
    let (Ok(first), Ok(second)) = (Pdf::read(one), Pdf::read(other)) else { return bytes };
    match first.first_other_page(&second) {
        Some(page) => format!("page {page} is another one; {bytes}"),
        None => format!("{bytes}; it belongs to {}", second.place(byte)),
    }
}

/// An attachment, which may unpack to so many bytes.
fn unpacked(stream: &Stream, most: usize) -> Attached {
    let most = most.min(LARGEST_STREAM_BYTES);
    if stream.dict.has(b"Filter") {
        stream.decompressed_content_with_limit(most).map_err(|error| error.to_string())
    } else if stream.content.len() <= most {
        Ok(stream.content.clone())
    } else {
        Err(format!("it is longer than {most} bytes"))
    }
}

fn damaged(error: lopdf::Error) -> Unreadable {
    Unreadable::Damaged(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(bytes: &[u8]) -> Unreadable {
        Pdf::read(bytes).err().expect("it is no PDF")
    }

    #[test]
    fn each_kind_of_broken_file_is_told_apart() {
        assert_eq!(why(b""), Unreadable::NotPdf);
        assert_eq!(why(b"PK\x03\x04 a zip"), Unreadable::NotPdf);
        assert_eq!(why(b"%PDF-1.7\n1 0 obj"), Unreadable::Truncated);
        assert!(matches!(why(b"%PDF-1.7\nnothing\nstartxref\n9\n%%EOF\n"), Unreadable::Damaged(_)));
    }
}
