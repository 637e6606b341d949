//! Random sequences of uploads, faults, crashes, power failures and restarts, each made from a seed.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use rustix::io::Errno;
use spindle::storage::{Directory, UploadMode};

use crate::disk::{Coverage, Disk, Enabled, KINDS, Loss, Settings, new_coverage};
use crate::operations::{START_NS, SYSTEMS, path};

const SEEDS: u64 = 700;
const LIVES: usize = 4;
const UPLOADS: usize = 8;
/// Of these directories only `a` exists.
const NAMES: [&str; 5] = ["one", "a/two", "a/three", "b/four", "a/c/d/five"];

/// The contents that a file may have; `None` if it may be absent.
type Possible = HashMap<&'static str, Vec<Option<Vec<u8>>>>;

struct World {
    random: fastrand::Rng,
    clock: Rc<Cell<u64>>,
    possible: Possible,
    uploads: u64,
    acknowledged: u64,
}

impl World {
    /// Uploads a file, and sometimes drops the upload before its commit.
    fn upload(&mut self, directory: &Directory<Disk>) {
        self.uploads += 1;
        self.clock.set(self.clock.get() + self.random.u64(..3_000_000_000));
        let name = NAMES[self.random.usize(..NAMES.len())];
        let content = format!("upload {} ", self.uploads).repeat(self.random.usize(1..6)).into_bytes();
        let mode = if self.random.u8(..) < 64 { UploadMode::CreateOnly } else { UploadMode::Replace };
        let Ok(mut upload) = directory.begin_upload(&path(name), mode, None, true) else { return };
        for piece in content.chunks(20) {
            if upload.write(piece).is_err() {
                return;
            }
        }
        if self.random.u8(..) < 32 {
            return;
        }
        let possible = self.possible.get_mut(name).unwrap();
        match upload.commit(self.clock.get(), |_| true) {
            Ok(_) => {
                self.acknowledged += 1;
                *possible = vec![Some(content)];
            }
            // The file may be published although its name could not be flushed.
            Err(_) => possible.push(Some(content)),
        }
    }

    fn check(&self, disk: &Disk, context: &str) {
        for name in NAMES {
            let found = disk.read(name);
            let shown = found.as_ref().map(|content| String::from_utf8_lossy(content).into_owned());
            assert!(self.possible[name].contains(&found), "{name} has {shown:?}, {context}");
        }
    }

    /// After a restart, only the contents on the disk remain possible.
    fn observe(&mut self, disk: &Disk) {
        for name in NAMES {
            self.possible.insert(name, vec![disk.read(name)]);
        }
    }
}

fn settings(seed: u64, random: &mut fastrand::Rng) -> Settings {
    let (_, system) = SYSTEMS[random.usize(..SYSTEMS.len())];
    let loss = [Loss::Ordered, Loss::Journalled, Loss::Unordered][random.usize(..3)];
    let time_granularity_ns = [1, 1_000_000, 1_000_000_000][random.usize(..3)];
    let usual = Settings { loss, time_granularity_ns, block_bytes: 8, ..system(seed) };
    let bounds = [u64::MAX, 500, 150];
    Settings {
        can_link_unnamed: usual.can_link_unnamed && random.u8(..) > 32,
        no_locks: (random.u8(..) < 32).then_some(Errno::NOLCK),
        no_directory_sync: (loss == Loss::Ordered && random.bool()).then_some(Errno::INVAL),
        reuses_inodes: random.bool(),
        // The root takes one, an upload two, and a cleanup two more.
        descriptors_max: [1024, 6, 4, 3][random.usize(..4)],
        capacity_bytes: bounds[random.usize(..3)],
        quota_bytes: bounds[random.usize(..3)],
        long_file_bytes: [u64::MAX, 40][random.usize(..2)],
        closing_rate: [0, 6_000, u16::MAX][random.usize(..3)],
        reports_free_bytes: random.bool(),
        keeps_attributes: random.bool(),
        has_entry_kinds: random.bool(),
        entries_at_once: random.usize(1..5),
        ..usual
    }
}

/// Runs one sequence. Returns the number of acknowledged uploads.
fn run(seed: u64, coverage: &Coverage) -> u64 {
    let mut random = fastrand::Rng::with_seed(seed);
    let clock = Rc::new(Cell::new(START_NS));
    let mut disk = Disk::with_coverage(settings(seed, &mut random), Rc::clone(&clock), Rc::clone(coverage));
    disk.add_directory("a");
    let rate = [0, 300, 2000, 6000][random.usize(..4)];
    let possible = NAMES.into_iter().map(|name| (name, vec![None])).collect();
    let mut world = World { random, clock, possible, uploads: 0, acknowledged: 0 };
    for life in 0..LIVES {
        let context = format!("seed {seed}, life {life}");
        disk.fail(0, Enabled::NONE);
        let directory = Directory::open_in(disk.clone(), Disk::root_path(), seed).unwrap();
        directory.create_missing_directories();
        // A disk that becomes read-only stays so until the machine is restarted.
        let enabled = Enabled::all().without("read-only from now on").with("power fails");
        disk.fail(rate, enabled);
        for _ in 0..UPLOADS {
            world.upload(&directory);
            if !disk.is_stopped() {
                world.check(&disk, &context);
            }
        }
        let was_cut = disk.is_stopped();
        disk.stop();
        drop(directory);
        assert_eq!(disk.descriptors(), 0, "{context}");
        let is_power_cut = was_cut || world.random.bool();
        disk = if is_power_cut { disk.after_power_loss() } else { disk.after_kill() };
        world.check(&disk, &context);
        if is_power_cut {
            world.observe(&disk);
        }
    }
    world.acknowledged
}

#[test]
fn acknowledged_uploads_survive_faults_crashes_and_power_failures() {
    let coverage = new_coverage();
    let acknowledged: u64 = (0..SEEDS).map(|seed| run(seed, &coverage)).sum();
    println!("{acknowledged} uploads were acknowledged in {SEEDS} lives");
    assert!(acknowledged > 5 * SEEDS);
    let coverage = coverage.borrow();
    let missing: Vec<&str> = KINDS.iter().map(|kind| kind.name).filter(|name| coverage[name] == 0).collect();
    // These uploads are short, neither resumable nor annotated, and nothing is read.
    let expected = [
        "another process acts",
        "short read",
        "i/o error at read",
        "cannot tell what is in memory",
        "cannot read ahead",
        "no space to reserve",
        "i/o error at truncating",
        "no space for an attribute",
        "i/o error at an attribute",
        "read-only from now on",
    ];
    assert_eq!(missing, expected, "these faults never happened, in {SEEDS} lives");
}
