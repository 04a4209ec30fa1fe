//! The report as a page: a whole document to HTML with the real Typst, and what each mistake says.

use std::path::Path;

use experiments::report::{
    Document, Templates,
    web::{self, Page, PageOptions, PageTemplates, Reader},
};

use crate::browser::{DESK, Driver, PHONE, Person};
use crate::document::{document, options, root, templates};
use crate::html;
use crate::report::ALLOWED;

fn page_templates() -> PageTemplates {
    PageTemplates::read(&root().join("report-src")).unwrap_or_else(|error| panic!("{error:#}"))
}

fn made(
    document: &Document,
    templates: &Templates,
    page_templates: &PageTemplates,
    reader: Reader,
) -> anyhow::Result<Page> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let typst = options(folder.path()).typst;
    web::page(document, templates, page_templates, &PageOptions { typst, folder: folder.path().to_owned(), reader })
}

fn page(reader: Reader) -> Page {
    made(&document(), &templates(), &page_templates(), reader).unwrap_or_else(|error| panic!("{error:#}"))
}

fn error(templates: &Templates, page_templates: &PageTemplates) -> String {
    format!("{:#}", made(&document(), templates, page_templates, Reader::File).expect_err("a template is wrong"))
}

/// What stands between two marks, with a line for each block.
fn between<'p>(page: &'p str, start: &str, end: &str) -> &'p str {
    let (_, rest) = page.split_once(start).unwrap_or_else(|| panic!("`{start}` is missing"));
    rest.split_once(end).unwrap_or_else(|| panic!("`{end}` is missing")).0
}

#[test]
fn a_document_becomes_a_page_with_everything_in_it() {
    let html = page(Reader::File).html;
    if let Ok(kept) = std::env::var("KEEP_PAGE") {
        std::fs::write(kept, &html).expect("a copy");
    }
    for expected in [
        "<title>Loadbook: a test of the report</title>",
        "quick profile: not for conclusions",
        "<span class=\"fate overturned\">overturned</span>",
        "<span class=\"number\">Table 3.</span>",
        "<span class=\"number\">Figure 2.</span>",
        "<span class=\"state stale\" data-state=\"cache\">stale</span>",
        "<span class=\"state missing\" data-state=\"surge\">missing</span>",
        "app/queries/list_posts.sql changed",
        "only 3 blocks were measured",
        "no such database `loadbook`; #import \"x\"",
        "relation row 59",
        "Łódź → naïve ✓ 漢字",
        "$ 5 $ #import \"x\" *not bold* _not slanted_ @nobody &lt;label> `tick` \\ // [x] ~ -- ... = 1.",
        "href=\"data:text/csv;base64,",
        "<svg role=\"img\" aria-label=\"",
    ] {
        assert!(html.contains(expected), "`{expected}` is missing");
    }
    assert_eq!(html::loaded(&html), Vec::<String>::new());
    assert_eq!(html::broken_links(&html), Vec::<String>::new());
    // A text of the fixture that is quoted in its prose.
    let allowed = [ALLOWED, &["$ 5 $", "= 1."]].concat();
    assert_eq!(html::numbers_without_address(&html, &allowed), Vec::<String>::new());
}

#[test]
fn a_section_is_read_by_people_and_by_machines() {
    let html = page(Reader::Server).html;
    let section = between(&html, "data-step=\"cache\"", "<svg ").replace("><", ">\n<");
    insta::assert_snapshot!("page_section", section);
    insta::assert_snapshot!("page_contents", between(&html, "<nav", "</nav>").replace("><", ">\n<"));
}

#[test]
fn the_same_document_gives_the_same_page_and_a_server_gets_another() {
    assert_eq!(page(Reader::File), page(Reader::File));
    let served = page(Reader::Server);
    assert!(served.html.contains("data-events=\"/events\"") && !page(Reader::File).html.contains("data-events="));
    assert!(served.html.contains("href=\"/summary/cache_arms.csv\"") && !served.html.contains("href=\"data:text/csv"));
    assert!(served.policy.contains("connect-src 'self'") && page(Reader::File).policy.contains("connect-src 'none'"));
    assert!(!served.policy.contains("unsafe"), "{}", served.policy);
}

#[test]
fn without_results_the_page_says_how_to_get_some() {
    let mut document = document();
    for section in &mut document.sections {
        section.status = experiments::report::Status::Missing;
        section.warnings.clear();
        section.provenance.clear();
    }
    let page =
        made(&document, &templates(), &page_templates(), Reader::File).unwrap_or_else(|error| panic!("{error:#}"));
    assert!(page.html.contains("There are no results yet. <code>just quick</code>"));
    assert!(page.html.contains("<code>just all cache</code>"));
    assert_eq!(html::broken_links(&page.html), Vec::<String>::new());
}

/// On a phone and on a desk: nothing is wider than the screen, the browser complains of nothing, tables sort, and numbers say where they
/// come from.
#[tokio::test]
async fn a_browser_shows_the_page_and_sorts_its_tables() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("page.html"), page(Reader::File).html).expect("the page");
    let driver = Driver::start();
    for screen in [PHONE, DESK] {
        let mut person = Person::sit_down(&driver, format!("file://{}", folder.path().display()), screen).await;
        person.go("/page.html").await;
        let script = "const table = document.querySelector('[data-table=\"cache.arms\"]');
            const head = table.tHead.rows[0].cells[4];
            const rows = () => [head.getAttribute('aria-sort'), ...[...table.tBodies[0].rows].map((row) => row.dataset.row)].join();
            const seen = [];
            for (let click = 0; click < 3; click += 1) { head.querySelector('button').click(); seen.push(rows()); }
            table.tBodies[0].rows[2].cells[1].click();
            seen.push(document.querySelector('#address:popover-open').innerText);
            return seen.join('\\n');";
        let seen = person.client.execute(script, Vec::new()).await.expect("the script runs");
        insta::allow_duplicates! {
            insta::assert_snapshot!(seen.as_str().expect("a text").replace('\u{a0}', " "), @r"
            ascending,value,fragment,view,all three levels,off
            descending,all three levels,view,fragment,value,off
            ,off,value,fragment,view,all three levels
            590 µs†

            means
            median latency
            exactly
            590.24
            file
            results/summary/cache_arms.csv
            row
            fragment
            column
            p50_us
            more
            experiments trace 'cache.arms.fragment.p50_us'
            ");
        }
        person.look().await;
        person.leave().await;
    }
}

#[test]
fn a_mistake_names_the_file_and_the_line_to_edit() {
    let mut sections = templates();
    sections.sections.insert("cache".to_owned(), "== A\n\nAn #unknown thing.\n".to_owned());
    let told = error(&sections, &page_templates());
    assert!(told.starts_with("`report-src/sections/cache.typ.j2:3`: unknown variable: unknown\n"), "{told}");
    assert!(!told.contains("active development"), "{told}");

    let edited = |edit: &dyn Fn(&mut PageTemplates)| {
        let mut page_templates = page_templates();
        page_templates.folder = "report-src".to_owned();
        edit(&mut page_templates);
        error(&templates(), &page_templates)
    };
    let told = edited(&|templates| templates.web = format!("#nothing\n{}", templates.web));
    assert!(told.contains("`report-src/web.typ:1`: unknown variable: nothing"), "{told}");
    let told =
        edited(&|templates| templates.page = templates.page.replace("{{ title }}</title>", "{{ titel }}</title>"));
    assert_eq!(told, "`report-src/page.html.j2:10`: undefined value");
    let told = edited(&|templates| templates.page.push_str("{% if %}"));
    assert!(told.starts_with("`report-src/page.html.j2:"), "{told}");
}

#[test]
fn a_launcher_of_an_earlier_time_is_named_with_its_remedy() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = folder.path().join("typst");
    std::fs::write(
        &program,
        "#!/bin/sh\necho \"error: invalid choice: 'html'; this is a launcher, and\" >&2\nexit 2\n",
    )
    .expect("a program");
    make_executable(&program);
    let options = PageOptions {
        typst: experiments::report::Typst { program },
        folder: folder.path().join("build"),
        reader: Reader::File,
    };
    let told = web::page(&document(), &templates(), &page_templates(), &options).expect_err("it makes no HTML");
    insta::assert_snapshot!(format!("{told:#}"), @"Typst was installed into `.tools` before it was asked for HTML; bring it up to date with `just setup`");
}

fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("rights");
}
