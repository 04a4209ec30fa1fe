//! What is made of rows and takes a while, kept beside the results for as long as neither the rows nor this program change: the same as if it
//! were made anew, to the last byte. Only a convenience, so that whatever is wrong with what is kept means that it is made. It does not know
//! what it keeps.

use std::{fs, path::Path};

use crate::results::hash_bytes;

/// What lies at `path`, if it was made of the same by this program; else what `make` makes, which is kept there then. `made_of` names
/// the rows, by their hashes.
///
/// # Errors
/// Those of `make`.
pub(super) fn or_made<E>(path: &Path, made_of: &str, make: impl FnOnce() -> Result<Vec<u8>, E>) -> Result<Vec<u8>, E> {
    let Some(identity) = identity(made_of) else { return make() };
    if let Some(kept) = read(path, &identity) {
        return Ok(kept);
    }
    let made = make()?;
    // Without it the next report takes a little longer.
    let _ = fs::write(path, [head(&identity, &made).as_bytes(), &made].concat());
    Ok(made)
}

/// The rows, and this program by its file, which is new after every build.
fn identity(made_of: &str) -> Option<String> {
    let program = std::env::current_exe().and_then(fs::metadata).ok()?;
    Some(hash_bytes(format!("{made_of}{}{:?}", program.len(), program.modified().ok()?).as_bytes()))
}

/// The first line: of what it was made, and what it was then. A file that was torn or edited does not fit it.
fn head(identity: &str, made: &[u8]) -> String {
    format!("{identity} {}\n", hash_bytes(made))
}

fn read(path: &Path, identity: &str) -> Option<Vec<u8>> {
    let mut kept = fs::read(path).ok()?;
    let end = kept.iter().position(|byte| *byte == b'\n')? + 1;
    let made = kept.split_off(end);
    (kept == head(identity, &made).as_bytes()).then_some(made)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn it_is_made_once_and_again_when_rows_change_or_the_file_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".kept");
        let mut times = 0;
        let mut asked = |made_of: &str| {
            let made = or_made(&path, made_of, || {
                times += 1;
                Ok::<_, Infallible>(format!("of {made_of}\nin two lines").into_bytes())
            });
            assert_eq!(made.unwrap(), format!("of {made_of}\nin two lines").as_bytes());
            times
        };
        assert_eq!(["one", "one", "other", "other", "one"].map(&mut asked), [1, 1, 2, 2, 3]);
        let whole = fs::read(&path).unwrap();
        for torn in [&whole[..whole.len() - 1], &whole[..10], b""] {
            fs::write(&path, torn).unwrap();
            let before = asked("one");
            assert_eq!(asked("one"), before, "it was not kept again");
        }
        assert_eq!(asked("one"), 6);
        // Where nothing can be kept, it is made.
        let nowhere = folder.path().join("no folder/.kept");
        assert_eq!(or_made(&nowhere, "one", || Ok::<_, Infallible>(b"made".to_vec())), Ok(b"made".to_vec()));
        assert_eq!(or_made(&nowhere, "one", || Err("not made")), Err("not made"));
    }
}
