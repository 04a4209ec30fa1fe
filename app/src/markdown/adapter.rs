//! Rewrites the events of the Markdown parser into those that may become HTML. It is the first line of defence, and the one that decides how
//! things look; it knows nothing of HTML itself.

use std::collections::VecDeque;

use pulldown_cmark::{Alignment, CowStr, Event, HeadingLevel, Tag, TagEnd};

/// How deep elements may lie in each other. What is deeper keeps its text and loses its markup: a line of 100,000 `>` would otherwise be
/// 100,000 elements, each of which the HTML parser compares with all that are open.
const DEPTH_MAX: usize = 24;

/// The events of a parser, rewritten.
pub(super) struct Adapter<'a, I> {
    events: I,
    /// What was made of one event beyond the first.
    queue: VecDeque<Event<'a>>,
    /// How many elements are open, whether they are shown or not.
    depth: usize,
    /// How many links and images are open. HTML has no links within links, so that only the outermost is one.
    anchors: usize,
    /// Where the open link leads, as long as nothing in it can be read.
    destination: Option<CowStr<'a>>,
    /// How the columns of the open table are aligned.
    alignments: Vec<Alignment>,
    column: usize,
    is_head: bool,
}

impl<'a, I: Iterator<Item = Event<'a>>> Adapter<'a, I> {
    pub(super) fn new(events: I) -> Self {
        Self {
            events,
            queue: VecDeque::new(),
            depth: 0,
            anchors: 0,
            destination: None,
            alignments: Vec::new(),
            column: 0,
            is_head: false,
        }
    }

    /// An element begins, if it is not too deep.
    fn start(&mut self, tag: Tag<'a>) -> Option<Event<'a>> {
        let is_anchor = matches!(tag, Tag::Link { .. } | Tag::Image { .. });
        self.anchors += usize::from(is_anchor);
        let is_shown = self.depth < DEPTH_MAX && !(is_anchor && self.anchors > 1);
        self.depth += 1;
        is_shown.then(|| self.shown(tag))
    }

    fn shown(&mut self, tag: Tag<'a>) -> Event<'a> {
        let tag = match tag {
            Tag::Heading { level, .. } => {
                Tag::Heading { level: lower(level), id: None, classes: Vec::new(), attrs: Vec::new() }
            }
            // HTML is shown as it was written.
            Tag::HtmlBlock => Tag::Paragraph,
            // Pages may load images from this server only, and it has none: an image is a link to itself.
            Tag::Image { link_type, dest_url, title, id } | Tag::Link { link_type, dest_url, title, id } => {
                self.destination = Some(dest_url.clone());
                Tag::Link { link_type, dest_url, title, id }
            }
            Tag::Table(alignments) => {
                let none = vec![Alignment::None; alignments.len()];
                self.alignments = alignments;
                Tag::Table(none)
            }
            Tag::TableHead | Tag::TableRow => {
                self.column = 0;
                self.is_head = tag == Tag::TableHead;
                tag
            }
            Tag::TableCell => return self.cell(),
            tag => tag,
        };
        Event::Start(tag)
    }

    /// A cell says how it is aligned by a class, since the pages allow no style in an attribute.
    fn cell(&self) -> Event<'a> {
        let class = match self.alignments.get(self.column) {
            Some(Alignment::Right) => " class=\"right\"",
            Some(Alignment::Center) => " class=\"center\"",
            Some(Alignment::Left | Alignment::None) | None => "",
        };
        let name = if self.is_head { "th" } else { "td" };
        Event::InlineHtml(format!("<{name}{class}>").into())
    }

    /// An element ends, if its beginning was shown.
    fn end(&mut self, tag: TagEnd) -> Option<Event<'a>> {
        self.depth = self.depth.saturating_sub(1);
        let is_anchor = matches!(tag, TagEnd::Link | TagEnd::Image);
        let is_shown = self.depth < DEPTH_MAX && !(is_anchor && self.anchors > 1);
        self.anchors -= usize::from(is_anchor);
        if !is_shown {
            return None;
        }
        let end = Event::End(match tag {
            TagEnd::Heading(level) => TagEnd::Heading(lower(level)),
            TagEnd::HtmlBlock => TagEnd::Paragraph,
            TagEnd::Image => TagEnd::Link,
            tag => tag,
        });
        self.column += usize::from(tag == TagEnd::TableCell);
        // A link without a text could be neither seen nor read out, so it shows where it leads.
        match self.destination.take().filter(|_| is_anchor) {
            Some(destination) => {
                self.queue.push_back(end);
                Some(Event::Text(destination))
            }
            None => Some(end),
        }
    }

    fn text(&mut self, event: Event<'a>) -> Event<'a> {
        self.destination = None;
        event
    }
}

impl<'a, I: Iterator<Item = Event<'a>>> Iterator for Adapter<'a, I> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        if let Some(event) = self.queue.pop_front() {
            return Some(event);
        }
        loop {
            let adapted = match self.events.next()? {
                Event::Start(tag) => self.start(tag),
                Event::End(tag) => self.end(tag),
                Event::Html(html) | Event::InlineHtml(html) => Some(self.text(Event::Text(html))),
                event @ (Event::Text(_) | Event::Code(_)) => Some(self.text(event)),
                event => Some(event),
            };
            if adapted.is_some() {
                return adapted;
            }
        }
    }
}

/// One level down, because the first is the title of the page.
fn lower(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H2,
        HeadingLevel::H2 => HeadingLevel::H3,
        HeadingLevel::H3 => HeadingLevel::H4,
        HeadingLevel::H4 => HeadingLevel::H5,
        HeadingLevel::H5 | HeadingLevel::H6 => HeadingLevel::H6,
    }
}
