//! Counts what succeeded, by kind, and what failed, by reason.

use std::collections::BTreeMap;

use crate::connection::Response;

#[derive(Default)]
pub(crate) struct Tally {
    /// How many requests got the expected response, by kind.
    pub done: BTreeMap<&'static str, u64>,
    /// How many failed, by reason.
    pub failed: BTreeMap<String, u64>,
    /// What is worth knowing but no failure.
    pub noted: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub(crate) fn failed(reason: &str) -> Tally {
        Tally { failed: BTreeMap::from([(reason.to_owned(), 1)]), ..Tally::default() }
    }

    pub(crate) fn fail(&mut self, reason: String) {
        *self.failed.entry(reason).or_default() += 1;
    }

    pub(crate) fn note(&mut self, what: &'static str) {
        *self.noted.entry(what).or_default() += 1;
    }

    /// Counts a request as done, or as failed with a status or content that was not expected.
    pub(crate) fn check(&mut self, kind: &'static str, is_expected: bool, response: &Response) -> bool {
        match is_expected {
            true => *self.done.entry(kind).or_default() += 1,
            false => self.fail(format!("{kind}: status {}, {} bytes", response.status, response.content.len())),
        }
        is_expected
    }

    pub(crate) fn add(&mut self, other: Tally) {
        for (kind, count) in other.done {
            *self.done.entry(kind).or_default() += count;
        }
        for (reason, count) in other.failed {
            *self.failed.entry(reason).or_default() += count;
        }
        for (what, count) in other.noted {
            *self.noted.entry(what).or_default() += count;
        }
    }

    pub(crate) fn to_json(&self) -> String {
        fn object<K: AsRef<str>>(counts: &BTreeMap<K, u64>) -> String {
            let members: Vec<String> =
                counts.iter().map(|(name, count)| format!("{:?}: {count}", name.as_ref())).collect();
            format!("{{{}}}", members.join(", "))
        }
        let (done, failed, noted) = (object(&self.done), object(&self.failed), object(&self.noted));
        format!(r#"{{"done": {done}, "failed": {failed}, "noted": {noted}}}"#)
    }
}
