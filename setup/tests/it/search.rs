//! Searching in made-up folders: which program is taken, and what is said of those that are not.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use setup::{Missing, Program, Search, locate};

use crate::fixture::Folder;

/// Looks in `folders` of a made-up system, in which `/` is the folder itself.
fn search(system: &Folder, folders: &[&str]) -> Search {
    let path: OsString = std::env::join_paths(folders.iter().map(|name| system.join(name))).expect("a path variable");
    Search::new(&path, &system.join("project"), &system.join("root"))
}

fn says(version: &str) -> String {
    format!("echo 'nginx version: nginx/{version}' >&2")
}

/// The first on the `PATH` that will do is taken, even if a newer one comes later.
#[test]
fn the_path_decides() {
    let system = Folder::new();
    system.script("a/nginx", &says("1.18.0"));
    system.script("b/nginx", &says("1.22.1"));
    system.script("c/nginx", &says("1.28.0"));
    let found = locate(&search(&system, &["a", "empty", "b", "c"]), Program::Nginx).expect("one will do");
    assert_eq!((found.path, found.version.to_string()), (system.join("b/nginx"), "1.22.1".to_owned()));
}

/// What only an administrator has on the `PATH` is found too, and what the project installed for itself.
#[test]
fn known_folders_come_after_the_path() {
    let system = Folder::new();
    system.script("root/usr/sbin/nginx", &says("1.22.1"));
    assert_eq!(locate(&search(&system, &[]), Program::Nginx).expect("found").path, system.join("root/usr/sbin/nginx"));
    system.script("project/.tools/bin/nginx", &says("1.22.0"));
    let found = locate(&search(&system, &[]), Program::Nginx).expect("found");
    assert_eq!(found.path, system.join("project/.tools/bin/nginx"));
}

/// Of several PostgreSQLs the highest is taken, by number; one without `initdb` is only a client.
#[test]
fn the_highest_postgres_is_taken() {
    let system = Folder::new();
    for version in ["9.6", "14", "15", "17", "100"] {
        let body = format!("echo 'postgres (PostgreSQL) {version}.3 (Debian {version}.3-1)'");
        system.script(&format!("root/usr/lib/postgresql/{version}/bin/postgres"), &body);
        if version != "100" {
            system.script(&format!("root/usr/lib/postgresql/{version}/bin/initdb"), "");
        }
    }
    let found = locate(&search(&system, &[]), Program::Postgres).expect("17 will do");
    assert_eq!(found.version.to_string(), "17.3");
}

/// Valkey does Redis' work, under its own name.
#[test]
fn valkey_is_accepted() {
    let system = Folder::new();
    system.script("bin/valkey-server", "echo 'Valkey server v=8.1.3 sha=00000000:1 malloc=libc bits=64'");
    let found = locate(&search(&system, &["bin"]), Program::Redis).expect("Valkey will do");
    assert_eq!(found.to_string(), "Valkey 8.1.3");
}

/// A refusal names the best that was there, what is needed, and the remedy.
#[test]
fn too_old_and_too_new_are_refused() {
    let system = Folder::new();
    system.script("a/typst", "echo 'typst 0.13.1 (8ace67d9)'");
    system.script("b/typst", "echo 'typst 0.14.0'");
    let missing = locate(&search(&system, &["a", "b"]), Program::Typst).expect_err("both are too old");
    let expected = format!(
        "Typst 0.14.0 (`{}`) will not do; needed is 0.15 or newer, below 0.16; run `./just setup`, which installs it or says how",
        system.join("b/typst").display()
    );
    assert_eq!(missing.to_string(), expected);

    system.script("b/typst", "echo 'typst 0.16.0'");
    let missing = locate(&search(&system, &["b"]), Program::Typst).expect_err("it is too new");
    assert_eq!(missing.found_too_old.expect("it is named").version.to_string(), "0.16.0");
}

/// Nothing there: no word of a version.
#[test]
fn nothing_is_missing_plainly() {
    let system = Folder::new();
    let missing = locate(&search(&system, &["bin"]), Program::Redis).expect_err("nothing is there");
    let Missing { found_too_old, passed_over, .. } = &missing;
    assert!(found_too_old.is_none() && passed_over.is_empty());
    assert!(missing.to_string().starts_with("Redis or Valkey is missing; needed is 7 or newer"), "{missing}");
}

/// Broken programs are passed over with a reason, and the search goes on.
#[test]
fn broken_programs_are_passed_over() {
    let system = Folder::new();
    system.script("garbage/nginx", "echo 'hello'");
    system.script("failing/nginx", "echo 'nginx version: nginx/1.28.0'; exit 3");
    system.write("not-executable/nginx", "#!/bin/sh\necho nginx version: nginx/1.28.0\n");
    std::fs::create_dir_all(system.join("a-folder/nginx")).expect("the folder is made");
    let broken = ["garbage", "failing", "not-executable", "a-folder"];
    let missing = locate(&search(&system, &broken), Program::Nginx).expect_err("none works");
    assert_eq!(missing.passed_over.len(), 2, "{missing}");
    assert!(missing.passed_over[0].ends_with("did not tell its version with `-v`"), "{missing}");
    assert!(missing.passed_over[1].contains("failed with `-v` (exit status: 3)"), "{missing}");

    system.script("good/nginx", &says("1.24.0"));
    let folders = ["garbage", "failing", "good"];
    assert!(locate(&search(&system, &folders), Program::Nginx).is_ok());
}

/// A program that hangs is killed after 5 s, with the children that it started.
#[test]
fn a_hanging_program_is_killed() {
    let system = Folder::new();
    let pid_file = system.join("child.pid");
    system.script("bin/nginx", &format!("sleep 600 & echo $! > '{}'; wait", pid_file.display()));
    let start = Instant::now();
    let missing = locate(&search(&system, &["bin"]), Program::Nginx).expect_err("it hangs");
    assert!(missing.passed_over[0].ends_with("gave no answer within 5 s"), "{missing}");
    assert!(start.elapsed() < Duration::from_secs(20), "took {:?}", start.elapsed());
    let pid = std::fs::read_to_string(&pid_file).expect("the child was started");
    // A signal is delivered when the child's turn comes, which on a busy machine is not at once.
    let deadline = Instant::now() + Duration::from_secs(20);
    while runs(pid.trim()) {
        assert!(Instant::now() < deadline, "the child {pid} still runs");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A killed orphan may stay a zombie for a moment, or for good where nobody reaps; a zombie does not run.
fn runs(pid: &str) -> bool {
    if Path::new("/proc/self/stat").exists() {
        // `pid (name) state …`
        return std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    }
    let state = Command::new("ps").args(["-o", "stat=", "-p", pid]).output().expect("ps runs").stdout;
    !state.is_empty() && !state.starts_with(b"Z")
}
