//! A step's result in the making: it appears whole or not at all, wherever the run is killed. The commitment is `step.json`; a run that
//! was killed after it leaves a finished result, which the next one puts in its place.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};

use super::{
    ResultsFolder, Row, StepRecord, Table, TableRecord, TextRecord,
    durable::{json, rename, replace, sync_folder, write},
    folder::RECORD,
    hash_bytes, write_rows,
};

/// A result in the making; dropped without [`StepWriter::finish`] it leaves nothing behind.
#[derive(Debug)]
pub struct StepWriter {
    results: ResultsFolder,
    step: String,
    folder: PathBuf,
    tables: Vec<TableRecord>,
    texts: Vec<TextRecord>,
    /// Whether all of it is on the disk, so that only its place is wanting.
    is_whole: bool,
}

impl ResultsFolder {
    /// Begins a new result of `step` beside the one that is there.
    ///
    /// # Errors
    /// When the folder for it cannot be made.
    pub fn begin(&self, step: &str) -> Result<StepWriter> {
        let folder = self.partial(step);
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot remove the unfinished `{}`", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
        Ok(StepWriter {
            results: self.clone(),
            step: step.to_owned(),
            folder,
            tables: Vec::new(),
            texts: Vec::new(),
            is_whole: false,
        })
    }

    /// Puts the finished result of `step` in the place of the earlier one. Killed in between, it is done by the next run: as long as the
    /// new one is not in its place, it is whole where it was made.
    pub(super) fn settle(&self, step: &str) -> Result<()> {
        let (place, made, aside) = (self.step(step), self.partial(step), self.replaced(step));
        // What an interrupted run kept is in the result; the next run must not take it for its own.
        let _ = fs::remove_file(self.journal(step));
        if place.exists() {
            if aside.exists() {
                fs::remove_dir_all(&aside).with_context(|| format!("cannot remove `{}`", aside.display()))?;
            }
            rename(&place, &aside)?;
        }
        if let Err(error) = rename(&made, &place) {
            let _ = fs::rename(&aside, &place);
            return Err(error);
        }
        let _ = fs::remove_dir_all(&aside);
        let _ = fs::remove_file(self.failure_path(step));
        Ok(())
    }
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
        write(&self.folder.join(file), text.as_bytes())?;
        self.texts.retain(|record| record.file != file);
        self.texts.push(TextRecord { file: file.to_owned(), sha256: hash_bytes(text.as_bytes()) });
        Ok(())
    }

    /// Writes `step.json` with its hash beside it, and puts the folder in its place, at once.
    ///
    /// # Errors
    /// When something cannot be written, or the folder cannot be put in place: the earlier result is then still there, and the next run
    /// does what is left to do.
    pub fn finish(mut self, mut record: StepRecord) -> Result<StepRecord> {
        record.tables = std::mem::take(&mut self.tables);
        record.texts = std::mem::take(&mut self.texts);
        let path = self.folder.join(RECORD);
        let text = json(&record)?;
        let seal = format!("{}  {RECORD}\n", hash_bytes(&text));
        write(&self.folder.join(format!("{RECORD}.sha256")), seal.as_bytes())?;
        sync_folder(&self.folder)?;
        replace(&path, &text)?;
        self.is_whole = true;
        self.results.settle(&self.step)?;
        Ok(record)
    }
}

impl Drop for StepWriter {
    fn drop(&mut self) {
        if !self.is_whole {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}
