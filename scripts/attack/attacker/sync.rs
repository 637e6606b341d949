//! Measures repeatedly how long the disk takes to sync a small file and its directory.

use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(20);

pub(crate) fn run(directory: &Path, duration: Duration) -> Result<String, Box<dyn Error>> {
    crate::ready()?;
    let end = Instant::now() + duration;
    let path = directory.join("sync-probe");
    let mut times = Vec::new();
    while Instant::now() < end {
        let mut file = File::create(&path)?;
        file.write_all(b"x")?;
        for synced in [file, File::open(directory)?] {
            let start = Instant::now();
            synced.sync_all()?;
            times.push(start.elapsed());
        }
        fs::remove_file(&path)?;
        thread::sleep(PAUSE);
    }
    times.sort();
    let median = times[times.len() / 2].as_micros();
    let longest = times[times.len() - 1].as_micros();
    Ok(format!(r#"{{"syncs": {}, "p50_us": {median}, "max_us": {longest}}}"#, times.len()))
}
