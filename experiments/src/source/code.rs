//! The code that a root calls, followed from item to item through the crate. What it finds is at least what is called: a type brings all
//! of its methods, a name all that is called so.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::{Component, PathBuf},
};

use anyhow::{Context, Result, ensure};

use super::{
    Memory,
    item::Kind,
    paths::Path,
    scope::{Module, Modules, Node},
};
use crate::results::{Inputs, hash_bytes};

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root<'a> {
    /// An item by its path in the crate, such as `load::trial::main`.
    Item(&'a str),
    /// Members of an implementation of a trait, in the module that has it. Such an implementation is not brought by its type.
    Members {
        /// The module, such as `steps::cache`.
        module: &'a str,
        /// The name of the trait.
        of_trait: &'a str,
        /// The members that are called.
        names: &'a [&'a str],
    },
}

/// What was reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reached {
    /// Each file, relative to the project, with the hash of what was reached in it.
    pub files: Inputs,
    /// Files that the code includes when it is compiled.
    pub included: BTreeSet<String>,
    /// The crates outside, as they are called in code.
    pub crates: BTreeSet<String>,
}

/// The code of one crate.
#[derive(Debug)]
pub struct Code {
    modules: Modules,
    /// The members of each type.
    of_types: BTreeMap<Node, Vec<Node>>,
    /// The members of implementations of a trait for types outside of this crate.
    of_traits: BTreeMap<Node, Vec<Node>>,
    /// Modules that are not followed.
    boundaries: Vec<Path>,
}

impl Code {
    /// Reads the crate whose sources lie in `folder`, relative to the project. Paths that lead into one of `boundaries` are not followed.
    ///
    /// # Errors
    /// When a file cannot be read, or is not Rust.
    pub fn read(memory: &mut Memory, folder: &str, boundaries: &[&str]) -> Result<Self> {
        let mut modules = Modules::default();
        for file in memory.files(folder)? {
            let Some(path) = file.strip_prefix(folder).and_then(|path| path.strip_suffix(".rs")) else { continue };
            let mut path: Path = path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
            if path == ["main"] {
                continue;
            }
            if path == ["lib"] || path.last().is_some_and(|name| name == "mod") {
                path.pop();
            }
            let source = memory.rust(&file)?.clone();
            modules.0.insert(path, Module { file, source });
        }
        let boundaries = boundaries.iter().map(|path| path.split("::").map(str::to_owned).collect()).collect();
        let mut code = Self { modules, of_types: BTreeMap::new(), of_traits: BTreeMap::new(), boundaries };
        code.assign_members();
        Ok(code)
    }

    fn assign_members(&mut self) {
        for (path, module) in &self.modules.0 {
            for (place, item) in module.source.items.iter().enumerate() {
                let Kind::Member { owner, of_trait, .. } = &item.kind else { continue };
                let node = (path.clone(), place);
                let owners = self.modules.resolve(path, owner).items;
                let traits = of_trait.iter().flat_map(|of_trait| self.modules.resolve(path, of_trait).items);
                let traits: Vec<Node> = traits.collect();
                for owner in &owners {
                    self.of_types.entry(owner.clone()).or_default().push(node.clone());
                }
                if owners.is_empty() {
                    for of_trait in traits {
                        self.of_traits.entry(of_trait).or_default().push(node.clone());
                    }
                }
            }
        }
    }

    /// Follows the code from `roots`.
    ///
    /// # Errors
    /// When a root does not exist.
    pub fn reach(&self, roots: &[Root<'_>]) -> Result<Reached> {
        // Their implementations are asked for member by member, and what they promise besides is nobody's code.
        let asked: Vec<&str> = roots
            .iter()
            .filter_map(|root| match root {
                Root::Members { of_trait, .. } => Some(*of_trait),
                Root::Item(_) => None,
            })
            .collect();
        let mut queue: VecDeque<Node> = VecDeque::new();
        for root in roots {
            queue.extend(self.nodes_of(*root)?);
        }
        let mut seen: BTreeMap<Node, BTreeSet<String>> = BTreeMap::new();
        let mut reached = Reached::default();
        while let Some(node) = queue.pop_front() {
            if seen.contains_key(&node) || self.is_beyond(&node.0) {
                continue;
            }
            let Some(item) = self.modules.item(&node) else { continue };
            if item.kind == Kind::Trait && item.names.iter().any(|name| asked.contains(&name.as_str())) {
                continue;
            }
            let mut outside = BTreeSet::new();
            for path in &item.mentions {
                let found = self.modules.resolve(&node.0, path);
                queue.extend(found.items);
                outside.extend(found.outside);
            }
            let members = [&self.of_types, &self.of_traits].into_iter().filter_map(|members| members.get(&node));
            queue.extend(members.flatten().filter(|member| !self.is_of(member, &asked)).cloned());
            queue.extend(self.modules.traits_in_scope(&node.0));
            self.include(&node, &mut reached)?;
            seen.insert(node, outside);
        }
        self.sum_up(&seen, &mut reached);
        Ok(reached)
    }

    fn nodes_of(&self, root: Root<'_>) -> Result<Vec<Node>> {
        let parts = |path: &str| -> Path { path.split("::").map(str::to_owned).collect() };
        let nodes: Vec<Node> = match root {
            Root::Item(path) => self.modules.resolve(&[], &[vec!["crate".to_owned()], parts(path)].concat()).items,
            Root::Members { module, of_trait, names } => {
                let path = parts(module);
                let items = self.modules.0.get(&path).map_or(&[][..], |module| &module.source.items);
                let is_asked = |kind: &Kind| {
                    matches!(kind, Kind::Member { of_trait: Some(own), name, .. }
                        if own.last().is_some_and(|last| last == of_trait) && (name.is_empty() || names.contains(&name.as_str())))
                };
                let places = items.iter().enumerate().filter(|(_, item)| is_asked(&item.kind));
                places.map(|(place, _)| (path.clone(), place)).collect()
            }
        };
        ensure!(!nodes.is_empty(), "there is no {root:?} in the code; correct the list of what steps call");
        Ok(nodes)
    }

    fn is_beyond(&self, module: &[String]) -> bool {
        self.boundaries.iter().any(|boundary| module.starts_with(boundary))
    }

    fn is_of(&self, node: &Node, traits: &[&str]) -> bool {
        matches!(self.modules.item(node).map(|item| &item.kind), Some(Kind::Member { of_trait: Some(path), .. })
            if path.last().is_some_and(|last| traits.contains(&last.as_str())))
    }

    fn include(&self, node: &Node, reached: &mut Reached) -> Result<()> {
        let (Some(item), Some(module)) = (self.modules.item(node), self.modules.0.get(&node.0)) else { return Ok(()) };
        for include in &item.includes {
            let path = PathBuf::from(&module.file).parent().map(|folder| folder.join(include));
            let path = path.as_deref().and_then(normal);
            reached.included.insert(
                path.with_context(|| format!("`{}` includes `{include}`, which is not in the project", module.file))?,
            );
        }
        Ok(())
    }

    /// One hash for each file, and the crates of every module that something was reached in.
    fn sum_up(&self, seen: &BTreeMap<Node, BTreeSet<String>>, reached: &mut Reached) {
        let mut texts: BTreeMap<&Path, String> = BTreeMap::new();
        for (node, outside) in seen {
            let Some(item) = self.modules.item(node) else { continue };
            let text = texts.entry(&node.0).or_default();
            text.push_str(&item.hash);
            outside.iter().for_each(|path| {
                text.push(' ');
                text.push_str(path);
            });
            text.push('\n');
            reached.crates.extend(outside.iter().map(|path| first_of(path)));
        }
        for (path, text) in texts {
            let module = &self.modules.0[path];
            reached.files.insert(module.file.clone(), hash_bytes(text.as_bytes()));
            // Traits of another crate are used without being named.
            let names = module.source.imports.iter().filter_map(|import| import.path.first());
            reached.crates.extend(names.cloned());
        }
        for own in ["crate", "super", "self"] {
            reached.crates.remove(own);
        }
    }
}

fn first_of(path: &str) -> String {
    path.split("::").next().unwrap_or(path).to_owned()
}

/// The path without `..`, if it does not leave the project.
fn normal(path: &std::path::Path) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(parts.pop()?),
            Component::Normal(part) => parts.push(part.to_str()?.to_owned()),
            _ => {}
        }
    }
    Some(parts.join("/"))
}
