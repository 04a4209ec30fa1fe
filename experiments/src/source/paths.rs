//! The names that Rust code mentions: every path in its tokens, and the files that it includes. It does not know what they lead to, and
//! would rather mention one too many: a variable that is called like a function is taken for it.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use syn::UseTree;

/// The parts of a path, such as `crate`, `load`, `spec`, `Phase`.
pub(super) type Path = Vec<String>;

/// What a piece of code mentions.
#[derive(Debug, Default)]
pub(super) struct Mentioned {
    pub(super) paths: BTreeSet<Path>,
    /// Paths of included files, relative to the file that includes them.
    pub(super) includes: BTreeSet<String>,
}

/// Macros that read a file when they are compiled.
const INCLUDING: &[&str] = &["include_str", "include_bytes", "include"];

impl Mentioned {
    pub(super) fn read(tokens: TokenStream) -> Self {
        let mut mentioned = Self::default();
        mentioned.add(tokens, false);
        mentioned
    }

    /// Reads on; inside of an attribute a text may be a path, as in `#[serde(with = "pairs")]`.
    fn add(&mut self, tokens: TokenStream, in_attribute: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut place = 0;
        while place < tokens.len() {
            match &tokens[place] {
                TokenTree::Ident(_) if !is_member(&tokens, place) => {
                    let (path, end) = path_at(&tokens, place);
                    place = self.add_path(path, &tokens, end);
                }
                TokenTree::Group(group) => {
                    let is_attribute = group.delimiter() == Delimiter::Bracket && is_punct(&tokens, place, 1, '#');
                    self.add(group.stream(), in_attribute || is_attribute);
                    place += 1;
                }
                TokenTree::Literal(literal) if in_attribute => {
                    self.paths.extend(text_of(&literal.to_string()).and_then(|text| path_in(&text)));
                    place += 1;
                }
                _ => place += 1,
            }
        }
    }

    /// Adds a path that ends before `end`, where a group of further ends or `!` may follow, and returns where to go on.
    fn add_path(&mut self, path: Path, tokens: &[TokenTree], end: usize) -> usize {
        match tokens.get(end) {
            Some(TokenTree::Punct(punct)) if punct.as_char() == '!' => {
                if let (Some(TokenTree::Group(group)), true) =
                    (tokens.get(end + 1), path.last().is_some_and(|name| INCLUDING.contains(&name.as_str())))
                {
                    self.includes.extend(group.stream().into_iter().filter_map(|token| text_of(&token.to_string())));
                }
            }
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace && follows_colons(tokens, end) => {
                self.add_ends(&path, group);
                return end + 1;
            }
            _ => {}
        }
        self.paths.insert(path);
        end
    }

    /// The paths of `prefix::{a, b::c}`.
    fn add_ends(&mut self, prefix: &Path, group: &Group) {
        let inner = Self::read(group.stream());
        self.paths.extend(inner.paths.into_iter().map(|end| [prefix.clone(), end].concat()));
    }
}

/// The path that begins at `place`, and the place after it. A `::` that no name follows is after the path.
fn path_at(tokens: &[TokenTree], place: usize) -> (Path, usize) {
    let (mut path, mut place) = (Vec::new(), place);
    while let Some(TokenTree::Ident(word)) = tokens.get(place) {
        path.push(word.to_string().trim_start_matches("r#").to_owned());
        place += 1;
        if is_punct(tokens, place + 1, 1, ':') && is_punct(tokens, place + 2, 1, ':') {
            place += 2;
        } else {
            break;
        }
    }
    (path, place)
}

/// Whether the name is that of a field, a method or a lifetime.
fn is_member(tokens: &[TokenTree], place: usize) -> bool {
    let is_field = is_punct(tokens, place, 1, '.') && !is_punct(tokens, place, 2, '.');
    is_field || is_punct(tokens, place, 1, '\'')
}

/// Whether the token `back` before `place` is this sign.
fn is_punct(tokens: &[TokenTree], place: usize, back: usize, sign: char) -> bool {
    let token = place.checked_sub(back).and_then(|place| tokens.get(place));
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}

fn follows_colons(tokens: &[TokenTree], place: usize) -> bool {
    is_punct(tokens, place, 1, ':') && is_punct(tokens, place, 2, ':')
}

/// What stands between the quotes of a plain text.
fn text_of(literal: &str) -> Option<String> {
    syn::parse_str::<syn::LitStr>(literal).ok().map(|text| text.value())
}

fn path_in(text: &str) -> Option<Path> {
    let path: syn::Path = syn::parse_str(text).ok()?;
    Some(path.segments.iter().map(|segment| segment.ident.to_string()).collect())
}

/// A name that `use` brings in, with the path that it stands for; for `use path::*` there is no name.
pub(super) fn imports(tree: &UseTree) -> Vec<(Option<String>, Path)> {
    let mut found = Vec::new();
    add_imports(tree, &[], &mut found);
    found
}

fn add_imports(tree: &UseTree, prefix: &[String], found: &mut Vec<(Option<String>, Path)>) {
    let with = |name: &dyn ToString| [prefix, &[name.to_string()]].concat();
    match tree {
        UseTree::Path(path) => add_imports(&path.tree, &with(&path.ident), found),
        // `use a::b::{self}` brings in `b`.
        UseTree::Name(name) if name.ident == "self" => found.push((prefix.last().cloned(), prefix.to_vec())),
        UseTree::Name(name) => found.push((Some(name.ident.to_string()), with(&name.ident))),
        UseTree::Rename(rename) if rename.ident == "self" => {
            found.push((Some(rename.rename.to_string()), prefix.to_vec()));
        }
        UseTree::Rename(rename) => found.push((Some(rename.rename.to_string()), with(&rename.ident))),
        UseTree::Glob(_) => found.push((None, prefix.to_vec())),
        UseTree::Group(group) => group.items.iter().for_each(|tree| add_imports(tree, prefix, found)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(code: &str) -> Vec<String> {
        Mentioned::read(code.parse().unwrap()).paths.iter().map(|path| path.join("::")).collect()
    }

    #[test]
    fn paths_are_read_whole_and_members_are_none() {
        assert_eq!(paths("trial::write(bench.out, 'a')"), ["bench", "trial::write"]);
        assert_eq!(paths("Vec::<super::Arm>::new()"), ["Vec", "new", "super::Arm"].map(str::to_owned).to_vec());
        assert_eq!(paths("0..SIZE"), ["SIZE"]);
        assert_eq!(paths("Load { ..Load::new() }"), ["Load", "Load::new"]);
        assert_eq!(paths("use crate::{one::{a, b}, two};"), ["crate::one::a", "crate::one::b", "crate::two", "use"]);
    }

    #[test]
    fn attributes_may_name_paths_and_files_are_included() {
        assert_eq!(paths("#[serde(with = \"pairs\")] x: u8"), ["pairs", "serde", "u8", "with", "x"]);
        assert_eq!(paths("f(\"pairs\")"), ["f"]);
        let mentioned = Mentioned::read("query(include_str!(\"../a.sql\"))".parse().unwrap());
        assert_eq!(mentioned.includes.into_iter().collect::<Vec<_>>(), ["../a.sql"]);
    }

    #[test]
    fn a_use_is_taken_apart() {
        let item: syn::ItemUse =
            syn::parse_str("use super::{self as parent, trial::{self, Arm as One}, all::*};").unwrap();
        let found: Vec<(Option<String>, String)> =
            imports(&item.tree).into_iter().map(|(name, path)| (name, path.join("::"))).collect();
        let named = |name: &str, path: &str| (Some(name.to_owned()), path.to_owned());
        assert_eq!(
            found,
            [
                named("parent", "super"),
                named("trial", "super::trial"),
                named("One", "super::trial::Arm"),
                (None, "super::all".to_owned())
            ]
        );
    }
}
