//! Runs each attack in processes of its own, and compares what the layers refuse with the tables.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio, exit};

use spindle::system::confinement::{Layers, Refusal};

use crate::attacks::{Attack, Refused, all};
use crate::scene::{Scene, World};

/// The first argument of a process that is to attack.
pub(crate) const ATTACKER: &str = "attacker";

/// The signal that ends a process at a refused system call: SIGSYS on x86_64 and aarch64.
const SIGSYS: i32 = 31;

/// Which layers are in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Force {
    Nothing,
    Landlock,
    Seccomp,
    Both,
    Kill,
}

const FORCES: [(&str, Force); 5] = [
    ("nothing", Force::Nothing),
    ("landlock", Force::Landlock),
    ("seccomp", Force::Seccomp),
    ("both", Force::Both),
    ("kill", Force::Kill),
];

impl Force {
    fn layers(self) -> Layers {
        let seccomp = match self {
            Force::Nothing | Force::Landlock => None,
            Force::Seccomp | Force::Both => Some(Refusal::Error),
            Force::Kill => Some(Refusal::Kill),
        };
        Layers { landlock: matches!(self, Force::Landlock | Force::Both | Force::Kill), seccomp }
    }
}

/// What became of an attack.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Succeeded,
    Refused(String),
    Killed,
}

/// Attacks. The arguments are those of [`run`].
pub(crate) fn attack(arguments: &[String]) {
    let [name, force, rest @ ..] = arguments else { panic!("{arguments:?}") };
    let attacks = all();
    let attack = attacks.iter().find(|attack| attack.name == name).expect("an attack of this name");
    let (_, force) = FORCES.iter().find(|(name, _)| name == force).expect("layers");
    let scene = Scene::new(rest);
    println!("{}", scene.confine(force.layers(), attack.usage));
    match (attack.perform)(&scene) {
        Ok(()) => println!("succeeded"),
        Err(number) => println!("{}", std::io::Error::from_raw_os_error(number)),
    }
    exit(0);
}

/// Runs the attack in a process, and returns what was in force and what became of it.
fn run(attack: &Attack, force: Force) -> (String, Outcome) {
    let world = World::new();
    let (name, _) = FORCES.iter().find(|(_, each)| *each == force).expect("a name");
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args([ATTACKER, attack.name, name]).args(world.arguments()).stderr(Stdio::inherit());
    let output = command.output().expect("a process");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (line, result) = text.split_once('\n').expect("a line");
    let outcome = match (output.status.signal(), result.trim_end()) {
        (Some(SIGSYS), "") => Outcome::Killed,
        (None, "succeeded") => Outcome::Succeeded,
        (None, error) if !error.is_empty() => Outcome::Refused(error.to_owned()),
        _ => panic!("{}: {output:?}", attack.name),
    };
    (line.to_owned(), outcome)
}

/// Tries all attacks whose names contain one of `filters`, or all if there are none.
pub(crate) fn try_all(filters: &[String]) {
    let filters: Vec<&String> = filters.iter().filter(|filter| !filter.starts_with('-')).collect();
    let mut failures = Vec::new();
    let mut tried = 0;
    for attack in all() {
        if !filters.is_empty() && !filters.iter().any(|filter| attack.name.contains(filter.as_str())) {
            continue;
        }
        match try_one(attack) {
            Ok(said) => println!("attack {} ... {said}", attack.name),
            Err(failure) => {
                println!("attack {} ... FAILED", attack.name);
                failures.push(format!("{}: {failure}", attack.name));
            }
        }
        tried += 1;
    }
    println!("\n{tried} attacks, {} failures", failures.len());
    for failure in &failures {
        println!("  {failure}");
    }
    exit(i32::from(!failures.is_empty()));
}

fn try_one(attack: &Attack) -> Result<String, String> {
    if let (_, Outcome::Refused(error)) = run(attack, Force::Nothing) {
        // Without root, or within a container, some are refused anyway.
        return Ok(format!("not possible here: {error}"));
    }
    let (line, by_landlock) = run(attack, Force::Landlock);
    let expects_landlock = match line.as_str() {
        line if line.starts_with("Confined by Landlock.") => Some(attack.refused != Refused::Seccomp),
        // An older kernel refuses less, and no kernel refuses more.
        _ if attack.refused == Refused::Seccomp => Some(false),
        _ => None,
    };
    let is_refused = matches!(by_landlock, Outcome::Refused(_));
    if expects_landlock.is_some_and(|expected| expected != is_refused) {
        return Err(format!("with Landlock alone: {by_landlock:?}"));
    }
    let (line, by_seccomp) = run(attack, Force::Seccomp);
    if line != "Confined by seccomp." {
        return Ok(format!("not tried with seccomp: {line}"));
    }
    let expects_seccomp = attack.refused != Refused::Landlock;
    if expects_seccomp != matches!(by_seccomp, Outcome::Refused(_)) {
        return Err(format!("with seccomp alone: {by_seccomp:?}"));
    }
    if (expects_seccomp || is_refused) && !matches!(run(attack, Force::Both).1, Outcome::Refused(_)) {
        return Err("with both layers it is not refused".to_owned());
    }
    let (_, killed) = run(attack, Force::Kill);
    if expects_seccomp != (killed == Outcome::Killed) {
        return Err(format!("with --sandbox kill: {killed:?}"));
    }
    Ok(attack.refused.to_string())
}
