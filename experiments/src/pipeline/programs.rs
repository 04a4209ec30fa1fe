//! Finds every program that a run needs, and names the missing one with the command that installs it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use setup::{Program, Search};

use super::Project;
use crate::{stack, steps};

/// The programs of a measurement.
///
/// # Errors
/// [`setup::Missing`] for a program that is missing or too old.
pub fn programs(project: &Project) -> Result<steps::Programs> {
    let app = beside_this_program("app")?;
    let nginx_template = project.root.join("nginx/nginx.conf.template");
    ensure!(nginx_template.is_file(), "`{}` is missing; restore it from the repository", nginx_template.display());
    Ok(steps::Programs { stack: stack_programs(project)?, app, nginx_template })
}

/// The programs of the stack alone.
///
/// # Errors
/// As [`programs`].
pub fn stack_programs(project: &Project) -> Result<stack::Programs> {
    let search = Search::for_project(&project.root);
    let postgres = setup::locate(&search, Program::Postgres)?.path;
    Ok(stack::Programs {
        supervisor: std::env::current_exe().context("cannot tell this program's own path")?,
        postgres_bin: postgres.parent().map(Path::to_owned).context("PostgreSQL has no folder")?,
        redis: setup::locate(&search, Program::Redis)?.path,
        nginx: setup::locate(&search, Program::Nginx)?.path,
    })
}

/// The Typst of a report.
pub(super) fn typst(project: &Project) -> Result<PathBuf> {
    Ok(setup::locate(&Search::for_project(&project.root), Program::Typst)?.path)
}

/// The Typst of somebody who may have no checkout: that of the checkout they stand in, of the one in which this program was built, or of
/// the machine.
pub(super) fn typst_anywhere() -> Result<PathBuf> {
    if let Ok(project) = Project::find() {
        return typst(&project);
    }
    let own = std::env::current_exe().context("cannot tell this program's own path")?;
    // `target/release/experiments`.
    let root = own.ancestors().nth(3).unwrap_or(Path::new("/"));
    Ok(setup::locate(&Search::for_project(root), Program::Typst)?.path)
}

/// A program of this workspace, which is built into the same folder.
fn beside_this_program(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell this program's own path")?;
    let folder = own.parent().context("this program has no folder")?;
    // Programs under test lie one folder deeper.
    let path = [folder, folder.parent().unwrap_or(folder)]
        .map(|folder| folder.join(name))
        .into_iter()
        .find(|path| path.is_file());
    path.with_context(|| {
        format!("`{name}` is not built beside `{}`; run `cargo build --release --workspace`", own.display())
    })
}
