//! Where logging in leads: a page of this site, whatever the address bar of the log-in page says. A link to our log-in page that leads
//! on to another site would lend it our good name.

use axum::http::uri::PathAndQuery;

/// Longer than any address of ours.
const BYTES_MAX: usize = 1000;

/// Reads an address and writes it anew. None unless it is a path of this site: browsers take `//host` and `/\host` for another site, and
/// leave out tabs and line ends before they look.
pub(super) fn next(text: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    if text.len() > BYTES_MAX || !text.bytes().all(is_plain) {
        return None;
    }
    let (address, fragment) =
        text.split_once('#').map_or((text, None), |(address, fragment)| (address, Some(fragment)));
    if !address.starts_with('/') || address.starts_with("//") {
        return None;
    }
    let mut written = address.parse::<PathAndQuery>().ok()?.as_str().to_owned();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if let Some(fragment) = fragment.filter(|fragment| fragment.bytes().all(is_name)) {
        written.push('#');
        written.push_str(fragment);
    }
    Some(written)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::Url;

    use super::*;

    #[test]
    fn paths_are_kept_and_other_sites_refused() {
        for path in ["/", "/account", "/posts/1#comments", "/?before=1.2", "/a//b", "/%2F%2Fevil.example"] {
            assert_eq!(next(path).as_deref(), Some(path));
        }
        assert_eq!(next("/a#<b>").as_deref(), Some("/a"));
        for address in [
            "",
            "account",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            " //evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/é",
            "/\0",
            "#",
            "?a",
        ] {
            assert_eq!(next(address), None, "{address:?}");
        }
    }

    proptest! {
        /// The judge is the URL parser that browsers follow.
        #[test]
        fn whatever_is_accepted_stays_on_this_site(text in prop_oneof![
            "[/\\\\.@:#?%a-z\t\n ]{0,12}",
            "/[/\\\\.@:#?%a-z0-9]{0,12}",
            any::<String>(),
        ]) {
            if let Some(address) = next(&text) {
                let here = Url::parse("https://blog.example/login").unwrap();
                let there = here.join(&address).unwrap();
                prop_assert_eq!(there.origin(), here.origin());
                prop_assert_eq!(next(&address), Some(address.clone()));
                prop_assert!(axum::http::HeaderValue::from_str(&address).is_ok());
            }
        }
    }
}
