//! `experiments verify` as a user runs it: a report of no results, which is a whole one and made in a second, then what was done to it
//! since. The notebook's test does the same to a report with results.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use experiments::{
    report::{Attachment, build, compact},
    results::hash_bytes,
};
use tempfile::TempDir;

use crate::document::{document, options, root, templates};

/// `PATH` with the Typst of this machine in front.
pub(crate) fn path() -> OsString {
    let mut path = typst().parent().unwrap().as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}

fn typst() -> PathBuf {
    options(Path::new("/")).typst.program
}

fn run(arguments: &[&OsStr], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_experiments"))
        .args(arguments)
        .current_dir(folder)
        .env("PATH", path())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What `experiments verify` says of a file, from a folder in which there is nothing else.
pub(crate) fn verify(pdf: &Path, code: i32) -> String {
    let nowhere = tempfile::tempdir().unwrap();
    let output = run(&["verify".as_ref(), pdf.as_os_str()], nowhere.path());
    assert_eq!(output.status.code(), Some(code), "{}", said(&output));
    said(&output)
}

/// A checkout without results, as far as a report looks at one, and what its report says.
fn checkout() -> TempDir {
    let checkout = tempfile::tempdir().unwrap();
    for file in
        ["report-src/main.typ.j2", "report-src/style.typ", "report-src/claims.toml", "nginx/nginx.conf.template"]
    {
        copy(&root().join(file), &checkout.path().join(file));
    }
    for entry in fs::read_dir(root().join("report-src/sections")).unwrap() {
        let entry = entry.unwrap();
        copy(&entry.path(), &checkout.path().join("report-src/sections").join(entry.file_name()));
    }
    copy(&root().join("experiments/profiles.toml"), &checkout.path().join("experiments/profiles.toml"));
    fs::create_dir(checkout.path().join("results")).unwrap();
    checkout
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap();
}

/// The report of a checkout.
fn report(checkout: &TempDir) -> PathBuf {
    let output = run(&["report".as_ref()], checkout.path());
    assert!(output.status.success(), "{}", said(&output));
    checkout.path().join("results/report.pdf")
}

/// Sets the pages of a build folder once more, after something in it was changed.
pub(crate) fn set_again(folder: &Path, like: &Path) -> PathBuf {
    let date = lopdf::Document::load(like).unwrap();
    let information = date.trailer.get_deref(b"Info", &date).unwrap().as_dict().unwrap();
    let made = lopdf::decode_text_string(information.get(b"CreationDate").unwrap()).unwrap();
    let made = made.trim_start_matches("D:").trim_end_matches('Z');
    let made = chrono::NaiveDateTime::parse_from_str(made, "%Y%m%d%H%M%S").unwrap().and_utc().timestamp();
    let output = folder.join("again.pdf");
    let finished = Command::new(typst())
        .args(["compile", "--root", ".", "--ignore-system-fonts", "--creation-timestamp", &made.to_string()])
        .args(["--pdf-standard", "a-3a,ua-1", "main.typ"])
        .arg(&output)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(finished.status.success(), "{}", said(&finished));
    fs::write(&output, compact(&fs::read(&output).unwrap()).unwrap()).unwrap();
    output
}

/// Puts `text` in the place of an attachment, and its hash into the list if the forger thinks of that.
pub(crate) fn forge(folder: &Path, name: &str, text: &str, with_list: bool) {
    let attachments = folder.join("attachments");
    fs::write(attachments.join(name), text).unwrap();
    if !with_list {
        return;
    }
    let path = attachments.join("loadbook.json");
    let list = fs::read_to_string(&path).unwrap();
    let read = |list: &str| serde_json::from_str::<serde_json::Value>(list).unwrap();
    // Edited as a text: the order of its fields is a part of it.
    let (head, rest) = list.split_at(list.find(&format!("\"name\": \"{name}\"")).unwrap());
    let (entry, tail) = rest.split_at(rest.find('}').unwrap());
    let old = read(&list)["files"].as_array().unwrap().iter().find(|entry| entry["name"] == name).unwrap().clone();
    let entry = entry
        .replace(old["sha256"].as_str().unwrap(), &hash_bytes(text.as_bytes()))
        .replace(&format!("\"bytes\": {}", old["bytes"]), &format!("\"bytes\": {}", text.len()));
    let list = format!("{head}{entry}{tail}");
    let json = read(&list);
    let word = |entry: &serde_json::Value, key: &str| entry[key].as_str().unwrap().to_owned();
    let templates =
        json["files"].as_array().unwrap().iter().filter(|entry| word(entry, "path").starts_with("report-src/"));
    let lines: String = templates.map(|entry| format!("{} {}\n", word(entry, "sha256"), word(entry, "path"))).collect();
    fs::write(path, list.replace(&word(&json, "templates_sha256"), &hash_bytes(lines.as_bytes()))).unwrap();
}

/// The file with one bit of the content of its last page turned.
pub(crate) fn with_a_bit_of_a_page_turned(report: &Path) -> (TempDir, PathBuf, usize) {
    let document = lopdf::Document::load(report).unwrap();
    let (number, page) = document.get_pages().into_iter().next_back().unwrap();
    let (content, _) = document.get_page_contents(page)[0];
    let lopdf::xref::XrefEntry::Normal { offset, .. } = document.reference_table.entries[&content] else {
        panic!("the content of a page is an object of its own")
    };
    let mut bytes = fs::read(report).unwrap();
    let stream = bytes[offset as usize..].windows(7).position(|window| window == b"stream\n").unwrap();
    bytes[offset as usize + stream + 7 + 40] ^= 1;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("turned.pdf");
    fs::write(&path, bytes).unwrap();
    (folder, path, number as usize)
}

#[test]
fn a_report_is_verified_with_nothing_else_on_disk() {
    let checkout = checkout();
    let report = report(&checkout);
    let elsewhere = tempfile::tempdir().unwrap();
    let sent = elsewhere.path().join("sent to me.pdf");
    fs::rename(report, &sent).unwrap();
    drop(checkout);
    let said = verify(&sent, 0);
    assert!(said.contains("verified: SHA-256 ") && said.contains("attached files are"), "{said}");

    let folder = elsewhere.path().join("unpacked");
    let extract = ["verify".as_ref(), sent.as_os_str(), "--extract".as_ref(), folder.as_os_str()];
    assert!(run(&extract, elsewhere.path()).status.success());
    for file in ["report-src/main.typ.j2", "report-src/sections/cache.typ.j2", "report-src/claims.toml"] {
        assert_eq!(fs::read(folder.join(file)).unwrap(), fs::read(root().join(file)).unwrap(), "{file}");
    }
    assert!(folder.join("sources/app/queries/list_posts.sql").is_file());
    let again = run(&extract, elsewhere.path());
    assert_eq!(again.status.code(), Some(2), "{}", self::said(&again));
    assert!(self::said(&again).contains("is there and not empty; name another folder"));
}

#[test]
fn a_bit_that_was_turned_is_found_with_its_page() {
    let checkout = checkout();
    let (_folder, turned, page) = with_a_bit_of_a_page_turned(&report(&checkout));
    let said = verify(&turned, 15);
    assert!(said.contains(&format!("page {page} is another one; byte ")), "{said}");
    assert!(said.contains(" in the file and 0x") && said.contains(" made again"), "{said}");
}

#[test]
fn a_file_that_is_no_whole_report_says_what_it_is() {
    let checkout = checkout();
    let bytes = fs::read(report(&checkout)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.pdf");
    let half = &bytes[..bytes.len() / 2];
    for (bytes, words) in [
        (half.to_vec(), "it is cut short: its end mark `%%EOF` is missing; copy or download it again, whole"),
        ([half, b"\n%%EOF\n"].concat(), "it is damaged"),
        (b"# Loadbook\n".to_vec(), "it is not a PDF: it does not begin with `%PDF-`"),
        (Vec::new(), "it is not a PDF"),
    ] {
        fs::write(&path, bytes).unwrap();
        let said = verify(&path, 2);
        assert!(said.contains("file.pdf` cannot be verified: ") && said.contains(words), "{said}");
    }
    assert!(verify(&folder.path().join("nowhere.pdf"), 2).contains("it cannot be read: No such file"));
}

#[test]
fn a_pdf_of_somebody_else_is_no_report() {
    for (attachments, words) in [
        (Vec::new(), "nothing is attached to it, so it is no report of Loadbook"),
        (
            vec![Attachment {
                name: "notes.csv".to_owned(),
                description: "notes".to_owned(),
                media_type: "text/csv".to_owned(),
                bytes: b"a\n".to_vec(),
            }],
            "`loadbook.json` is not attached to it, so it is no report of Loadbook",
        ),
        (
            vec![Attachment {
                name: "loadbook.json".to_owned(),
                description: "a list".to_owned(),
                media_type: "application/json".to_owned(),
                bytes: b"{\"format\": \"Loadbook report\", \"version\": 1, \"loadbook\": \"0.0.0\", \"newest_result_unix_s\": 0, \
                    \"sections\": [], \"templates_sha256\": \"\", \"files\": [{\"name\": \"x\", \"path\": \"../../x\", \
                    \"form\": \"whole\", \"sha256\": \"\", \"bytes\": 0}]}"
                    .to_vec(),
            }],
            "its list wants to put `x` at `../../x`, where no report has a file",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut document = document();
        document.attachments = attachments;
        let output = build(&document, &templates(), &options(folder.path())).unwrap();
        let said = verify(&output, 2);
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn an_attachment_that_was_changed_is_named() {
    let checkout = checkout();
    let report = report(&checkout);
    let folder = checkout.path().join(".run/report");
    let name = "report-src_main.typ.j2";
    let whole = fs::read_to_string(folder.join("attachments").join(name)).unwrap();
    let forged = whole.replace("computes all of it again", "believes all of it again");
    assert_ne!(whole, forged);

    forge(&folder, name, &forged, false);
    let said = verify(&set_again(&folder, &report), 15);
    assert!(said.contains(&format!("the attached `{name}` is another one: it has ")), "{said}");
    // Whoever changes the list, too, has changed what the pages are made of, and these are another file then.
    forge(&folder, name, &forged, true);
    let said = verify(&set_again(&folder, &report), 15);
    assert!(said.contains("page ") && said.contains(" is another one; byte "), "{said}");

    forge(&folder, name, &whole, true);
    assert!(verify(&set_again(&folder, &report), 0).contains("verified"));
    forge(
        &folder,
        "values.csv",
        "key,text,exact,file,row,column\ncache.arms.all.p50_us,1 µs,1,cache_arms.csv,all,p50_us\n",
        true,
    );
    let said = verify(&set_again(&folder, &report), 15);
    let words = "the value `cache.arms.all.p50_us` is 1 µs (exactly `1`, cache_arms.csv, row `all`, column `p50_us`) in the file, its \
                 rows give none";
    assert!(said.contains(words), "{said}");
}

/// The file says which Typst made it, and another one may set the same pages otherwise.
#[test]
fn pages_of_another_typst_are_not_compared() {
    let checkout = checkout();
    let report = report(&checkout);
    let mut bytes = fs::read(&report).unwrap();
    let places: Vec<usize> = bytes
        .windows(8)
        .enumerate()
        .filter(|(_, window)| window.starts_with(b"Typst 0."))
        .map(|(place, _)| place)
        .collect();
    assert!(places.len() >= 2, "the head and the metadata name the program");
    places.into_iter().for_each(|place| bytes[place + 6] = b'9');
    fs::write(&report, bytes).unwrap();
    let said = verify(&report, 13);
    assert!(said.contains("is verified but for its pages: the pages were set by Typst 9."), "{said}");
    assert!(said.contains("the bytes of two versions cannot be compared"), "{said}");
}

#[test]
fn a_full_disk_leaves_the_report_that_was_there() {
    let checkout = checkout();
    let report = report(&checkout);
    let before = fs::read(&report).unwrap();
    // Else it would not be made again.
    fs::remove_file(checkout.path().join(".run/report/made-of.txt")).unwrap();
    // A limit to the size of a file says the same to a program as a disk that is full, and needs no disk.
    for (blocks, words) in [
        (0, "cannot write `"),
        // Between what is generated and what Typst makes of it, whether `sh` counts in half or in whole kilobytes.
        (120, "report.pdf`; free some space on its disk, then run `just report`"),
    ] {
        let output = Command::new("sh")
            .args([
                "-c",
                &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\""),
                "sh",
                env!("CARGO_BIN_EXE_experiments"),
                "report",
            ])
            .current_dir(checkout.path())
            .env("PATH", path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(words), "{}", said(&output));
        assert!(before == fs::read(&report).unwrap(), "the report that was there was touched");
        let left: Vec<_> =
            fs::read_dir(report.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(!left.iter().any(|name| name.to_string_lossy().contains("partial")), "{left:?}");
    }
}
