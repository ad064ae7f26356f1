//! Creates causes: one plain line of bounded length from any text of a peer or a library.

use std::error::Error;

/// The largest part of a foreign text in a cause, in characters.
const CAUSE_CHARS_MAX: usize = 300;

/// `text` on one line, cut to a bounded length. Control characters become spaces, so that a peer cannot forge
/// a log line.
pub(crate) fn one_line(text: &str) -> String {
    let mut line: String = text
        .trim()
        .chars()
        .take(CAUSE_CHARS_MAX)
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect();
    if text.trim().chars().nth(CAUSE_CHARS_MAX).is_some() {
        line.push('…');
    }
    line
}

/// The messages of an error and its sources, outermost first. Only for errors that contain no part of a
/// message.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut beneath = error.source();
    while let Some(error) = beneath {
        let more = error.to_string();
        if !said.contains(&more) {
            said = format!("{said}: {more}");
        }
        beneath = error.source();
    }
    one_line(&said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_one_bounded_line() {
        assert_eq!(one_line(" two\r\nlines\u{1b}[0m "), "two  lines [0m");
        let long = one_line(&"é".repeat(CAUSE_CHARS_MAX + 1));
        assert_eq!(long.chars().count(), CAUSE_CHARS_MAX + 1);
        assert!(long.ends_with('…'));
        assert_eq!(one_line(&"é".repeat(CAUSE_CHARS_MAX)), "é".repeat(CAUSE_CHARS_MAX));
    }
}
