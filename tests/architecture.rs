//! The rules of the house, read off the source text: who may import whom, which calls are banned where, and how long
//! files and functions may be. A failure prints every place that breaks a rule.

#![allow(clippy::expect_used, reason = "a test may stop where it stands")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest file, in lines; a module of tests at its end is counted for itself.
const FILE_LINES_MAX: usize = 500;

/// Longest function, in lines, from its signature to its closing brace.
const FUNCTION_LINES_MAX: usize = 60;

/// What each part of the crate may name of the crate. A part that is not listed may not import anything.
const ARROWS: [(&str, &[&str]); 9] = [
    ("semantics", &[]),
    ("http1", &["semantics"]),
    ("storage", &[]),
    ("routes", &["semantics", "storage"]),
    ("server", &["http1", "semantics"]),
    ("system", &["server", "semantics", "storage"]),
    ("telemetry", &["semantics"]),
    ("config", &["http1", "routes", "system::listen"]),
    ("lib", &[]),
];

/// Words that only one part may use.
const OWNED: [(&str, &[&str]); 2] = [("mio", &["system"]), ("slab", &["server"])];

/// What the loop may not name: it reaches the outside through its traits alone.
const BANNED_IN_THE_LOOP: [&str; 9] =
    ["TcpStream", "TcpListener", "UnixStream", "std::fs", "std::thread", "rustix", "mio", "sleep", "storage"];

/// The files of storage that make system calls.
const FILE_SYSTEMS: [&str; 3] = ["storage/linux.rs", "storage/portable.rs", "storage/posix.rs"];

/// What the parts without I/O may not name.
const BANNED_WITHOUT_IO: [&str; 14] = [
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "SocketAddr",
    "ToSocketAddrs",
    "std::fs",
    "std::io",
    "std::thread",
    "Instant",
    "SystemTime::now",
    "rustix",
    "mio",
    "sleep",
];

const WITHOUT_IO: [&str; 2] = ["http1", "semantics"];

/// One file of `src/`.
struct Source {
    /// Beneath `src/`.
    path: String,
    /// As it stands.
    lines: Vec<String>,
    /// With comments and the content of literals blanked out: what is left is code, at its places.
    code: Vec<String>,
    /// Of each line, whether it is there for tests alone.
    is_test: Vec<bool>,
}

impl Source {
    fn new(path: String, text: &str) -> Source {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let code: Vec<String> = blank_out_words(text).lines().map(str::to_owned).collect();
        let is_test = match path.contains("/tests/") {
            true => vec![true; code.len()],
            false => lines_for_tests(&code),
        };
        Source { path, lines, code, is_test }
    }

    /// The part of the crate that the file belongs to: its folder, or its own name.
    fn part(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.trim_end_matches(".rs")
    }

    /// The code that is built into the program, each line with its number.
    fn program(&self) -> impl Iterator<Item = (usize, &str)> {
        self.all_code().filter(|(line, _)| !self.is_test[line - 1])
    }

    fn all_code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.iter().enumerate().map(|(place, line)| (place + 1, line.as_str()))
    }
}

/// Marks each item that `#[cfg(test)]` stands before, with its attributes.
fn lines_for_tests(code: &[String]) -> Vec<bool> {
    let mut is_test = vec![false; code.len()];
    for (place, _) in code.iter().enumerate().filter(|(_, line)| line.trim() == "#[cfg(test)]") {
        let is_attribute = |line: &String| line.trim_start().starts_with("#[");
        let item = place + code[place..].iter().take_while(|line| is_attribute(line)).count();
        let end = item + item_lines(&code[item..]);
        is_test[place..end].fill(true);
    }
    is_test
}

/// How many lines the item has that `code` begins with. The formatter closes an item at the column at which it begins,
/// or on its only line.
fn item_lines(code: &[String]) -> usize {
    let column = |line: &str| line.len() - line.trim_start().len();
    let Some(first) = code.first() else { return 0 };
    if first.trim_end().ends_with(['}', ';']) {
        return 1;
    }
    let ends = |line: &str| line.starts_with('}') || line.starts_with(')') && line.ends_with(';');
    let end = code.iter().position(|line| ends(line.trim()) && column(line) == column(first));
    end.map_or(code.len(), |place| place + 1)
}

/// Blanks out comments, and what stands in literals of text, bytes and characters.
fn blank_out_words(text: &str) -> String {
    let mut blanked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let bytes = length_of_words(rest, blanked.chars().next_back());
        let (words, after) = rest.split_at(bytes.max(first.len_utf8()));
        match bytes {
            0 => blanked.push_str(words),
            _ => blanked.extend(words.chars().map(|each| if each == '\n' { '\n' } else { ' ' })),
        }
        rest = after;
    }
    blanked
}

/// How many bytes of a comment or a literal `rest` begins with; 0 where it begins with code.
fn length_of_words(rest: &str, before: Option<char>) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return rest.find("*/").map_or(rest.len(), |end| end + 2);
    }
    let follows_name = before.is_some_and(|each| each.is_alphanumeric() || each == '_');
    if !follows_name && let Some(bytes) = length_of_raw_text(rest) {
        return bytes;
    }
    if rest.starts_with('"') {
        return quoted(rest, '"').unwrap_or(rest.len());
    }
    // A quotation mark that is not closed after one character begins a lifetime.
    if rest.starts_with('\'') {
        return quoted(rest, '\'').filter(|bytes| is_character(&rest[..*bytes])).unwrap_or(0);
    }
    0
}

fn is_character(literal: &str) -> bool {
    let inner = &literal[1..literal.len() - 1];
    inner.starts_with('\\') || inner.chars().count() == 1
}

/// `r"…"` and `r#"…"#`.
fn length_of_raw_text(rest: &str) -> Option<usize> {
    let after_r = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = after_r.len() - after_r.trim_start_matches('#').len();
    let inner = after_r[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let start = rest.len() - inner.len();
    Some(inner.find(&end).map_or(rest.len(), |at| start + at + end.len()))
}

/// The length of a literal up to its closing mark, with the marks.
fn quoted(rest: &str, mark: char) -> Option<usize> {
    let mut is_escaped = false;
    for (at, each) in rest.char_indices().skip(1) {
        match each {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if each == mark => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut paths: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false => paths.push(path),
            }
        }
    }
    paths.sort();
    let sources: Vec<Source> = paths
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let name = path.strip_prefix(&root).expect("a path beneath the root");
            Source::new(name.to_string_lossy().into_owned(), &fs::read_to_string(path).expect("a source"))
        })
        .collect();
    // A rule that reads nothing is always kept.
    assert!(sources.len() > 30, "only {} files found in {}", sources.len(), root.display());
    sources
}

/// What breaks a rule, a line for each place.
#[derive(Default)]
struct Breaches(String);

impl Breaches {
    fn add(&mut self, source: &Source, line: usize, what: &str) {
        let text = source.lines.get(line.wrapping_sub(1)).map_or("", |line| line.trim());
        let _ = writeln!(self.0, "  src/{}:{line}: {what}: {text}", source.path);
    }

    fn none(self, rule: &str) {
        assert!(self.0.is_empty(), "{rule}\n{}", self.0);
    }
}

/// Whether `word` stands in `code` by itself, and not within a longer name.
fn holds_word(code: &str, word: &str) -> bool {
    let is_name = |each: char| each.is_alphanumeric() || each == '_';
    code.match_indices(word).any(|(at, _)| {
        !code[..at].chars().next_back().is_some_and(is_name)
            && !code[at + word.len()..].chars().next().is_some_and(is_name)
    })
}

/// What `path` of the crate each statement names: `crate::a::b` gives `a::b`, and a list in braces each of its items.
fn names_of_crate(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, prefix) in code.match_indices("crate::") {
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            None => names.push(path_at_start(rest)),
            Some(list) => names.extend(top_level_items(list).map(path_at_start)),
        }
    }
    names
}

fn path_at_start(text: &str) -> String {
    let text = text.trim_start();
    let end = text.find(|each: char| !(each.is_alphanumeric() || each == '_' || each == ':')).unwrap_or(text.len());
    text[..end].to_owned()
}

/// The items of a list in braces, what is in further braces left with the item that it belongs to.
fn top_level_items(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    let mut ended = false;
    list.split(move |each| {
        match each {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        ended |= depth < 0;
        !ended && depth == 0 && each == ','
    })
}

#[test]
fn imports_follow_the_arrows() {
    let mut breaches = Breaches::default();
    for source in sources() {
        // The program may import everything.
        if source.part() == "main" {
            continue;
        }
        let allowed = ARROWS.iter().find(|(part, _)| *part == source.part()).map_or(&[][..], |(_, allowed)| allowed);
        let text = source.program().map(|(_, line)| line).collect::<Vec<_>>().join("\n");
        for name in names_of_crate(&text) {
            let is_within =
                |part: &str| name.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
            if !is_within(source.part()) && !allowed.iter().any(|part| is_within(part)) {
                let line = source.program().find(|(_, line)| line.contains(&name)).map_or(1, |(line, _)| line);
                breaches.add(&source, line, &format!("{} may not import {name}", source.part()));
            }
        }
    }
    breaches.none("Imports against the arrows:");
}

#[test]
fn no_path_climbs_out_of_its_part_unseen() {
    // `super::super` from a folder's file, or `super` from the root's, would be an import that the arrows do not see.
    let mut breaches = Breaches::default();
    for source in sources() {
        let folders = source.path.matches('/').count();
        let is_folder_itself = source.path.ends_with("/mod.rs");
        let climbs_max = folders - usize::from(is_folder_itself);
        for (line, code) in source.program() {
            if code.contains(&"super::".repeat(climbs_max + 1)) {
                breaches.add(&source, line, "leaves its part by super");
            }
        }
    }
    breaches.none("Paths that leave their part:");
}

#[test]
fn each_owned_crate_is_used_by_its_owner_alone() {
    let mut breaches = Breaches::default();
    for source in sources() {
        for (word, owners) in OWNED {
            if owners.contains(&source.part()) {
                continue;
            }
            for (line, _) in source.program().filter(|(_, code)| holds_word(code, word)) {
                breaches.add(&source, line, &format!("only {} may use {word}", owners.join(", ")));
            }
        }
    }
    breaches.none("Crates that are used by others than their owners:");
}

#[test]
fn the_core_and_the_semantics_name_no_socket_file_or_clock() {
    let mut breaches = Breaches::default();
    for source in sources().iter().filter(|source| WITHOUT_IO.contains(&source.part())) {
        for (line, code) in source.program() {
            for word in BANNED_WITHOUT_IO.iter().filter(|word| holds_word(code, word)) {
                breaches.add(source, line, &format!("{} does no I/O, and names {word}", source.part()));
            }
        }
    }
    breaches.none("I/O where there is none:");
}

#[test]
fn the_loop_names_no_socket_file_or_system_call() {
    let mut breaches = Breaches::default();
    for source in sources().iter().filter(|source| source.part() == "server") {
        for (line, code) in source.program() {
            for word in BANNED_IN_THE_LOOP.iter().filter(|word| holds_word(code, word)) {
                breaches.add(source, line, &format!("the loop reaches the outside through World, and names {word}"));
            }
        }
    }
    breaches.none("System calls in the loop:");
}

#[test]
fn storage_reaches_the_disk_through_its_trait_alone() {
    let mut breaches = Breaches::default();
    for source in sources().iter().filter(|source| source.part() == "storage") {
        if FILE_SYSTEMS.contains(&source.path.as_str()) {
            continue;
        }
        for (line, code) in source.program() {
            // The numbers of errors have to be called something.
            let code = code.replace("rustix::io::Errno", "");
            for word in ["rustix", "nix", "std::fs", "File::"].iter().filter(|word| holds_word(&code, word)) {
                breaches.add(source, line, &format!("storage reaches the disk through FileSystem, and names {word}"));
            }
        }
    }
    breaches.none("System calls beside the trait:");
}

#[test]
fn only_the_clock_reads_a_clock() {
    let mut breaches = Breaches::default();
    for source in sources().iter().filter(|source| source.path != "system/clock.rs") {
        for (line, _) in
            source.program().filter(|(_, code)| holds_word(code, "Instant") || holds_word(code, "SystemTime::now"))
        {
            breaches.add(source, line, "time comes from the clock module");
        }
    }
    breaches.none("Clocks that are read elsewhere:");
}

#[test]
fn nothing_is_unsafe_unfinished_or_unwrapped() {
    let mut breaches = Breaches::default();
    for source in sources() {
        for (line, code) in source.all_code() {
            for word in ["unsafe", "todo!", "unimplemented!", "dbg!"]
                .iter()
                .filter(|word| holds_word(code, word.trim_end_matches('!')) && code.contains(*word))
            {
                breaches.add(&source, line, word);
            }
        }
        for (line, code) in source.program() {
            for call in [".unwrap()", ".expect(", "panic!(", "unreachable!("].iter().filter(|call| code.contains(*call))
            {
                breaches.add(&source, line, call);
            }
        }
    }
    breaches.none("What the program must not hold:");
}

#[test]
fn files_are_short() {
    let mut breaches = Breaches::default();
    for source in sources() {
        let tests = source.is_test.iter().filter(|is_test| **is_test).count();
        let program = source.code.len() - tests;
        if program.max(tests) > FILE_LINES_MAX {
            breaches.add(
                &source,
                1,
                &format!("{program} lines and {tests} of tests, at most {FILE_LINES_MAX} of each"),
            );
        }
    }
    breaches.none("Files of more than one idea:");
}

#[test]
fn functions_fit_on_a_screen() {
    let mut breaches = Breaches::default();
    let mut seen = 0;
    for source in sources() {
        for (line, lines) in functions(&source) {
            seen += 1;
            if lines > FUNCTION_LINES_MAX {
                breaches.add(&source, line, &format!("{lines} lines, at most {FUNCTION_LINES_MAX}"));
            }
        }
    }
    assert!(seen > 200, "only {seen} functions found");
    breaches.none("Functions that do not fit on a screen:");
}

/// Where each function begins, and how many lines it has.
fn functions(source: &Source) -> Vec<(usize, usize)> {
    let starts = source.all_code().filter(|(_, code)| begins_function(code.trim_start()));
    starts.map(|(line, _)| (line, item_lines(&source.code[line - 1..]))).collect()
}

fn begins_function(code: &str) -> bool {
    let modifiers = ["pub", "pub(super)", "pub(crate)", "const", "async", "unsafe"];
    let words = code.split(' ').skip_while(|word| modifiers.contains(word));
    words.take(1).any(|word| word == "fn")
}

// The rules are only as good as their reading of the text.

#[test]
fn comments_and_literals_are_no_code() {
    let text = "let a = \"mio\"; // slab\nlet b = 'x'; fn f<'a>(c: &'a str) /* unsafe */ {}\nlet d = r#\"todo!\"#;\n";
    let code = blank_out_words(text);
    for word in ["mio", "slab", "unsafe", "todo"] {
        assert!(!code.contains(word), "{word} in {code}");
    }
    assert!(code.contains("fn f<'a>(c: &'a str)"), "{code}");
    assert_eq!(code.lines().count(), text.lines().count());
}

#[test]
fn a_list_of_imports_names_each_of_its_items() {
    let names = names_of_crate("use crate::{a::b, c::{d, e}, f}; let g = crate::h::i(1);");
    assert_eq!(names, ["a::b", "c::", "f", "h::i"]);
}

#[test]
fn a_function_ends_where_its_brace_is_closed() {
    let text = "impl A {\n    fn one() {\n        if b {\n        }\n    }\n    fn two() {}\n    pub fn three(\n        c: D,\n    ) -> E {\n        f\n    }\n    fn four(\n        c: D,\n    ) -> E;\n}\n";
    let source = Source::new("a.rs".to_owned(), text);
    assert_eq!(functions(&source), [(2, 4), (6, 1), (7, 5), (12, 3)]);
}
