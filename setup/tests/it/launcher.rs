//! The Typst that `just setup` found or installed, called as the report calls it. The same tests hold for the launcher and for the CLI.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use setup::{Program, Search, locate};

use crate::fixture::Folder;

const DOCUMENT: &str = r##"#set document(title: "Rows")
#set text(lang: "en", font: "Libertinus Serif")
#title()
#pdf.attach("rows.csv", mime-type: "text/csv", relationship: "data", description: "the rows")
#sys.inputs.at("key")
"##;

fn typst(folder: &Folder, arguments: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the project");
    let found = locate(&Search::for_project(root), Program::Typst).unwrap_or_else(|missing| panic!("{missing}"));
    Command::new(found.path).args(arguments).current_dir(folder.path()).output().expect("typst is started")
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// A tagged archive document with an attachment, the same bytes each time.
#[test]
fn the_same_input_gives_the_same_archive_document() {
    let folder = Folder::new();
    folder.write("main.typ", DOCUMENT);
    folder.write("rows.csv", "a,b\n1,2\n");
    let mut documents = Vec::new();
    for name in ["first.pdf", "second.pdf"] {
        let mut arguments = vec!["compile", "--root", ".", "--font-path", ".", "--ignore-system-fonts"];
        arguments.extend(["--input", "key=a=b", "--pdf-standard", "a-3a,ua-1", "--creation-timestamp", "1700000000"]);
        arguments.extend(["main.typ", name]);
        let output = typst(&folder, &arguments);
        assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        documents.push(fs::read(folder.join(name)).expect("the document is there"));
    }
    assert!(documents[0] == documents[1], "the documents differ");
    for mark in ["/EmbeddedFile", "<pdfaid:part>3<", "<pdfuaid:part>1<"] {
        assert!(contains(&documents[0], mark), "{mark} is missing");
    }
}

/// An error names file, line and column in both formats, warnings come with it, and the exit code is 1.
#[test]
fn errors_and_warnings_have_places() {
    let folder = Folder::new();
    folder.write("main.typ", "#set text(font: \"No such font\")\n#include \"part.typ\"\n");
    folder.write("part.typ", "text\n\n#nonsense\n");
    let output = typst(&folder, &["compile", "--ignore-system-fonts", "--diagnostic-format", "short", "main.typ"]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("part.typ:3:1: error: unknown variable: nonsense\n"), "{errors}");

    let output = typst(&folder, &["compile", "--ignore-system-fonts", "main.typ"]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("error: unknown variable: nonsense\n  ┌─ part.typ:3:1\n"), "{errors}");

    folder.write("part.typ", "text\n");
    let output = typst(&folder, &["compile", "--ignore-system-fonts", "--diagnostic-format", "short", "main.typ"]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    assert!(errors.contains("main.typ:1:16: warning: unknown font family: no such font\n"), "{errors}");
}

/// A page of HTML, with one warning: that this is a young format of Typst.
#[test]
fn html_is_written_on_request() {
    let folder = Folder::new();
    folder.write("main.typ", "= Rows\n#html.aside[few]\n");
    let arguments = ["compile", "--root", ".", "--features", "html", "--format", "html", "main.typ", "page.html"];
    let output = typst(&folder, &arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    assert_eq!(errors.matches("warning: ").count(), 1, "{errors}");
    assert!(errors.starts_with("warning: html export is under active development"), "{errors}");
    let page = fs::read_to_string(folder.join("page.html")).expect("the page is there");
    assert!(page.contains(">Rows</h2>") && page.contains("<aside>few</aside>"), "{page}");
}

/// What it does not know it refuses; what is not there it says.
#[test]
fn wrong_use_is_refused() {
    let folder = Folder::new();
    folder.write("main.typ", "text\n");
    assert_eq!(typst(&folder, &["compile", "--frobnicate", "main.typ"]).status.code(), Some(2));
    assert_eq!(typst(&folder, &["compile", "--creation-timestamp", "noon", "main.typ"]).status.code(), Some(2));
    let output = typst(&folder, &["compile", "absent.typ"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(contains(&output.stderr, "error: input file not found (searched at absent.typ)"));
}
