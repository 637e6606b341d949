//! Compares the files of the journal with what was sent, and looks for what should not be there.

use std::fs;
use std::io;
use std::path::Path;

use crate::content;
use crate::tally::Tally;

pub(crate) fn run(directory: &Path, journal: &Path) -> io::Result<Tally> {
    let mut tally = Tally::default();
    for line in fs::read_to_string(journal)?.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [name, seed, length] = fields[..] else { return Err(io::Error::other("a journal line has three fields")) };
        let number = |text: &str| text.parse::<u64>().map_err(io::Error::other);
        let expected = content::bytes(number(seed)?, number(length)? as usize);
        match fs::read(directory.join(name)) {
            Ok(found) if found == expected => *tally.done.entry("acknowledged uploads on the disk").or_default() += 1,
            Ok(found) => tally.fail(format!("content differs, {} of {length} bytes", found.len())),
            Err(error) => tally.fail(format!("acknowledged, but {}", error.kind())),
        }
    }
    for (name, expected) in content::downloads() {
        if fs::read(directory.join(&name))? != expected {
            tally.fail(format!("{name} has changed"));
        }
    }
    Ok(tally)
}
