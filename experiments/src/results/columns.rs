//! A long CSV column by column, as a text that packs to a third of what its rows do: where it travels inside of a PDF, that is the
//! difference between half a megabyte and two. It comes back to the last byte, or it is not made.
//!
//! Below a head line stands a line for each column: its name, how it is written, and the cells from top to bottom, `cell` or
//! `cell*times`. `same` writes the cells themselves, `step` the difference to the cell above, which suits sorted numbers.

use std::{borrow::Cow, fmt::Write as _};

/// The first line, with the version of the format.
const HEAD: &str = "CSV by columns, version 1";
const SAME: &str = "same";
const STEP: &str = "step";
/// More cells than any result has: a file from elsewhere may claim any number.
const MOST_CELLS: usize = 100_000_000;
/// A longer text than any result has.
const MOST_BYTES: usize = 256 << 20;

/// The CSV by columns; `None` where a cell would not come back as it was, such as one in quotes.
#[must_use]
pub fn pack_columns(csv: &str) -> Option<String> {
    let mut packed = format!("{HEAD}\n");
    for column in columns(csv)? {
        let (name, cells) = column.split_first()?;
        let same = runs(cells.iter(), |text, cell| text.push_str(cell));
        let steps = steps(cells).map(|steps| {
            runs(steps.iter(), |text, step| {
                let _ = write!(text, "{step}");
            })
        });
        let (how, written) = match steps {
            Some(steps) if steps.len() < same.len() => (STEP, steps),
            _ => (SAME, same),
        };
        let _ = writeln!(packed, "{name}\t{how}\t{written}");
    }
    // What is written must be what is read; nobody has to believe the lines above.
    (unpack_columns(&packed).as_deref() == Ok(csv)).then_some(packed)
}

/// The cells of each column, its name first; `None` unless every line has as many, there is one below the names, and none is in quotes
/// or holds a sign that means something else here. A result has millions of bytes, so they are looked at once.
fn columns(csv: &str) -> Option<Vec<Vec<&str>>> {
    let width = csv.lines().next()?.split(',').count();
    let mut columns = vec![Vec::new(); width];
    let (mut start, mut index, mut rows) = (0, 0, 0);
    for (place, byte) in csv.bytes().enumerate() {
        match byte {
            b',' | b'\n' => {
                columns.get_mut(index)?.push(&csv[start..place]);
                (start, index) = (place + 1, index + 1);
                if byte == b'\n' {
                    if index != width {
                        return None;
                    }
                    (index, rows) = (0, rows + 1);
                }
            }
            b'"' | b'*' | b'\t' | b'\r' => return None,
            _ => {}
        }
    }
    (rows > 1 && start == csv.len()).then_some(columns)
}

/// The CSV that [`pack_columns`] was given.
///
/// # Errors
/// Where the text is not one that it makes, in words.
pub fn unpack_columns(packed: &str) -> Result<String, String> {
    let body = packed.strip_prefix(HEAD).and_then(|rest| rest.strip_prefix('\n'));
    let body = body.ok_or_else(|| format!("it does not begin with `{HEAD}`"))?;
    let mut left = MOST_CELLS;
    let columns: Vec<Column> = body.lines().map(|line| Column::read(line, &mut left)).collect::<Result<_, _>>()?;
    let Some(first) = columns.first() else { return Err("it has no column".to_owned()) };
    if let Some(other) = columns.iter().find(|column| column.length != first.length) {
        let Column { name, length, .. } = other;
        return Err(format!("the column `{name}` has {length} cells, the first one has {}", first.length));
    }
    let mut csv = columns.iter().map(|column| column.name).collect::<Vec<_>>().join(",");
    csv.push('\n');
    let mut cells: Vec<_> = columns.iter().map(Column::cells).collect();
    for _ in 0..first.length {
        for (index, column) in cells.iter_mut().enumerate() {
            if index > 0 {
                csv.push(',');
            }
            csv.push_str(&column.next().unwrap_or_default());
        }
        csv.push('\n');
        if csv.len() > MOST_BYTES {
            return Err("it is longer than any result".to_owned());
        }
    }
    Ok(csv)
}

/// One line, read but not unrolled: a short text may stand for many cells.
struct Column<'l> {
    name: &'l str,
    is_step: bool,
    /// Cells or steps, and how many times each.
    runs: Vec<(&'l str, usize)>,
    length: usize,
}

impl<'l> Column<'l> {
    fn read(line: &'l str, left: &mut usize) -> Result<Self, String> {
        let mut parts = line.splitn(3, '\t');
        let (Some(name), Some(how), Some(text)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("a line has no name, no way of writing or no cells".to_owned());
        };
        let is_step = how == STEP;
        let (mut runs, mut length, mut last) = (Vec::new(), 0, 0_i64);
        for run in text.split(',') {
            let (cell, times) = run.split_once('*').unwrap_or((run, "1"));
            let times: usize = times.parse().map_err(|_| format!("`{run}` in the column `{name}` is no cell"))?;
            *left = left.checked_sub(times).ok_or("it has more cells than any result")?;
            if is_step {
                let step: i64 = cell.parse().map_err(|_| format!("`{cell}` in the column `{name}` is no number"))?;
                let moved = i64::try_from(times).ok().and_then(|times| last.checked_add(step.checked_mul(times)?));
                last = moved.ok_or_else(|| format!("a number in the column `{name}` is too large"))?;
            }
            runs.push((cell, times));
            length += times;
        }
        Ok(Self { name, is_step, runs, length })
    }

    fn cells(&self) -> impl Iterator<Item = Cow<'l, str>> {
        let mut above = 0_i64;
        let unrolled = self.runs.iter().flat_map(|(cell, times)| std::iter::repeat_n(*cell, *times));
        unrolled.map(move |cell| match self.is_step.then(|| cell.parse::<i64>()) {
            Some(Ok(step)) => {
                above += step;
                Cow::Owned(above.to_string())
            }
            _ => Cow::Borrowed(cell),
        })
    }
}

/// The differences of each cell to the one above; `None` unless all are integers.
fn steps(cells: &[&str]) -> Option<Vec<i64>> {
    let mut above = 0_i64;
    let step = |cell: &&str| {
        let number: i64 = cell.parse().ok()?;
        let step = number.checked_sub(above)?;
        above = number;
        Some(step)
    };
    cells.iter().map(step).collect()
}

/// Cells in a line, those that repeat only once.
fn runs<'c, C: PartialEq + 'c>(cells: impl Iterator<Item = &'c C>, write: impl Fn(&mut String, &C)) -> String {
    let mut text = String::new();
    let mut cells = cells.peekable();
    let mut is_first = true;
    while let Some(cell) = cells.next() {
        let mut times = 1;
        while cells.next_if_eq(&cell).is_some() {
            times += 1;
        }
        if !std::mem::take(&mut is_first) {
            text.push(',');
        }
        write(&mut text, cell);
        if times > 1 {
            let _ = write!(text, "*{times}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn columns_are_written_in_the_shorter_way() {
        let csv = "arm,second,bucket_us,count\noff,,7968,1\noff,,9216,1\noff,,9464,2\nall,,100,1\n";
        let packed = pack_columns(csv).unwrap();
        let expected = "CSV by columns, version 1\narm\tsame\toff*3,all\nsecond\tsame\t*4\n\
                        bucket_us\tsame\t7968,9216,9464,100\ncount\tsame\t1*2,2,1\n";
        assert_eq!(packed, expected);
        let empty = pack_columns("a,b\n,1\nx,1\n").unwrap();
        assert_eq!(empty, "CSV by columns, version 1\na\tsame\t,x\nb\tsame\t1*2\n");
        let sorted = pack_columns("bucket_us\n10000\n10010\n10020\n").unwrap();
        assert_eq!(sorted, "CSV by columns, version 1\nbucket_us\tstep\t10000,10*2\n");
    }

    #[test]
    fn what_would_not_come_back_is_left_alone() {
        for csv in ["", "a,b\n", "a\n\"x,y\"\n", "a\n1*2\n", "a,b\n1\n", "a\n1", "a\r\n1\r\n"] {
            assert_eq!(pack_columns(csv), None, "{csv:?}");
        }
    }

    #[test]
    fn a_text_from_elsewhere_is_refused_in_words() {
        for (text, words) in [
            ("a,b\n1,2\n", "does not begin with"),
            ("CSV by columns, version 1\n", "has no column"),
            ("CSV by columns, version 1\na\tsame\n", "has no name"),
            ("CSV by columns, version 1\na\tsame\t1*x\n", "`1*x` in the column `a` is no cell"),
            ("CSV by columns, version 1\na\tsame\t1*99999999999\n", "more cells than any result"),
            ("CSV by columns, version 1\na\tstep\tx\n", "is no number"),
            ("CSV by columns, version 1\na\tstep\t9223372036854775807*2\n", "too large"),
            ("CSV by columns, version 1\na\tsame\t1\nb\tsame\t1*2\n", "has 2 cells, the first one has 1"),
        ] {
            let error = unpack_columns(text).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(rows in prop::collection::vec(("[a-z]{0,3}", any::<i32>(), 0..3_u8), 1..40)) {
            let lines: String = rows.iter().map(|(arm, bucket, count)| format!("{arm},{bucket},{count}\n")).collect();
            let csv = format!("arm,bucket_us,count\n{lines}");
            let packed = pack_columns(&csv).unwrap();
            prop_assert_eq!(unpack_columns(&packed).unwrap(), csv);
        }

        #[test]
        fn any_text_comes_back_or_is_left_alone(csv in "[a-c0-9,*\n\"\t-]{0,40}") {
            if let Some(packed) = pack_columns(&csv) {
                prop_assert_eq!(unpack_columns(&packed).unwrap(), csv);
            }
        }
    }
}
