//! The styles and scripts of the page, and the policy that names them.

use crate::routes::files::UploadPolicy;

pub(super) const STYLE: &str = include_str!("../../../assets/style.css");
pub(super) const SCRIPT: &str = include_str!("../../../assets/page.js");

/// The part of a page that takes files. Only a page that takes uploads contains it, its style and its scripts.
pub(super) const UPLOAD_SECTION: &str = include_str!("../../../assets/upload/upload.html");
const UPLOAD_STYLE: &str = include_str!("../../../assets/upload/upload.css");

/// The menu and the dialogs that rename, delete and create. Only a page that offers that contains them, their style and
/// their scripts.
pub(super) const MANAGE_SECTION: &str = include_str!("../../../assets/manage/manage.html");
const MANAGE_STYLE: &str = include_str!("../../../assets/manage/manage.css");

/// The scripts of the part that takes files. In a drop box, which has no list, the page needs no others. Each script uses
/// what the ones before it declare, here and below.
pub(super) const UPLOAD_SCRIPTS: [&str; 4] = [
    include_str!("../../../assets/upload/request.js"),
    include_str!("../../../assets/upload/transfer.js"),
    include_str!("../../../assets/upload/queue.js"),
    include_str!("../../../assets/upload/view.js"),
];

const MANAGING_SCRIPTS: [&str; 8] = [
    SCRIPT,
    UPLOAD_SCRIPTS[0],
    include_str!("../../../assets/listing.js"),
    UPLOAD_SCRIPTS[1],
    UPLOAD_SCRIPTS[2],
    UPLOAD_SCRIPTS[3],
    include_str!("../../../assets/manage/change.js"),
    include_str!("../../../assets/manage/view.js"),
];
const MANAGING_STYLES: [&str; 3] = [STYLE, UPLOAD_STYLE, MANAGE_STYLE];

/// The scripts of a page. A page that takes uploads has more than one that is only read.
pub(super) fn scripts(uploads: UploadPolicy) -> &'static [&'static str] {
    match uploads {
        UploadPolicy::Off => &MANAGING_SCRIPTS[..1],
        UploadPolicy::Create | UploadPolicy::Replace => &MANAGING_SCRIPTS[..6],
        UploadPolicy::Manage => &MANAGING_SCRIPTS,
    }
}

/// The styles of a page.
pub(super) fn styles(uploads: UploadPolicy) -> &'static [&'static str] {
    match uploads {
        UploadPolicy::Off => &MANAGING_STYLES[..1],
        UploadPolicy::Create | UploadPolicy::Replace => &MANAGING_STYLES[..2],
        UploadPolicy::Manage => &MANAGING_STYLES,
    }
}

macro_rules! upload_scripts {
    () => {
        concat!(
            " 'sha256-rp09uzl2jii2Tgx9gVgFeDTAVZ7QvDkVmFDakmAj1zk='",
            " 'sha256-9NIf5/VYBy9k8Ay2bE1Il617SitY8dSVhTZ+yUS+Hwc='",
            " 'sha256-peaPCptfJLLexYxLsMDLA4ViHN4YEFq5IGKSYUwMYWU='",
            " 'sha256-FxRhx6Z1+/GwXX6b7G5d4b/FjLQhYVAObOw9NFncV5M='",
            " 'sha256-t6Q/fnNVcVVRHmNqM1yTi7C49S2OU6I2gicAkywk6Ls='",
        )
    };
}

macro_rules! upload_style {
    () => {
        concat!(" 'sha256-x1vTQPFJFp6e9XGMnfvhXwRF5CttHqbhIEvS7NH7X9s='",)
    };
}

macro_rules! manage_scripts {
    () => {
        concat!(
            " 'sha256-oqidIOdQ7PZp1P0OyDkd612leGwN2JoUZ4JirsF1jf0='",
            " 'sha256-447HZhXIivuFQjtzspmrgBBTKdDPwFfDgZA9Af2MP+E='",
        )
    };
}

macro_rules! manage_style {
    () => {
        concat!(" 'sha256-4URNtFXbkCPBUZzsiovBjLwJP4qcKeNGaO3qEFEaQqM='",)
    };
}

macro_rules! policy {
    ([$($scripts:tt)*], [$($styles:tt)*]) => {
        concat!(
            "default-src 'none'; script-src 'sha256-0c4iD39uMgvtuBGXzEiVXg2J2S3zAbKVBKACWf/X5Mw='",
            $($scripts)*
            "; style-src 'sha256-oCeXf2IEW7OIq9qVKVvJy0S/yxtvTNhkJjqExBLPVec='",
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
        for source in MANAGING_STYLES.iter().chain(&MANAGING_SCRIPTS) {
            assert!(!source.contains("</") && !source.contains("<!--"));
        }
    }
}
