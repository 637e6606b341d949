//! Rules for the source text: the allowed imports of each part, the banned names of each part, the longest file and
//! function, and the banned words. A failure lists every violation.

#![allow(clippy::expect_used, reason = "a test may panic")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest file, in lines. Its test module counts separately.
const FILE_LINES_MAX: usize = 500;

/// Longest function, in lines, from its signature to its closing brace.
const FUNCTION_LINES_MAX: usize = 60;

/// The paths of the crate that each part may import. A part that is not listed may import nothing.
const ALLOWED_IMPORTS: [(&str, &[&str]); 11] = [
    ("semantics", &[]),
    ("http1", &["semantics"]),
    ("storage", &[]),
    ("routes", &["semantics", "storage"]),
    ("server", &["http1", "semantics"]),
    ("system", &["server", "semantics", "storage", "telemetry"]),
    ("telemetry", &["semantics"]),
    ("link_command", &["config", "semantics", "system"]),
    ("config", &["http1", "routes", "semantics", "system::confinement", "system::listen", "telemetry"]),
    ("service", &["routes", "semantics", "storage", "telemetry"]),
    ("lib", &[]),
];

/// Crates that only one part may use.
const CRATE_OWNERS: [(&str, &[&str]); 2] = [("mio", &["system"]), ("slab", &["server"])];

/// Names that the loop must not use: it reaches sockets, files and clocks only through its traits.
const BANNED_IN_SERVER: [&str; 9] =
    ["TcpStream", "TcpListener", "UnixStream", "std::fs", "std::thread", "rustix", "mio", "sleep", "storage"];

/// The files of `storage` that make system calls.
const FILE_SYSTEMS: [&str; 4] = ["storage/flushers.rs", "storage/linux.rs", "storage/portable.rs", "storage/posix.rs"];

/// Names that the parts without I/O must not use.
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

/// Words that have a standard term in this project: byte, protocol error, drive, at capacity, outcome, random seed,
/// readiness, idle.
const PRIVATE_WORDS: [&str; 19] = [
    "octet", "octets", "offence", "offences", "visit", "visits", "visited", "visiting", "crowd", "crowds", "crowded",
    "fate", "fates", "chance", "chances", "latch", "latches", "latched", "parked",
];

/// The files in which [`PRIVATE_WORDS`] are searched.
const TEXT_EXTENSIONS: [&str; 7] = ["rs", "md", "js", "css", "sh", "py", "lua"];

/// One file of `src/`.
struct Source {
    /// The path below `src/`.
    path: String,
    /// The text.
    lines: Vec<String>,
    /// The text with comments and literals blanked out. The code keeps its position.
    code: Vec<String>,
    /// For each line, whether it is compiled only for tests.
    is_test: Vec<bool>,
}

impl Source {
    fn new(path: String, text: &str) -> Source {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let code: Vec<String> = blank_out_comments_and_literals(text).lines().map(str::to_owned).collect();
        let is_test = match path.contains("/tests/") {
            true => vec![true; code.len()],
            false => test_lines(&code),
        };
        Source { path, lines, code, is_test }
    }

    /// The part of the crate that contains the file: its top folder, or its own name.
    fn part(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.trim_end_matches(".rs")
    }

    /// The code without tests, each line with its number.
    fn program(&self) -> impl Iterator<Item = (usize, &str)> {
        self.all_code().filter(|(line, _)| !self.is_test[line - 1])
    }

    fn all_code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.iter().enumerate().map(|(index, line)| (index + 1, line.as_str()))
    }
}

/// Marks each item after `#[cfg(test)]`, with its attributes.
fn test_lines(code: &[String]) -> Vec<bool> {
    let mut is_test = vec![false; code.len()];
    for (index, _) in code.iter().enumerate().filter(|(_, line)| line.trim() == "#[cfg(test)]") {
        let is_attribute = |line: &String| line.trim_start().starts_with("#[");
        let item = index + code[index..].iter().take_while(|line| is_attribute(line)).count();
        let end = item + item_lines(&code[item..]);
        is_test[index..end].fill(true);
    }
    is_test
}

/// The number of lines of the item at the start of `code`. The formatter closes an item in the column in which it
/// begins, or on its only line.
fn item_lines(code: &[String]) -> usize {
    let column = |line: &str| line.len() - line.trim_start().len();
    let Some(first) = code.first() else { return 0 };
    if first.trim_end().ends_with(['}', ';']) {
        return 1;
    }
    let ends = |line: &str| line.starts_with('}') || line.starts_with(')') && line.ends_with(';');
    let end = code.iter().position(|line| ends(line.trim()) && column(line) == column(first));
    end.map_or(code.len(), |index| index + 1)
}

/// Replaces comments, and literals of strings, byte strings and characters, by spaces.
fn blank_out_comments_and_literals(text: &str) -> String {
    let mut blanked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let bytes = comment_or_literal_bytes(rest, blanked.chars().next_back());
        let (words, after) = rest.split_at(bytes.max(first.len_utf8()));
        match bytes {
            0 => blanked.push_str(words),
            _ => blanked.extend(words.chars().map(|each| if each == '\n' { '\n' } else { ' ' })),
        }
        rest = after;
    }
    blanked
}

/// The length of the comment or literal at the start of `rest`, in bytes; 0 if it starts with code.
fn comment_or_literal_bytes(rest: &str, before: Option<char>) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return rest.find("*/").map_or(rest.len(), |end| end + 2);
    }
    let follows_name = before.is_some_and(|each| each.is_alphanumeric() || each == '_');
    if !follows_name && let Some(bytes) = raw_string_bytes(rest) {
        return bytes;
    }
    if rest.starts_with('"') {
        return quoted_bytes(rest, '"').unwrap_or(rest.len());
    }
    // A single quote that is not closed after one character starts a lifetime.
    if rest.starts_with('\'') {
        return quoted_bytes(rest, '\'').filter(|bytes| is_character(&rest[..*bytes])).unwrap_or(0);
    }
    0
}

fn is_character(literal: &str) -> bool {
    let inner = &literal[1..literal.len() - 1];
    inner.starts_with('\\') || inner.chars().count() == 1
}

/// The length of a raw string, `r"…"` or `r#"…"#`.
fn raw_string_bytes(rest: &str) -> Option<usize> {
    let after_r = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = after_r.len() - after_r.trim_start_matches('#').len();
    let inner = after_r[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let start = rest.len() - inner.len();
    Some(inner.find(&end).map_or(rest.len(), |at| start + at + end.len()))
}

/// The length of a literal including its quotation marks.
fn quoted_bytes(rest: &str, mark: char) -> Option<usize> {
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

/// All files below `folder`, in order.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut folders = vec![folder.to_path_buf()];
    let mut paths: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false => paths.push(path),
            }
        }
    }
    paths.sort();
    paths
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let sources: Vec<Source> = files_below(&root)
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let name = path.strip_prefix(&root).expect("a path below the root");
            Source::new(name.to_string_lossy().into_owned(), &fs::read_to_string(path).expect("a source"))
        })
        .collect();
    // If no file were found, every rule would pass.
    assert!(sources.len() > 30, "only {} files found in {}", sources.len(), root.display());
    sources
}

/// The violations of a rule, one a line.
#[derive(Default)]
struct Violations(String);

impl Violations {
    fn add(&mut self, source: &Source, line: usize, what: &str) {
        let text = source.lines.get(line.wrapping_sub(1)).map_or("", |line| line.trim());
        let _ = writeln!(self.0, "  src/{}:{line}: {what}: {text}", source.path);
    }

    fn assert_none(self, rule: &str) {
        assert!(self.0.is_empty(), "{rule}\n{}", self.0);
    }
}

/// Whether `code` contains `word`, not as part of a longer name.
fn contains_word(code: &str, word: &str) -> bool {
    let is_name = |each: char| each.is_alphanumeric() || each == '_';
    code.match_indices(word).any(|(at, _)| {
        !code[..at].chars().next_back().is_some_and(is_name)
            && !code[at + word.len()..].chars().next().is_some_and(is_name)
    })
}

/// The paths of the crate in `code`: `crate::a::b` yields `a::b`, and a list in braces yields each of its items.
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

/// The items of a list in braces. Nested braces are not split.
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
fn each_part_imports_only_allowed_paths() {
    let mut violations = Violations::default();
    for source in sources() {
        // The program itself may import everything.
        if source.part() == "main" {
            continue;
        }
        let allowed =
            ALLOWED_IMPORTS.iter().find(|(part, _)| *part == source.part()).map_or(&[][..], |(_, allowed)| allowed);
        let text = source.program().map(|(_, line)| line).collect::<Vec<_>>().join("\n");
        for name in names_of_crate(&text) {
            let is_within =
                |part: &str| name.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
            if !is_within(source.part()) && !allowed.iter().any(|part| is_within(part)) {
                let line = source.program().find(|(_, line)| line.contains(&name)).map_or(1, |(line, _)| line);
                violations.add(&source, line, &format!("{} may not import {name}", source.part()));
            }
        }
    }
    violations.assert_none("Imports that are not allowed:");
}

#[test]
fn no_path_leaves_its_part_with_super() {
    // Such a path would be an import that the rule above does not find.
    let mut violations = Violations::default();
    for source in sources() {
        let folders = source.path.matches('/').count();
        let is_folder_itself = source.path.ends_with("/mod.rs");
        let supers_max = folders - usize::from(is_folder_itself);
        for (line, code) in source.program() {
            if code.contains(&"super::".repeat(supers_max + 1)) {
                violations.add(&source, line, "leaves its part");
            }
        }
    }
    violations.assert_none("Paths that leave their part by super:");
}

#[test]
fn mio_and_slab_are_each_used_by_one_part() {
    let mut violations = Violations::default();
    for source in sources() {
        for (word, owners) in CRATE_OWNERS {
            if owners.contains(&source.part()) {
                continue;
            }
            for (line, _) in source.program().filter(|(_, code)| contains_word(code, word)) {
                violations.add(&source, line, &format!("only {} may use {word}", owners.join(", ")));
            }
        }
    }
    violations.assert_none("Crates that are used outside their part:");
}

#[test]
fn http1_and_semantics_use_no_sockets_files_or_clocks() {
    let mut violations = Violations::default();
    for source in sources().iter().filter(|source| WITHOUT_IO.contains(&source.part())) {
        for (line, code) in source.program() {
            for word in BANNED_WITHOUT_IO.iter().filter(|word| contains_word(code, word)) {
                violations.add(source, line, &format!("{} must not use {word}", source.part()));
            }
        }
    }
    violations.assert_none("I/O in parts without I/O:");
}

#[test]
fn the_loop_uses_no_sockets_files_or_system_calls() {
    let mut violations = Violations::default();
    for source in sources().iter().filter(|source| source.part() == "server") {
        for (line, code) in source.program() {
            for word in BANNED_IN_SERVER.iter().filter(|word| contains_word(code, word)) {
                violations.add(source, line, &format!("the loop must use World instead of {word}"));
            }
        }
    }
    violations.assert_none("System calls in the loop:");
}

#[test]
fn storage_reaches_the_disk_only_through_its_trait() {
    let mut violations = Violations::default();
    for source in sources().iter().filter(|source| source.part() == "storage") {
        if FILE_SYSTEMS.contains(&source.path.as_str()) {
            continue;
        }
        for (line, code) in source.program() {
            // Error numbers are allowed everywhere.
            let code = code.replace("rustix::io::Errno", "");
            for word in ["rustix", "nix", "std::fs", "File::"].iter().filter(|word| contains_word(&code, word)) {
                violations.add(source, line, &format!("storage must use FileSystem instead of {word}"));
            }
        }
    }
    violations.assert_none("System calls that bypass the trait:");
}

#[test]
fn only_the_clock_reads_a_clock() {
    let mut violations = Violations::default();
    for source in sources().iter().filter(|source| source.path != "system/clock.rs") {
        for (line, _) in source
            .program()
            .filter(|(_, code)| contains_word(code, "Instant") || contains_word(code, "SystemTime::now"))
        {
            violations.add(source, line, "the time must come from system/clock.rs");
        }
    }
    violations.assert_none("Clocks read outside system/clock.rs:");
}

#[test]
fn nothing_is_unsafe_unfinished_or_unwrapped() {
    let mut violations = Violations::default();
    for source in sources() {
        for (line, code) in source.all_code() {
            for word in ["unsafe", "todo!", "unimplemented!", "dbg!"]
                .iter()
                .filter(|word| contains_word(code, word.trim_end_matches('!')) && code.contains(*word))
            {
                violations.add(&source, line, word);
            }
        }
        for (line, code) in source.program() {
            for call in [".unwrap()", ".expect(", "panic!(", "unreachable!("].iter().filter(|call| code.contains(*call))
            {
                violations.add(&source, line, call);
            }
        }
    }
    violations.assert_none("Banned macros and calls:");
}

#[test]
fn files_are_short() {
    let mut violations = Violations::default();
    for source in sources() {
        let tests = source.is_test.iter().filter(|is_test| **is_test).count();
        let program = source.code.len() - tests;
        if program.max(tests) > FILE_LINES_MAX {
            violations.add(
                &source,
                1,
                &format!("{program} lines and {tests} of tests, at most {FILE_LINES_MAX} of each"),
            );
        }
    }
    violations.assert_none("Files that are too long:");
}

#[test]
fn functions_fit_on_a_screen() {
    let mut violations = Violations::default();
    let mut seen = 0;
    for source in sources() {
        for (line, lines) in functions(&source) {
            seen += 1;
            if lines > FUNCTION_LINES_MAX {
                violations.add(&source, line, &format!("{lines} lines, at most {FUNCTION_LINES_MAX}"));
            }
        }
    }
    assert!(seen > 200, "only {seen} functions found");
    violations.assert_none("Functions that do not fit on a screen:");
}

#[test]
fn texts_use_standard_terms_and_no_private_words() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![root.join("README.md")];
    for folder in ["src", "tests", "benches", "scripts"] {
        paths.extend(files_below(&root.join(folder)));
    }
    // A fuzzer that was built here has its target directory below `scripts`.
    paths.retain(|path| !path.components().any(|part| part.as_os_str() == "target"));
    let is_text = |path: &PathBuf| {
        path.extension().is_some_and(|extension| TEXT_EXTENSIONS.iter().any(|known| extension == *known))
    };
    // This file contains the words.
    paths.retain(|path| is_text(path) && !path.ends_with("tests/architecture.rs"));
    let mut violations = String::new();
    for path in paths {
        let text = fs::read_to_string(&path).expect("a text");
        let name = path.strip_prefix(root).expect("a path below the root").display();
        for (index, line) in text.lines().enumerate() {
            for word in private_words(line) {
                let _ = writeln!(violations, "  {name}:{}: {word}: {}", index + 1, line.trim());
            }
        }
    }
    assert!(violations.is_empty(), "Private words, instead of standard terms:\n{violations}");
}

/// The [`PRIVATE_WORDS`] in `line`, also as parts of names. `octet-stream` is a media type, and `OCTET` a rule of
/// grammars.
fn private_words(line: &str) -> Vec<&str> {
    let is_boundary = |before: char, after: char| {
        !before.is_alphabetic() || !after.is_alphabetic() || before.is_lowercase() && after.is_uppercase()
    };
    let mut starts = vec![0];
    starts.extend(
        line.char_indices()
            .zip(line.chars().skip(1))
            .filter_map(|((at, before), after)| is_boundary(before, after).then_some(at + before.len_utf8())),
    );
    let ends = starts.iter().skip(1).copied().chain([line.len()]);
    let words = starts.iter().copied().zip(ends).filter(|(start, end)| {
        let word = &line[*start..*end];
        let is_standard = word == "OCTET" || line[*end..].starts_with("-stream");
        !is_standard && PRIVATE_WORDS.iter().any(|private| word.eq_ignore_ascii_case(private))
    });
    words.map(|(start, end)| &line[start..end]).collect()
}

/// The first line of each function, and its number of lines.
fn functions(source: &Source) -> Vec<(usize, usize)> {
    let starts = source.all_code().filter(|(_, code)| begins_function(code.trim_start()));
    starts.map(|(line, _)| (line, item_lines(&source.code[line - 1..]))).collect()
}

fn begins_function(code: &str) -> bool {
    let modifiers = ["pub", "pub(super)", "pub(crate)", "const", "async", "unsafe"];
    let words = code.split(' ').skip_while(|word| modifiers.contains(word));
    words.take(1).any(|word| word == "fn")
}

// Tests of the functions that read the source text.

#[test]
fn comments_and_literals_are_not_code() {
    let text = "let a = \"mio\"; // slab\nlet b = 'x'; fn f<'a>(c: &'a str) /* unsafe */ {}\nlet d = r#\"todo!\"#;\n";
    let code = blank_out_comments_and_literals(text);
    for word in ["mio", "slab", "unsafe", "todo"] {
        assert!(!code.contains(word), "{word} in {code}");
    }
    assert!(code.contains("fn f<'a>(c: &'a str)"), "{code}");
    assert_eq!(code.lines().count(), text.lines().count());
}

#[test]
fn a_list_of_imports_yields_each_of_its_items() {
    let names = names_of_crate("use crate::{a::b, c::{d, e}, f}; let g = crate::h::i(1);");
    assert_eq!(names, ["a::b", "c::", "f", "h::i"]);
}

#[test]
fn a_function_ends_at_its_closing_brace() {
    let text = "impl A {\n    fn one() {\n        if b {\n        }\n    }\n    fn two() {}\n    pub fn three(\n        c: D,\n    ) -> E {\n        f\n    }\n    fn four(\n        c: D,\n    ) -> E;\n}\n";
    let source = Source::new("a.rs".to_owned(), text);
    assert_eq!(functions(&source), [(2, 4), (6, 1), (7, 5), (12, 3)]);
}

#[test]
fn private_words_are_found_in_prose_and_in_names() {
    let line = "visitAll(is_crowded); Offence::new(); OCTET; \"application/octet-stream\"; a visitor latched 8octets";
    assert_eq!(private_words(line), ["visit", "crowded", "Offence", "latched", "octets"]);
}
