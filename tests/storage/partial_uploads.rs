//! Resumable uploads, with a power failure, a kill or a fault at each call. A saved upload can be continued afterwards, and
//! contains the bytes that were written.

use std::cell::Cell;
use std::rc::Rc;

use spindle::storage::{Directory, FoundUpload, PartialUpload, StorageError, Uncommitted, UploadId, UploadMode};

use crate::disk::{Call, Disk, Effect, Enabled, Event, KINDS, Kind, Loss, Settings};
use crate::operations::{BLOCK_BYTES, OLD, START_NS, SYSTEMS, System, Trial, path};

const ID: u128 = 0x0123_4567_89ab_cdef_0011_2233_4455_6677;
const NAME: &str = "a/name";
const CREATION: &[u8] = b"creation";
const END: &[u8] = b"the response";
const HOUR_NS: u64 = 3600 * 1_000_000_000;

/// More calls than any scenario makes.
const CALLS_MAX: u64 = 600;

/// The most states after one power failure that are checked.
const STATES_MAX: usize = 20_000;

/// The length of a note, in bytes, after which the state file is so long that it is rewritten.
const LONG_NOTE_BYTES: usize = 15_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Begins the upload.
    Begin,
    /// Writes these bytes.
    Write(&'static [u8]),
    Save,
    /// Saves with a long note.
    SaveLong,
    /// Removes what was written since the last save.
    Rewind,
    /// The server stops: the upload is dropped.
    Drop,
    /// The connection is lost: what was written is saved, but no client is told.
    BreakOff,
    /// The server is restarted, and finds the upload.
    Restart,
    /// Finds the upload.
    Find,
    /// Another run of the server uploads another file, and so cleans up the directory.
    Other,
    Commit,
    /// A commit whose condition fails.
    CommitRefused,
    Discard,
}

type Scenario = (&'static str, bool, &'static [Step]);

use Step::{Begin, BreakOff, Commit, CommitRefused, Discard, Find, Other, Restart, Rewind, Save, SaveLong, Write};

/// The name of the scenario, whether the file exists before, and the steps.
const SCENARIOS: [Scenario; 12] = [
    ("whole", false, &[Begin, Write(b"the new "), Write(b"content"), Commit]),
    ("whole, replaces", true, &[Begin, Write(b"the new "), Write(b"content"), Commit]),
    (
        "in parts",
        false,
        &[
            Begin,
            Write(b"one, "),
            Save,
            Write(b"lost"),
            Step::Drop,
            Restart,
            Write(b"two, "),
            Save,
            Step::Drop,
            Find,
            Write(b"three"),
            Commit,
        ],
    ),
    ("in parts, replaces", true, &[Begin, Write(b"one, "), Save, Step::Drop, Restart, Write(b"two"), Save, Commit]),
    ("empty parts", false, &[Begin, Save, Step::Drop, Find, Save, Write(b"all"), Save, Step::Drop, Restart, Commit]),
    ("cleanup", false, &[Begin, Write(b"one, "), Save, Step::Drop, Other, Find, Write(b"two"), Commit]),
    ("rewound", false, &[Begin, Write(b"good "), Save, Write(b"bad"), Rewind, Save, Write(b"better"), Save, Commit]),
    ("discarded", true, &[Begin, Write(b"one"), Save, Step::Drop, Restart, Discard]),
    ("refused", true, &[Begin, Write(b"one"), Save, CommitRefused]),
    (
        "breaks off",
        false,
        &[
            Begin,
            Write(b"one, "),
            BreakOff,
            Find,
            Write(b"two, "),
            Save,
            Write(b"three, "),
            BreakOff,
            Other,
            Restart,
            BreakOff,
            Find,
            Write(b"four"),
            Commit,
        ],
    ),
    (
        "breaks off with a long state",
        true,
        &[
            Begin,
            Write(b"1, "),
            SaveLong,
            Write(b"2, "),
            BreakOff,
            Restart,
            Write(b"3, "),
            BreakOff,
            Find,
            Write(b"4"),
            BreakOff,
        ],
    ),
    (
        "a long state",
        false,
        &[
            Begin,
            Write(b"1, "),
            SaveLong,
            Write(b"2, "),
            SaveLong,
            Write(b"3, "),
            SaveLong,
            Write(b"4, "),
            SaveLong,
            Write(b"5, "),
            SaveLong,
            Write(b"6"),
            Save,
            Step::Drop,
            Restart,
            Commit,
        ],
    ),
];

/// The effects of the steps so far.
#[derive(Debug, Default)]
struct Model {
    /// All bytes that were written and not rewound.
    written: Vec<u8>,
    /// The length that was saved last, and that a client may have been told.
    saved: Option<usize>,
    /// The length that was saved last when the connection was lost.
    unreported: Option<usize>,
    has_begun: bool,
    /// Whether a commit has been tried, and whether it has succeeded.
    is_committing: bool,
    is_committed: bool,
    /// Whether the upload may have ended without a file.
    may_have_ended: bool,
    /// Whether its end is recorded.
    has_ended: bool,
    error: Option<StorageError>,
}

impl Model {
    /// Only the process has ended, so that everything is kept that was saved.
    fn after_kill(&self) -> Model {
        let saved = self.saved.max(self.unreported);
        Model { written: self.written.clone(), saved, error: None, ..*self }
    }
}

#[derive(Clone, Copy, Debug)]
struct Run {
    system: System,
    loss: Loss,
    durable: bool,
    scenario: Scenario,
}

/// A note that contains `content`, so that the test notices a note that belongs to another offset. Padded to at least
/// `bytes_min` bytes.
fn note(content: &[u8], bytes_min: usize) -> Vec<u8> {
    let mut note = vec![content.len() as u8];
    note.extend_from_slice(content);
    note.resize(note.len().max(bytes_min), b'.');
    note
}

fn content_of(note: &[u8]) -> &[u8] {
    note.split_first().map_or(b"", |(bytes, rest)| &rest[..usize::from(*bytes)])
}

impl Run {
    fn replaces(&self) -> bool {
        self.scenario.1
    }

    fn disk(&self) -> Disk {
        let settings = Settings { loss: self.loss, block_bytes: BLOCK_BYTES, ..self.system.1(1) };
        let disk = Disk::new(settings, Rc::new(Cell::new(START_NS)));
        disk.add_directory("a");
        if self.replaces() {
            disk.add_file(NAME, OLD, i128::from(START_NS) - 10_000_000_000);
        }
        disk
    }

    fn open(disk: &Disk) -> Directory<Disk> {
        let directory = Trial::open(disk).unwrap();
        directory.set_time(START_NS);
        directory.set_partial_upload_age_max(24 * HOUR_NS);
        directory
    }

    /// Performs the steps up to the first error.
    fn run(&self, disk: &Disk, directory: Directory<Disk>) -> Model {
        let mut model = Model::default();
        if let Err(error) = self.steps(disk, directory, &mut model) {
            model.error = Some(error);
        }
        model
    }

    fn steps(&self, disk: &Disk, mut directory: Directory<Disk>, model: &mut Model) -> Result<(), StorageError> {
        let mut current: Option<PartialUpload<Disk>> = None;
        for step in self.scenario.2 {
            match step {
                Step::Drop => {
                    current = None;
                    model.written.truncate(model.saved.unwrap_or(0));
                }
                BreakOff => {
                    current.take().unwrap().save_unreported(&note(&model.written, 0))?;
                    model.unreported = Some(model.written.len());
                }
                Begin => {
                    let begun = directory.begin_partial_upload(
                        UploadId::new(ID),
                        &path(NAME),
                        UploadMode::Replace,
                        None,
                        self.durable,
                        CREATION.to_vec(),
                    );
                    current = Some(begun?);
                    model.has_begun = true;
                }
                Restart | Find => {
                    if *step == Restart {
                        // Another directory has no memory of the upload, as after a restart.
                        directory = match Directory::open_in(disk.clone(), Disk::root_path(), 7) {
                            Ok(directory) => directory,
                            Err(error) => return Err(StorageError::Io(error)),
                        };
                    }
                    match directory.find_partial_upload(UploadId::new(ID), &path(NAME), self.durable)? {
                        FoundUpload::Partial(upload) => {
                            assert_eq!(upload.bytes_written(), model.written.len() as u64);
                            current = Some(*upload);
                            model.saved = Some(model.written.len());
                        }
                        FoundUpload::Ended { .. } => panic!("{model:?}"),
                    }
                }
                Other => {
                    let other = match Directory::open_in(disk.clone(), Disk::root_path(), 8) {
                        Ok(other) => other,
                        Err(error) => return Err(StorageError::Io(error)),
                    };
                    other.set_time(START_NS + HOUR_NS);
                    other.set_partial_upload_age_max(24 * HOUR_NS);
                    let upload = other.begin_upload(&path("a/other"), UploadMode::Replace, None, self.durable)?;
                    upload.commit(START_NS, |_| true)?;
                }
                Discard => {
                    model.may_have_ended = true;
                    current.take().unwrap().discard();
                }
                Commit | CommitRefused => {
                    let is_refused = *step == CommitRefused;
                    (model.is_committing, model.may_have_ended) = (true, is_refused);
                    let upload = current.take().unwrap();
                    let note = note(&model.written, 0);
                    let committed = upload.commit(UploadMode::Replace, START_NS, &note, None, |_| !is_refused);
                    let (published, ended) = match committed {
                        Ok(committed) => committed,
                        Err(Uncommitted { error, upload, is_saved }) => {
                            match upload {
                                // The client is told that all of the content is saved.
                                Some(_) if is_saved => model.saved = Some(model.written.len()),
                                Some(mut upload) => upload.remove_unsaved(),
                                None => assert!(!is_saved),
                            }
                            return Err(error);
                        }
                    };
                    model.is_committed = published.is_ok();
                    let has_failed = published.is_err() && !is_refused && !disk.is_stopped();
                    if has_failed {
                        let found = disk.read(NAME);
                        assert_eq!(
                            found.as_ref(),
                            Some(&model.written),
                            "an upload has ended without a file: {model:?}"
                        );
                    }
                    model.may_have_ended |= has_failed;
                    let saved = ended.save(END);
                    model.has_ended = saved.is_ok();
                    match published {
                        Err(StorageError::ConditionFailed) if is_refused => {}
                        published => drop(published?),
                    }
                    saved?;
                }
                Write(bytes) => {
                    current.as_mut().unwrap().write(bytes)?;
                    model.written.extend_from_slice(bytes);
                }
                Rewind => {
                    let saved = model.saved.unwrap();
                    current.as_mut().unwrap().rewind(saved as u64)?;
                    model.written.truncate(saved);
                }
                Save | SaveLong => {
                    let bytes_min = if *step == SaveLong { LONG_NOTE_BYTES } else { 0 };
                    current.as_mut().unwrap().save(&note(&model.written, bytes_min))?;
                    model.saved = Some(model.written.len());
                }
            }
        }
        Ok(())
    }

    /// Checks what a restarted server finds, and continues the upload to its end.
    ///
    /// If `may_be_lost` is true, neither a saved upload nor a published file needs to be on the disk.
    fn check(&self, disk: &Disk, model: &Model, may_be_lost: bool, context: &dyn Fn() -> String) {
        disk.fail(0, Enabled::NONE);
        disk.stop_tracing();
        let found = disk.read(NAME);
        let old = self.replaces().then_some(OLD);
        let is_old = found.as_deref() == old;
        let is_new = model.is_committing && found.as_deref() == Some(&model.written[..]);
        assert!(is_old || is_new, "the file is {:?}{}", found.map(|found| found.escape_ascii().to_string()), context());
        assert!(is_new || may_be_lost || !model.is_committed, "the published file is lost{}", context());
        let directory = Run::open(disk);
        let find = || directory.find_partial_upload(UploadId::new(ID), &path(NAME), self.durable);
        match find() {
            Err(StorageError::NotFound) => {
                let is_promised = model.saved.is_some() && !model.may_have_ended;
                assert!(may_be_lost || !is_promised, "the upload is lost{}", context());
            }
            Err(error) => panic!("{error:?}{}", context()),
            Ok(FoundUpload::Ended { creation, bytes, note, metadata, lifetime_ns: _ }) => {
                assert!(model.is_committing, "the upload has not ended{}", context());
                assert_eq!((&creation[..], bytes), (CREATION, model.written.len() as u64), "{}", context());
                assert!(note.as_deref().is_none_or(|note| note == END), "{}", context());
                assert!(is_new && metadata.is_some() || model.may_have_ended && note.is_some(), "{}", context());
            }
            Ok(FoundUpload::Partial(mut upload)) => {
                assert!(!model.is_committed && !model.has_ended, "the upload has ended{}", context());
                let offset = upload.bytes_written() as usize;
                let promised = if may_be_lost { 0 } else { model.saved.unwrap_or(0) };
                assert!((promised..=model.written.len()).contains(&offset), "offset {offset}{}", context());
                let noted = content_of(upload.note()).to_vec();
                assert_eq!(noted, &model.written[..offset], "{}", context());
                assert_eq!(upload.creation(), CREATION, "{}", context());
                upload.write(b" resumed").unwrap();
                let note = note(&[&noted, &b" resumed"[..]].concat(), 0);
                upload.save(&note).unwrap();
                let (published, ended) =
                    upload.commit(UploadMode::Replace, START_NS + 1, &note, None, |_| true).unwrap();
                published.unwrap();
                ended.save(END).unwrap();
                assert_eq!(disk.read(NAME).unwrap(), content_of(&note), "{}", context());
                let ended = matches!(find(), Ok(FoundUpload::Ended { note: Some(note), .. }) if note == END);
                assert!(ended, "{}", context());
            }
        }
        drop(directory);
        self.check_cleanup(disk, context);
    }

    /// Checks that a cleanup removes the upload after it has expired.
    fn check_cleanup(&self, disk: &Disk, context: &dyn Fn() -> String) {
        let before = disk.read(NAME);
        let directory = Run::open(disk);
        directory.set_time(START_NS + 25 * HOUR_NS);
        let mut upload = directory.begin_upload(&path("a/after"), UploadMode::Replace, None, false).unwrap();
        upload.write(b"after").unwrap();
        upload.commit(START_NS, |_| true).unwrap();
        assert_eq!(disk.temporary_names(), [""; 0], "{}", context());
        assert_eq!(disk.read(NAME), before, "{}", context());
        assert_eq!(disk.descriptors(), 1, "{}", context());
    }
}

/// Stops the machine at each call of each scenario.
fn stop_at_each_call(loss: Loss, durable: bool, mut check: impl FnMut(&Run, &Disk, &Model, &dyn Fn() -> String)) {
    for system in SYSTEMS {
        for scenario in SCENARIOS {
            let run = Run { system, loss, durable, scenario };
            let calls = (1..CALLS_MAX).find(|&call| {
                let disk = run.disk();
                let trace = disk.trace();
                let directory = Run::open(&disk);
                disk.at_call(call, Event::PowerCut);
                let model = run.run(&disk, directory);
                let was_cut = disk.is_stopped();
                disk.stop();
                let context = || format!("\n{run:?}, stopped at call {call}: {model:?}\n{}", trace.borrow().join("\n"));
                assert!(was_cut || model.error.is_none(), "{}", context());
                assert_eq!(disk.descriptors(), 0, "{}", context());
                check(&run, &disk, &model, &context);
                !was_cut
            });
            assert!(calls.is_some(), "{run:?} does not end");
        }
    }
}

fn after_each_power_loss(
    disk: &Disk,
    context: &dyn Fn() -> String,
    mut check: impl FnMut(&Disk, &dyn Fn() -> String),
) -> usize {
    let states = disk.after_each_power_loss(STATES_MAX, |after| {
        check(after, &|| format!("{}\nThe disk then contains\n{}", context(), after.everything(".").join("\n")));
    });
    states.unwrap_or_else(|| panic!("more than {STATES_MAX} states{}", context()))
}

fn test_durable(loss: Loss) {
    let mut states = 0;
    stop_at_each_call(loss, true, |run, disk, model, context| {
        states += after_each_power_loss(disk, context, |after, context| {
            // Without a journal and without a second name, a rename may lose both names.
            let is_renamed = loss == Loss::Unordered && run.system.0.ends_with("without hard links");
            let may_be_lost = is_renamed && (model.is_committing || run.scenario.0 == "a long state");
            run.check(after, model, may_be_lost, context);
        });
    });
    println!("{loss:?}: {states} states");
    assert!(states > 1000, "{states}");
}

#[test]
fn a_durable_upload_is_continued_after_a_power_failure_if_changes_are_ordered() {
    test_durable(Loss::Ordered);
}

#[test]
fn a_durable_upload_is_continued_after_a_power_failure_if_names_are_journalled() {
    test_durable(Loss::Journalled);
}

#[test]
fn a_durable_upload_is_continued_after_a_power_failure_if_nothing_is_ordered() {
    test_durable(Loss::Unordered);
}

/// The state file may survive although the content does not.
#[test]
fn an_upload_that_was_not_flushed_is_not_found_after_a_power_failure() {
    let mut states = 0;
    for loss in [Loss::Ordered, Loss::Journalled] {
        stop_at_each_call(loss, false, |run, disk, _, context| {
            if run.system.0.starts_with("another system") {
                // This system has no boot id, so storage cannot know that the machine was restarted.
                return;
            }
            for _ in 0..20 {
                let after = disk.after_power_loss();
                let directory = Run::open(&after);
                let found = directory.find_partial_upload(UploadId::new(ID), &path(NAME), false);
                assert!(matches!(found, Err(StorageError::NotFound)), "{found:?}{}", context());
                drop(directory);
                run.check_cleanup(&after, context);
                states += 1;
            }
        });
    }
    println!("{states} states");
    assert!(states > 1000, "{states}");
}

#[test]
fn an_upload_is_continued_after_the_process_was_killed() {
    let mut states = 0;
    for durable in [false, true] {
        stop_at_each_call(Loss::None, durable, |run, disk, model, context| {
            run.check(&disk.after_kill(), &model.after_kill(), false, context);
            states += 1;
        });
    }
    println!("{states} states");
    assert!(states > 1000, "{states}");
}

/// The process may be killed between the write of a record and its flush. What the next run finds and reports must be on the
/// disk all the same.
#[test]
fn a_durable_upload_that_was_found_after_a_kill_survives_a_power_failure() {
    let mut states = 0;
    for loss in [Loss::Ordered, Loss::Journalled, Loss::Unordered] {
        stop_at_each_call(loss, true, |run, disk, model, context| {
            if run.system.0.ends_with("without hard links") {
                // There a rename may lose both names.
                return;
            }
            let killed = disk.after_kill();
            killed.fail(0, Enabled::NONE);
            let directory = Run::open(&killed);
            let found = directory.find_partial_upload(UploadId::new(ID), &path(NAME), true);
            let (saved, is_committed) = match &found {
                Ok(FoundUpload::Partial(upload)) => (Some(upload.bytes_written() as usize), false),
                Ok(FoundUpload::Ended { .. }) => (None, !model.may_have_ended),
                Err(_) => return,
            };
            let model = Model { saved, is_committed, ..model.after_kill() };
            drop(found);
            drop(directory);
            states +=
                after_each_power_loss(&killed, context, |after, context| run.check(after, &model, false, context));
        });
    }
    println!("{states} states");
    assert!(states > 1000, "{states}");
}

/// One of the two runs of the server is durable. If only the second is, finding the upload must flush it.
#[test]
fn an_upload_that_a_durable_run_has_found_survives_a_power_failure() {
    for loss in [Loss::Ordered, Loss::Journalled, Loss::Unordered] {
        for (durable_first, durable_then) in [(false, true), (true, false)] {
            let run = Run { system: SYSTEMS[0], loss, durable: durable_first, scenario: SCENARIOS[0] };
            let disk = run.disk();
            let begin = |durable| {
                let directory = Run::open(&disk);
                let mode = UploadMode::Replace;
                directory.begin_partial_upload(UploadId::new(ID), &path(NAME), mode, None, durable, CREATION.to_vec())
            };
            let mut upload = begin(durable_first).unwrap();
            upload.write(b"first").unwrap();
            upload.save(&note(b"first", 0)).unwrap();
            drop(upload);
            let directory = Run::open(&disk);
            let found = directory.find_partial_upload(UploadId::new(ID), &path(NAME), durable_then).unwrap();
            if let FoundUpload::Partial(mut upload) = found
                && durable_first
            {
                upload.write(b" second").unwrap();
                upload.save(&note(b"first second", 0)).unwrap();
            }
            drop(directory);
            let model = Model { written: b"first".to_vec(), saved: Some(5), has_begun: true, ..Model::default() };
            let context = || format!("{loss:?}, first {durable_first}, then {durable_then}");
            after_each_power_loss(&disk, &context, |after, context| {
                Run { durable: true, ..run }.check(after, &model, false, context);
            });
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Duration {
    Once,
    ForEver,
}

/// Injects one fault at one call. Returns whether the fault applies to that call; `None` if the scenario makes fewer
/// calls.
fn test_fault(run: &Run, kind: &Kind, duration: Duration, call: u64) -> Option<bool> {
    let disk = run.disk();
    let trace = disk.trace();
    let event = match duration {
        Duration::Once => Event::Fault(kind.name),
        Duration::ForEver => Event::FaultForEver(kind.name),
    };
    let directory = Run::open(&disk);
    disk.at_call(call, event);
    let model = run.run(&disk, directory);
    if !disk.is_script_played() {
        return None;
    }
    if disk.coverage().borrow()[kind.name] == 0 {
        return Some(false);
    }
    let context =
        || format!("\n{run:?}, {} at call {call} {duration:?}: {model:?}\n{}", kind.name, trace.borrow().join("\n"));
    if matches!(kind.name, "interrupted" | "slow" | "short read" | "short write" | "no lock")
        && (kind.name != "interrupted" || duration == Duration::Once)
    {
        assert!(model.error.is_none(), "{}", context());
    }
    assert_eq!(disk.descriptors(), 0, "{}", context());
    if kind.effect == Effect::ReadOnly {
        return Some(true);
    }
    // After a failed flush it is unknown what is on the disk, so that the upload is removed.
    let is_flush = kind.calls.iter().any(|call| matches!(call, Call::SyncFile | Call::SyncDirectory));
    let is_flush = is_flush || kind.calls == [Call::CloseErrors];
    let may_be_lost = is_flush && model.error.is_some();
    if run.durable {
        disk.stop();
        let mut checked = 0;
        let _ = disk.after_each_power_loss(if is_flush { 200 } else { 20 }, |after| {
            let context = || format!("{}\nThe disk then contains\n{}", context(), after.everything(".").join("\n"));
            run.check(after, &model, may_be_lost, &context);
            checked += 1;
        });
        assert!(checked > 0);
    } else {
        run.check(&disk.after_kill(), &model, may_be_lost, &context);
    }
    Some(true)
}

fn test_faults(loss: Loss, durable: bool, duration: Duration) {
    let mut injected = 0;
    for system in SYSTEMS {
        for scenario in SCENARIOS {
            let run = Run { system, loss, durable, scenario };
            for kind in KINDS.iter().filter(|kind| !matches!(kind.effect, Effect::PowerCut | Effect::Others)) {
                injected += (1..CALLS_MAX)
                    .map_while(|call| test_fault(&run, kind, duration, call))
                    .filter(|&applies| applies)
                    .count();
            }
        }
    }
    println!("{loss:?}, durable: {durable}, {duration:?}: {injected} faults");
    assert!(injected > 1000, "{injected}");
}

#[test]
fn no_fault_makes_a_saved_offset_wrong() {
    test_faults(Loss::None, false, Duration::Once);
}

#[test]
fn no_lasting_fault_makes_a_saved_offset_wrong() {
    test_faults(Loss::None, false, Duration::ForEver);
}

#[test]
fn no_fault_makes_a_durable_offset_wrong() {
    test_faults(Loss::Journalled, true, Duration::Once);
}

#[test]
fn no_lasting_fault_makes_a_durable_offset_wrong() {
    test_faults(Loss::Journalled, true, Duration::ForEver);
}
