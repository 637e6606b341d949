//! Injects each fault at each call: an upload is always stored completely or not at all.

use spindle::storage::StorageError;

use crate::disk::{Call, Disk, Effect, Event, KINDS, Kind, Loss};
use crate::operations::{OLD, OPERATIONS, Operation, Outcome, SYSTEMS, Trial};

/// More calls than any operation makes.
const CALLS_MAX: u64 = 400;

/// The number of states after a fault in which the server is restarted.
const RESTARTS_MAX: usize = 5;

/// How long a fault lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Duration {
    Once,
    ForEver,
}

fn event(kind: &Kind, duration: Duration) -> Event {
    match duration {
        Duration::Once => Event::Fault(kind.name),
        Duration::ForEver => Event::FaultForEver(kind.name),
    }
}

/// Whether an error matches the fault.
fn is_documented(error: &StorageError, kind: &Kind) -> bool {
    use rustix::io::Errno;
    match kind.effect {
        Effect::Fail(Errno::NOSPC | Errno::DQUOT) => matches!(error, StorageError::DiskFull),
        Effect::Fail(Errno::MFILE | Errno::NFILE) => matches!(error, StorageError::TooManyOpenFiles),
        Effect::Fail(Errno::AGAIN) => matches!(error, StorageError::Busy),
        Effect::Fail(Errno::IO | Errno::INTR) => matches!(error, StorageError::Io(_)),
        Effect::ReadOnly => matches!(error, StorageError::PermissionDenied),
        _ => false,
    }
}

/// Whether operations must succeed in spite of the fault.
fn is_tolerated(kind: &Kind, duration: Duration) -> bool {
    match kind.name {
        "interrupted" | "tree moved during a lookup" => duration == Duration::Once,
        "slow" | "short read" | "short write" | "no lock" => true,
        _ => false,
    }
}

/// Whether an operation may return an error although it has published the file: after the link storage only stats the
/// file and, for a durable upload, flushes.
fn may_be_published(kind: &Kind, trial: &Trial) -> bool {
    let is_stat = kind.calls.contains(&Call::Stat);
    let is_flush = kind.calls.contains(&Call::SyncDirectory) || kind.calls.contains(&Call::SyncFile);
    is_stat || trial.durable && (is_flush || kind.effect == Effect::ReadOnly)
}

fn check_after_fault(trial: &Trial, disk: &Disk, outcome: &Outcome, kind: &Kind, context: &dyn Fn() -> String) {
    let is_refusal = |error: &StorageError| match trial.operation {
        operation if operation.is_conflict() => matches!(error, StorageError::AlreadyExists),
        Operation::IfMatchAnother | Operation::IfAbsentExisting => matches!(error, StorageError::ConditionFailed),
        _ => false,
    };
    if let Some(error) = &outcome.error {
        assert!(is_refusal(error) || is_documented(error, kind), "{error:?}{}", context());
    }
    let was_refused = outcome.error.as_ref().is_some_and(is_refusal);
    if outcome.error.is_some() && outcome.acknowledged == 0 && !was_refused && !may_be_published(kind, trial) {
        let expected = trial.operation.begins_with_old().then_some(OLD);
        // The first of two uploads may have failed, and the second succeeded.
        if trial.operation != Operation::Twice {
            assert_eq!(disk.read(&trial.name()).as_deref(), expected, "{}", context());
        }
    }
    trial.check_content(disk, outcome.acknowledged, context);
    assert_eq!(disk.descriptors(), 1, "{}", context());
}

/// Injects one fault at one call. Returns whether the fault applies to that call; `None` if the operation makes fewer
/// calls.
fn test_fault(trial: &Trial, kind: &Kind, duration: Duration, call: u64) -> Option<bool> {
    let disk = trial.disk();
    let trace = disk.trace();
    let directory = Trial::open(&disk).unwrap();
    let context = || format!("\n{trial:?}, {} at call {call} {duration:?}:\n{}", kind.name, trace.borrow().join("\n"));
    disk.at_call(call, event(kind, duration));
    let outcome = trial.run(&directory);
    if !disk.is_script_played() {
        return None;
    }
    if disk.coverage().borrow()[kind.name] == 0 {
        return Some(false);
    }
    check_after_fault(trial, &disk, &outcome, kind, &context);
    if is_tolerated(kind, duration) && trial.operation.publishes() {
        assert!(outcome.error.is_none(), "{outcome:?}{}", context());
    }
    if !matches!(kind.name, "i/o error at unlink" | "interrupted" | "read-only from now on") {
        let abandoned = usize::from(disk.temporary_names().contains(&crate::operations::ABANDONED.to_owned()));
        // If the flush of the new name fails, the temporary name of the old file stays.
        let is_replaced_unsafely = trial.durable && outcome.error.is_some() && may_be_published(kind, trial);
        let expected = abandoned..=abandoned + usize::from(is_replaced_unsafely);
        assert!(expected.contains(&disk.temporary_names().len()), "{:?}{}", disk.temporary_names(), context());
    }
    drop(directory);
    assert_eq!(disk.descriptors(), 0, "{}", context());
    if trial.durable {
        let mut restarts = 0;
        disk.after_each_power_loss(1000, |after| {
            let context = || format!("{}\nThe disk then contains\n{}", context(), after.everything(".").join("\n"));
            trial.check_content(after, outcome.acknowledged, &context);
            restarts += 1;
            if kind.effect != Effect::ReadOnly && restarts < RESTARTS_MAX {
                trial.check_restart(after, &context);
            }
        });
    } else if kind.effect != Effect::ReadOnly {
        trial.check_restart(&disk.after_kill(), &context);
    }
    Some(true)
}

fn test_all_faults(durable: bool, losses: &[Loss], duration: Duration) {
    let mut injected = 0;
    for (system, &loss) in SYSTEMS.into_iter().flat_map(|system| losses.iter().map(move |loss| (system, loss))) {
        for operation in OPERATIONS {
            let trial = Trial { system, loss, operation, durable, directory: "a" };
            let cannot_create = system.0 == "another system without hard links" && operation.only_creates();
            // The other operations flush in the same way.
            let is_redundant = durable && !matches!(operation, Operation::New | Operation::Replace | Operation::Twice);
            if cannot_create || is_redundant {
                continue;
            }
            for kind in KINDS.iter().filter(|kind| !matches!(kind.effect, Effect::PowerCut | Effect::Others)) {
                injected += (1..CALLS_MAX)
                    .map_while(|call| test_fault(&trial, kind, duration, call))
                    .filter(|&applies| applies)
                    .count();
            }
        }
    }
    println!("durable: {durable}, {duration:?}: {injected} faults");
    assert!(injected > 1000, "{injected}");
}

#[test]
fn no_fault_tears_an_upload() {
    test_all_faults(false, &[Loss::None], Duration::Once);
}

#[test]
fn no_lasting_fault_tears_an_upload() {
    test_all_faults(false, &[Loss::None], Duration::ForEver);
}

#[test]
fn acknowledged_uploads_survive_a_fault_and_a_power_failure() {
    test_all_faults(true, &[Loss::Journalled, Loss::Unordered], Duration::Once);
}

#[test]
fn acknowledged_uploads_survive_lasting_faults_and_a_power_failure() {
    test_all_faults(true, &[Loss::Unordered], Duration::ForEver);
}
