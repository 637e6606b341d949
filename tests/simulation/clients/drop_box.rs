//! What a drop box may say: its page takes files and names none, and all other reading requests get the same 404.

use crate::simulation::clients::expected::{Expected, ResponseCheck};
use crate::simulation::clients::request::Request;
use crate::simulation::clients::responses::Response;

/// Fields from which a client could learn something about a file.
const TELLING_FIELDS: [&str; 5] = ["etag", "last-modified", "content-range", "accept-ranges", "location"];

/// The request to the folder as one to a drop box, where the same files cannot be read.
pub(crate) fn hidden(request: Request) -> Request {
    if !matches!(request.method, "GET" | "HEAD") {
        return request;
    }
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let wants_page = query.contains("format=html") || request.fields.iter().any(|field| field == "Accept: text/html");
    let expected = if path == "/" && wants_page { Expected::DropBoxPage } else { Expected::Hidden };
    Request { expected, ..request }
}

/// Checks that the page names no file.
pub(super) fn check_page(check: &ResponseCheck<'_>) -> Result<(), String> {
    let page = String::from_utf8_lossy(&check.response.content);
    let names = check.model.fixed.keys().copied().filter(|name| name.contains('.') && !name.starts_with('.'));
    match names.into_iter().find(|name| page.contains(name)) {
        Some(name) => Err(format!("the page of a drop box contains {name}")),
        None if page.contains("<form") => Ok(()),
        None => Err("the page of a drop box has no form".to_owned()),
    }
}

/// Checks that the response does not tell whether there is a file.
pub(super) fn check_hidden(response: &Response) -> Result<(), String> {
    match TELLING_FIELDS.iter().find(|name| response.field(name).is_some()) {
        Some(name) => Err(format!("a drop box sends {name}")),
        None if response.content.is_empty() || response.content == b"There is nothing at this address.\n" => Ok(()),
        None => Err("the 404 of a drop box has another content".to_owned()),
    }
}
