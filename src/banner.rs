//! What is said of a shared folder once it is served: what it is, what others may do, and under which addresses.

use std::fmt::Write as _;
use std::path::Path;

use qrcodegen::{QrCode, QrCodeEcc};

/// Where the server can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// The URL.
    pub url: String,
    /// Whether only this machine reaches it.
    pub is_local: bool,
}

/// The banner of the folder at `path`. `rights` says what others may do. With `draws_qr` the first URL that others reach
/// is drawn for the camera of a telephone.
pub fn of_folder(path: &Path, rights: &str, urls: &[Url], draws_qr: bool) -> String {
    let mut text = format!("Sharing {}: {rights}.\n", path.to_string_lossy().escape_debug());
    for Url { url, .. } in urls {
        // Writing to a string never fails.
        let _ = writeln!(text, "Listening on {url}");
    }
    if draws_qr {
        match urls.iter().find(|url| !url.is_local) {
            Some(Url { url, .. }) => text.push_str(&qr_code(url).unwrap_or_default()),
            None => text.push_str("No QR code: only this machine reaches the server. With --bind :: others do.\n"),
        }
    }
    text
}

/// The light modules around a code, on each side (ISO/IEC 18004).
const QUIET_ZONE: i32 = 4;

/// A QR code in half blocks: two rows of modules a line. Light modules are drawn, since most terminals are dark; cameras
/// read both.
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
#[allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
mod tests {
    use super::*;

    fn url(url: &str, is_local: bool) -> Url {
        Url { url: url.to_owned(), is_local }
    }

    #[test]
    fn it_names_the_folder_the_rights_and_each_url() {
        let urls = [url("http://192.168.1.5:80", false), url("http://127.0.0.1:80", true)];
        assert_eq!(
            of_folder(Path::new("/a\nb"), "others may read", &urls, false),
            "Sharing /a\\nb: others may read.\nListening on http://192.168.1.5:80\nListening on http://127.0.0.1:80\n"
        );
    }

    #[test]
    fn the_drawing_has_each_module_of_the_first_url_that_others_reach() {
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
    fn without_a_url_for_others_the_reason_is_said() {
        let text = of_folder(Path::new("/a"), "", &[url("http://127.0.0.1:80", true)], true);
        assert!(text.ends_with("With --bind :: others do.\n"), "{text}");
    }
}
