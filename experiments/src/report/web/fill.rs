//! Puts into Typst's HTML what Typst cannot: charts as they were drawn, the addresses of files, and classes instead of styles, which the
//! page's policy forbids and which no dark page could change. Only tags are touched; what the text says stays as it is.

use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::Reader;
use crate::report::document::{Attachment, Document};

/// Fills the placeholders of `web.typ`.
///
/// # Errors
/// When the page names a chart or a table that the document does not have.
pub(super) fn fill(body: &str, document: &Document, reader: Reader) -> Result<String> {
    let mut filled = String::with_capacity(body.len() * 2);
    let mut rest = body;
    while let Some(start) = rest.find('<') {
        filled.push_str(&rest[..start]);
        rest = &rest[start..];
        let (tag, behind) = rest.split_at(length_of_tag(rest));
        rest = behind;
        if tag.starts_with("<loadbook-chart ") {
            filled.push_str(&chart(tag, document)?);
        } else if tag != "</loadbook-chart>" {
            filled.push_str(&changed(tag, document, reader)?);
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

/// The bytes up to the `>` that ends the tag at the start of `text`; one in quotes does not.
fn length_of_tag(text: &str) -> usize {
    let mut is_quoted = false;
    let end = text.bytes().position(|byte| {
        is_quoted ^= byte == b'"';
        byte == b'>' && !is_quoted
    });
    end.map_or(text.len(), |end| end + 1)
}

/// The value of an attribute, as it is written.
fn attribute<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

/// The tag with another value for an attribute, or without the attribute.
fn with_attribute(tag: &str, name: &str, value: &str, replacement: Option<(&str, &str)>) -> String {
    let new = replacement.map_or_else(String::new, |(name, value)| format!(" {name}=\"{value}\""));
    tag.replacen(&format!(" {name}=\"{value}\""), &new, 1)
}

/// The chart itself, with the words for those who cannot see it.
fn chart(tag: &str, document: &Document) -> Result<String> {
    let name = attribute(tag, "name").context("a chart of the page has no name")?;
    let alt = attribute(tag, "alt").unwrap_or_default();
    let svg =
        document.figures.get(name).with_context(|| format!("the page names the chart `{name}`, which nobody drew"))?;
    let (head, drawing) = svg.trim_end().split_at(length_of_tag(svg));
    let size = attribute(head, "viewBox").unwrap_or("0 0 1600 900");
    Ok(format!(
        "<div class=\"drawing\"><svg role=\"img\" aria-label=\"{alt}\" viewBox=\"{size}\" data-chart=\"{name}\">{drawing}</div>"
    ))
}

fn changed(tag: &str, document: &Document, reader: Reader) -> Result<String> {
    if let Some(style) = attribute(tag, "style") {
        let class = class_of(style).map(|class| ("class", class));
        return Ok(with_attribute(tag, "style", style, class));
    }
    let Some(address) = attribute(tag, "href") else { return Ok(tag.to_owned()) };
    if let Some(file) = address.strip_prefix("csv:") {
        let target = summary(file, document, reader)?;
        return Ok(with_attribute(tag, "href", address, Some(("href", &target))));
    }
    if let Some(rows) = address.strip_prefix("rows:") {
        // All rows of a run are too much for a file.
        let target = (reader == Reader::Server).then(|| format!("/csv/{rows}"));
        return Ok(with_attribute(tag, "href", address, target.as_ref().map(|target| ("href", target.as_str()))));
    }
    if let Some(name) = address.strip_prefix("attached:") {
        let attachment = document.attachments.iter().find(|attachment| attachment.name == name);
        let attachment = attachment.with_context(|| format!("the page names the file `{name}`, which is not there"))?;
        let target = attached(attachment, reader);
        return Ok(with_attribute(tag, "href", address, target.as_ref().map(|target| ("href", target.as_str()))));
    }
    Ok(tag.to_owned())
}

/// The address of a summary's CSV.
fn summary(file: &str, document: &Document, reader: Reader) -> Result<String> {
    if reader == Reader::Server {
        return Ok(format!("/summary/{file}"));
    }
    let table = document.tables.iter().find(|table| table.file() == file);
    let table = table.with_context(|| format!("the page names the file `{file}`, which no table has"))?;
    Ok(data_address("text/csv", &table.to_csv()?))
}

/// The largest attachment that travels inside of the page; one that is larger is found in the PDF.
const LARGEST_INSIDE_BYTES: usize = 256 * 1024;

/// The address of an attachment; nothing for one that is too large for a page.
fn attached(attachment: &Attachment, reader: Reader) -> Option<String> {
    match reader {
        Reader::Server => Some(format!("/attached/{}", attachment.name)),
        Reader::File if attachment.bytes.len() > LARGEST_INSIDE_BYTES => None,
        Reader::File => Some(data_address(&attachment.media_type, &attachment.bytes)),
    }
}

fn data_address(media_type: &str, bytes: &[u8]) -> String {
    format!("data:{media_type};base64,{}", STANDARD.encode(bytes))
}

/// The class for what Typst says in a style: the colours of its highlighting, and spaces that must stay.
fn class_of(style: &str) -> Option<&'static str> {
    if style.contains("white-space: pre-wrap") {
        return Some("spaces");
    }
    let (_, colour) = style.split_once("color: ")?;
    match colour.get(..7)? {
        "#d73948" => Some("keyword"),
        "#4b69c6" => Some("name"),
        "#198810" => Some("string"),
        "#b60157" => Some("constant"),
        "#74747c" | "#8a8a8a" => Some("comment"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Document {
        let svg = "<svg width=\"1600\" height=\"9\" viewBox=\"0 0 1600 9\" xmlns=\"x\">\n<text>5</text>\n</svg>\n";
        Document {
            title: String::new(),
            subtitle: String::new(),
            notice: None,
            provenance: crate::report::Provenance::default(),
            tables: Vec::new(),
            figures: [("cache_cpu".to_owned(), svg.to_owned())].into(),
            sources: std::collections::BTreeMap::new(),
            sections: Vec::new(),
            attachments: vec![Attachment {
                name: "rows.csv".to_owned(),
                description: String::new(),
                media_type: "text/csv".to_owned(),
                bytes: b"a\n".to_vec(),
            }],
            newest_result_unix_s: 0,
        }
    }

    fn filled(body: &str, reader: Reader) -> String {
        fill(body, &document(), reader).unwrap_or_else(|error| format!("{error:#}"))
    }

    #[test]
    fn a_chart_is_drawn_where_it_is_named() {
        let body = "<p>a &lt;b</p><loadbook-chart name=\"cache_cpu\" alt=\"more &gt; less, &quot;so&quot; > x\"></loadbook-chart>";
        insta::assert_snapshot!(filled(body, Reader::File), @r#"
        <p>a &lt;b</p><div class="drawing"><svg role="img" aria-label="more &gt; less, &quot;so&quot; > x" viewBox="0 0 1600 9" data-chart="cache_cpu">
        <text>5</text>
        </svg></div>
        "#);
        let lost = filled("<loadbook-chart name=\"cash\" alt=\"\"></loadbook-chart>", Reader::File);
        assert_eq!(lost, "the page names the chart `cash`, which nobody drew");
    }

    #[test]
    fn a_file_is_inside_of_a_file_and_has_an_address_on_a_server() {
        let body = "<a download=\"rows.csv\" href=\"attached:rows.csv\">rows</a>";
        assert_eq!(filled(body, Reader::Server), "<a download=\"rows.csv\" href=\"/attached/rows.csv\">rows</a>");
        let inside = "<a download=\"rows.csv\" href=\"data:text/csv;base64,YQo=\">rows</a>";
        assert_eq!(filled(body, Reader::File), inside);
        assert_eq!(filled("<a href=\"csv:x.csv\">x</a>", Reader::Server), "<a href=\"/summary/x.csv\">x</a>");
        let rows = "<a href=\"rows:cache/trials.csv\">x</a>";
        assert_eq!(filled(rows, Reader::Server), "<a href=\"/csv/cache/trials.csv\">x</a>");
        assert_eq!(filled(rows, Reader::File), "<a>x</a>");
        let lost = "the page names the file `x.csv`, which no table has";
        assert_eq!(filled("<a href=\"csv:x.csv\">x</a>", Reader::File), lost);
    }

    #[test]
    fn styles_become_classes_and_texts_stay() {
        let body = "<code><span style=\"color: #d73948\">select</span> style=\"x\" href=\"csv:y\"<i style=\"top: 0\">z</i></code>";
        let expected = "<code><span class=\"keyword\">select</span> style=\"x\" href=\"csv:y\"<i>z</i></code>";
        assert_eq!(filled(body, Reader::File), expected);
    }
}
