//! What the template sets in NGINX, as one fact a directive. NGINX does not tell what differs from its defaults, and everything in
//! the template is there because it does.

use std::{collections::BTreeMap, fs, path::Path};

use super::{text, why};

/// These are addresses, folders and formats of logs; the report quotes them with the configuration.
const LEFT_OUT: &[&str] = &["access_log", "log_format", "pid"];

/// Each directive under the blocks that it stands in.
pub(super) fn read(template: &Path) -> BTreeMap<String, String> {
    match fs::read_to_string(template) {
        Ok(template) => directives(&template),
        Err(error) => BTreeMap::from([("template".to_owned(), text(Err(why(error))))]),
    }
}

/// Reads the template as it is written: a block opens and closes with its line, and a directive ends with one.
fn directives(template: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let (mut blocks, mut words): (Vec<&str>, String) = (Vec::new(), String::new());
    for line in template.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if line == "}" {
            blocks.pop();
        } else if let Some(block) = line.strip_suffix('{') {
            blocks.push(block.trim());
        } else {
            words = words + line + " ";
            if let Some(directive) = words.trim_end().strip_suffix(';') {
                note(&blocks, directive, &mut found);
                words.clear();
            }
        }
    }
    found
}

fn note(blocks: &[&str], directive: &str, found: &mut BTreeMap<String, String>) {
    let mut words = directive.split_whitespace();
    let Some(name) = words.next() else { return };
    let in_map = blocks.iter().any(|block| block.starts_with("map "));
    if in_map || LEFT_OUT.contains(&name) || name.ends_with("_temp_path") {
        return;
    }
    let value = words.collect::<Vec<_>>().join(" ");
    let place: Vec<&str> = blocks.iter().copied().filter(|block| *block != "http").chain([name]).collect();
    // A directive that may be given several times adds up.
    let kept: &mut String = found.entry(place.join(".")).or_default();
    if !kept.is_empty() {
        kept.push_str("; ");
    }
    kept.push_str(&value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_directive_is_told_once_with_its_blocks() {
        let template = "# a { comment };\nworker_rlimit_nofile 8192;\npid \"${NGINX_FOLDER}/nginx.pid\";\nevents {\n\
            worker_connections 4096;\n}\nhttp {\n  log_format x escape=json\n  '{\"a\":$b;'\n  '}';\n\
            map \"${NGINX_BALANCING}:$c\" $pool {\n  default app;\n}\nkeepalive_timeout  65s;\nserver {\n\
            listen ${NGINX_LISTEN} backlog=4096;\nlocation / {\nproxy_set_header A \"\";\nproxy_set_header B $host;\n}\n}\n}\n";
        let found = directives(template);
        let expected = [
            ("events.worker_connections", "4096"),
            ("keepalive_timeout", "65s"),
            ("server.listen", "${NGINX_LISTEN} backlog=4096"),
            ("server.location /.proxy_set_header", "A \"\"; B $host"),
            ("worker_rlimit_nofile", "8192"),
        ];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn the_real_template_is_read_to_its_end() {
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../nginx/nginx.conf.template");
        let found = read(&template);
        assert_eq!(found["events.worker_connections"], "4096");
        assert!(found.keys().any(|name| name.starts_with("server.location /.proxy_")), "{found:#?}");
        assert!(found.keys().all(|name| !name.contains(['{', '}', ';', '\''])), "{found:#?}");
    }
}
