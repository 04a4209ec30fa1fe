//! How wide a text is and how a number is written on a chart.
//!
//! The widths are those of the font that the report embeds, so that a chart is laid out alike on every machine; no font file is
//! read here.

/// The family that every chart names. It is embedded in Typst, so that the PDF needs no font of the system.
pub(super) const FAMILY: &str = "Libertinus Serif";

/// Advance widths of the printable ASCII characters of [`FAMILY`], in thousandths of the font size, beginning with the space.
const ADVANCE: [u16; 95] = [
    250, 288, 336, 465, 465, 637, 705, 190, 298, 298, 369, 550, 220, 338, 220, 323, 465, 465, 465, 465, 465, 465, 465,
    465, 465, 465, 236, 236, 550, 550, 550, 435, 895, 695, 588, 646, 701, 557, 485, 685, 730, 297, 322, 637, 528, 839,
    699, 702, 541, 702, 587, 485, 597, 661, 652, 951, 660, 575, 604, 356, 287, 356, 518, 486, 392, 457, 493, 428, 506,
    447, 328, 500, 538, 271, 272, 512, 264, 790, 542, 504, 519, 503, 372, 390, 316, 531, 497, 747, 490, 515, 424, 277,
    205, 277, 449,
];

/// The width of `text` at `size` pixels. Characters outside of ASCII count as wide ones, so that the guess errs to the safe side.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let thousandths: f64 = text
        .chars()
        .map(|character| {
            let index = u32::from(character).checked_sub(32).and_then(|index| ADVANCE.get(index as usize));
            index.map_or(700.0, |advance| f64::from(*advance))
        })
        .sum();
    thousandths * size / 1000.0
}

/// Breaks `text` at spaces into lines no wider than `limit`; a single word that is wider is cut with an ellipsis.
pub(super) fn wrap(text: &str, size: f64, limit: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word = shorten(word, size, limit);
        match lines.last_mut() {
            Some(line) if width(&format!("{line} {word}"), size) <= limit => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

/// Cuts `text` so that it fits into `limit`, and says so with an ellipsis.
pub(super) fn shorten(text: &str, size: f64, limit: f64) -> String {
    if width(text, size) <= limit {
        return text.to_owned();
    }
    let mut kept = String::new();
    for character in text.chars() {
        kept.push(character);
        if width(&kept, size) + width("…", size) > limit {
            kept.pop();
            break;
        }
    }
    format!("{}…", kept.trim_end())
}

/// Writes a number with three significant digits, with separators between thousands: `0.052`, `1.5`, `12.3`, `1,234`.
#[must_use]
pub fn compact(number: f64) -> String {
    if !number.is_finite() {
        return "–".to_owned();
    }
    if number == 0.0 {
        return "0".to_owned();
    }
    let magnitude = number.abs().log10().floor();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a small positive range")]
    let decimals = (2.0 - magnitude).clamp(0.0, 12.0) as usize;
    let plain = format!("{:.decimals$}", number.abs());
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let fraction = fraction.trim_end_matches('0');
    let mut text = String::new();
    if number < 0.0 {
        text.push('−');
    }
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if !fraction.is_empty() {
        text.push('.');
        text.push_str(fraction);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{compact, shorten, width, wrap};

    #[test]
    fn numbers_are_short_and_exact_enough() {
        let written: Vec<String> =
            [0.0, 0.0521, 1.5, 12.34, 999.6, 1_234.4, 1_234_567.0, -3.2, f64::NAN].into_iter().map(compact).collect();
        assert_eq!(written, ["0", "0.0521", "1.5", "12.3", "1,000", "1,234", "1,234,567", "−3.2", "–"]);
    }

    #[test]
    fn long_names_are_wrapped_and_at_last_cut() {
        let lines = wrap("view and fragment and value together", 30.0, 220.0);
        assert!(lines.len() > 1);
        assert!(lines.iter().all(|line| width(line, 30.0) <= 220.0));
        assert!(shorten("an_identifier_without_any_space", 30.0, 200.0).ends_with('…'));
    }
}
