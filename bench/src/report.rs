//! The result as text or Markdown: the measurements, and each aim with its limit.

use std::fmt::Write;

use clap::ValueEnum;

use crate::aims::{Aim, Verdict};
use crate::figures::{megabytes, milliseconds, short};
use crate::measure::Row;

/// The format of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Columns for a terminal.
    Text,
    /// Tables for a document.
    Markdown,
}

const ROW_TITLES: [&str; 12] = [
    "work",
    "clients",
    "count",
    "per s",
    "p50 ms",
    "p90 ms",
    "p99 ms",
    "max ms",
    "CPU µs",
    "generator µs",
    "device B",
    "RSS MB",
];
const AIM_TITLES: [&str; 4] = ["aim", "wanted", "found", "met"];

/// A table of measured rows; costs are per piece of work.
pub(crate) fn rows<'a>(output: Output, rows: impl IntoIterator<Item = &'a Row>) -> String {
    let cells: Vec<Vec<String>> = rows.into_iter().map(row).collect();
    table(output, &ROW_TITLES, &cells)
}

/// A table of aims.
pub(crate) fn aims(output: Output, aims: &[Aim]) -> String {
    let cells: Vec<Vec<String>> = aims.iter().map(aim).collect();
    table(output, &AIM_TITLES, &cells)
}

/// A heading above what follows.
pub(crate) fn heading(output: Output, text: &str) -> String {
    match output {
        Output::Text => format!("\n{text}\n"),
        Output::Markdown => format!("\n## {text}\n\n"),
    }
}

/// A line of facts or a remark.
pub(crate) fn line(output: Output, text: &str) -> String {
    match output {
        Output::Text => format!("  {text}\n"),
        Output::Markdown => format!("* {text}\n"),
    }
}

fn row(row: &Row) -> Vec<String> {
    let latency = |share| short(milliseconds(row.latencies.quantile(share)));
    let generator = row.generator_microseconds();
    vec![
        row.name.to_owned(),
        row.clients.to_string(),
        row.latencies.count().to_string(),
        format!("{:.0}", row.rate()),
        latency(0.5),
        latency(0.9),
        latency(0.99),
        latency(1.0),
        short(row.cpu_microseconds()),
        generator.map_or_else(|| "–".to_owned(), short),
        format!("{:.0}", row.device_bytes_each()),
        // Work inside this process shares its memory with everything else of the run.
        generator.map_or_else(|| "–".to_owned(), |_| format!("{:.1}", megabytes(row.resident_bytes))),
    ]
}

fn aim(aim: &Aim) -> Vec<String> {
    let verdict = match aim.verdict() {
        Verdict::Met => "yes",
        Verdict::Missed => "NO",
        Verdict::NotMeasured => "not measured",
    };
    let found = match aim.found {
        Some(found) => format!("{} {}", short(found), aim.unit),
        None => "–".to_owned(),
    };
    vec![aim.what.to_owned(), aim.wanted(), found.trim_end().to_owned(), verdict.to_owned()]
}

/// A table; its first column holds names.
pub(crate) fn table(output: Output, titles: &[&str], rows: &[Vec<String>]) -> String {
    let titles: Vec<String> = titles.iter().map(|title| (*title).to_owned()).collect();
    let mut widths = vec![0; titles.len()];
    for cells in std::iter::once(&titles).chain(rows) {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let separator = match output {
        Output::Text => "  ",
        Output::Markdown => " | ",
    };
    for (number, cells) in std::iter::once(&titles).chain(rows).enumerate() {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| pad(column, cell, *width))
            .collect();
        let line = padded.join(separator);
        match output {
            Output::Text => text.push_str(line.trim_end()),
            Output::Markdown => {
                // Writing to a string cannot fail.
                let _ = write!(text, "| {line} |");
            }
        }
        text.push('\n');
        if number == 0 && output == Output::Markdown {
            let rules = (0..titles.len()).map(|column| if column == 0 { "---" } else { "---:" });
            let _ = writeln!(text, "| {} |", rules.collect::<Vec<_>>().join(" | "));
        }
    }
    text
}

/// The first column holds names, the others numbers.
fn pad(column: usize, cell: &str, width: usize) -> String {
    if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up_in_both_forms() {
        let rows = [vec!["long name".to_owned(), "1".to_owned()], vec!["µ".to_owned(), "12345".to_owned()]];
        assert_eq!(
            table(Output::Text, &["work", "n"], &rows),
            "work           n\nlong name      1\nµ          12345\n"
        );
        assert_eq!(
            table(Output::Markdown, &["work", "n"], &rows),
            "| work      |     n |\n| --- | ---: |\n| long name |     1 |\n| µ         | 12345 |\n"
        );
    }
}
