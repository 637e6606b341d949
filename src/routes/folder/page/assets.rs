//! The styles and scripts of the page, and the policy that names them.

use crate::semantics::rights::UploadPolicy;

pub(super) const STYLE: &str = include_str!("../../../assets/style.css");
pub(super) const SCRIPT: &str = include_str!("../../../assets/page.js");

/// The part of a page that takes files. Only a page that takes uploads contains it, its style and its scripts.
pub(super) const UPLOAD_SECTION: &str = include_str!("../../../assets/upload/upload.html");
const UPLOAD_STYLE: &str = include_str!("../../../assets/upload/upload.css");

/// The menu and the dialogs that rename, delete and create. Only a page that offers that contains them, their style and
/// their scripts.
pub(super) const MANAGE_SECTION: &str = include_str!("../../../assets/manage/manage.html");
const MANAGE_STYLE: &str = include_str!("../../../assets/manage/manage.css");

const REQUEST: &str = include_str!("../../../assets/upload/request.js");
const LISTING: &str = include_str!("../../../assets/listing.js");
const TRANSFER: &str = include_str!("../../../assets/upload/transfer.js");
const QUEUE: &str = include_str!("../../../assets/upload/queue.js");
const UPLOAD_VIEW: &str = include_str!("../../../assets/upload/view.js");
const CHANGE: &str = include_str!("../../../assets/manage/change.js");
const MANAGE_VIEW: &str = include_str!("../../../assets/manage/view.js");

// Each script uses what the ones before it declare.
const READING_SCRIPTS: &[&str] = &[SCRIPT];
const UPLOADING_SCRIPTS: &[&str] = &[SCRIPT, REQUEST, LISTING, TRANSFER, QUEUE, UPLOAD_VIEW];
const MANAGING_SCRIPTS: &[&str] = &[SCRIPT, REQUEST, LISTING, TRANSFER, QUEUE, UPLOAD_VIEW, CHANGE, MANAGE_VIEW];
/// The scripts of a drop box, which has no list.
pub(super) const DROP_BOX_SCRIPTS: &[&str] = &[REQUEST, TRANSFER, QUEUE, UPLOAD_VIEW];

const READING_STYLES: &[&str] = &[STYLE];
const UPLOADING_STYLES: &[&str] = &[STYLE, UPLOAD_STYLE];
const MANAGING_STYLES: &[&str] = &[STYLE, UPLOAD_STYLE, MANAGE_STYLE];

/// The scripts of a page. A page that takes uploads has more than one that is only read.
pub(super) fn scripts(uploads: UploadPolicy) -> &'static [&'static str] {
    match uploads {
        UploadPolicy::Off => READING_SCRIPTS,
        UploadPolicy::Create | UploadPolicy::Replace => UPLOADING_SCRIPTS,
        UploadPolicy::Manage => MANAGING_SCRIPTS,
    }
}

/// The styles of a page.
pub(super) fn styles(uploads: UploadPolicy) -> &'static [&'static str] {
    match uploads {
        UploadPolicy::Off => READING_STYLES,
        UploadPolicy::Create | UploadPolicy::Replace => UPLOADING_STYLES,
        UploadPolicy::Manage => MANAGING_STYLES,
    }
}

macro_rules! upload_scripts {
    () => {
        concat!(
            " 'sha256-t6hMpTopvuGZYl7e2cbXBIDrK+gKbO2biuVmVN1wOTU='",
            " 'sha256-9NIf5/VYBy9k8Ay2bE1Il617SitY8dSVhTZ+yUS+Hwc='",
            " 'sha256-9Zl9LazeXAdc+1eKUYUGZx+uqpyNR5BM3g64efjlcLc='",
            " 'sha256-FxRhx6Z1+/GwXX6b7G5d4b/FjLQhYVAObOw9NFncV5M='",
            " 'sha256-C7XlXlh7anidgFLWhATQvCQ+vlp2/7TeerV28apJ2QQ='",
        )
    };
}

macro_rules! upload_style {
    () => {
        concat!(" 'sha256-ZktiD19eWZnItInurF0Jn0Mjb/LBr09TdCFqbXmbmDk='",)
    };
}

macro_rules! manage_scripts {
    () => {
        concat!(
            " 'sha256-OuTq852R/b8Qol0hgY7Eu0/W/HWYDErZwYq5Iy6oSQY='",
            " 'sha256-cGVmUTRNIpRa7BnvdycZo/vlHLgqutfRVHiWi6BUeTQ='",
        )
    };
}

macro_rules! manage_style {
    () => {
        concat!(" 'sha256-mB9yYlK/Yru52ydYo2zZ73XSak0VNbXQ2hOO1XNfjyU='",)
    };
}

macro_rules! policy {
    ([$($scripts:tt)*], [$($styles:tt)*]) => {
        concat!(
            "default-src 'none'; script-src 'sha256-5bANGadT3pguTSqnas4GFyvrhvcvk1fXdey8YEfeuac='",
            $($scripts)*
            "; style-src 'sha256-2WATPohbs6+9nT9vKt79/GwBXaJLsAFzZRg/AaGkLog='",
            $($styles)*
            "; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
             require-trusted-types-for 'script'; trusted-types 'none'"
        )
    };
}

/// The Content-Security-Policy of a page. A test compares the hashes with the styles and the scripts.
///
/// The icons and the favicon are `data:` images in the page. The scripts send requests to this server only. Trusted
/// types are a second barrier after the escaping: they keep the page's own scripts from turning text into markup.
pub(in crate::routes::folder) fn content_security_policy(uploads: UploadPolicy) -> &'static str {
    match uploads {
        UploadPolicy::Off => policy!([], []),
        UploadPolicy::Create | UploadPolicy::Replace => policy!([upload_scripts!(),], [upload_style!(),]),
        UploadPolicy::Manage => policy!([upload_scripts!(), manage_scripts!(),], [upload_style!(), manage_style!(),]),
    }
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    use sha2::{Digest as _, Sha256};

    use super::super::tests::page;
    use super::*;

    const POLICIES: [UploadPolicy; 4] =
        [UploadPolicy::Off, UploadPolicy::Create, UploadPolicy::Replace, UploadPolicy::Manage];

    /// The script tells a missing right and a refused link from other 403s by the reason.
    #[test]
    fn the_reasons_that_the_script_recognizes_are_those_of_the_server() {
        use crate::routes::{DENIED, links};
        for (start, reasons) in
            [("You have no right", &[DENIED][..]), ("This link ", &[links::INVALID, links::EXPIRED])]
        {
            assert!(REQUEST.contains(&format!("reason.startsWith(\"{start}\")")), "{start}");
            assert!(reasons.iter().all(|reason| reason.starts_with(start)), "{reasons:?}");
        }
    }

    #[test]
    fn the_policy_allows_the_pages_own_styles_and_scripts_and_no_others() {
        for uploads in POLICIES {
            let (scripts, styles, page) = (scripts(uploads), styles(uploads), page(uploads));
            for (directive, sources) in [("script-src", scripts), ("style-src", styles)] {
                let hashes = sources.iter().map(|source| BASE64_STANDARD.encode(Sha256::digest(source)));
                let hashes: String = hashes.map(|hash| format!(" 'sha256-{hash}'")).collect();
                let expected = format!("; {directive}{hashes};");
                let policy = content_security_policy(uploads);
                assert!(policy.contains(&expected), "{uploads:?}: the policy has to say{expected}");
            }
            for (tag, sources) in [("style", styles), ("script", scripts)] {
                assert_eq!(page.matches(&format!("<{tag}>")).count(), sources.len());
                for source in sources {
                    assert!(page.contains(&format!("<{tag}>{source}</{tag}>")));
                }
            }
            for attribute in [" style=", " onclick=\"", " onload=\"", "javascript:"] {
                assert!(!page.contains(attribute), "the policy forbids {attribute}");
            }
        }
    }

    #[test]
    fn styles_and_scripts_do_not_end_early() {
        for source in MANAGING_STYLES.iter().chain(MANAGING_SCRIPTS) {
            assert!(!source.contains("</") && !source.contains("<!--"));
        }
    }
}
