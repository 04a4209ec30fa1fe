//! The folder `results/`: a step's sub-folder appears whole or not at all, and a failure never replaces what was there.

use std::{
    collections::HashMap,
    fs,
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use super::{
    Failure, StepRecord, Table,
    durable::{json, read_json, replace},
    hash_bytes,
};

/// The conditions of a step, in its folder.
pub(super) const RECORD: &str = "step.json";

/// The folder that holds every result.
#[derive(Debug, Clone)]
pub struct ResultsFolder {
    root: PathBuf,
}

/// A result on disk that is not what was measured.
#[derive(Debug, thiserror::Error)]
#[error("`{}` is not what was measured: {what}; restore it, or measure again with `just all --force {step}`", path.display())]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
    /// The step to measure again.
    pub step: String,
}

impl ResultsFolder {
    /// Opens `root`, makes it if it is missing, and proves that it can be written before anything is measured.
    ///
    /// # Errors
    /// When the folder cannot be made or written.
    pub fn open(root: &Path) -> Result<Self> {
        let named = || {
            format!(
                "cannot write to `{}`; give yourself the right to write there, or pass another folder with `--results`",
                root.display()
            )
        };
        fs::create_dir_all(root).with_context(named)?;
        let probe = root.join(".write-probe");
        fs::write(&probe, b"probe").with_context(named)?;
        fs::remove_file(&probe).with_context(named)?;
        Ok(Self { root: root.to_owned() })
    }

    /// Takes the folder for one run: whoever holds the returned file is the only one that measures into it. What a killed run left is
    /// brought in order.
    ///
    /// # Errors
    /// When another run has it.
    pub fn lock(&self) -> Result<fs::File> {
        let path = self.root.join(".lock");
        let named = || format!("cannot open the lock `{}`", path.display());
        let file = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .with_context(named)?;
        if file.try_lock().is_err() {
            let holder = fs::read_to_string(&path).unwrap_or_default();
            bail!(
                "process {} measures into `{}`; wait for it, stop it, or pass another folder with `--results`",
                holder.trim(),
                self.root.display()
            );
        }
        file.set_len(0)
            .and_then(|()| (&file).write_all(std::process::id().to_string().as_bytes()))
            .with_context(named)?;
        self.recover()?;
        Ok(file)
    }

    /// Where the journal of the step's unfinished run is kept.
    #[must_use]
    pub fn journal(&self, step: &str) -> PathBuf {
        self.root.join(format!(".{step}.kept.jsonl"))
    }

    /// Opens `root` to read only: nothing is made or written.
    #[must_use]
    pub fn read_only(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The folder of one step.
    #[must_use]
    pub fn step(&self, step: &str) -> PathBuf {
        self.root.join(step)
    }

    /// Where it is noted that measuring the step failed.
    #[must_use]
    pub fn failure_path(&self, step: &str) -> PathBuf {
        self.root.join(format!("{step}.failed.json"))
    }

    /// Whether the step has results, whatever they are worth.
    #[must_use]
    pub fn has(&self, step: &str) -> bool {
        self.step(step).join("step.json").exists()
    }

    /// Reads the conditions of the step's last finished measurement; `None` when there is none.
    ///
    /// # Errors
    /// [`Damage`] when `step.json` was edited, cannot be understood, or is of another version of this program.
    pub fn record(&self, step: &str) -> Result<Option<StepRecord>> {
        self.record_in(&self.step(step), step)
    }

    pub(super) fn record_in(&self, folder: &Path, step: &str) -> Result<Option<StepRecord>> {
        let path = folder.join(RECORD);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
        };
        let damage = |what: String| Damage { path: path.clone(), what, step: step.to_owned() };
        // The other version may have other fields, so it is looked at first.
        let json: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|error| damage(format!("it is not JSON ({error})")))?;
        let version = json.get("version").and_then(serde_json::Value::as_u64);
        if version != Some(u64::from(StepRecord::VERSION)) {
            let version = version.map_or_else(|| "no version".to_owned(), |version| format!("the format {version}"));
            bail!(damage(format!("it has {version}, and this program reads the format {}", StepRecord::VERSION)));
        }
        // Results of before there was a seal have none, and neither has the committed reference.
        let seal = fs::read_to_string(folder.join(format!("{RECORD}.sha256"))).unwrap_or_default();
        if seal.split_whitespace().next().is_some_and(|hash| hash != hash_bytes(&bytes)) {
            bail!(damage("it was edited after it was written".to_owned()));
        }
        let record: StepRecord =
            serde_json::from_value(json).map_err(|error| damage(format!("it cannot be understood ({error})")))?;
        // Whoever edits it, or sends one, must not make us look elsewhere.
        let files = record.tables.iter().map(|table| &table.file).chain(record.texts.iter().map(|text| &text.file));
        if let Some(file) = files.into_iter().find(|file| !is_plain(file)) {
            bail!(damage(format!("it names the file `{file}`, which is not in its folder")));
        }
        if record.step != step {
            bail!(damage(format!("it is of the step `{}`", record.step)));
        }
        Ok(Some(record))
    }

    /// Proves that every file of the step is what was measured.
    ///
    /// # Errors
    /// [`Damage`] for a file that is missing, cut or edited.
    pub fn check(&self, record: &StepRecord) -> Result<()> {
        self.check_tables(record, &[])
    }

    /// The same, and says of a damaged CSV among `tables` also what is wrong with its columns.
    ///
    /// # Errors
    /// As [`ResultsFolder::check`].
    pub fn check_tables(&self, record: &StepRecord, tables: &[Table]) -> Result<()> {
        self.check_in(&self.step(&record.step), record, tables)
    }

    pub(super) fn check_in(&self, folder: &Path, record: &StepRecord, tables: &[Table]) -> Result<()> {
        let damage = |file: &str, what: String| Damage { path: folder.join(file), what, step: record.step.clone() };
        for table in &record.tables {
            let bytes = fs::read(folder.join(&table.file)).map_err(|error| damage(&table.file, error.to_string()))?;
            if hash_bytes(&bytes) != table.sha256 {
                let known = tables.iter().find(|known| known.file == table.file);
                bail!(damage(&table.file, difference(&bytes, table.rows, known)));
            }
        }
        for text in &record.texts {
            let bytes = fs::read(folder.join(&text.file)).map_err(|error| damage(&text.file, error.to_string()))?;
            if hash_bytes(&bytes) != text.sha256 {
                bail!(damage(&text.file, "its hash differs".to_owned()));
            }
        }
        Ok(())
    }

    /// Notes that measuring `step` failed. An earlier result stays as it is.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub fn fail(&self, failure: &Failure) -> Result<()> {
        replace(&self.failure_path(&failure.step), &json(failure)?)
    }

    /// The failure of the step's last run, if it failed.
    ///
    /// # Errors
    /// When the note is there but cannot be understood.
    pub fn failure(&self, step: &str) -> Result<Option<Failure>> {
        read_json(&self.failure_path(step))
    }
}

/// How a CSV that is not what was written differs from that, as far as it shows.
fn difference(bytes: &[u8], written: u64, table: Option<&Table>) -> String {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let header = reader.byte_headers().cloned().unwrap_or_default();
    let has = |name: &str| header.iter().any(|column| column == name.as_bytes());
    let missing = table.into_iter().flat_map(|table| table.columns).find(|column| !has(column.name));
    if let Some(column) = missing {
        return format!("it has no column `{}`", column.name);
    }
    let rows: Vec<csv::ByteRecord> = reader.byte_records().filter_map(Result::ok).collect();
    if let Some(torn) = rows.iter().position(|row| row.len() != header.len()) {
        return format!("its row {} has {} cells, and its header {}", torn + 1, rows[torn].len(), header.len());
    }
    let count = format!("it holds {} rows, {written} were written", rows.len());
    let mut seen = HashMap::new();
    let mut numbered = (1_u64..).zip(&rows);
    let again = numbered.find_map(|(number, row)| Some((seen.insert(row.as_slice(), number)?, number)));
    match again {
        Some((first, again)) if rows.len() as u64 > written => {
            format!("{count}, and its row {again} is its row {first} once more")
        }
        _ => format!("{count}, and its hash differs"),
    }
}

/// Whether it is the name of a file and nothing more.
fn is_plain(file: &str) -> bool {
    let is_usual = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    !file.is_empty() && !file.starts_with('.') && file.chars().all(is_usual)
}
