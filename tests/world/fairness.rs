//! Nobody waits for long, and nobody for ever, whatever the others ask for.

use crate::network::{MICROSECOND, MILLISECOND, Network, SECOND, Settings};
use crate::run::{Run, get};

#[test]
fn a_fresh_connection_whose_request_came_along_is_answered_in_the_turn_that_accepts_it() {
    let network = Network::new(Settings::default());
    let mut run = Run::new(&network, 1000);
    run.until(SECOND);
    let fresh: Vec<_> = (0..60).map(|_| network.client(2 * SECOND).send(2 * SECOND, get("/"))).collect();
    run.turn();
    assert_eq!(network.now_ns(), 2 * SECOND);
    assert!(fresh.iter().all(|peer| peer.statuses() == [200]));
}

#[test]
fn a_request_on_a_kept_connection_costs_one_call_to_receive_and_one_to_send() {
    let network = Network::new(Settings::default());
    let kept = network.client(0).send_each(SECOND, SECOND, 10, get("/"));
    let mut run = Run::new(&network, 10);
    run.until(SECOND / 2);
    let (calls_before, waits_before) = (network.calls(), network.waits());
    run.until(20 * SECOND);
    assert_eq!(kept.statuses(), [200; 10]);
    assert_eq!(network.calls() - calls_before, 20);
    assert!(network.waits() - waits_before <= 12, "{} turns", network.waits() - waits_before);
}

/// So many clients ask `path` so many times, all at once.
fn crowd(network: &Network, clients: usize, path: &str, times: usize) -> Vec<crate::client::Peer> {
    (0..clients).map(|_| network.client(0).send(0, get(path).repeat(times))).collect()
}

#[test]
fn a_crowd_that_pipelines_questions_for_the_disk_does_not_keep_others_waiting() {
    let network = Network::new(Settings { call_ns: MICROSECOND, ..Settings::default() });
    let crowd = crowd(&network, 100, "/disk/200", 60);
    let kept = network.client(0).send(0, get("/")).asks_again(10 * MILLISECOND, get("/"));
    let fresh: Vec<_> = (0..20).map(|n| (300 + 37 * n) * MILLISECOND).collect();
    let fresh: Vec<_> = fresh.into_iter().map(|at| (at, network.client(at).send(at, get("/")))).collect();
    let mut run = Run::new(&network, 1000);

    run.until(1100 * MILLISECOND);
    assert!(crowd.iter().any(|peer| peer.statuses().len() < 60), "the crowd was there all the time");
    for (asked_ns, peer) in &fresh {
        let took_ns = peer.answered_within(*asked_ns);
        assert!(took_ns <= 4 * MILLISECOND, "a fresh connection waited for {took_ns} ns");
    }
    let responses = kept.responses();
    let later = responses.windows(2).filter(|pair| pair[0].at_ns > 200 * MILLISECOND);
    let longest_ns = later.map(|pair| pair[1].at_ns - pair[0].at_ns).max();
    assert!(longest_ns <= Some(14 * MILLISECOND), "a kept connection waited: {longest_ns:?}");

    run.until(2 * SECOND);
    assert!(crowd.iter().all(|peer| peer.statuses() == [200; 60]));
}

#[test]
fn a_crowd_whose_every_question_takes_long_keeps_others_waiting_for_two_of_them_at_most() {
    let network = Network::new(Settings::default());
    let crowd = crowd(&network, 100, "/disk/20000", 8);
    let kept = network.client(0).send(0, get("/")).asks_again(50 * MILLISECOND, get("/"));
    let fresh: Vec<_> = (0..20).map(|n| (5000 + 137 * n) * MILLISECOND).collect();
    let fresh: Vec<_> = fresh.into_iter().map(|at| (at, network.client(at).send(at, get("/")))).collect();
    let mut run = Run::new(&network, 1000);

    run.until(8 * SECOND);
    assert!(crowd.iter().any(|peer| peer.statuses().len() < 8), "the crowd was there all the time");
    for (asked_ns, peer) in &fresh {
        let took_ns = peer.answered_within(*asked_ns);
        assert!(took_ns <= 40 * MILLISECOND, "a fresh connection waited for {took_ns} ns");
    }
    let responses = kept.responses();
    let later = responses.windows(2).filter(|pair| pair[0].at_ns > 5 * SECOND);
    let longest_ns = later.map(|pair| pair[1].at_ns - pair[0].at_ns).max();
    assert!(longest_ns <= Some(90 * MILLISECOND), "a kept connection waited: {longest_ns:?}");

    run.until(20 * SECOND);
    assert!(crowd.iter().all(|peer| peer.statuses() == [200; 8]));
}

#[test]
fn downloads_go_on_beside_thousands_of_light_requests_and_these_beside_them() {
    let settings = Settings { call_ns: 20 * MICROSECOND, file_mebibyte_ns: MILLISECOND, ..Settings::default() };
    let network = Network::new(settings);
    let downloads: Vec<_> = (0..4).map(|_| network.client(0).send(0, get("/file/1000000000000"))).collect();
    // More than one processor can do.
    let light: Vec<_> = (0..200).map(|_| network.client(0).send(0, get("/")).asks_again(0, get("/"))).collect();
    let mut run = Run::new(&network, 1000);
    run.until(SECOND / 2);

    let mebibytes: Vec<u64> = downloads.iter().map(|peer| peer.file_bytes() >> 20).collect();
    let all: u64 = mebibytes.iter().sum();
    // Half of the time is theirs, and a mebibyte takes a millisecond.
    assert!((215..340).contains(&all), "{mebibytes:?} MiB in half a second");
    assert!(mebibytes.iter().all(|each| *each >= all / 5), "each has its share: {mebibytes:?}");
    for peer in &light {
        assert!(peer.longest_gap_ns() <= 30 * MILLISECOND, "{} ns between two answers", peer.longest_gap_ns());
        assert!(peer.statuses().len() >= 20);
    }
}

#[test]
fn a_client_that_pipelines_without_end_leaves_others_their_turn() {
    let network = Network::new(Settings::default());
    let greedy = network.client(0).send(0, get("/work/10").repeat(20_000));
    let other = network.client(MILLISECOND / 10).send(MILLISECOND / 10, get("/"));
    let mut run = Run::new(&network, 10);
    run.until(SECOND);
    // A drive's 256 steps, and perhaps another drive's.
    assert!(other.answered_within(MILLISECOND / 10) < 6 * MILLISECOND);
    assert_eq!(greedy.statuses().len(), 20_000);
}

#[test]
fn a_download_that_nothing_slows_down_leaves_others_their_turn() {
    let network = Network::new(Settings::default());
    let download = network.client(0).send(0, get("/file/100000000"));
    let mut run = Run::new(&network, 10);
    let mut before = 0;
    while before < 100_000_000 {
        run.turn();
        let moved = download.file_bytes() - before;
        assert!(moved <= 2 << 20, "{moved} bytes in a turn");
        before += moved;
    }
}

#[test]
fn each_listener_has_its_turn_where_places_are_scarce() {
    let network = Network::new(Settings { listeners: 2, ..Settings::default() });
    // One place, of which each client makes use for a while.
    let of =
        |listener| move |network: &Network| network.client_of(listener, 0).send(0, get("/disk/1000")).half_close(0);
    let (first, second) = (of(0), of(1));
    let first: Vec<_> = (0..50).map(|_| first(&network)).collect();
    let second: Vec<_> = (0..5).map(|_| second(&network)).collect();
    let mut run = Run::new(&network, 1);
    run.until(20 * MILLISECOND);
    assert!(second.iter().all(|peer| peer.statuses() == [200]), "they wait no longer than the others");
    run.until(SECOND);
    assert!(first.iter().all(|peer| peer.statuses() == [200]));
}

#[test]
fn a_flood_of_newcomers_with_long_questions_does_not_keep_those_waiting_that_are_there() {
    let network = Network::new(Settings::default());
    let kept = network.client(0).send(0, get("/")).asks_again(50 * MILLISECOND, get("/"));
    let flood = |n: u64| network.client(SECOND + n).send(SECOND + n, get("/disk/20000"));
    let flood: Vec<_> = (0..200).map(flood).collect();
    let mut run = Run::new(&network, 1000);
    run.until(10 * SECOND);
    assert!(flood.iter().all(|peer| peer.statuses() == [200]));
    // The pause, and a turn: a newcomer's question, and one of those that were there.
    assert!(kept.longest_gap_ns() <= 90 * MILLISECOND, "a kept connection waited {} ns", kept.longest_gap_ns());
}
