//! Printing of results. Unlike with `print!`, a reader that is gone is an error and not a panic.

use std::io::Write;

use serde::Serialize;

use super::invocation::Output;
use crate::admin::OperatorError;

/// Writes `bytes` to standard output, unbuffered.
pub(super) fn bytes(bytes: &[u8]) -> Result<(), OperatorError> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(|error| format!("standard output: {error}").into())
}

/// Prints `value` for programs, or `text` for people.
pub(super) fn either<T: Serialize>(
    output: Output,
    value: &T,
    text: impl FnOnce(&T) -> String,
) -> Result<(), OperatorError> {
    let mut printed = match output {
        Output::Text => text(value),
        Output::Json => serde_json::to_string_pretty(value).map_err(|error| error.to_string())?,
    };
    if !printed.is_empty() && !printed.ends_with('\n') {
        printed.push('\n');
    }
    bytes(printed.as_bytes())
}

/// Formats rows as columns, each as wide as its widest cell.
pub(super) fn columns<const N: usize>(rows: &[[&str; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[&str; N]| {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_line_up_without_trailing_space() {
        assert_eq!(super::columns(&[["a", "bb", ""], ["ccc", "d", "e"]]), "a    bb\nccc  d   e\n");
    }
}
