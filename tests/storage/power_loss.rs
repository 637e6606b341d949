//! Power cuts, at each call and behind the last one, in every state that the disk may then be in.

use crate::disk::{Event, Loss};
use crate::operations::{OPERATIONS, SYSTEMS, Trial};

/// More states than this of one cut are too many to look at: the operations are short enough to have fewer.
const STATES_MAX: usize = 20_000;

/// More calls than any operation makes.
const CALLS_MAX: u64 = 200;

/// Cuts the power (or kills the process) at each call of a trial. Returns how many states were looked at.
fn cut_everywhere(
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
        let context = || format!("\n{trial:?}, cut at call {call}:\n{}", trace.borrow().join("\n"));
        assert_eq!(disk.descriptors(), 0, "{}", context());
        states += check(trial, &disk, outcome.acknowledged, &context);
        if !was_cut {
            assert_eq!(outcome.acknowledged > 0, trial.operation.publishes(), "{outcome:?}{}", context());
            return states;
        }
    }
    panic!("{trial:?} does not end");
}

fn each_trial(loss: Loss, durable: bool, mut visit: impl FnMut(&Trial)) {
    for system in SYSTEMS {
        for operation in OPERATIONS {
            for directory in [".", "a"] {
                // Without links and a rename that refuses, a name cannot be created safely, and nothing is promised but that.
                let cannot_create = system.0 == "another system without hard links"
                    && matches!(operation, crate::operations::Operation::CreateOnly);
                if !cannot_create {
                    visit(&Trial { system, loss, operation, durable, directory });
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
    // What was acknowledged without being flushed may be lost.
    let acknowledged = if trial.durable { acknowledged } else { 0 };
    let states = disk.after_each_power_loss(STATES_MAX, |after| {
        let context = || format!("{}\nThe disk then holds\n{}", context(), after.everything(".").join("\n"));
        trial.check_content(after, acknowledged, &context);
        trial.check_restart(after, &context);
    });
    states.unwrap_or_else(|| panic!("more than {STATES_MAX} states{}", context()))
}

fn cut_the_power(loss: Loss, durable: bool) {
    let mut states = 0;
    each_trial(loss, durable, |trial| states += cut_everywhere(trial, check_each_state));
    println!("{loss:?}, durable: {durable}: {states} states");
    assert!(states > 500, "{states}");
}

#[test]
fn what_was_flushed_and_acknowledged_outlasts_a_power_cut_where_changes_are_ordered() {
    cut_the_power(Loss::Ordered, true);
}

#[test]
fn what_was_flushed_and_acknowledged_outlasts_a_power_cut_where_names_are_journalled() {
    cut_the_power(Loss::Journalled, true);
}

#[test]
fn what_was_flushed_and_acknowledged_outlasts_a_power_cut_where_nothing_is_ordered() {
    cut_the_power(Loss::Cruel, true);
}

/// The README promises nothing without `--fsync`; but where changes are ordered, nothing is torn.
#[test]
fn without_a_flush_nothing_is_torn_where_changes_are_ordered() {
    cut_the_power(Loss::Ordered, false);
}

#[test]
fn a_process_that_is_killed_leaves_whole_versions() {
    let mut states = 0;
    for durable in [false, true] {
        each_trial(Loss::None, durable, |trial| {
            states += cut_everywhere(trial, |trial, disk, acknowledged, context| {
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
