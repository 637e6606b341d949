//! Power failures at each call and after the last one, with every state that the disk may have afterwards.

use crate::disk::{Event, Loss};
use crate::operations::{OPERATIONS, SYSTEMS, Trial};
use spindle::storage::UploadMode;

/// The most states after one power failure. The operations are short enough to have fewer.
const STATES_MAX: usize = 20_000;

/// More calls than any operation makes.
const CALLS_MAX: u64 = 200;

/// Stops the machine (or the process) at each call of a trial. Returns the number of states that `check` has checked.
fn fail_at_each_call(
    trial: &Trial,
    check: impl Fn(&Trial, &crate::disk::Disk, usize, &dyn Fn() -> String) -> usize,
) -> usize {
    let mut states = 0;
    for call in 1..CALLS_MAX {
        let disk = trial.disk();
        let trace = disk.trace();
        let directory = Trial::open(&disk).unwrap();
        disk.at_call(call, Event::PowerCut);
        let outcome = trial.run(&directory);
        let was_cut = disk.is_stopped();
        disk.stop();
        drop(directory);
        let context = || format!("\n{trial:?}, stopped at call {call}:\n{}", trace.borrow().join("\n"));
        assert_eq!(disk.descriptors(), 0, "{}", context());
        states += check(trial, &disk, outcome.acknowledged, &context);
        if !was_cut {
            assert_eq!(outcome.acknowledged > 0, trial.operation.publishes(), "{outcome:?}{}", context());
            return states;
        }
    }
    panic!("{trial:?} does not end");
}

fn each_trial(loss: Loss, durable: bool, mut check: impl FnMut(&Trial)) {
    for system in SYSTEMS {
        for operation in OPERATIONS {
            for directory in [".", "a"] {
                // Without hard links and RENAME_NOREPLACE, `CreateOnly` always fails.
                let cannot_create = system.0 == "another system without hard links" && operation.only_creates();
                if !(cannot_create || durable && operation.stores()) {
                    check(&Trial { system, loss, operation, durable, directory });
                }
            }
        }
    }
}

fn check_each_state(
    trial: &Trial,
    disk: &crate::disk::Disk,
    acknowledged: usize,
    context: &dyn Fn() -> String,
) -> usize {
    // An upload that was acknowledged without being flushed may be lost.
    let acknowledged = if trial.durable { acknowledged } else { 0 };
    let states = disk.after_each_power_loss(STATES_MAX, |after| {
        let context = || format!("{}\nThe disk then contains\n{}", context(), after.everything(".").join("\n"));
        trial.check_content(after, acknowledged, &context);
        trial.check_restart(after, &context);
    });
    states.unwrap_or_else(|| panic!("more than {STATES_MAX} states{}", context()))
}

fn test_power_failures(loss: Loss, durable: bool) {
    let mut states = 0;
    each_trial(loss, durable, |trial| states += fail_at_each_call(trial, check_each_state));
    println!("{loss:?}, durable: {durable}: {states} states");
    assert!(states > 500, "{states}");
}

#[test]
fn durable_uploads_survive_a_power_failure_if_changes_are_ordered() {
    test_power_failures(Loss::Ordered, true);
}

#[test]
fn durable_uploads_survive_a_power_failure_if_names_are_journalled() {
    test_power_failures(Loss::Journalled, true);
}

#[test]
fn durable_uploads_survive_a_power_failure_if_nothing_is_ordered() {
    test_power_failures(Loss::Unordered, true);
}

/// The README promises nothing without `--fsync`, but on a disk that orders its changes no upload is torn.
#[test]
fn without_flushes_no_upload_is_torn_if_changes_are_ordered() {
    test_power_failures(Loss::Ordered, false);
}

/// The old version of a replaced file may have only its temporary name when the server is killed, while the name on the
/// disk still leads to it.
#[test]
fn a_cleanup_after_a_kill_removes_nothing_that_a_power_failure_may_need() {
    let mut states = 0;
    each_trial(Loss::Unordered, true, |trial| {
        states += fail_at_each_call(trial, |trial, disk, acknowledged, context| {
            let restarted = disk.after_kill();
            let directory = Trial::open(&restarted).unwrap();
            let other = crate::operations::path(&format!("{}/other", trial.directory));
            drop(directory.begin_upload(&other, UploadMode::Replace, None, true).unwrap());
            drop(directory);
            check_each_state(trial, &restarted, acknowledged, context)
        });
    });
    assert!(states > 500, "{states}");
}

#[test]
fn a_killed_process_leaves_complete_versions() {
    let mut states = 0;
    for durable in [false, true] {
        each_trial(Loss::None, durable, |trial| {
            states += fail_at_each_call(trial, |trial, disk, acknowledged, context| {
                let after = disk.after_kill();
                trial.check_content(&after, acknowledged, context);
                trial.check_restart(&after, context);
                1
            });
        });
    }
    println!("killed: {states} states");
    assert!(states > 500, "{states}");
}
