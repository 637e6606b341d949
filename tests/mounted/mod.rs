//! Runs tests of this binary again with the temporary directory on other real file systems. Each is made in an image
//! file, and mounted through a loop device in a mount namespace of its own, so that both vanish with the process. A
//! file system that this machine cannot mount is skipped, and the reason is printed.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};
use std::{env, io, thread};

/// The environment variable with the granularity of the file system's timestamps in nanoseconds, for the tests in the
/// child process.
pub(crate) const GRANULARITY: &str = "SPINDLE_TEST_TIME_GRANULARITY_NS";

/// A kind of file system, and the command that makes one.
struct Kind {
    name: &'static str,
    /// The command, without the path of the image file; empty for a file system in memory.
    make: &'static [&'static str],
    image_bytes: u64,
    time_granularity_ns: u64,
}

const MIB: u64 = 1024 * 1024;
const EXT_BYTES: u64 = 64 * MIB;
const SECOND_NS: u64 = 1_000_000_000;

const KINDS: [Kind; 8] = [
    Kind::new("ext4", &["mkfs.ext4", "-q"], EXT_BYTES, 1),
    Kind::new("ext4 without a journal", &["mkfs.ext4", "-q", "-O", "^has_journal"], EXT_BYTES, 1),
    // Inodes of 128 bytes do not store fractions of a second.
    Kind::new("ext4 with times in seconds", &["mkfs.ext4", "-q", "-I", "128"], EXT_BYTES, SECOND_NS),
    Kind::new("ext2", &["mkfs.ext2", "-q"], EXT_BYTES, 1),
    Kind::new("ext2 with times in seconds", &["mkfs.ext2", "-q", "-I", "128"], EXT_BYTES, SECOND_NS),
    Kind::new("xfs", &["mkfs.xfs", "-q"], 320 * MIB, 1),
    Kind::new("btrfs", &["mkfs.btrfs", "-q"], 128 * MIB, 1),
    Kind::new("tmpfs", &[], 0, 1),
];

impl Kind {
    const fn new(
        name: &'static str,
        make: &'static [&'static str],
        image_bytes: u64,
        time_granularity_ns: u64,
    ) -> Kind {
        Kind { name, make, image_bytes, time_granularity_ns }
    }

    /// Makes the file system in the directory `place`. Returns the arguments of `mount`, or why it could not be made.
    fn make(&self, place: &Path) -> Result<Vec<String>, String> {
        let mount_point = place.join("mounted");
        fs::create_dir(&mount_point).unwrap();
        let mount_point = mount_point.to_str().unwrap().to_owned();
        let Some((program, options)) = self.make.split_first() else {
            return Ok(["-t", "tmpfs", "-o", "size=64M", "tmpfs", &mount_point].map(str::to_owned).to_vec());
        };
        let image = place.join("image");
        File::create(&image).unwrap().set_len(self.image_bytes).unwrap();
        run(Command::new(program).args(options).arg(&image))?;
        Ok(vec!["-o".to_owned(), "loop".to_owned(), image.to_str().unwrap().to_owned(), mount_point])
    }

    /// Runs the tests whose names contain one of `modules`. Returns how many passed, or why this file system is
    /// skipped.
    fn run_tests(&self, modules: &[&str]) -> Result<usize, String> {
        let place = tempfile::tempdir().unwrap();
        let mount = self.make(place.path())?;
        // Tries to mount it first, so that any error after that is a failure of the tests.
        run(in_namespace("mount \"$@\"").args(&mount))?;
        let mut child =
            in_namespace(r#"test_binary=$1 modules=$2; shift 2; mount "$@" && exec "$test_binary" $modules"#);
        child.arg(env::current_exe().unwrap()).arg(modules.join(" ")).args(&mount);
        child.env("TMPDIR", place.path().join("mounted")).env(GRANULARITY, self.time_granularity_ns.to_string());
        let output = child.output().unwrap();
        let [stdout, stderr] =
            [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let passed = stdout.split_once("test result: ok. ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        match passed {
            Some(passed) if output.status.success() => Ok(passed),
            _ => panic!("on {}: {stdout}{stderr}", self.name),
        }
    }
}

/// A shell in a mount namespace of its own, whose mounts are not visible outside.
fn in_namespace(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]);
    command
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.env("PATH", path()).output() {
        Ok(Output { status, .. }) if status.success() => Ok(()),
        Ok(Output { stderr, .. }) => Err(String::from_utf8_lossy(&stderr).trim().to_owned()),
        Err(error) => Err(format!("{program}: {error}")),
    }
}

/// The programs that make file systems are often not in the path of a user.
fn path() -> String {
    format!("{}:/usr/sbin:/sbin", env::var("PATH").unwrap_or_default())
}

/// Runs the tests whose names contain one of `modules` on each file system that can be mounted; each time at least
/// `tests_min` tests must pass.
pub(crate) fn run_on_each_file_system(modules: &[&str], tests_min: usize) {
    let results: Vec<_> = thread::scope(|scope| {
        let runs: Vec<_> = KINDS.iter().map(|kind| scope.spawn(|| kind.run_tests(modules))).collect();
        runs.into_iter().map(|run| run.join().unwrap_or_else(|_| panic!("a test failed on a file system"))).collect()
    });
    let mut report = String::new();
    for (kind, result) in KINDS.iter().zip(&results) {
        match result {
            Ok(passed) => {
                assert!(*passed >= tests_min, "{passed} tests on {}", kind.name);
                report.push_str(&format!("on {}: {passed} tests\n", kind.name));
            }
            Err(reason) => report.push_str(&format!("on {}: skipped, {reason}\n", kind.name)),
        }
    }
    // The test harness would hide the output of `print!` when the test passes.
    io::stdout().write_all(format!("\n{report}").as_bytes()).unwrap();
}
