//! Keeps the files in `contrib/` true: the man page and the completions have exactly the options of `--help`, with their
//! values and defaults. `scripts/contrib.sh` tries them in the programs that read them.

#![allow(clippy::expect_used, reason = "a test may panic")]

use std::ffi::OsString;

use spindle::config::{Command, USAGE};

const MAN_PAGE: &str = include_str!("../contrib/man/spindle.1");
const BASH: &str = include_str!("../contrib/completions/spindle.bash");
const ZSH: &str = include_str!("../contrib/completions/_spindle");
const FISH: &str = include_str!("../contrib/completions/spindle.fish");

/// An option as each of the texts has it.
#[derive(Debug, PartialEq, Eq)]
struct Opt {
    short: Option<char>,
    long: String,
    has_value: bool,
}

impl Opt {
    fn new(short: Option<&str>, long: &str, has_value: bool) -> Opt {
        let short = short.map(|short| short.chars().next().expect("a letter"));
        Opt { short, long: long.to_owned(), has_value }
    }
}

/// The text between `start` and the next `end` after it.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("there is no {start:?}"));
    rest.split_once(end).expect("an end").0
}

/// The line of each option in the usage, without its indentation.
fn usage_lines() -> impl Iterator<Item = &'static str> {
    USAGE.lines().filter(|line| line.starts_with("  -") || line.starts_with("      --")).map(str::trim_start)
}

fn options_of_usage() -> Vec<Opt> {
    let options: Vec<Opt> = usage_lines()
        .map(|line| {
            let (short, rest) = match line.split_once(", --") {
                Some((short, rest)) => (short.strip_prefix('-'), rest),
                None => (None, line.strip_prefix("--").expect("a long name")),
            };
            // The description follows after more than one space.
            let mut words = rest.split("  ").next().expect("an option").split(' ');
            let long = words.next().expect("a name");
            Opt::new(short, long, words.next().is_some())
        })
        .collect();
    assert!(options.len() > 25, "{options:?}");
    options
}

#[test]
fn the_man_page_has_the_options_of_the_usage() {
    let items = MAN_PAGE.lines().filter_map(|line| line.strip_prefix(".It Fl "));
    let options: Vec<Opt> = items
        .map(|item| {
            let (short, rest) = match item.split_once(" , Fl -") {
                Some((short, rest)) => (Some(short), rest),
                None => (None, item.strip_prefix('-').expect("a long name")),
            };
            let (long, value) = rest.split_once(' ').unwrap_or((rest, ""));
            Opt::new(short, long, value.starts_with("Ar "))
        })
        .collect();
    assert_eq!(options, options_of_usage());
}

/// What the man page says about the option, without macros.
fn man_item(long: &str) -> String {
    let long = format!("Fl -{long}");
    let is_item = |item: &&str| item.split(" Ar ").next().expect("a line").trim_end().ends_with(&long);
    let item = MAN_PAGE.split("\n.It ").find(|item| item.lines().next().is_some_and(|line| is_item(&line)));
    let item = item.unwrap_or_else(|| panic!("no {long}")).split("\n.El").next().expect("a text");
    let lines = item.lines().skip(1);
    let macros = ["Ar", "Cm", "Fl", "Li", "Pa"];
    lines
        .map(|line| macros.iter().fold(line.to_owned(), |line, each| line.replace(&format!(".{each} "), "")) + " ")
        .collect()
}

#[test]
fn the_man_page_has_the_defaults_of_the_usage() {
    let mut defaults = 0;
    let mut long = "";
    for line in USAGE.lines().map(str::trim_start) {
        if let Some(name) = line.split_whitespace().find_map(|word| word.strip_prefix("--"))
            && line.starts_with('-')
        {
            long = name;
        }
        let Some((_, default)) = line.split_once("[default: ") else { continue };
        let first = default.split([' ', ',', ']']).next().expect("a value");
        let item = man_item(long);
        assert!(item.contains(&format!("The default is {first}")), "--{long}: {first} is not in {item}");
        defaults += 1;
    }
    assert!(defaults > 10, "{defaults}");
}

#[test]
fn the_completions_for_bash_have_the_options_of_the_usage() {
    let words: Vec<&str> = between(BASH, "local options='", "'").split_whitespace().collect();
    let expected: Vec<String> = options_of_usage()
        .iter()
        .flat_map(|option| {
            option.short.map(|short| format!("-{short}")).into_iter().chain([format!("--{}", option.long)])
        })
        .collect();
    assert_eq!(words, expected);
}

#[test]
fn the_completions_for_bash_expect_a_value_where_there_is_one() {
    let cases = between(BASH, "case $1 in\n", "*) return 1");
    let patterns = cases.replace("\\\n", " ");
    let patterns = patterns.lines().map(str::trim).filter(|line| line.starts_with('-'));
    let mut names: Vec<&str> =
        patterns.flat_map(|line| line.split(')').next().expect("a pattern").split('|').map(str::trim)).collect();
    let options = options_of_usage();
    let with_value = options.iter().filter(|option| option.has_value);
    let mut expected: Vec<String> = with_value
        .flat_map(|option| {
            option.short.map(|short| format!("-{short}")).into_iter().chain([format!("--{}", option.long)])
        })
        .collect();
    names.sort_unstable();
    expected.sort_unstable();
    assert_eq!(names, expected);
}

#[test]
fn the_completions_for_zsh_have_the_options_of_the_usage() {
    let specifications = between(ZSH, "_arguments -s -S \\\n", "\n    '(-d --directory)1:").lines();
    let options: Vec<Opt> = specifications
        .map(|line| {
            let line = line.trim_start();
            // What precedes the names excludes other options: '(…)'.
            let after_exclusions = line.split_once(")'{").or_else(|| line.split_once(")*'{"));
            if let Some((_, names)) = after_exclusions {
                let (short, long) = names.split('}').next().and_then(|names| names.split_once(',')).expect("two names");
                let has_value = long.ends_with('=');
                assert_eq!(short.ends_with('+'), has_value, "{line}");
                let long = long.trim_start_matches("--").trim_end_matches('=');
                return Opt::new(short.strip_prefix('-'), long, has_value);
            }
            let name = line.split_once('[').expect("a description").0;
            let name = name.rsplit_once("--").expect("a long name").1;
            Opt::new(None, name.trim_end_matches('='), name.ends_with('='))
        })
        .collect();
    assert_eq!(options, options_of_usage());
}

#[test]
fn the_completions_for_fish_have_the_options_of_the_usage() {
    let lines = FISH.lines().filter(|line| line.starts_with("complete -c spindle ") && line.contains(" -l "));
    let options: Vec<Opt> = lines
        .map(|line| {
            let after = |flag: &str| line.split_once(flag).and_then(|(_, rest)| rest.split(' ').next());
            Opt::new(after(" -s "), after(" -l ").expect("a long name"), line.contains(" -x ") || line.contains(" -r "))
        })
        .collect();
    assert_eq!(options, options_of_usage());
}

/// The values that the program expects of an option, from the error that it reports for another one.
fn values(option: &str) -> Vec<String> {
    let error =
        Command::from_arguments([option, "?"].map(OsString::from).to_vec()).expect_err("no such value").to_string();
    let expected = error.split_once("expected ").expect("what is expected").1.replace(" or ", ", ");
    expected.split(", ").map(str::to_owned).collect()
}

#[test]
fn each_of_them_has_the_values_that_the_program_expects() {
    assert_eq!(values("--log-format"), ["combined", "json"], "the words of the error are read");
    for option in ["--uploads", "--sandbox", "--log-format"] {
        let values = values(option);
        let long = option.trim_start_matches('-');
        let words = values.join(" ");
        assert!(BASH.contains(&format!("{option}) _spindle_words \"$2\" {words} ;;")), "bash: {option} {words}");
        let zsh = ZSH.lines().find(|line| line.contains(&format!("{option}=["))).expect("a line");
        let fish = between(FISH, &format!("-l {long} "), "\ncomplete ");
        for value in &values {
            assert!(man_item(long).contains(value.as_str()), "man: {option} {value}");
            let in_words = |text: &str| text.split(|each: char| !each.is_ascii_lowercase()).any(|word| word == value);
            assert!(in_words(zsh), "zsh: {option} {value}");
            assert!(in_words(&fish.replace("\\t", " ")), "fish: {option} {value}");
        }
    }
}

#[test]
fn the_changelog_of_the_package_has_the_version_of_the_program() {
    let first = include_str!("../contrib/debian/changelog").lines().next().expect("a line");
    assert_eq!(between(first, "(", "-"), env!("CARGO_PKG_VERSION"), "{first}");
}

#[test]
fn the_platform_of_the_challenge_builds_with_a_version_that_suffices_and_runs_what_it_has_built() {
    let version = |version: &str| -> (u32, u32) {
        let (major, minor) = version.split_once('.').expect("two numbers");
        (major.parse().expect("a number"), minor.parse().expect("a number"))
    };
    let buildpack = between(include_str!("../codecrafters.yml"), "\nbuildpack: rust-", "\n");
    assert!(version(buildpack) >= version(env!("CARGO_PKG_RUST_VERSION")), "{buildpack}");

    let target = between(include_str!("../.codecrafters/compile.sh"), "--target-dir ", "\n");
    let run = between(include_str!("../.codecrafters/run.sh"), "\nexec ", "\n");
    assert_eq!(run, format!("{target}/release/spindle --no-date \"$@\""));
}
