//! Stores files with only the system calls of every Unix, and flushes each to the disk. scripts/power.sh uses it in place of the
//! server, which on Linux uses the system calls of Linux. For each file, standard input contains a line "PATH LENGTH" and then the
//! content. Once the file is on the disk, the program prints "ok".

use std::error::Error;
use std::io::{self, BufRead, Read, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use spindle::storage::{Directory, Portable, RelativePath, UploadMode};

fn main() -> Result<(), Box<dyn Error>> {
    let root = std::env::args_os().nth(1).ok_or("usage: portable DIRECTORY")?;
    let directory = Directory::open_in(Portable, Path::new(&root), 1)?;
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut line = String::new();
    while input.read_line(&mut line)? > 0 {
        let (path, length) = line.trim_end().rsplit_once(' ').ok_or("a line without a length")?;
        let mut content = vec![0; length.parse()?];
        input.read_exact(&mut content)?;
        let path = RelativePath::from_segments(path.split('/')).map_err(|_| "a name that no file can have")?;
        let unix_ns = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?;
        store(&directory, &path, &content, unix_ns).map_err(|error| format!("{error:?}"))?;
        writeln!(output, "ok")?;
        output.flush()?;
        line.clear();
    }
    Ok(())
}

fn store(
    directory: &Directory<Portable>,
    path: &RelativePath,
    content: &[u8],
    unix_ns: u64,
) -> Result<(), spindle::storage::StorageError> {
    let mut upload = directory.begin_upload(path, UploadMode::Replace, Some(content.len() as u64), true)?;
    upload.write(content)?;
    upload.commit(unix_ns, |_| true).map(drop)
}
