//! Run folders: their locks, what is left of dead runs, and places where the servers cannot be.

use std::fs;

use experiments::stack::{FolderInUse, Postgres, PostgresSettings, RunFolder};
use nix::unistd::geteuid;

use crate::support::{folder_with_mode, open_folder, programs, run_folder};

#[test]
fn two_temporary_runs_have_two_folders() {
    let runs = open_folder();
    let (first, second) = (run_folder(&runs), run_folder(&runs));
    assert_ne!(first.path(), second.path());
    assert!(first.logs().is_dir() && second.logs().is_dir());
}

#[test]
fn a_persistent_folder_has_one_run_at_a_time() {
    let runs = open_folder();
    let first = RunFolder::persistent(runs.path(), "serve", programs()).unwrap();
    fs::write(first.path().join("kept"), "").unwrap();
    let error = RunFolder::persistent(runs.path(), "serve", programs()).unwrap_err();
    assert!(error.downcast_ref::<FolderInUse>().is_some());
    let expected =
        format!("`{}` is in use by process {}; stop that run first", first.path().display(), std::process::id());
    assert_eq!(error.to_string(), expected);
    drop(first);
    let second = RunFolder::persistent(runs.path(), "serve", programs()).unwrap();
    assert!(second.path().join("kept").exists());
}

#[test]
fn folders_of_dead_runs_are_removed_and_living_ones_stay() {
    let runs = open_folder();
    let living = run_folder(&runs);
    let dead = runs.path().join("run-4000000");
    let elsewhere = open_folder();
    fs::create_dir_all(dead.join("logs")).unwrap();
    fs::write(dead.join("place-elsewhere"), elsewhere.path().to_str().unwrap()).unwrap();
    let persistent = RunFolder::persistent(runs.path(), "serve", programs()).unwrap().path().to_owned();
    let _next = run_folder(&runs);
    assert!(living.path().is_dir());
    assert!(persistent.is_dir());
    assert!(!dead.exists());
    assert!(!elsewhere.path().exists());
}

#[test]
fn a_successful_run_leaves_nothing_and_a_failed_one_its_logs() {
    let runs = open_folder();
    let (good, bad) = (run_folder(&runs), run_folder(&runs));
    let (good_path, bad_path) = (good.path().to_owned(), bad.path().to_owned());
    fs::write(bad.logs().join("redis.log"), "reason").unwrap();
    fs::create_dir(bad.path().join("data")).unwrap();
    good.remove();
    drop(bad);
    assert!(!good_path.exists());
    assert!(bad_path.join("logs/redis.log").exists());
    assert!(!bad_path.join("data").exists());
}

#[tokio::test]
async fn a_long_path_gets_short_sockets() {
    let runs = open_folder();
    let long = runs.path().join("a-folder-with-quite-a-long-name/".repeat(4));
    let folder = RunFolder::temporary(&long, programs()).unwrap();
    assert!(folder.place().starts_with(long.canonicalize().unwrap()));
    let sockets = folder.sockets().to_owned();
    assert!(sockets.as_os_str().len() < 80);
    Postgres::start(&folder, &PostgresSettings::default()).await.unwrap().stop().await.unwrap();
    folder.remove();
    assert!(!sockets.exists());
}

#[tokio::test]
async fn a_path_with_spaces_and_other_letters_serves() {
    let runs = open_folder();
    let folder = RunFolder::temporary(&runs.path().join("zwei Läufe & mehr"), programs()).unwrap();
    assert_eq!(folder.note(), None);
    Postgres::start(&folder, &PostgresSettings::default()).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn a_path_that_configuration_files_cannot_hold_is_avoided() {
    let runs = open_folder();
    let folder = RunFolder::temporary(&runs.path().join("it's {mine}"), programs()).unwrap();
    assert!(folder.note().unwrap().contains("the servers keep their data in `"));
    Postgres::start(&folder, &PostgresSettings::default()).await.unwrap().stop().await.unwrap();
}

/// A home with the mode 0700 keeps the unprivileged user of a root runner out, and nobody else.
#[tokio::test]
async fn a_closed_home_is_avoided_by_root_alone() {
    let home = folder_with_mode(0o700);
    let folder = RunFolder::temporary(&home.path().join("project/.run"), programs()).unwrap();
    assert_eq!(folder.note().is_some(), geteuid().is_root());
    let place = folder.place().to_owned();
    let postgres = Postgres::start(&folder, &PostgresSettings::default()).await.unwrap();
    assert!(folder.logs().join("postgres.log").is_file());
    postgres.stop().await.unwrap();
    folder.remove();
    assert!(!place.exists());
}
