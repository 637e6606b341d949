//! Prints how long system calls of the server take: without confinement, with each of its layers, and with both. In a folder
//! for uploads, and in one that is only read.
//!
//! Usage: `cargo run --release --example calls -- DIRECTORY`, with an empty directory. The times are the shortest mean of a
//! hundred calls, in nanoseconds.

use std::error::Error;
use std::os::fd::AsFd;
use std::process::Command;
use std::time::Instant;

use rustix::fs::{
    AtFlags, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_OMIT, futimens, linkat, open, openat, openat2,
    renameat,
};
use rustix::io::{fcntl_getfd, write};
use spindle::system::confinement::{Files, FolderUse, Layers, Refusal, confine};

const LAYERS: [&str; 4] = ["none", "seccomp", "landlock", "both"];
const BATCHES: usize = 300;
const CALLS: u32 = 100;

type Failed = Box<dyn Error>;

/// The shortest mean of a batch of calls, in nanoseconds.
fn time(mut call: impl FnMut() -> rustix::io::Result<()>) -> rustix::io::Result<f64> {
    let mut shortest = f64::MAX;
    for _ in 0..BATCHES {
        let begun = Instant::now();
        for _ in 0..CALLS {
            call()?;
        }
        shortest = shortest.min(begun.elapsed().as_nanos() as f64 / f64::from(CALLS));
    }
    Ok(shortest)
}

/// Confines this process, and prints a row.
fn measure(directory: &str, layers: &str, usage: FolderUse) -> Result<(), Failed> {
    let mode = Mode::from_raw_mode(0o644);
    let folder = open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let zero = open("/dev/zero", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let file = openat(&folder, "file", OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC, mode)?;
    let files = Files { folder: Some((folder.as_fd(), usage)), ..Files::default() };
    let has = |layer: &str| layers == layer || layers == "both";
    let chosen = Layers { landlock: has("landlock"), seccomp: has("seccomp").then_some(Refusal::Error) };
    let in_force = confine(chosen, &files, || ())?;

    let written = time(|| write(&zero, b"x").map(drop))?;
    // Calls whose arguments the filter checks.
    let checked = time(|| fcntl_getfd(&zero).map(drop))?;
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: 1, tv_nsec: 0 },
    };
    let times_set = time(|| futimens(&file, &times))?;
    let (flags, resolve) = (OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, ResolveFlags::BENEATH);
    let opened = time(|| openat2(&folder, "file", flags, Mode::empty(), resolve).map(drop))?;
    let stored = match usage {
        FolderUse::Read => "-".to_owned(),
        FolderUse::Upload | FolderUse::Manage => {
            let ns = time(|| {
                let unnamed = openat(&folder, ".", OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC, mode)?;
                linkat(&unnamed, "", &folder, ".hidden", AtFlags::EMPTY_PATH)?;
                renameat(&folder, ".hidden", &folder, "stored")
            })?;
            format!("{ns:.0}")
        }
    };
    println!(
        "{layers:<9} {usage:<7?} {written:>6.0} {checked:>6.0} {times_set:>9.0} {opened:>9.0} {stored:>9}  {in_force}"
    );
    Ok(())
}

fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [directory] => {
            println!("layers    folder   write  fcntl  futimens   openat2   upload");
            // Each in a process of its own, because no process can undo its confinement.
            for (usage, layers) in ["upload", "read"].into_iter().flat_map(|usage| LAYERS.map(|layers| (usage, layers)))
            {
                let status = Command::new(std::env::current_exe()?).args([directory, layers, usage]).status()?;
                if !status.success() {
                    return Err("the measurement has failed".into());
                }
            }
            Ok(())
        }
        [directory, layers, usage] => {
            measure(directory, layers, if usage == "read" { FolderUse::Read } else { FolderUse::Upload })
        }
        _ => Err("usage: calls DIRECTORY".into()),
    }
}
