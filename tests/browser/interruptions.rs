//! Uploads continue after everything that interrupts them: a server that is killed, a network that is cut, lost responses, a
//! pause, and the end of the tab.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::folder::Shared;
use crate::harness::{bytes_free, noise, wait_until};
use crate::network::Network;
use crate::queue::{bar, has_reached, open, read, state_text, texts, wait_for_states, wait_for_summary};
use crate::tab::Tab;

/// The largest piece that the page sends in one request.
const PIECE_BYTES_MAX: u64 = 64 << 20;

/// A directory beside the compiled tests, since `/tmp` may be in memory.
fn directory_on_disk() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory")
}

/// The length of the file to send: 2 GiB, or less if the disk has no room for it and its copy.
fn bytes_to_send(directory: &Path) -> u64 {
    const WANTED: u64 = 2 << 30;
    const NEEDED: u64 = 96 << 20;
    // Whole MiB, and a fourth of the space for others.
    let fitting = (bytes_free(directory) / 8 * 3) & !((1 << 20) - 1);
    assert!(fitting >= NEEDED, "{} has room for {fitting} bytes, and this test needs {NEEDED}", directory.display());
    if fitting < WANTED {
        println!("the disk has little room: {fitting} bytes are sent in place of {WANTED}");
    }
    fitting.min(WANTED)
}

/// Makes a file with noise at the beginning of each MiB, and holes between. A part that is missing, or in the wrong place, is
/// noticed.
fn sparse_noise(path: &Path, bytes: u64) {
    let mut file = File::create(path).expect("a file");
    file.set_len(bytes).expect("its size");
    for at in (0..bytes).step_by(1 << 20) {
        file.seek(SeekFrom::Start(at)).expect("a position");
        file.write_all(&noise(16 << 10, at + 1)).expect("space");
    }
}

fn assert_same_content(left: &Path, right: &Path) {
    let open = |path: &Path| File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let [mut left, mut right] = [left, right].map(open);
    let (mut ours, mut theirs) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    assert_eq!(left.metadata().expect("its size").len(), right.metadata().expect("its size").len());
    for at in 0.. {
        let bytes = left.read(&mut ours).expect("content");
        right.read_exact(&mut theirs[..bytes]).expect("as much content");
        assert!(ours[..bytes] == theirs[..bytes], "the files differ in the piece of 1 MiB number {at}");
        if bytes == 0 {
            return;
        }
    }
}

const IS_WAITING: &str = "document.querySelector('#upload-items .state').textContent.includes('Trying again')";

/// What interrupts an upload.
#[derive(Clone, Copy, PartialEq)]
enum Interruption {
    /// The server is killed, and started again.
    Kill,
    /// All connections are reset, and new ones too, until the network is restored.
    Cut,
}

impl Interruption {
    fn begin(self, shared: &mut Shared, network: &Network) {
        match self {
            Interruption::Kill => {
                shared.kill();
                network.release();
            }
            Interruption::Cut => network.cut(),
        }
    }

    fn end(self, shared: &mut Shared, network: &Network) {
        match self {
            Interruption::Kill => shared.restart(),
            Interruption::Cut => network.restore(),
        }
    }
}

/// Waits until the page has tried to reach the server three times, and asserts that each wait was longer than the one before.
fn assert_growing_waits(tab: &mut Tab, attempts_before: usize) {
    wait_until("three attempts", || tab.request_times("HEAD").len() >= attempts_before + 3);
    let attempts = tab.request_times("HEAD").split_off(attempts_before);
    let waits: Vec<f64> = attempts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits.is_sorted_by(|earlier, later| earlier < later), "{waits:?}");
}

/// Waits until the page shows more as sent than it did, and remembers that. A browser reports the progress of a request some
/// 50 ms late.
fn wait_until_bar_grows(tab: &mut Tab, shown: &mut f64) {
    wait_until("the bar to grow", || bar(tab) > *shown);
    *shown = bar(tab);
}

#[test]
fn two_gibibytes_arrive_whole_although_the_server_is_killed_and_the_network_is_cut() {
    use Interruption::{Cut, Kill};
    let Some(mut tab) = Tab::start() else { return };
    let disk = directory_on_disk();
    let bytes = bytes_to_send(disk.path());
    let bytes_between = bytes / 6;
    let (folder, file) = (disk.path().join("shared"), disk.path().join("large.bin"));
    fs::create_dir(&folder).expect("a folder");
    sparse_noise(&file, bytes);
    let mut shared = Shared::start_at(&folder, &["--uploads", "create"]);
    let network = Network::start(shared.port());
    tab.open(&format!("{}/", network.origin()));
    network.hold_after(bytes_between);
    tab.choose("#upload-files", &[&file]);
    let mut shown = 0.0;
    for (number, interruption) in [Kill, Cut, Kill, Cut, Kill].into_iter().enumerate() {
        network.wait_until_held();
        wait_until_bar_grows(&mut tab, &mut shown);
        let attempts = tab.request_times("HEAD").len();
        interruption.begin(&mut shared, &network);
        // Between two attempts: during one the page shows another text.
        wait_until("a wait", || state_text(&mut tab).starts_with("No connection to the server. Trying again"));
        if number == 0 {
            assert_growing_waits(&mut tab, attempts);
        }
        network.hold_after(bytes_between);
        interruption.end(&mut shared, &network);
    }
    network.wait_until_held();
    wait_until_bar_grows(&mut tab, &mut shown);
    network.release();
    wait_for_states(&mut tab, &["stored"]);
    assert_same_content(&file, &folder.join("large.bin"));
    let offsets = tab.upload_offsets();
    assert_eq!(offsets.last(), Some(&bytes), "the file is published after all of it has been sent");
    assert_eq!(offsets.iter().filter(|offset| **offset == 0).count(), 1, "the upload began again: {offsets:?}");
    // An interruption costs a piece at most.
    let most = bytes + 5 * PIECE_BYTES_MAX + (1 << 20);
    assert!(network.bytes_forwarded() < most, "{} bytes were sent", network.bytes_forwarded());
    tab.assert_no_script_errors();
}

/// The rate in bytes per second and the remaining time in seconds, as the page shows them for the first file; `None` if it does
/// not show both.
fn shown_rate(tab: &mut Tab) -> Option<(f64, f64)> {
    let text = state_text(tab);
    let (_, rest) = text.split_once(", ")?;
    let (rate, left) = rest.split_once(", ")?;
    let (rate, unit) = rate.split_once(' ')?;
    let unit = match unit {
        "MB/s" => 1e6,
        "kB/s" | "KB/s" => 1e3,
        _ => return None,
    };
    Some((rate.parse::<f64>().ok()? * unit, left.strip_suffix(" s left")?.parse().ok()?))
}

#[test]
fn the_rate_and_the_remaining_time_are_right_after_an_interruption() {
    // So slow that the limit decides, also on a busy machine.
    const RATE: i64 = 1_000_000;
    const BYTES: usize = 15_000_000;
    let Some((mut tab, shared, local)) = open(&["--uploads", "create"]) else { return };
    let network = Network::start(shared.port());
    tab.open(&format!("{}/", network.origin()));
    let file = local.file("film.mkv", noise(BYTES, 18));
    tab.limit_upload_rate(RATE);
    tab.choose("#upload-files", &[&file]);
    let assert_plausible = |tab: &mut Tab| {
        let mut shown = None;
        wait_until("a rate", || {
            shown = shown_rate(tab);
            shown.is_some()
        });
        let (rate, left_s) = shown.expect("a rate");
        // In the first second the browser fills the buffers of its connection.
        assert!((0.4..2.5).contains(&(rate / RATE as f64)), "{rate} B/s at a limit of {RATE} B/s");
        let expected_s = (1.0 - bar(tab)) * BYTES as f64 / rate;
        assert!((left_s - expected_s).abs() < 0.2 * expected_s + 1.0, "{left_s} s left, expected {expected_s} s");
    };
    tab.wait_until(&has_reached(0.1));
    assert_plausible(&mut tab);
    let attempts = tab.request_times("HEAD").len();
    network.cut();
    tab.wait_until(IS_WAITING);
    assert_eq!(shown_rate(&mut tab), None);
    assert_growing_waits(&mut tab, attempts);
    let before = bar(&mut tab);
    network.restore();
    // The first rate that is shown again, and a later one.
    tab.wait_until(&format!("!({IS_WAITING})"));
    assert_plausible(&mut tab);
    tab.wait_until(&has_reached(before + 0.1));
    assert_plausible(&mut tab);
    tab.click(".cancel");
    wait_until("an empty folder", || shared.names().is_empty());
    tab.assert_no_script_errors();
}

#[test]
fn files_are_stored_once_although_every_third_response_is_lost() {
    let Some((mut tab, shared, local)) = open(&["--uploads", "create"]) else { return };
    let (small, large) = (noise(10_000, 16), noise(3_000_000, 17));
    let files = [local.file("small.bin", &small), local.file("large.bin", &large)];
    tab.evaluate(
        "(() => {
            const send = XMLHttpRequest.prototype.send;
            let requests = 0;
            XMLHttpRequest.prototype.send = function (body) {
                if (requests++ % 3 === 0) Object.defineProperty(this, 'status', { value: 0 });
                return send.call(this, body);
            };
        })()",
    );
    for (file, content) in files.iter().zip([small, large]) {
        tab.choose("#upload-files", &[file]);
        let name = file.file_name().expect("a name");
        wait_until("the file", || fs::read(shared.path().join(name)).is_ok_and(|stored| stored == content));
    }
    wait_for_states(&mut tab, &["stored"; 2]);
    let is_whole = |name: &&String| !name.starts_with(".spindle=");
    assert_eq!(shared.names().iter().filter(is_whole).collect::<Vec<_>>(), ["large.bin", "small.bin"]);
    tab.assert_no_script_errors();
}

#[test]
fn a_paused_upload_sends_nothing_and_is_continued_where_it_was() {
    let Some((mut tab, shared, local)) = open(&["--uploads", "create"]) else { return };
    let network = Network::start(shared.port());
    tab.open(&format!("{}/", network.origin()));
    let content = noise(30_000_000, 8);
    let file = local.file("film.mkv", &content);
    tab.limit_upload_rate(10_000_000);
    tab.choose("#upload-files", &[&file]);
    for (share, pause, resume) in [(0.2, ".pause", "#upload-resume"), (0.5, "#upload-pause", ".resume")] {
        tab.wait_until(&has_reached(share));
        tab.click(pause);
        wait_for_states(&mut tab, &["paused"]);
        assert!(state_text(&mut tab).starts_with("Paused at "));
        assert_eq!(tab.text("document.querySelector('#upload-items button').ariaLabel"), "Resume: film.mkv");
        // What was on its way still arrives, and nothing after that.
        network.wait_until_silent(Duration::from_secs(1));
        assert!(network.bytes_forwarded() < 25_000_000, "it was not paused");
        tab.click(resume);
    }
    tab.limit_upload_rate(-1);
    wait_for_states(&mut tab, &["stored"]);
    assert!(read(&shared.path().join("film.mkv")) == content, "the file differs");
    let offsets = tab.upload_offsets();
    assert_eq!(offsets.iter().filter(|offset| **offset == 0).count(), 1, "nothing was sent again: {offsets:?}");
    tab.assert_no_script_errors();
}

/// Sends a part of a file, closes the tab, and opens the page in another one. The network holds the rest back meanwhile, and then
/// resets the connection: the browser goes on sending for a moment after the tab has ended, and could complete the upload.
fn send_a_part_and_close_the_tab(tab: &mut Tab, network: &Network, file: &Path) {
    network.hold_after(6_000_000);
    tab.choose("#upload-files", &[file]);
    network.wait_until_held();
    tab.close_and_open_another();
    network.cut();
    network.restore();
    tab.open(&format!("{}/", network.origin()));
}

#[test]
fn the_same_file_is_continued_after_its_tab_was_closed() {
    let Some((mut tab, shared, local)) = open(&["--uploads", "create"]) else { return };
    let content = noise(40_000_000, 9);
    let file = local.file("film.mkv", &content);
    let network = Network::start(shared.port());
    tab.open(&format!("{}/", network.origin()));
    send_a_part_and_close_the_tab(&mut tab, &network, &file);
    wait_for_states(&mut tab, &["unfinished"]);
    assert!(state_text(&mut tab).ends_with("Choose the same file again to continue."));
    tab.choose("#upload-files", &[&file]);
    wait_for_states(&mut tab, &["stored"]);
    assert!(read(&shared.path().join("film.mkv")) == content, "the file differs");
    let offsets = tab.upload_offsets();
    assert!(offsets[0] > 0, "the upload began again: {offsets:?}");
    assert_eq!(tab.evaluate("localStorage.length"), 0);
    tab.assert_no_script_errors();
}

#[test]
fn another_file_of_the_same_name_does_not_continue_the_upload() {
    let Some((mut tab, shared, local)) = open(&["--uploads", "create"]) else { return };
    let network = Network::start(shared.port());
    tab.open(&format!("{}/", network.origin()));
    let now = SystemTime::now();
    let make = |seed: u64, bytes: usize, age_s: u64| {
        let file = local.file("film.mkv", noise(bytes, seed));
        let modified = now - Duration::from_secs(age_s);
        File::options().write(true).open(&file).expect("the file").set_modified(modified).expect("its time");
        file
    };
    // Another time, another size, and the same of both but another content, as two versions of a reproducible build have.
    for (number, (bytes, age_s)) in [(40_000_000, 99), (39_000_000, 100), (40_000_000, 100)].into_iter().enumerate() {
        let file = make(30, 40_000_000, 100);
        send_a_part_and_close_the_tab(&mut tab, &network, &file);
        wait_for_states(&mut tab, &["unfinished"]);
        let file = make(31 + number as u64, bytes, age_s);
        tab.choose("#upload-files", &[&file]);
        wait_for_summary(&mut tab, "1 file stored");
        assert!(read(&shared.path().join("film.mkv")) == read(&file), "case {number}: the file differs");
        let offsets = tab.upload_offsets();
        assert_eq!(offsets[0], 0, "case {number}: the upload was continued: {offsets:?}");
        // Of the third pair the page has discarded the first itself.
        wait_until("the end of the other upload", || {
            if let [_] = texts(&mut tab, ".unfinished").as_slice() {
                tab.click(".discard");
            }
            // The record of an upload that has ended may stay until it expires: the page tries once to have it deleted.
            let has_content = |name: &String| fs::metadata(shared.path().join(name)).is_ok_and(|of| of.len() > 4096);
            shared.names().into_iter().filter(has_content).eq(["film.mkv"])
        });
        fs::remove_file(shared.path().join("film.mkv")).expect("the file");
    }
    tab.assert_no_script_errors();
}
