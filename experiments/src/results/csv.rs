//! CSV of typed rows, there and back. The header comes from the struct, also when there is no row to write.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::Row;

/// Writes `rows` below a header; an existing file is replaced.
///
/// # Errors
/// When the file cannot be written in full (a full disk is an error here, not a short file).
pub fn write_rows<T: Row>(path: &Path, rows: &[T]) -> Result<()> {
    let named =
        || format!("cannot write `{}`; check that the disk has room and the folder can be written", path.display());
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_path(path).with_context(named)?;
    writer.write_record(T::TABLE.columns.iter().map(|column| column.name)).with_context(named)?;
    for row in rows {
        writer.serialize(row).with_context(named)?;
    }
    let file = writer.into_inner().map_err(|error| error.into_error()).with_context(named)?;
    file.sync_all().with_context(named)
}

/// Reads every row of a CSV that [`write_rows`] wrote.
///
/// # Errors
/// When the header is another one, or a cell does not have the type of its column; the line is named.
pub fn read_rows<T: Row>(path: &Path) -> Result<Vec<T>> {
    let named = || format!("cannot read `{}`; measure the step again to replace it", path.display());
    let mut reader = csv::Reader::from_path(path).with_context(named)?;
    let expected: Vec<&str> = T::TABLE.columns.iter().map(|column| column.name).collect();
    let header = reader.headers().with_context(named)?.clone();
    ensure!(
        header.iter().eq(expected.iter().copied()),
        "`{}` has the columns `{}`, but `{}` are expected; measure the step again to replace it",
        path.display(),
        header.iter().collect::<Vec<_>>().join(","),
        expected.join(","),
    );
    reader.deserialize().collect::<Result<_, _>>().with_context(named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::row;
    use proptest::prelude::*;

    row! {
        /// A row with every kind of cell.
        struct Sample in "samples.csv" {
            /// Text.
            name: String,
            /// Missing or a number.
            latency_us: Option<u64>,
            /// A fraction.
            hit_ratio: f64,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_read_is_what_was_written(rows in prop::collection::vec((".{0,12}", any::<Option<u64>>(), -1e12..1e12), 0..8)) {
            let rows: Vec<Sample> = rows.into_iter().map(|(name, latency_us, hit_ratio)| Sample { name, latency_us, hit_ratio }).collect();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("samples.csv");
            write_rows(&path, &rows).unwrap();
            prop_assert_eq!(read_rows::<Sample>(&path).unwrap(), rows);
        }
    }

    /// `/dev/full` is a disk without room.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_and_not_a_short_file() {
        let row = Sample { name: "a".to_owned(), latency_us: None, hit_ratio: 0.5 };
        for rows in [&[][..], &[row]] {
            let error = format!("{:#}", write_rows(Path::new("/dev/full"), rows).unwrap_err());
            assert!(error.contains("check that the disk has room") && error.contains("No space left"), "{error}");
        }
    }

    #[test]
    fn a_foreign_header_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples.csv");
        std::fs::write(&path, "name,latency_ms\na,1\n").unwrap();
        let error = format!("{:#}", read_rows::<Sample>(&path).unwrap_err());
        assert!(error.contains("has the columns `name,latency_ms`"), "{error}");
    }
}
