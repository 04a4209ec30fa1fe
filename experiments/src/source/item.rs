//! One file of Rust as a list of items: what each is called, what it mentions, and a hash of what it says. Items of tests are left out.

use anyhow::{Context, Result};
use quote::ToTokens;
use serde::{Deserialize, Serialize};
use syn::{ImplItem, Item as SynItem, Type};

use super::{
    canonical::{attributes_of_member, canonical, is_test, text},
    paths::{Mentioned, Path, imports},
};
use crate::results::hash_bytes;

/// A name that stands for a path.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Import {
    /// Nothing for `use path::*`.
    pub(super) name: Option<String>,
    pub(super) path: Path,
}

/// What an item is to those that follow paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    /// Something with a name.
    Named,
    /// A trait.
    Trait,
    /// A member of an implementation: for this type, of this trait if it is of one, under this name.
    Member { owner: Path, of_trait: Option<Path>, name: String },
}

/// One item, or one member of an implementation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Item {
    pub(super) kind: Kind,
    /// What it can be found under in its module.
    pub(super) names: Vec<String>,
    pub(super) hash: String,
    pub(super) mentions: Vec<Path>,
    pub(super) includes: Vec<String>,
}

/// What counts of a file of Rust.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RustFile {
    pub(super) imports: Vec<Import>,
    pub(super) items: Vec<Item>,
    /// Modules in files of their own that only tests have.
    pub(super) test_modules: Vec<String>,
}

impl RustFile {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// When it is not Rust.
    pub fn parse(text: &str) -> Result<Self> {
        let parsed = syn::parse_file(text).context("it is not Rust; correct it")?;
        let mut file = Self::default();
        for item in parsed.items {
            file.add(item);
        }
        Ok(file)
    }

    /// A hash of all that the file says outside of its tests; the order of its imports does not count.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut lines: Vec<String> =
            self.imports.iter().map(|import| format!("{:?} {}", import.name, import.path.join("::"))).collect();
        lines.sort();
        lines.extend(self.items.iter().map(|item| item.hash.clone()));
        hash_bytes(lines.join("\n").as_bytes())
    }

    fn add(&mut self, item: SynItem) {
        if is_test(attributes_of(&item)) {
            if let SynItem::Mod(module) = item {
                self.test_modules.push(module.ident.to_string());
            }
            return;
        }
        match canonical(item) {
            SynItem::Use(item) => {
                self.imports.extend(imports(&item.tree).into_iter().map(|(name, path)| Import { name, path }));
            }
            // Which files there are is seen where something of them is used.
            SynItem::Mod(module) if module.content.is_none() => {}
            SynItem::Mod(module) => self.add_inline(&module),
            SynItem::Impl(implementation) => self.add_members(implementation),
            SynItem::Trait(item) => self.push(Kind::Trait, vec![item.ident.to_string()], item),
            item => {
                let names = names_of(&item);
                self.push(Kind::Named, names, item);
            }
        }
    }

    /// A module within the file is one item: whoever uses a part of it uses all of it.
    fn add_inline(&mut self, module: &syn::ItemMod) {
        self.push(Kind::Named, vec![module.ident.to_string()], module);
        if let Some(item) = self.items.last_mut() {
            for path in &mut item.mentions {
                if path.first().is_some_and(|first| first == "super") {
                    path[0] = "self".to_owned();
                }
            }
        }
    }

    /// Each member by itself, together with what the head of the implementation says.
    fn add_members(&mut self, mut implementation: syn::ItemImpl) {
        let members = std::mem::take(&mut implementation.items);
        let owner = path_of_type(&implementation.self_ty);
        let of_trait = implementation.trait_.as_ref().map(|(_, path, _)| path_of(path));
        let head = implementation.to_token_stream();
        let kind = |name: String| Kind::Member { owner: owner.clone(), of_trait: of_trait.clone(), name };
        self.push(kind(String::new()), Vec::new(), &implementation);
        for member in members.iter().filter(|member| !is_test(attributes_of_member(member))) {
            let name = match member {
                ImplItem::Const(member) => member.ident.to_string(),
                ImplItem::Fn(member) => member.sig.ident.to_string(),
                ImplItem::Type(member) => member.ident.to_string(),
                _ => String::new(),
            };
            let mut tokens = head.clone();
            member.to_tokens(&mut tokens);
            self.push(kind(name), Vec::new(), tokens);
        }
    }

    fn push(&mut self, kind: Kind, names: Vec<String>, item: impl ToTokens) {
        let tokens = item.to_token_stream();
        let mentioned = Mentioned::read(tokens.clone());
        self.items.push(Item {
            kind,
            names,
            hash: hash_bytes(text(tokens).as_bytes()),
            mentions: mentioned.paths.into_iter().collect(),
            includes: mentioned.includes.into_iter().collect(),
        });
    }
}

fn attributes_of(item: &SynItem) -> &[syn::Attribute] {
    match item {
        SynItem::Const(item) => &item.attrs,
        SynItem::Enum(item) => &item.attrs,
        SynItem::Fn(item) => &item.attrs,
        SynItem::Impl(item) => &item.attrs,
        SynItem::Macro(item) => &item.attrs,
        SynItem::Mod(item) => &item.attrs,
        SynItem::Static(item) => &item.attrs,
        SynItem::Struct(item) => &item.attrs,
        SynItem::Trait(item) => &item.attrs,
        SynItem::Type(item) => &item.attrs,
        SynItem::Union(item) => &item.attrs,
        SynItem::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// What an item brings into its module. A macro may make anything whose name stands in it behind a word for its kind.
fn names_of(item: &SynItem) -> Vec<String> {
    let name = match item {
        SynItem::Const(item) => &item.ident,
        SynItem::Enum(item) => &item.ident,
        SynItem::Fn(item) => &item.sig.ident,
        SynItem::Static(item) => &item.ident,
        SynItem::Struct(item) => &item.ident,
        SynItem::Type(item) => &item.ident,
        SynItem::Union(item) => &item.ident,
        SynItem::Macro(item) => {
            let defined = item.ident.iter().map(ToString::to_string);
            return defined.chain(made_by(&item.mac.tokens)).collect();
        }
        _ => return Vec::new(),
    };
    vec![name.to_string()]
}

fn made_by(tokens: &proc_macro2::TokenStream) -> Vec<String> {
    let words: Vec<String> = tokens.clone().into_iter().map(|token| token.to_string()).collect();
    let is_kind = |word: &str| ["struct", "enum", "fn", "const", "static", "type", "trait"].contains(&word);
    words.windows(2).filter(|pair| is_kind(&pair[0])).map(|pair| pair[1].clone()).collect()
}

fn path_of(path: &syn::Path) -> Path {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

/// The path of a plain type; nothing for the others, whose members belong to their trait.
fn path_of_type(kind: &Type) -> Path {
    match kind {
        Type::Path(kind) => path_of(&kind.path),
        Type::Reference(kind) => path_of_type(&kind.elem),
        _ => Path::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "//! A file.\nuse std::fs;\nuse crate::one::Arm;\n\n/// Said.\npub fn one(arms: &[Arm]) -> usize {\n    // Why.\n    arms.iter().map(|arm| arm.count()).sum()\n}\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn it() {}\n}\n";

    fn hash(text: &str) -> String {
        RustFile::parse(text).unwrap().hash()
    }

    #[test]
    fn comments_documentation_tests_and_layout_do_not_count() {
        let same = [
            FILE.replace("// Why.", "// Another reason, in more words."),
            FILE.replace("/// Said.", "/// Said otherwise.\n/// In two lines.\n#[must_use]"),
            FILE.replace("fn it() {}", "fn it() { assert!(true) }"),
            FILE.replace("use std::fs;\nuse crate::one::Arm;", "use crate::one::{Arm};\nuse std::fs;"),
            FILE.replace("(arms: &[Arm])", "(\n    arms: &[Arm],\n)"),
            FILE.replace("|arm| arm.count()", "|arm| { arm.count() }"),
        ];
        for text in same {
            assert_eq!(hash(FILE), hash(&text), "{text}");
        }
        for (from, to) in [("sum()", "max()"), ("std::fs", "tokio::fs"), ("usize", "u64"), ("pub fn", "pub(crate) fn")]
        {
            assert_ne!(hash(FILE), hash(&FILE.replacen(from, to, 1)), "{to}");
        }
    }

    #[test]
    fn arms_of_a_match_may_have_braces_or_commas() {
        let one = "fn f(x: u8) -> u8 { match x { | 0 => 1, 1 => { g::<A, B>() } _ => { return 2 } } }";
        let other = "fn f(x: u8) -> u8 { match x { 0 => { 1 } 1 => g::<A, B,>(), _ => { return 2; }, } }";
        assert_eq!(hash(one), hash(other));
        assert_ne!(hash(one), hash(&one.replace("=> 1", "=> 3")));
    }

    #[test]
    fn what_is_not_rust_is_refused() {
        let error = format!("{:#}", RustFile::parse("fn one() {}\nfn (").unwrap_err());
        assert!(error.starts_with("it is not Rust; correct it: "), "{error}");
    }

    #[test]
    fn a_macro_makes_what_stands_in_it() {
        let file =
            RustFile::parse("row! { /// Doc.\n pub struct OneRow in \"ones.csv\" { /// A.\n arm: String, } }").unwrap();
        assert_eq!(file.items[0].names, ["OneRow"]);
        let again =
            RustFile::parse("row! { /// Other.\n pub struct OneRow in \"ones.csv\" { /// B.\n arm: String, } }")
                .unwrap();
        assert_eq!(file.items[0].hash, again.items[0].hash);
    }
}
