//! What a path of Rust leads to, module by module: items of this crate, or something outside of it. It follows imports as the compiler
//! does, and knows nothing of types: a method is found with its type.

use std::collections::BTreeMap;

use super::{
    item::{Item, Kind, RustFile},
    paths::Path,
};

/// More imports than this do not stand between a name and its item.
const DEPTH: u32 = 32;

/// A module of the crate.
#[derive(Debug)]
pub(super) struct Module {
    /// Its file, relative to the project.
    pub(super) file: String,
    pub(super) source: RustFile,
}

/// An item by its module and its place there.
pub(super) type Node = (Path, usize);

/// The modules of a crate by their paths.
#[derive(Debug, Default)]
pub(super) struct Modules(pub(super) BTreeMap<Path, Module>);

/// Where a path leads.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) items: Vec<Node>,
    /// The whole path of something outside of the crate.
    pub(super) outside: Option<String>,
}

impl Modules {
    pub(super) fn item(&self, (module, place): &Node) -> Option<&Item> {
        self.0.get(module)?.source.items.get(*place)
    }

    /// Follows `path` from within `module`.
    pub(super) fn resolve(&self, module: &[String], path: &[String]) -> Found {
        self.follow(module, path, DEPTH)
    }

    fn follow(&self, module: &[String], path: &[String], depth: u32) -> Found {
        let Some((first, rest)) = path.split_first() else { return Found::default() };
        if depth == 0 {
            return Found::default();
        }
        match first.as_str() {
            "crate" | "$crate" => self.descend(&[], rest, depth),
            "self" => self.descend(module, rest, depth),
            "super" => self.descend(parent(module), rest, depth),
            _ => {
                let found = self.look_up(module, path, depth);
                let is_outside = found.items.is_empty() && found.outside.is_none() && !rest.is_empty();
                let is_module = self.0.contains_key([module, std::slice::from_ref(first)].concat().as_slice());
                if is_outside && !is_module { Found { outside: Some(path.join("::")), ..found } } else { found }
            }
        }
    }

    /// Follows `path` among what `module` offers.
    fn descend(&self, module: &[String], path: &[String], depth: u32) -> Found {
        match path.first().map(String::as_str) {
            None => Found::default(),
            Some("super") => self.descend(parent(module), &path[1..], depth),
            Some("self") => self.descend(module, &path[1..], depth),
            Some(_) => self.look_up(module, path, depth),
        }
    }

    fn look_up(&self, module: &[String], path: &[String], depth: u32) -> Found {
        let (Some((name, rest)), Some(Module { source, .. })) = (path.split_first(), self.0.get(module)) else {
            return Found::default();
        };
        let named = source.items.iter().enumerate().filter(|(_, item)| item.names.contains(name));
        let items: Vec<Node> = named.map(|(place, _)| (module.to_vec(), place)).collect();
        if !items.is_empty() {
            return Found { items, outside: None };
        }
        let child = [module, std::slice::from_ref(name)].concat();
        if self.0.contains_key(&child) {
            return self.descend(&child, rest, depth);
        }
        if let Some(import) = source.imports.iter().find(|import| import.name.as_ref() == Some(name)) {
            // A name that an import takes from outside is not looked for in this module once more.
            let target = [&import.path, rest].concat();
            if import.path.first() == Some(name) && import.path.len() == 1 {
                return Found { items: Vec::new(), outside: Some(target.join("::")) };
            }
            let found = self.follow(module, &target, depth - 1);
            let nothing = found.items.is_empty() && found.outside.is_none();
            let is_inside = ["crate", "super", "self"].contains(&import.path[0].as_str());
            let outside = if nothing && !is_inside { Some(target.join("::")) } else { found.outside };
            return Found { items: found.items, outside };
        }
        source
            .imports
            .iter()
            .filter(|import| import.name.is_none())
            .map(|import| self.follow(module, &[&import.path, path].concat(), depth - 1))
            .find(|found| !found.items.is_empty())
            .unwrap_or_default()
    }

    /// The traits of this crate that `module` imports: their methods can be called without being named.
    pub(super) fn traits_in_scope(&self, module: &[String]) -> Vec<Node> {
        let Some(Module { source, .. }) = self.0.get(module) else { return Vec::new() };
        let found = source.imports.iter().flat_map(|import| self.resolve(module, &import.path).items);
        found.filter(|node| self.item(node).is_some_and(|item| item.kind == Kind::Trait)).collect()
    }
}

fn parent(module: &[String]) -> &[String] {
    module.split_last().map_or(&[], |(_, parent)| parent)
}
