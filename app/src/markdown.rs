//! Markdown: what authors write, as HTML that is safe to show, and as plain text for lists and feeds. It knows nothing of posts.
//!
//! Two lines of defence. The events of the parser are rewritten so that nothing dangerous is left: HTML that an author wrote becomes text
//! that looks like HTML, images become links. What comes out is then parsed and cleaned as HTML, by a list of what is allowed.

mod adapter;
mod sanitizer;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, html};

use adapter::Adapter;

/// CommonMark with tables and strikethrough. No footnotes: their anchors would share one space of names with those of the page.
const OPTIONS: Options = Options::ENABLE_TABLES.union(Options::ENABLE_STRIKETHROUGH);

/// Renders Markdown as sanitised HTML. Headings begin at `<h2>`, because the title of the page is its `<h1>`.
pub fn render(markdown: &str) -> String {
    let mut rendered = String::with_capacity(markdown.len() * 3 / 2);
    html::push_html(&mut rendered, Adapter::new(Parser::new_ext(markdown, OPTIONS)));
    sanitizer::clean(&rendered)
}

/// The beginning of a text as one line without markup, cut at a word. Headings, code blocks and tables are left out: they say little
/// without what follows them. HTML is text, as it is on the page.
///
/// Only the first `characters` of the Markdown count. A text of that length is taken for one that was cut elsewhere, so that a list may ask
/// the database for no more than it shows.
pub fn excerpt(markdown: &str, characters: usize) -> String {
    let end = markdown.char_indices().nth(characters).map(|(position, _)| position);
    let is_cut = end.is_some() || markdown.chars().count() == characters;
    let source = &markdown[..end.unwrap_or(markdown.len())];
    // A word that was cut is no word. One that is as long as the whole excerpt stays, since there is nothing else.
    let source = if is_cut { source.rsplit_once(char::is_whitespace).map_or(source, |(head, _)| head) } else { source };
    let source = if is_cut { without_table_at_end(source) } else { source };
    let mut text = plain_text(source, is_cut);
    if is_cut {
        text.truncate(text.trim_end_matches(|character: char| " ,;:.–—-(“".contains(character)).len());
        // The space keeps it on the line of the last word.
        text.push_str(if text.is_empty() { "…" } else { "\u{a0}…" });
    }
    text
}

/// A table that was cut before its second line is no table, and its head would be read as a sentence.
fn without_table_at_end(markdown: &str) -> &str {
    let mut rest = markdown;
    while let Some((head, last)) = rest.rsplit_once('\n')
        && last.trim_start().starts_with('|')
    {
        rest = head;
    }
    rest
}

/// Joins the text of paragraphs and lists, with single spaces.
fn plain_text(markdown: &str, is_cut: bool) -> String {
    let mut words = Words::default();
    // How many elements that are left out are open.
    let mut hidden = 0_usize;
    // Whether code or a table was left out since the last word: the sentence around it may go on, and must not close up over the hole.
    let mut is_gap = false;
    for event in Parser::new_ext(markdown, OPTIONS) {
        match event {
            Event::Start(tag) => {
                hidden += usize::from(is_left_out(&tag));
                words.pause(!is_inline(&tag.to_end()));
            }
            Event::End(tag) => {
                let is_left_out = matches!(tag, TagEnd::Heading(_) | TagEnd::CodeBlock | TagEnd::Table);
                hidden -= usize::from(is_left_out);
                is_gap |= matches!(tag, TagEnd::CodeBlock | TagEnd::Table);
                words.pause(!is_inline(&tag));
            }
            Event::Text(_) | Event::Code(_) if hidden > 0 => {}
            // Where the text was cut, markup lost its end and was read as text.
            Event::Text(text) if is_cut && text.chars().all(|character| "*_~`[]!".contains(character)) => {}
            Event::Text(text) | Event::Code(text) | Event::Html(text) | Event::InlineHtml(text) => {
                if std::mem::take(&mut is_gap) && !words.text.is_empty() {
                    words.push("…");
                    words.pause(true);
                }
                words.push(&text);
            }
            Event::SoftBreak | Event::HardBreak | Event::Rule => words.pause(true),
            _ => {}
        }
    }
    words.text
}

fn is_left_out(tag: &Tag<'_>) -> bool {
    matches!(tag, Tag::Heading { .. } | Tag::CodeBlock(_) | Tag::Table(_))
}

fn is_inline(tag: &TagEnd) -> bool {
    matches!(tag, TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough | TagEnd::Link | TagEnd::Image)
}

/// Text whose white space of any kind and amount is one space.
#[derive(Default)]
struct Words {
    text: String,
    is_paused: bool,
}

impl Words {
    fn pause(&mut self, is_pause: bool) {
        self.is_paused |= is_pause;
    }

    fn push(&mut self, text: &str) {
        for character in text.chars() {
            if character.is_whitespace() {
                self.is_paused = true;
                continue;
            }
            if self.is_paused && !self.text.is_empty() {
                self.text.push(' ');
            }
            self.is_paused = false;
            self.text.push(character);
        }
    }
}

#[cfg(test)]
mod tests;
