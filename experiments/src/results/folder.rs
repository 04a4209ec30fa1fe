//! The folder `results/`: a step's sub-folder appears whole or not at all, and a failure never replaces what was there.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Serialize, de::DeserializeOwned};

use super::{Failure, Row, StepRecord, Table, TableRecord, TextRecord, hash_bytes, write_rows};

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

    /// Takes the folder for one run: whoever holds the returned file is the only one that measures into it.
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

    fn failure_path(&self, step: &str) -> PathBuf {
        self.root.join(format!("{step}.failed.json"))
    }

    /// Begins a new result of `step` beside the one that is there.
    ///
    /// # Errors
    /// When the folder for it cannot be made.
    pub fn begin(&self, step: &str) -> Result<StepWriter> {
        let folder = self.root.join(format!(".{step}.partial"));
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot remove the unfinished `{}`", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
        Ok(StepWriter { results: self.clone(), step: step.to_owned(), folder, tables: Vec::new(), texts: Vec::new() })
    }

    /// Reads the conditions of the step's last finished measurement; `None` when there is none.
    ///
    /// # Errors
    /// When `step.json` is there but cannot be understood.
    pub fn record(&self, step: &str) -> Result<Option<StepRecord>> {
        let record: Option<StepRecord> = read_json(&self.step(step).join("step.json"))?;
        if let Some(record) = &record {
            ensure!(
                record.version == StepRecord::VERSION,
                "`{step}/step.json` has the format {}, this program reads {}; measure again with `just all --force {step}`",
                record.version,
                StepRecord::VERSION
            );
        }
        Ok(record)
    }

    /// Proves that every file of the step is what was measured.
    ///
    /// # Errors
    /// [`Damage`] for a file that is missing, cut or edited.
    pub fn check(&self, record: &StepRecord) -> Result<()> {
        let damage = |file: &str, what: String| Damage {
            path: self.step(&record.step).join(file),
            what,
            step: record.step.clone(),
        };
        for table in &record.tables {
            let bytes = fs::read(self.step(&record.step).join(&table.file))
                .map_err(|error| damage(&table.file, error.to_string()))?;
            if hash_bytes(&bytes) != table.sha256 {
                let lines = csv::Reader::from_reader(bytes.as_slice()).records().count();
                bail!(damage(
                    &table.file,
                    format!("it holds {lines} rows, {} were written, and its hash differs", table.rows)
                ));
            }
        }
        for text in &record.texts {
            let bytes = fs::read(self.step(&record.step).join(&text.file))
                .map_err(|error| damage(&text.file, error.to_string()))?;
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
        write_json(&self.failure_path(&failure.step), failure)
    }

    /// The failure of the step's last run, if it failed.
    ///
    /// # Errors
    /// When the note is there but cannot be understood.
    pub fn failure(&self, step: &str) -> Result<Option<Failure>> {
        read_json(&self.failure_path(step))
    }
}

/// A result in the making; dropped without [`StepWriter::finish`] it leaves nothing behind.
#[derive(Debug)]
pub struct StepWriter {
    results: ResultsFolder,
    step: String,
    folder: PathBuf,
    tables: Vec<TableRecord>,
    texts: Vec<TextRecord>,
}

impl StepWriter {
    /// Writes one CSV.
    ///
    /// # Errors
    /// When it cannot be written, or was written before.
    pub fn rows<T: Row>(&mut self, rows: &[T]) -> Result<()> {
        let Table { file, .. } = T::TABLE;
        ensure!(self.tables.iter().all(|table| table.file != file), "the step `{}` writes `{file}` twice", self.step);
        let path = self.folder.join(file);
        write_rows(&path, rows)?;
        let bytes = fs::read(&path).with_context(|| format!("cannot read back `{}`", path.display()))?;
        self.tables.push(TableRecord { file: file.to_owned(), rows: rows.len() as u64, sha256: hash_bytes(&bytes) });
        Ok(())
    }

    /// Writes one text that the report prints, such as a rendered configuration.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn text(&mut self, file: &str, text: &str) -> Result<()> {
        let path = self.folder.join(file);
        fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
        self.texts.retain(|record| record.file != file);
        self.texts.push(TextRecord { file: file.to_owned(), sha256: hash_bytes(text.as_bytes()) });
        Ok(())
    }

    /// Writes `step.json` and puts the folder in its place, at once.
    ///
    /// # Errors
    /// When the folder cannot be put in place; the earlier result is then still there.
    pub fn finish(mut self, mut record: StepRecord) -> Result<StepRecord> {
        record.tables = std::mem::take(&mut self.tables);
        record.texts = std::mem::take(&mut self.texts);
        write_json(&self.folder.join("step.json"), &record)?;
        let (place, aside) =
            (self.results.step(&self.step), self.results.root.join(format!(".{}.replaced", self.step)));
        if aside.exists() {
            fs::remove_dir_all(&aside).with_context(|| format!("cannot remove `{}`", aside.display()))?;
        }
        if place.exists() {
            fs::rename(&place, &aside)
                .with_context(|| format!("cannot set the earlier `{}` aside", place.display()))?;
        }
        if let Err(error) = fs::rename(&self.folder, &place) {
            let _ = fs::rename(&aside, &place);
            return Err(error).with_context(|| format!("cannot put `{}` in its place", place.display()));
        }
        let _ = fs::remove_dir_all(&aside);
        let _ = fs::remove_file(self.results.failure_path(&self.step));
        Ok(record)
    }
}

impl Drop for StepWriter {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).context("cannot write JSON")?;
    let aside = path.with_extension("json.new");
    fs::write(&aside, text + "\n")
        .and_then(|()| fs::rename(&aside, path))
        .with_context(|| format!("cannot write `{}`", path.display()))
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text)
            .with_context(|| format!("cannot understand `{}`; remove it and measure the step again", path.display()))
            .map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    }
}
