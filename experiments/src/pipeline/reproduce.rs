//! `experiments reproduce`: the report made again and again from the same results, each time in another folder, time zone and language, on
//! another number of threads, with other rights and as another user where that can be, by a process of its own. All must be one file,
//! byte for byte.

use std::{
    ffi::OsString,
    fmt, fs,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::stat::{Mode, umask};

use super::{Project, programs};
use crate::{report::pdf::first_difference, results::hash_bytes};

const FOLDERS: &[&str] = &["plain", "with a blank", "deep/er/still", "Größe ✓"];
const ZONES: &[&str] = &["UTC", "Asia/Tokyo", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia"];
const LANGUAGES: &[&str] = &["C", "tr_TR.UTF-8", "de_DE.UTF-8", "ar_EG.UTF-8"];
const THREADS: &[usize] = &[1, 2, 7];
const MASKS: &[u32] = &[0o022, 0o077, 0o002];
/// Who owns nothing.
const NOBODY: u32 = 65534;
/// What of a checkout a report looks at: its texts, and the code that says whether results are stale.
const OF_CHECKOUT: &[&str] =
    &["Cargo.lock", "Cargo.toml", "app", "experiments", "nginx", "report-src", "rust-toolchain.toml", "setup"];

/// How one build differs from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Way {
    number: usize,
    folder: &'static str,
    zone: &'static str,
    language: &'static str,
    threads: usize,
    mask: u32,
    /// Whether it runs as a user who owns nothing else.
    is_nobody: bool,
}

impl Way {
    /// The lists are of different lengths, so that everything meets everything.
    fn of(number: usize, can_be_nobody: bool) -> Self {
        Self {
            number,
            folder: FOLDERS[number % FOLDERS.len()],
            zone: ZONES[number % ZONES.len()],
            language: LANGUAGES[(number / 2) % LANGUAGES.len()],
            threads: THREADS[number % THREADS.len()],
            mask: MASKS[(number / 3) % MASKS.len()],
            is_nobody: can_be_nobody && number % 4 == 3,
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, folder, zone, language, threads, mask, is_nobody } = self;
        let user = if *is_nobody { ", as another user" } else { "" };
        let number = number + 1;
        write!(
            formatter,
            "build {number} (folder `{folder}`, zone {zone}, language {language}, threads {threads}, umask {mask:03o}{user})"
        )
    }
}

/// Makes so many reports of `results`, and prints their one hash, or the first difference. Whether they were all the same.
///
/// # Errors
/// When a report cannot be made.
pub fn reproduce(project: &Project, results: &Path, builds: usize) -> Result<bool> {
    let temporary = tempfile::Builder::new().prefix("loadbook-reproduce-").tempdir();
    let temporary = temporary.context("cannot make a temporary folder; set `TMPDIR` to one that can be written")?;
    // Another user must get in, too; what is in it is in the report anyhow.
    fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o755))?;
    let typst = programs::typst(project)?;
    let own = std::env::current_exe().context("cannot tell this program's own path")?;
    let can_be_nobody = nix::unistd::geteuid().is_root() && [&own, &typst].into_iter().all(|program| is_open(program));
    let builder = Builder { project, results, own, typst, temporary: temporary.path() };
    let mut first: Option<(Way, Vec<u8>)> = None;
    for way in (0..builds).map(|number| Way::of(number, can_be_nobody)) {
        let bytes = builder.build(way).with_context(|| format!("{way}"))?;
        remark!("{way}: SHA-256 {}…", &hash_bytes(&bytes)[..12]);
        match &first {
            None => first = Some((way, bytes)),
            Some((earlier, expected)) if *expected != bytes => {
                let sides = [format!("in build {}", earlier.number + 1), format!("in build {}", way.number + 1)];
                let difference = first_difference(expected, &bytes, [&sides[0], &sides[1]]);
                remark!("error: {way} is another file than that of {earlier}: {difference}");
                return Ok(false);
            }
            Some(_) => {}
        }
    }
    if let Some((_, bytes)) = first {
        say!("{builds} builds, one file: {} bytes, SHA-256 {}", bytes.len(), hash_bytes(&bytes));
    }
    Ok(true)
}

/// Whether anybody may run the program where it lies.
fn is_open(program: &Path) -> bool {
    let anybody_may_enter = |path: &Path| fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o001 != 0);
    program.canonicalize().is_ok_and(|program| program.ancestors().all(anybody_may_enter))
}

struct Builder<'a> {
    project: &'a Project,
    results: &'a Path,
    own: PathBuf,
    typst: PathBuf,
    temporary: &'a Path,
}

impl Builder<'_> {
    /// Makes a report in a checkout of its own, and leaves nothing behind.
    fn build(&self, way: Way) -> Result<Vec<u8>> {
        let root = self.temporary.join(format!("{} {}", way.number, way.folder));
        let checkout = root.join("checkout");
        for path in OF_CHECKOUT {
            copy(&self.project.root.join(path), &checkout.join(path))?;
        }
        let results = checkout.join("results");
        fs::create_dir_all(&results)?;
        let entries = fs::read_dir(self.results);
        let entries =
            entries.with_context(|| format!("there are no results in `{}`; run `just all`", self.results.display()))?;
        for entry in entries {
            let name = entry?.file_name();
            // Kept summaries are left behind, so that every build begins with the rows.
            let is_result = !name.to_string_lossy().starts_with('.') && name != "reference" && name != "report.pdf";
            if is_result {
                copy(&self.results.join(&name), &results.join(&name))?;
            }
        }
        let output = root.join("report.pdf");
        self.run(way, &root, &checkout, &output)?;
        let bytes = fs::read(&output).with_context(|| format!("cannot read `{}`", output.display()))?;
        let _ = fs::remove_dir_all(self.temporary.join(format!("{} {}", way.number, way.folder)));
        Ok(bytes)
    }

    fn run(&self, way: Way, root: &Path, checkout: &Path, output: &Path) -> Result<()> {
        let threads = way.threads.to_string();
        let mut command = Command::new(&self.own);
        command
            .args(["report", "--allow-stale", "--results"])
            .arg(checkout.join("results"))
            .arg("--output")
            .arg(output)
            .current_dir(checkout)
            .env("PATH", self.path())
            .envs([("TZ", way.zone), ("LC_ALL", way.language), ("LANG", way.language)])
            .envs([("POLARS_MAX_THREADS", &threads), ("RAYON_NUM_THREADS", &threads)])
            .envs([("HOME", root), ("TMPDIR", root)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if way.is_nobody {
            give(root)?;
            command.uid(NOBODY).gid(NOBODY);
        }
        let before = umask(Mode::from_bits_truncate(way.mask));
        let child = command.spawn();
        umask(before);
        let child = child.with_context(|| format!("cannot start `{}`", self.own.display()))?;
        if way.threads == 1 {
            // One processor for all that it starts: Typst does not read these variables.
            let _ = crate::probe::placement::place(child.id(), &[0]);
        }
        let finished = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&finished.stderr);
        ensure!(finished.status.success(), "the report could not be made: {}", said.trim());
        Ok(())
    }

    /// The checkout of a build has no `.tools`; the present Typst comes first.
    fn path(&self) -> OsString {
        let mut path = self.typst.parent().unwrap_or(Path::new("/")).as_os_str().to_owned();
        if let Some(present) = std::env::var_os("PATH") {
            path.push(":");
            path.push(present);
        }
        path
    }
}

/// Gives a folder with all that is in it to the user who owns nothing.
fn give(path: &Path) -> Result<()> {
    chown(path, Some(NOBODY), Some(NOBODY)).with_context(|| format!("cannot give `{}` away", path.display()))?;
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path())?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let named = || format!("cannot copy `{}`", from.display());
    if from.is_dir() {
        fs::create_dir_all(to).with_context(named)?;
        for entry in fs::read_dir(from).with_context(named)? {
            let name = entry?.file_name();
            copy(&from.join(&name), &to.join(&name))?;
        }
        return Ok(());
    }
    let Some(folder) = to.parent() else { bail!("`{}` has no folder", to.display()) };
    fs::create_dir_all(folder).and_then(|()| fs::copy(from, to)).map(drop).with_context(named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn twenty_builds_meet_every_folder_zone_language_number_of_threads_and_mask() {
        let ways: Vec<Way> = (0..20).map(|number| Way::of(number, true)).collect();
        let count = |of: fn(&Way) -> String| ways.iter().map(of).collect::<BTreeSet<_>>().len();
        assert_eq!(count(|way| way.folder.to_owned()), FOLDERS.len());
        assert_eq!(count(|way| way.zone.to_owned()), ZONES.len());
        assert_eq!(count(|way| way.language.to_owned()), LANGUAGES.len());
        assert_eq!(count(|way| way.threads.to_string()), THREADS.len());
        assert_eq!(count(|way| way.mask.to_string()), MASKS.len());
        assert_eq!(ways.iter().filter(|way| way.is_nobody).count(), 5);
        let told = "build 4 (folder `Größe ✓`, zone Australia/Lord_Howe, language tr_TR.UTF-8, threads 1, umask 077, as another user)";
        assert_eq!(ways[3].to_string(), told);
    }
}
