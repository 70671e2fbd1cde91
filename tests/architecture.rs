//! The shape of the source: imports run downward, files stay small, each file says what it is and which road was not taken.
//!
//! Read from the text of `src/`, because a package has no walls inside. The road not taken is one package for each stage:
//! it would keep the imports too, for a re-export facade and seven manifests.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "a test reads files of its own and should stop at the first wrong one"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// What each unit may import besides itself; an empty path is everything. A new unit gets a row here, below what it needs.
const IMPORTS: &[(&str, &[&str])] = &[
    ("main", &[""]),
    ("commands", &[""]),
    ("lib", &[]),
    // The access point's own MACs stand beside what was asked for.
    ("config", &["engine::limits", "mark::Phase", "packet::Mac"]),
    ("sandbox", &["config"]),
    // The devices file is read here so that the engine needs no TOML; text is printable by the rule for text from the wire.
    ("roster", &["config", "engine::roster", "engine::geo::Country", "dissect::observation::Text", "packet::Mac"]),
    // Events carry a country and what the dissectors saw; the report draws the outlines of countries.
    (
        "export",
        &[
            "engine::snapshot",
            "engine::event",
            "engine::geo::Country",
            "engine::border::rings",
            "engine::activity::MINUTE",
            "dissect::observation",
            "mark",
        ],
    ),
    ("engine", &["packet", "dissect", "mark"]),
    // Text is printable by the rule for text from the wire.
    ("mark", &["dissect::observation::Text", "packet::Timestamp"]),
    ("capture", &["packet", "mark"]),
    ("simulate", &["packet"]),
    ("dissect", &[]),
    ("packet", &[]),
];

/// The upper floors inside the engine, from the top; whoever is not named stands on the ground floor and imports no one above.
const ENGINE_FLOORS: &[&[&str]] = &[
    &["mod", "tell"],
    &["account", "audit", "encounter", "expectation", "introduction", "learn", "lookout", "neighbour", "routine"],
    &["core"],
    &["haunts", "reading", "lane", "flow", "device", "echo", "names", "trail"],
];

/// Lines of code in a file, without comments, blank lines and the tests at its foot.
const MAX_LINES: usize = 400;

#[test]
fn imports_run_downward() {
    let wrong: Vec<String> = sources().iter().flat_map(Source::imports_upward).collect();
    assert!(wrong.is_empty(), "see IMPORTS and ENGINE_FLOORS in tests/architecture.rs:\n{}", wrong.join("\n"));
}

#[test]
fn files_stay_small() {
    let wrong: Vec<String> = sources()
        .iter()
        .map(|source| (source.name(), source.code.lines().filter(|line| !line.trim().is_empty()).count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(name, lines)| format!("{name}: {lines} lines of code, at most {MAX_LINES}: split it by noun"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_begins_with_what_it_is() {
    let wrong: Vec<String> = sources().iter().filter(|source| !source.text.starts_with("//! ")).map(Source::name).collect();
    assert!(wrong.is_empty(), "no `//!` head: {wrong:?}");
}

/// The three tests above are only as good as their reading.
#[test]
fn the_reading_itself() {
    let text = r##"//! See crate::engine.
use crate::{packet::{Mac, Timestamp as Time}, engine::geo::*};
pub(crate) fn f<'a>(x: &'a str) -> char {
    let s = "crate::no /* one"; /* crate::no /* nested */ */ let c = ('"', '\'', '\\'); let r = r#"crate::"no"#;
    super::wire::tape::<u8>(crate::config::Config::new(s)) // crate::no
}
#[cfg(test)]
mod tests {
    use crate::main::all;
}
"##;
    let source = Source::new(PathBuf::from("simulate/truth.rs"), text.to_owned());
    let seen: Vec<String> = source.imports().iter().map(|path| path.join("::")).collect();
    assert_eq!(seen, ["packet::Mac", "packet::Timestamp", "engine::geo::*", "simulate::wire::tape", "config::Config::new"]);
    assert_eq!(source.imports_upward().len(), 2, "engine and config");
    assert_eq!(source.code.lines().filter(|line| !line.trim().is_empty()).count(), 5);

    let low = Source::new(
        PathBuf::from("engine/table.rs"),
        "use super::flow::Flow;\nuse crate::engine::Engine;\nuse super::clock::Clock;".to_owned(),
    );
    assert_eq!(low.imports_upward().len(), 2, "flow and the engine itself stand higher than a table");
    let unknown = Source::new(PathBuf::from("util.rs"), "use crate::packet::Mac;".to_owned());
    assert_eq!(unknown.imports_upward().len(), 1, "a unit without a row may import nothing");
    let interrupted = Source::new(PathBuf::from("packet.rs"), "#[cfg(test)]\nmod tests {}\nfn more() {}\n".to_owned());
    assert!(interrupted.code.contains("more"), "only tests at the foot are left out");
}

/// One file under `src/`.
struct Source {
    /// Its path below `src/`.
    path: PathBuf,
    text: String,
    /// The text without comments, without what strings say, and without the tests at the foot.
    code: String,
}

impl Source {
    fn new(path: PathBuf, text: String) -> Self {
        let mut code = blank(&text);
        if let Some(foot) = tests_at_foot(&code) {
            code.truncate(foot);
        }
        Self { path, text, code }
    }

    fn name(&self) -> String {
        format!("src/{}", self.path.display())
    }

    /// Where it stands in the tree of modules: `engine/flow.rs` is `[engine, flow]`, `engine/mod.rs` is `[engine]`.
    fn module(&self) -> Vec<String> {
        let stem = self.path.with_extension("");
        stem.iter().map(|part| part.to_str().unwrap().to_owned()).filter(|part| part != "mod").collect()
    }

    /// Every path into this package that the code names, from the root of the package.
    fn imports(&self) -> Vec<Vec<String>> {
        let tokens = tokens(&self.code);
        let mut found = Vec::new();
        for (at, token) in tokens.iter().enumerate() {
            let continued = at > 1 && tokens[at - 1] == "::";
            if continued || tokens.get(at + 1).is_none_or(|next| *next != "::") {
                continue;
            }
            let base = match *token {
                "crate" => Vec::new(),
                "super" => self.module(),
                _ => continue,
            };
            // `super` is read again by `expand`, which takes the last module away.
            let start = if *token == "crate" { at + 2 } else { at };
            expand(&tokens, start, &base, &mut found);
        }
        found
    }

    /// What is wrong with its imports, one line each.
    fn imports_upward(&self) -> Vec<String> {
        let module = self.module();
        let unit = module[0].as_str();
        let allowed = IMPORTS.iter().find(|(name, _)| *name == unit).map_or(&[][..], |(_, allowed)| *allowed);
        let may = |path: &[String]| {
            let own = path.first().is_none_or(|first| first == unit);
            own || allowed
                .iter()
                .any(|prefix| prefix.is_empty() || path.starts_with(&prefix.split("::").map(str::to_owned).collect::<Vec<_>>()))
        };
        let mut wrong: Vec<String> = self
            .imports()
            .iter()
            .filter(|path| !may(path) || (unit == "engine" && floor(path) < floor(&module)))
            .map(|path| format!("{} imports {}", self.name(), path.join("::")))
            .collect();
        wrong.dedup();
        wrong
    }
}

/// How far below the roof of the engine a path into it stands; paths elsewhere stand lowest.
fn floor(path: &[String]) -> usize {
    let ground = ENGINE_FLOORS.len();
    match path {
        [unit] if unit == "engine" => 0,
        // An item, not a module: it is of engine/mod.rs.
        [unit, item, ..] if unit == "engine" && item.starts_with(char::is_uppercase) => 0,
        [unit, module, ..] if unit == "engine" => ENGINE_FLOORS.iter().position(|floor| floor.contains(&module.as_str())).unwrap_or(ground),
        _ => ground,
    }
}

/// Every file under `src/`, except files that hold tests alone.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") && path.file_stem().is_some_and(|stem| stem != "tests") {
                let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                found.push(Source::new(path.strip_prefix(&root).unwrap().to_owned(), text));
            }
        }
    }
    assert!(!found.is_empty(), "no source in {}", root.display());
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Where the test modules at the foot begin: from there on, nothing but modules stands at the left margin.
fn tests_at_foot(code: &str) -> Option<usize> {
    let is_foot = |rest: &str| {
        rest.lines().all(|line| {
            line.is_empty()
                || ["#[", "mod ", "pub(crate) mod ", "pub(super) mod ", "}", " ", "_", ")]"].iter().any(|start| line.starts_with(start))
        })
    };
    code.match_indices("#[cfg(test)]\n").map(|(at, _)| at).find(|at| (*at == 0 || code[..*at].ends_with('\n')) && is_foot(&code[*at..]))
}

/// The text with comments left out and each character of a string or a character literal made `_`; lines stay where they are.
fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, kept) = match first {
            '/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), false),
            '/' if rest.starts_with("/*") => (comment_length(rest), false),
            'r' if !out.ends_with(is_word) && raw_hashes(rest).is_some() => {
                let close = format!("\"{}", "#".repeat(raw_hashes(rest).unwrap()));
                let body = 1 + close.len();
                (rest[body..].find(&close).map_or(rest.len(), |end| body + end + close.len()), true)
            }
            '"' => (quoted_length(rest, '"').unwrap_or(rest.len()), true),
            // Otherwise a lifetime.
            '\'' if is_char_literal(rest) => (quoted_length(rest, '\'').unwrap_or(1), true),
            _ => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
                continue;
            }
        };
        let (gone, left) = rest.split_at(length);
        out.extend(gone.chars().filter(|c| kept || *c == '\n').map(|c| if c == '\n' { c } else { '_' }));
        rest = left;
    }
    out
}

/// The length of a comment between `/*` and `*/`; such comments nest.
fn comment_length(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// The number of `#` of a raw string that begins here.
fn raw_hashes(text: &str) -> Option<usize> {
    let after = text.strip_prefix('r')?;
    let body = after.trim_start_matches('#');
    body.starts_with('"').then(|| after.len() - body.len())
}

/// `'x'` or `'\..`, not `'static`.
fn is_char_literal(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    chars.next() == Some('\\') || chars.next() == Some('\'')
}

/// The length of a literal with its quotes.
fn quoted_length(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Words, `::`, and single other characters; `as name` says nothing of where a name comes from and is left out.
fn tokens(code: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            ':' if rest.starts_with("::") => 2,
            c => c.len_utf8(),
        };
        let (token, left) = rest.split_at(length);
        if found.last() == Some(&"as") {
            found.pop();
        } else {
            found.push(token);
        }
        rest = left.trim_start();
    }
    found
}

/// Reads a tree of paths, `a::{b, c::*}`, from a token on; gives each path to `found` and returns where the tree ends.
fn expand(tokens: &[&str], mut at: usize, base: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = base.to_vec();
    loop {
        match tokens.get(at) {
            Some(&"{") => {
                at += 1;
                while tokens.get(at).is_some_and(|token| *token != "}") {
                    at = expand(tokens, at, &path, found);
                    // Past the comma, and past whatever is no path, so that this ends.
                    at += usize::from(tokens.get(at).is_some_and(|token| *token != "}"));
                }
                return at + 1;
            }
            Some(&"super") => {
                path.pop();
            }
            Some(&"self") => {}
            Some(token) if *token == "*" || token.starts_with(is_word) => path.push((*token).to_owned()),
            _ => break,
        }
        at += 1;
        if tokens.get(at) != Some(&"::") {
            break;
        }
        at += 1;
    }
    found.push(path);
    at
}
