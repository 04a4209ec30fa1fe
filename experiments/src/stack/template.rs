//! Fills in the placeholders `${NAME}` of a template, in the way of `envsubst` but strictly. Knows nothing of NGINX.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};

/// Replaces every placeholder by its value.
///
/// # Errors
/// If a placeholder has no value, if a value is empty, or if a value is for no placeholder.
pub(super) fn render(template: &str, values: &BTreeMap<&str, String>) -> Result<String> {
    let mut text = String::with_capacity(template.len());
    let mut used = BTreeSet::new();
    for (index, line) in template.split_inclusive('\n').enumerate() {
        let number = index + 1;
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) =
                after.split_once('}').with_context(|| format!("line {number}: a placeholder has no end"))?;
            let value = values.get(name).with_context(|| {
                format!("line {number}: the placeholder `{name}` is unknown; known are {}", list(values))
            })?;
            ensure!(!value.is_empty(), "line {number}: the value of the placeholder `{name}` is empty");
            text.push_str(before);
            text.push_str(value);
            used.insert(name);
            rest = after;
        }
        text.push_str(rest);
    }
    for name in values.keys() {
        ensure!(used.contains(name), "the placeholder `{name}` is missing in the template");
    }
    Ok(text)
}

fn list(values: &BTreeMap<&str, String>) -> String {
    let names: Vec<String> = values.keys().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render_with(template: &str, values: &[(&'static str, &str)]) -> Result<String> {
        let values = values.iter().map(|&(name, value)| (name, value.to_owned())).collect();
        render(template, &values)
    }

    #[test]
    fn placeholders_are_filled_and_variables_are_left() {
        let text = render_with("listen ${A}:${B};\nset $host ${A};", &[("A", "1"), ("B", "2")]).unwrap();
        assert_eq!(text, "listen 1:2;\nset $host 1;");
    }

    #[test]
    fn mistakes_are_named() {
        let error = |template, values| render_with(template, values).unwrap_err().to_string();
        assert_eq!(error("\n${B}", &[("A", "1")]), "line 2: the placeholder `B` is unknown; known are `A`");
        assert_eq!(error("${A}", &[("A", "")]), "line 1: the value of the placeholder `A` is empty");
        assert_eq!(error("${A", &[("A", "1")]), "line 1: a placeholder has no end");
        assert_eq!(error("x", &[("A", "1")]), "the placeholder `A` is missing in the template");
    }
}
