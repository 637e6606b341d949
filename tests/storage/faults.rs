//! Each fault at each call: an upload is whole or never happened, whatever goes wrong.

use spindle::storage::StorageError;

use crate::disk::{Call, Disk, Effect, Event, KINDS, Kind, Loss};
use crate::operations::{OLD, OPERATIONS, Operation, Outcome, SYSTEMS, Trial};

/// More calls than any operation makes.
const CALLS_MAX: u64 = 400;

/// In how many of the states after a fault the server is started again.
const RESTARTS_MAX: usize = 5;

/// How a fault comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lasting {
    Once,
    ForEver,
}

fn event(kind: &Kind, lasting: Lasting) -> Event {
    match lasting {
        Lasting::Once => Event::Fault(kind.name),
        Lasting::ForEver => Event::FaultForEver(kind.name),
    }
}

/// Whether an error says what the fault was.
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

/// What the fault must not keep storage from doing.
fn is_survived(kind: &Kind, lasting: Lasting) -> bool {
    match kind.name {
        "interrupted" | "tree moved during a lookup" => lasting == Lasting::Once,
        "slow" | "short read" | "short write" | "no lock" => true,
        _ => false,
    }
}

/// Whether an error may come although the name is there: what follows then is a look at the file and, of a durable upload, the
/// flushes behind the link.
fn may_be_there(kind: &Kind, trial: &Trial) -> bool {
    let looks = kind.calls.contains(&Call::Stat);
    let flushes = kind.calls.contains(&Call::SyncDirectory) || kind.calls.contains(&Call::SyncFile);
    looks || trial.durable && (flushes || kind.effect == Effect::ReadOnly)
}

fn check_after_fault(trial: &Trial, disk: &Disk, outcome: &Outcome, kind: &Kind, context: &dyn Fn() -> String) {
    let is_refusal = |error: &StorageError| match trial.operation {
        Operation::CreateOnlyExisting => matches!(error, StorageError::AlreadyExists),
        Operation::IfMatchAnother | Operation::IfNothingExisting => matches!(error, StorageError::ConditionFailed),
        _ => false,
    };
    if let Some(error) = &outcome.error {
        assert!(is_refusal(error) || is_documented(error, kind), "{error:?}{}", context());
    }
    let was_refused = outcome.error.as_ref().is_some_and(is_refusal);
    if outcome.error.is_some() && outcome.acknowledged == 0 && !was_refused && !may_be_there(kind, trial) {
        let expected = trial.operation.begins_with_old().then_some(OLD);
        // The first of two uploads may have failed, and the second not.
        if trial.operation != Operation::Twice {
            assert_eq!(disk.read(&trial.name()).as_deref(), expected, "{}", context());
        }
    }
    trial.check_content(disk, outcome.acknowledged, context);
    assert_eq!(disk.descriptors(), 1, "{}", context());
}

/// A trial with one fault at one call. Says whether it fits that call; `None` where the operation makes fewer calls.
fn try_fault(trial: &Trial, kind: &Kind, lasting: Lasting, call: u64) -> Option<bool> {
    let disk = trial.disk();
    let trace = disk.trace();
    let directory = Trial::open(&disk).unwrap();
    let context = || format!("\n{trial:?}, {} at call {call} {lasting:?}:\n{}", kind.name, trace.borrow().join("\n"));
    disk.at_call(call, event(kind, lasting));
    let outcome = trial.run(&directory);
    if !disk.is_script_played() {
        return None;
    }
    if disk.coverage().borrow()[kind.name] == 0 {
        return Some(false);
    }
    check_after_fault(trial, &disk, &outcome, kind, &context);
    if is_survived(kind, lasting) && trial.operation.publishes() {
        assert!(outcome.error.is_none(), "{outcome:?}{}", context());
    }
    if !matches!(kind.name, "i/o error at unlink" | "interrupted" | "read-only from now on") {
        let abandoned = usize::from(disk.temporary_names().contains(&crate::operations::ABANDONED.to_owned()));
        // Where the flush of the new name fails the old file stays too.
        let is_replaced_unsafely = trial.durable && outcome.error.is_some() && may_be_there(kind, trial);
        let expected = abandoned..=abandoned + usize::from(is_replaced_unsafely);
        assert!(expected.contains(&disk.temporary_names().len()), "{:?}{}", disk.temporary_names(), context());
    }
    drop(directory);
    assert_eq!(disk.descriptors(), 0, "{}", context());
    if trial.durable {
        let mut restarts = 0;
        disk.after_each_power_loss(1000, |after| {
            let context = || format!("{}\nThe disk then holds\n{}", context(), after.everything(".").join("\n"));
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

fn try_all_faults(durable: bool, losses: &[Loss], lasting: Lasting) {
    let mut tried = 0;
    for (system, &loss) in SYSTEMS.into_iter().flat_map(|system| losses.iter().map(move |loss| (system, loss))) {
        for operation in OPERATIONS {
            let trial = Trial { system, loss, operation, durable, directory: "a" };
            let cannot_create = system.0 == "another system without hard links" && operation == Operation::CreateOnly;
            // The other operations flush in the same ways.
            let is_alike = durable && !matches!(operation, Operation::New | Operation::Replace | Operation::Twice);
            if cannot_create || is_alike {
                continue;
            }
            for kind in KINDS.iter().filter(|kind| !matches!(kind.effect, Effect::PowerCut | Effect::Others)) {
                tried += (1..CALLS_MAX)
                    .map_while(|call| try_fault(&trial, kind, lasting, call))
                    .filter(|&fits| fits)
                    .count();
            }
        }
    }
    println!("durable: {durable}, {lasting:?}: {tried} faults");
    assert!(tried > 1000, "{tried}");
}

#[test]
fn no_fault_tears_an_upload() {
    try_all_faults(false, &[Loss::None], Lasting::Once);
}

#[test]
fn no_lasting_fault_tears_an_upload() {
    try_all_faults(false, &[Loss::None], Lasting::ForEver);
}

#[test]
fn what_was_acknowledged_in_spite_of_a_fault_outlasts_a_power_cut() {
    try_all_faults(true, &[Loss::Journalled, Loss::Cruel], Lasting::Once);
}

#[test]
fn what_was_acknowledged_in_spite_of_lasting_faults_outlasts_a_power_cut() {
    try_all_faults(true, &[Loss::Cruel], Lasting::ForEver);
}
