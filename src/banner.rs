//! The banner: what the server prints when it starts to listen. It says which files are served, what others may do with
//! them, and the URLs, each on a line `Listening on URL` that scripts can read.

use std::fmt::Write as _;
use std::path::Path;

use qrcodegen::{QrCode, QrCodeEcc};

/// A URL of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// The URL, without a path.
    pub url: String,
    /// Whether it works on this machine only.
    pub is_local: bool,
}

impl Url {
    /// What stands for a URL if the server listens on a Unix socket, which has none.
    pub fn of_unix_socket(path: Option<&Path>) -> Url {
        let url = path.map_or("an inherited socket".to_owned(), |path| format!("unix:{}", shown(path)));
        Url { url, is_local: true }
    }
}

/// The banner of a server without files.
pub fn of_no_files(urls: &[Url]) -> String {
    format!("Serving no files: no directory is given.\n{}", listening_on(urls))
}

/// The banner of a server that serves the files below `path` at `/files/`. `permissions` says what others may do.
pub fn of_directory(path: &Path, permissions: &str, urls: &[Url]) -> String {
    format!("Serving {} at /files/: {permissions}.\n{}", shown(path), listening_on(urls))
}

/// The banner of the shared folder at `path`. `permissions` says what others may do. With `draws_qr` the first URL that
/// works on other machines is added as a QR code.
pub fn of_folder(path: &Path, permissions: &str, urls: &[Url], draws_qr: bool) -> String {
    let mut text = format!("Sharing {}: {permissions}.\n{}", shown(path), listening_on(urls));
    if draws_qr {
        match urls.iter().find(|url| !url.is_local) {
            Some(Url { url, .. }) => text.push_str(&qr_code(url).unwrap_or_default()),
            None => {
                text.push_str(
                    "No QR code: only this machine can reach these addresses. With --bind :: instead, others can.\n",
                );
            }
        }
    }
    text
}

/// The lines about the listeners for the administrator.
pub fn of_admin(urls: &[Url]) -> String {
    let line = |url: &str| match url.starts_with("http://") {
        true => format!("Metrics on {url}/metrics\n"),
        // The path of a socket could not be told from the target.
        false => format!("Metrics on {url}, target /metrics\n"),
    };
    urls.iter().map(|Url { url, .. }| line(url)).collect()
}

/// The path with control characters escaped, so that it cannot forge a line.
fn shown(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}

fn listening_on(urls: &[Url]) -> String {
    let mut lines = String::new();
    for Url { url, .. } in urls {
        // Writing to a string never fails.
        let _ = writeln!(lines, "Listening on {url}");
    }
    lines
}

/// The width of the light margin on each side of a code, in modules (ISO/IEC 18004).
const QUIET_ZONE: i32 = 4;

/// A QR code in half blocks, with two rows of modules per line. The light modules are drawn, because most terminals are
/// dark; cameras read inverted codes as well.
fn qr_code(text: &str) -> Option<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Low).ok()?;
    let end = code.size() + QUIET_ZONE;
    let is_light = |x: i32, y: i32| y < end && !code.get_module(x, y);
    let mut drawn = String::new();
    for y in (-QUIET_ZONE..end).step_by(2) {
        for x in -QUIET_ZONE..end {
            drawn.push(match (is_light(x, y), is_light(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        drawn.push('\n');
    }
    Some(drawn)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn url(url: &str, is_local: bool) -> Url {
        Url { url: url.to_owned(), is_local }
    }

    #[test]
    fn it_names_the_files_the_permissions_and_each_url() {
        let urls = [url("http://192.168.1.5:80", false), url("http://127.0.0.1:80", true)];
        assert_eq!(
            of_folder(Path::new("/a\nb"), "others may read", &urls, false),
            "Sharing /a\\nb: others may read.\nListening on http://192.168.1.5:80\nListening on http://127.0.0.1:80\n"
        );
        assert_eq!(
            of_directory(Path::new("/a\nb"), "others may read", &urls[1..]),
            "Serving /a\\nb at /files/: others may read.\nListening on http://127.0.0.1:80\n"
        );
        assert_eq!(
            of_no_files(&urls[1..]),
            "Serving no files: no directory is given.\nListening on http://127.0.0.1:80\n"
        );
    }

    #[test]
    fn the_qr_code_shows_the_first_url_that_works_on_other_machines() {
        let urls = [url("http://127.0.0.1:80", true), url("http://192.168.1.5:80", false), url("http://b:80", false)];
        let text = of_folder(Path::new("/a"), "", &urls, true);
        let lines: Vec<Vec<char>> = text.lines().skip(4).map(|line| line.chars().collect()).collect();
        let code = QrCode::encode_text("http://192.168.1.5:80", QrCodeEcc::Low).unwrap();
        let width = code.size() + 2 * QUIET_ZONE;
        assert_eq!(lines.len() as i32, (width + 1) / 2);
        for y in 0..width {
            for x in 0..width {
                let drawn = lines[y as usize / 2][x as usize];
                let is_light = if y % 2 == 0 { "█▀" } else { "█▄" }.contains(drawn);
                assert_eq!(is_light, !code.get_module(x - QUIET_ZONE, y - QUIET_ZONE), "{x} {y}");
            }
        }
    }

    #[test]
    fn without_a_url_for_other_machines_the_reason_is_printed() {
        let text = of_folder(Path::new("/a"), "", &[url("http://127.0.0.1:80", true)], true);
        assert!(text.ends_with("With --bind :: instead, others can.\n"), "{text}");
    }
}
