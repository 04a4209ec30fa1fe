//! Version numbers: read from what a program prints, compared number by number. Knows no program.

use std::fmt;

/// A version as its numbers, most significant first; `15.18` is less than `16` and more than `15`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(Vec<u32>);

impl Version {
    /// Reads the version that stands right behind the first `marker` in `text`.
    ///
    /// Letters that follow the numbers (`18beta1`, `0.15.0-rc.1`) are left out, so that a pre-release counts as its release.
    #[must_use]
    pub fn after(marker: &str, text: &str) -> Option<Self> {
        let (_, rest) = text.split_once(marker)?;
        Self::leading(rest)
    }

    /// Reads the version at the start of `text`.
    #[must_use]
    pub fn leading(text: &str) -> Option<Self> {
        let mut numbers = Vec::new();
        let mut rest = text;
        loop {
            let digits = rest.len() - rest.trim_start_matches(|character: char| character.is_ascii_digit()).len();
            let Ok(number) = rest[..digits].parse() else { break };
            numbers.push(number);
            match rest[digits..].strip_prefix('.') {
                Some(further) => rest = further,
                None => break,
            }
        }
        if numbers.is_empty() { None } else { Some(Self(numbers)) }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(u32::to_string).collect();
        formatter.write_str(&numbers.join("."))
    }
}

/// The versions that are accepted: from one, and perhaps below another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needed {
    /// The lowest version that will do.
    pub at_least: &'static [u32],
    /// The first version that will not do any more.
    pub below: Option<&'static [u32]>,
}

impl Needed {
    /// Whether `version` will do.
    #[must_use]
    pub fn accepts(&self, version: &Version) -> bool {
        version.0.as_slice() >= self.at_least && self.below.is_none_or(|below| version.0.as_slice() < below)
    }
}

impl fmt::Display for Needed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", Version(self.at_least.to_vec()))?;
        match self.below {
            None => write!(formatter, " or newer"),
            Some(below) => write!(formatter, " or newer, below {}", Version(below.to_vec())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every triple of small numbers survives being printed and read, whatever stands around it.
    #[test]
    fn printed_versions_are_read_back() {
        for major in [0, 1, 7, 15, 4_294_967_295] {
            for minor in [0, 9, 10, 22] {
                for patch in [0, 3, 100] {
                    let version = Version(vec![major, minor, patch]);
                    for tail in ["", "\n", " (Ubuntu)", "-rc.1", "+deb12u1", ".", "~x"] {
                        assert_eq!(Version::after("v=", &format!("Server v={version}{tail}")), Some(version.clone()));
                    }
                }
            }
        }
    }

    /// The order is that of the numbers, not that of the text.
    #[test]
    fn versions_are_ordered_by_number() {
        let ordered = ["0.15", "0.15.2", "0.16", "1.9", "1.22.1", "7", "7.0.15", "15", "15.18", "16"];
        for (position, lower) in ordered.iter().enumerate() {
            for higher in &ordered[position + 1..] {
                assert!(Version::leading(lower) < Version::leading(higher), "{lower} < {higher}");
            }
        }
    }

    /// What is not a version is not taken for one.
    #[test]
    fn garbage_is_no_version() {
        for garbage in ["", "v", ".1", "beta", "-1", "99999999999", "\u{0663}"] {
            assert_eq!(Version::leading(garbage), None, "{garbage:?}");
        }
        assert_eq!(Version::after("nginx/", "usage: nginx 1.2"), None);
    }

    /// The lower bound belongs to the range, the upper one does not.
    #[test]
    fn a_range_holds_its_lower_bound_only() {
        let needed = Needed { at_least: &[0, 15], below: Some(&[0, 16]) };
        let accepted = |text| needed.accepts(&Version::leading(text).expect("a version"));
        assert!(accepted("0.15") && accepted("0.15.0") && accepted("0.15.9"));
        assert!(!accepted("0.14.9") && !accepted("0.16") && !accepted("0.16.0") && !accepted("1.0"));
        assert_eq!(needed.to_string(), "0.15 or newer, below 0.16");
    }
}
