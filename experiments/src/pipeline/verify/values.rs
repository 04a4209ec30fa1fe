//! Two lists of values, as one attaches them to a report: the first one that differs, with both sides. It does not know how they are made.

use std::collections::BTreeMap;

/// How many values a list holds.
pub(super) fn count(list: &[u8]) -> usize {
    csv::Reader::from_reader(list).records().count()
}

/// The first value in the order of the keys that is not the same, in words; `None` when the lists are the same byte for byte.
pub(super) fn first_difference(theirs: &[u8], again: &[u8]) -> Option<String> {
    if theirs == again {
        return None;
    }
    let (theirs, again) = (read(theirs), read(again));
    let keys: std::collections::BTreeSet<&String> = theirs.keys().chain(again.keys()).collect();
    let difference = keys.into_iter().find_map(|key| match (theirs.get(key), again.get(key)) {
        (Some(theirs), Some(again)) if theirs == again => None,
        (Some(theirs), Some(again)) => {
            Some(format!("the value `{key}` is {} in the file, its rows give {}", said(theirs), said(again)))
        }
        (Some(theirs), None) => Some(format!("the value `{key}` is {} in the file, its rows give none", said(theirs))),
        (None, again) => {
            let again = again.map(said).unwrap_or_default();
            Some(format!("the value `{key}` is not in the file, its rows give {again}"))
        }
    });
    difference.or_else(|| Some("the attached `values.csv` is written in another way".to_owned()))
}

/// The columns after the key: text, exact, file, row, column.
type Cells = Vec<String>;

fn read(list: &[u8]) -> BTreeMap<String, Cells> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(list);
    let records = reader.records().filter_map(Result::ok);
    let pairs = records.filter_map(|record| {
        let mut cells = record.iter().map(str::to_owned);
        Some((cells.next()?, cells.collect()))
    });
    pairs.collect()
}

/// As it is printed, and exactly; where it comes from only where that is all that differs.
fn said(cells: &Cells) -> String {
    let cell = |index: usize| cells.get(index).map(String::as_str).unwrap_or_default();
    format!("{} (exactly `{}`, {}, row `{}`, column `{}`)", cell(0), cell(1), cell(2), cell(3), cell(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str =
        "key,text,exact,file,row,column\na.b.c.p50_us,1.05 ms,1050.2,a_b.csv,c,p50_us\na.b.d.n,7,7,a_b.csv,d,n\n";

    fn found(again: &str) -> Option<String> {
        first_difference(LIST.as_bytes(), again.as_bytes())
    }

    #[test]
    fn the_first_other_value_is_named_with_both_sides() {
        assert_eq!(found(LIST), None);
        let other = found(&LIST.replace("1.05 ms,1050.2", "1.06 ms,1060.2")).unwrap();
        let expected = "the value `a.b.c.p50_us` is 1.05 ms (exactly `1050.2`, a_b.csv, row `c`, column `p50_us`) in the file, \
                        its rows give 1.06 ms (exactly `1060.2`, a_b.csv, row `c`, column `p50_us`)";
        assert_eq!(other, expected);
        let (first, _) = LIST.split_once("a.b.d.n").unwrap();
        assert!(
            found(first)
                .unwrap()
                .contains("`a.b.d.n` is 7 (exactly `7`, a_b.csv, row `d`, column `n`) in the file, its rows give none")
        );
        assert!(
            found(&format!("{LIST}a.b.e.n,8,8,a_b.csv,e,n\n"))
                .unwrap()
                .contains("`a.b.e.n` is not in the file, its rows give 8")
        );
        assert!(found(&LIST.replace('\n', "\r\n")).unwrap().contains("written in another way"));
        assert_eq!(count(LIST.as_bytes()), 2);
    }
}
