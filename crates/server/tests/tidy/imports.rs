//! The uses of items between files of a crate, from the paths in the code: `use` declarations, and paths
//! through a module that is imported or declared.
//!
//! A re-export is no use: a file that imports a name from a module that only re-exports it uses the file that
//! defines it. Test modules may use everything.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::source::Source;

/// A use of an item of another file of the same crate.
#[derive(Clone, Debug)]
pub struct Import {
    /// Index of the file that imports.
    pub from: usize,
    /// Index of the file that has the item.
    pub to: usize,
    /// Number of the line, from 1.
    pub line: usize,
    /// The path as written.
    pub path: String,
}

/// The imports between the files of one crate.
pub struct Crate {
    /// The files, apart from those that only tests have.
    pub files: Vec<Source>,
    /// Every import, in the order of files and lines.
    pub imports: Vec<Import>,
}

type Path = Vec<String>;

/// One name that a file's `use` declarations bring in or pass on.
struct Used {
    path: Path,
    name: String,
    is_passed_on: bool,
    line: usize,
}

struct Parsed {
    module: Path,
    uses: Vec<Used>,
    /// Other paths in the code, with their lines.
    paths: Vec<(Path, usize)>,
}

impl Crate {
    /// Reads the imports of the files in `source_folder`.
    pub fn read(source_folder: &str, files: Vec<Source>) -> Self {
        let parsed: Vec<Parsed> = files.iter().map(|file| parse(source_folder, file)).collect();
        let test_only = test_only(&files, &parsed);
        let (files, parsed): (Vec<_>, Vec<_>) = files
            .into_iter()
            .zip(parsed)
            .filter(|(_, parsed)| !test_only.iter().any(|module| parsed.module.starts_with(module)))
            .unzip();
        let modules = parsed.iter().enumerate().map(|(at, parsed)| (parsed.module.clone(), at)).collect();
        let resolver = Resolver { parsed: &parsed, modules };
        let mut imports = Vec::new();
        for from in 0..parsed.len() {
            resolver.imports_of(from, &mut imports);
        }
        Self { files, imports }
    }
}

/// The modules that are declared for tests alone.
fn test_only(files: &[Source], parsed: &[Parsed]) -> Vec<Path> {
    let mut modules = Vec::new();
    for (file, parsed) in files.iter().zip(parsed) {
        for declared in file.code.split("#[cfg(test)]").skip(1) {
            let item = declared.split(';').next().unwrap_or_default();
            if let Some(name) = item.trim().rsplit(' ').next()
                && item.contains("mod ")
            {
                modules.push([parsed.module.as_slice(), &[name.to_owned()]].concat());
            }
        }
    }
    // A module in a file of another name is a test's, too: its path does not tell where it belongs.
    modules.extend(
        parsed
            .iter()
            .map(|parsed| parsed.module.clone())
            .filter(|module| module.last().is_some_and(|name| name.ends_with("_tests"))),
    );
    modules
}

struct Resolver<'a> {
    parsed: &'a [Parsed],
    modules: HashMap<Path, usize>,
}

impl Resolver<'_> {
    fn imports_of(&self, from: usize, imports: &mut Vec<Import>) {
        let parsed = &self.parsed[from];
        let brought_in =
            parsed.uses.iter().filter(|used| !used.is_passed_on).map(|used| (&used.path, used.line));
        let mentioned = parsed.paths.iter().map(|(path, line)| (path, *line));
        let mut seen = HashSet::new();
        for (path, line) in brought_in.chain(mentioned) {
            let Some((to, _)) = self.resolve(path, &parsed.module, 0).filter(|(_, is_item)| *is_item) else {
                continue;
            };
            if to != from && seen.insert((to, line)) {
                imports.push(Import { from, to, line, path: path.join("::") });
            }
        }
    }

    /// The file to which `path`, written in `module`, leads, and whether it names an item there and not the
    /// module.
    fn resolve(&self, path: &[String], module: &[String], depth: usize) -> Option<(usize, bool)> {
        // Re-exports of re-exports end somewhere, or the compiler would have complained.
        if depth > 8 {
            return None;
        }
        let mut absolute: Path = module.to_vec();
        let mut rest = path;
        let local = self.modules.get(module).map(|at| &self.parsed[*at]);
        match rest.first()?.as_str() {
            "crate" => absolute.clear(),
            "self" => {}
            "super" => {
                absolute.pop();
            }
            name => {
                let child = [module, &[name.to_owned()]].concat();
                if !self.modules.contains_key(&child) {
                    let used = local?.uses.iter().find(|used| used.name == name && used.path.len() > 1)?;
                    let joined = [used.path.as_slice(), &rest[1..]].concat();
                    return self.resolve(&joined, module, depth + 1);
                }
                absolute = child;
            }
        }
        rest = &rest[1..];
        while let Some((name, after)) = rest.split_first() {
            if name == "super" {
                absolute.pop();
            } else if self.modules.contains_key(&[absolute.as_slice(), std::slice::from_ref(name)].concat()) {
                absolute.push(name.clone());
            } else {
                break;
            }
            rest = after;
        }
        let at = *self.modules.get(&absolute)?;
        let Some(name) = rest.first() else { return Some((at, false)) };
        let passed_on = self.parsed[at].uses.iter().find(|used| used.is_passed_on && used.name == *name);
        if let Some(passed_on) = passed_on {
            let joined = [passed_on.path.as_slice(), &rest[1..]].concat();
            if let Some(found) = self.resolve(&joined, &absolute, depth + 1) {
                return Some(found);
            }
        }
        Some((at, true))
    }
}

fn parse(source_folder: &str, file: &Source) -> Parsed {
    let inside = file.path.strip_prefix(source_folder).unwrap().trim_start_matches('/');
    let mut module: Path = inside.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|name| ["mod", "lib", "main"].contains(&name.as_str())) {
        module.pop();
    }
    let tokens = tokens(&file.code);
    let mut parsed = Parsed { module, uses: Vec::new(), paths: Vec::new() };
    let mut at = 0;
    while at < tokens.len() {
        let (token, line) = tokens[at];
        if token == "use" {
            let is_passed_on = at > 0 && (tokens[at - 1].0 == "pub" || tokens[at - 1].0 == ")");
            at = use_tree(&tokens, at + 1, &mut Vec::new(), is_passed_on, &mut parsed.uses);
        } else if is_name(token) && (at == 0 || tokens[at - 1].0 != "::") {
            let mut path = vec![token.to_owned()];
            while at + 2 < tokens.len() && tokens[at + 1].0 == "::" && is_name(tokens[at + 2].0) {
                path.push(tokens[at + 2].0.to_owned());
                at += 2;
            }
            if path.len() > 1 {
                parsed.paths.push((path, line));
            }
            at += 1;
        } else {
            at += 1;
        }
    }
    parsed
}

/// Reads the tree that begins at `at`, below `path`, and returns its end.
fn use_tree(
    tokens: &[(&str, usize)],
    mut at: usize,
    path: &mut Path,
    is_passed_on: bool,
    uses: &mut Vec<Used>,
) -> usize {
    let depth = path.len();
    while at < tokens.len() {
        let (token, line) = tokens[at];
        match token {
            "{" => {
                at += 1;
                while at < tokens.len() && tokens[at].0 != "}" {
                    at = use_tree(tokens, at, path, is_passed_on, uses);
                    if at < tokens.len() && tokens[at].0 == "," {
                        at += 1;
                    }
                }
                path.truncate(depth);
                return at + 1;
            }
            "::" => {}
            name => {
                path.push(name.to_owned());
                if tokens.get(at + 1).is_none_or(|next| next.0 != "::") {
                    let mut used = path.clone();
                    if name == "self" && used.len() > 1 {
                        used.pop();
                    }
                    let mut name = used.last().cloned().unwrap_or_default();
                    if tokens.get(at + 1).is_some_and(|next| next.0 == "as") {
                        tokens[at + 2].0.clone_into(&mut name);
                        at += 2;
                    }
                    uses.push(Used { path: used, name, is_passed_on, line });
                    path.truncate(depth);
                    return at + 1;
                }
            }
        }
        at += 1;
    }
    path.truncate(depth);
    at
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// The words and signs of `code`, with the number of the line of each; `::` is one.
fn tokens(code: &str) -> Vec<(&str, usize)> {
    let mut tokens = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if is_name(rest) {
                rest.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            tokens.push((&rest[..length], number + 1));
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

/// The imports of a crate that is made up of these files.
pub fn planted(files: &[(&str, &str)]) -> Crate {
    let files = files.iter().map(|(path, text)| Source::new(path, (*text).to_owned())).collect();
    Crate::read("src", files)
}

/// The imports of `krate` as pairs of paths.
pub fn pairs(krate: &Crate) -> BTreeMap<(&str, &str), &Import> {
    let name = |at: usize| krate.files[at].path.as_str();
    krate.imports.iter().rev().map(|import| ((name(import.from), name(import.to)), import)).collect()
}

#[test]
fn imports_are_followed_to_the_file_that_has_the_item() {
    let krate = planted(&[
        ("src/main.rs", "mod a;\nmod b;\n#[cfg(test)]\nmod only_tests;\nfn main() { a::go(); }\n"),
        (
            "src/a/mod.rs",
            "mod inner;\npub use self::inner::Thing;\nuse crate::b::{self, One as Other};\nfn go() { b::two() }\n",
        ),
        ("src/a/inner.rs", "// crate::b::Unused\npub struct Thing;\n"),
        ("src/b.rs", "use super::a::Thing;\nuse std::fmt;\nfn two() { fmt::one() }\n"),
        ("src/only_tests.rs", "use crate::b::One;\n"),
    ]);
    let found: Vec<(&str, &str)> = pairs(&krate).into_keys().collect();
    assert_eq!(
        found,
        [("src/a/mod.rs", "src/b.rs"), ("src/b.rs", "src/a/inner.rs"), ("src/main.rs", "src/a/mod.rs")]
    );
    let import = pairs(&krate)[&("src/a/mod.rs", "src/b.rs")];
    assert_eq!((import.line, import.path.as_str()), (3, "crate::b::One"));
}
