//! Checks listings and archives of a shared folder.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use crate::simulation::clients::expected::{ResponseCheck, fixed_entries};

/// Each entry that exists during the whole run is listed once, and otherwise only uploads are listed.
pub(crate) fn check_listing(check: &ResponseCheck<'_>, directory: &str, format: &str) -> Result<(), String> {
    if check.outstanding.request.is_head() {
        return Ok(());
    }
    let text = std::str::from_utf8(&check.response.content).map_err(|error| format!("a listing: {error}"))?;
    let found = match format {
        "json" => json_names(check, directory, text)?,
        "text" => text.lines().map(str::to_owned).collect(),
        _ => html_names(text)?,
    };
    let names: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    if names.len() < found.len() {
        return Err(format!("a name is listed twice: {found:?}"));
    }
    let fixed = fixed_entries(check.model, directory);
    if let Some(missing) = fixed.keys().find(|name| !names.contains(name.as_str())) {
        return Err(format!("{missing} is not listed, but {found:?}"));
    }
    for name in names.into_iter().filter(|name| !fixed.contains_key(*name)) {
        let path = format!("{directory}{name}");
        if !is_of_others(&path) && !check.model.uploaded_names().any(|uploaded| uploaded == path) {
            return Err(format!("{path} is listed, which nobody has stored"));
        }
    }
    let listed: BTreeSet<String> = found.iter().map(|name| format!("{directory}{name}")).collect();
    all_acknowledged(check, directory, |path| listed.contains(path))
}

/// Whether the file may have been written by a hostile client or by another process. Other checks cover these.
fn is_of_others(path: &str) -> bool {
    path.starts_with("up/") || path.starts_with("others/")
}

/// Each upload that was acknowledged before the request exists.
fn all_acknowledged(check: &ResponseCheck<'_>, directory: &str, is_there: impl Fn(&str) -> bool) -> Result<(), String> {
    for name in check.model.uploaded_names() {
        let is_within = name.strip_prefix(directory).is_some_and(|rest| !rest.contains('/'));
        if is_within && !is_there(name) {
            check.model.may_read(name, None, check.outstanding.at_ns, check.now_ns)?;
        }
    }
    Ok(())
}

fn json_names(check: &ResponseCheck<'_>, directory: &str, text: &str) -> Result<Vec<String>, String> {
    let json: serde_json::Value = serde_json::from_str(text).map_err(|error| format!("a listing: {error}"))?;
    if json["path"] != format!("/{directory}") {
        return Err(format!("a listing of {}", json["path"]));
    }
    let fixed = fixed_entries(check.model, directory);
    let entries = json["entries"].as_array().ok_or("a listing without entries")?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry["href"].as_str().ok_or("an entry without a reference")?.to_owned();
        if let Some(Some(content)) = fixed.get(&name)
            && entry["size"] != content.len()
        {
            return Err(format!("{name} is listed with the size {}", entry["size"]));
        }
        names.push(name);
    }
    Ok(names)
}

fn html_names(text: &str) -> Result<Vec<String>, String> {
    if !text.ends_with("</html>\n") {
        return Err("a page without its end".to_owned());
    }
    let rows = text.split("<tr><th scope=\"row\"><a ").skip(1);
    Ok(rows.filter_map(|row| Some(row.split_once("href=\"")?.1.split_once('"')?.0.to_owned())).collect())
}

/// The archive contains each file that exists during the whole run, and complete versions of uploads.
pub(crate) fn check_archive(check: &ResponseCheck<'_>, directory: &str) -> Result<(), String> {
    if check.outstanding.request.is_head() {
        return Ok(());
    }
    let mut found = BTreeMap::new();
    let read_error = |error: std::io::Error| format!("an archive: {error}");
    let root = if directory.is_empty() { "shared/" } else { directory };
    let mut archive = tar::Archive::new(&check.response.content[..]);
    for entry in archive.entries().map_err(read_error)? {
        let mut entry = entry.map_err(read_error)?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let Some(rest) = path.strip_prefix(root) else { return Err(format!("{path} in an archive of {directory:?}")) };
        if entry.header().entry_type().is_dir() {
            continue;
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(read_error)?;
        if found.insert(format!("{directory}{rest}"), content).is_some() {
            return Err(format!("{path} is twice in an archive"));
        }
    }
    if !check.response.content.ends_with(&[0; 1024]) {
        return Err("an archive without its end".to_owned());
    }
    let model = &check.model;
    let is_hidden = |name: &str| name.split('/').any(|segment| segment.starts_with('.'));
    let fixed = model.fixed.keys().copied().filter(|name| !is_hidden(name));
    let names: BTreeSet<&str> =
        fixed.chain(model.uploaded_names()).filter(|name| name.starts_with(directory)).collect();
    for name in &names {
        let content = found.get(*name).map(Vec::as_slice);
        model.may_read(name, content, check.outstanding.at_ns, check.now_ns)?;
    }
    match found.keys().find(|name| !names.contains(name.as_str()) && !is_of_others(name)) {
        Some(name) => Err(format!("{name} is in an archive, which nobody has stored")),
        None => Ok(()),
    }
}
