//! Typst's messages, read back and led to the line that the user edits.

use super::render::Rendered;
use super::templates::Templates;

/// The files of plain Typst that the user edits.
const STYLES: [&str; 2] = ["style.typ", "web.typ"];

/// One error or warning as Typst prints it in its `human` format: a head line, then indented lines with the place.
pub(super) struct Diagnostic {
    /// The head line without `error: `.
    message: String,
    /// File, line and column, where Typst names one.
    place: Option<(String, usize, usize)>,
    /// The other places and hints, such as where a function was called.
    trace: Vec<(String, usize, usize)>,
    /// What Typst printed, whole.
    text: String,
}

impl Diagnostic {
    /// Whether it says only that HTML is a young format of Typst; nobody can do anything about that.
    pub(super) fn is_about_html(&self) -> bool {
        self.message.to_lowercase().starts_with("html export is under active development")
    }
}

/// Splits what Typst printed into its messages; anything before the first one belongs to it.
pub(super) fn parse(printed: &str) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = Vec::new();
    for line in printed.lines() {
        let head = ["error: ", "warning: "].iter().find_map(|start| line.strip_prefix(start));
        if let Some(message) = head {
            found.push(Diagnostic { message: message.to_owned(), place: None, trace: Vec::new(), text: String::new() });
        }
        let Some(current) = found.last_mut() else { continue };
        if let Some(place) = line.trim_start().strip_prefix("┌─ ").and_then(read_place) {
            match current.place {
                None => current.place = Some(place),
                Some(_) => current.trace.push(place),
            }
        }
        current.text.push_str(line);
        current.text.push('\n');
    }
    found
}

/// Reads `sections/cache.typ:12:3`.
fn read_place(text: &str) -> Option<(String, usize, usize)> {
    let mut parts = text.trim().rsplitn(3, ':');
    let column = parts.next()?.parse().ok()?;
    let line = parts.next()?.parse().ok()?;
    Some((parts.next()?.trim_start_matches(['/', '\\']).to_owned(), line, column))
}

/// Writes the messages for the user: first the line to edit, then what Typst said.
pub(super) fn explain(diagnostics: &[Diagnostic], rendered: &[Rendered], templates: &Templates) -> String {
    let mut text = String::new();
    for diagnostic in diagnostics {
        let places = || diagnostic.place.iter().chain(&diagnostic.trace);
        // A complaint inside of `style.typ` is most often about what a section handed to it: the caller's line comes first.
        let edited = places().find_map(|(file, line, column)| {
            let file = rendered.iter().find(|candidate| file.ends_with(&candidate.path))?;
            file.origin(*line, *column)
        });
        let style = places().find_map(|(file, line, _)| {
            let name = STYLES.into_iter().find(|name| file.ends_with(name))?;
            Some((name.to_owned(), *line))
        });
        if !text.is_empty() {
            text.push('\n');
        }
        match edited.or(style) {
            Some((file, line)) => {
                text.push_str(&format!("`{}/{file}:{line}`: {}\n", templates.folder, diagnostic.message))
            }
            None => text.push_str(&format!("{}\n", diagnostic.message)),
        }
        for line in diagnostic.text.trim_end().lines() {
            text.push_str(&format!("    {line}\n"));
        }
    }
    text.trim_end().to_owned()
}
