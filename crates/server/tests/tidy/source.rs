//! Source files as the checks read them: with comments and literals blanked out, and with the lines of test modules
//! marked.

use std::fs;
use std::path::{Path, PathBuf};

/// One Rust file.
pub struct Source {
    /// The path from the root of the repository, with forward slashes.
    pub path: String,
    /// The text as it is.
    pub text: String,
    /// The text with comments, literals and inline test modules replaced by spaces; lines keep their numbers.
    pub code: String,
    /// Number of lines outside of inline test modules.
    pub lines_without_tests: usize,
}

impl Source {
    /// Prepares `text` for the checks.
    pub fn new(path: &str, text: String) -> Self {
        let (code, test_lines) = without_tests(&blanked(&text));
        let lines_without_tests = text.lines().count() - test_lines;
        Self { path: path.to_owned(), text, code, lines_without_tests }
    }
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The Rust files below `folder`, which is named from the root of the repository, in the order of their paths.
pub fn below(folder: &str) -> Vec<Source> {
    let root = root();
    let mut folders = vec![root.join(folder)];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && name != "node_modules" {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let from_root = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
                sources.push(Source::new(&from_root, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(!sources.is_empty(), "{folder} has no Rust files");
    sources
}

/// `text` with comments and the contents of literals replaced by spaces.
fn blanked(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_or_comment(bytes, at);
        if let Some(end) = end {
            for byte in &mut code[at..end] {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
        }
        at = end.unwrap_or(at + 1);
    }
    String::from_utf8(code).unwrap()
}

/// The end of the comment or literal that begins at `at`, if one does.
fn literal_or_comment(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    let is_word_before = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    if rest.starts_with(b"//") {
        return Some(at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()));
    }
    if rest.starts_with(b"/*") {
        return Some(at + 2 + position(&rest[2..], b"*/")? + 2);
    }
    if rest[0] == b'"' {
        return Some(at + quoted(rest, b'"'));
    }
    if rest[0] == b'r' && !is_word_before {
        let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
        if rest.get(1 + hashes) == Some(&b'"') {
            let mut close = vec![b'"'];
            close.extend(std::iter::repeat_n(b'#', hashes));
            let begin = 2 + hashes;
            return Some(at + begin + position(&rest[begin..], &close)? + close.len());
        }
    }
    // A lifetime has no closing quote right after its first character.
    if rest[0] == b'\'' && (rest.get(1) == Some(&b'\\') || rest.get(2) == Some(&b'\'')) {
        return Some(at + quoted(rest, b'\''));
    }
    None
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// The length of the quoted literal at the front of `bytes`.
fn quoted(bytes: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// `code` without its inline test modules, and the number of lines that they take.
fn without_tests(code: &str) -> (String, usize) {
    let mut left = String::with_capacity(code.len());
    let mut rest = code;
    let mut lines = 0;
    while let Some(begin) = rest.find("#[cfg(test)]") {
        let Some(end) = inline_module(&rest[begin..]) else {
            let after = begin + "#[cfg(test)]".len();
            left.push_str(&rest[..after]);
            rest = &rest[after..];
            continue;
        };
        left.push_str(&rest[..begin]);
        let removed = &rest[begin..begin + end];
        lines += removed.lines().count();
        left.extend(removed.chars().filter(|byte| *byte == '\n'));
        rest = &rest[begin + end..];
    }
    left.push_str(rest);
    (left, lines)
}

/// The length of the inline module at the front of `code`, with its attributes; `None` for any other item.
fn inline_module(code: &str) -> Option<usize> {
    let open = code.find(['{', ';'])?;
    let is_module = code[..open].lines().any(|line| line.trim_start().starts_with("mod "));
    if code.as_bytes()[open] == b';' || !is_module {
        return None;
    }
    let mut depth = 0;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

#[test]
fn comments_literals_and_test_modules_are_no_code() {
    let text = "a // crate::b\n\"crate::c\" r#\"crate::d\"# 'x' <'t> \n#[cfg(test)]\nmod tests {\n use crate::e; { }\n}\nf\n";
    let source = Source::new("x.rs", text.to_owned());
    let words: Vec<&str> = source.code.split_whitespace().collect();
    assert_eq!(words, ["a", "<'t>", "f"]);
    assert_eq!(source.lines_without_tests, 3);
    assert_eq!(source.code.lines().position(|line| line == "f"), Some(6));
}
