//! Requests under a signed link: the path that the link is for, and the grant that it gives.

use super::{UPLOADS, files};

/// The decoded path of a request, in the one spelling that links sign: `/`, `/a/b` for a file, or `/a/b/` for a folder.
/// `None` if nothing can have this path.
///
/// The path is decoded as it is when a file is opened. So no two paths that lead to different files have the same form.
pub fn decoded_path(path: &[u8]) -> Option<Vec<u8>> {
    if let Some(rest) = path.strip_prefix(UPLOADS) {
        // The identifier of an upload is not encoded, and does not count in the limit on the depth of a path.
        let slash = memchr::memchr(b'/', rest)?;
        let (id, name) = rest.split_at(slash + 1);
        return Some([UPLOADS, id, files::path_of(name).ok()?.as_bytes()].concat());
    }
    let name = path.strip_prefix(b"/")?;
    match name.strip_suffix(b"/") {
        _ if name.is_empty() => Some(b"/".to_vec()),
        Some(folder) => Some([b"/", files::path_of(folder).ok()?.as_bytes(), b"/"].concat()),
        None => Some([b"/", files::path_of(name).ok()?.as_bytes()].concat()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_one_decoded_form() {
        for (path, expected) in [
            ("/", Some("/")),
            ("/a", Some("/a")),
            ("/a/", Some("/a/")),
            ("/%61/%2e/b", Some("/a/b")),
            ("/./a/./b/", Some("/a/b/")),
            ("/a%20b/%C3%A9", Some("/a b/é")),
            ("/.spindle/uploads/00ff/./a%20b", Some("/.spindle/uploads/00ff/a b")),
            ("/.spindle/uploads/00ff", None),
            ("", None),
            ("a", None),
            ("//", None),
            ("//a", None),
            ("/a//b", None),
            ("/a/..", None),
            ("/a/%2e%2e/b", None),
            ("/a/.", None),
            ("/a/./", None),
            ("/a%2fb", None),
            ("/a%00", None),
        ] {
            assert_eq!(decoded_path(path.as_bytes()), expected.map(|path| path.as_bytes().to_vec()), "{path}");
        }
    }
}
