//! The styles and scripts of the page, and the policy that names them.

pub(super) const STYLE: &str = include_str!("../../../assets/style.css");
pub(super) const SCRIPT: &str = include_str!("../../../assets/page.js");

/// The part of a page that takes files, its style and its scripts. Only a page that takes uploads contains them.
pub(super) const UPLOAD_SECTION: &str = include_str!("../../../assets/upload/upload.html");
pub(super) const UPLOAD_STYLE: &str = include_str!("../../../assets/upload/upload.css");
/// Each script uses what the ones before it declare.
pub(super) const UPLOAD_SCRIPTS: [&str; 4] = [
    include_str!("../../../assets/upload/request.js"),
    include_str!("../../../assets/upload/transfer.js"),
    include_str!("../../../assets/upload/queue.js"),
    include_str!("../../../assets/upload/view.js"),
];

/// The Content-Security-Policy of the page. A test compares the hashes with the styles and the scripts.
///
/// The icons and the favicon are `data:` images in the page. The scripts send requests to this server only. Trusted
/// types are a second barrier after the escaping: they keep the page's own scripts from turning text into markup.
pub(in crate::routes::folder) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; \
     script-src 'sha256-bbF6Eoo0P2KPToVx7wTrK6gdkq4SpIXga6kRj9VcHAg=' \
     'sha256-rp09uzl2jii2Tgx9gVgFeDTAVZ7QvDkVmFDakmAj1zk=' \
     'sha256-AuIqm6oLejzWE63iPyUw4Wmsn2Ky1/4HEWZ1C1we1OA=' \
     'sha256-p+1l2OcITTzbk9qRowWLe+DU0PiIhARxxKnvaedsMIc=' \
     'sha256-ZAv4TOCGtTvNGY6xPOwMKlcxLz5CbRz3OGKLLjZZImU='; \
     style-src 'sha256-K2MnuT5AO1QeUNfCMW0KIauI9VffsdMiuGC/jFj5GRA=' \
     'sha256-1glUdELXMqnhIj5ixbzTI0WERdYww5/Ng0F241R3ocI='; \
     img-src data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    use sha2::{Digest as _, Sha256};

    use super::super::tests::upload_page;
    use super::*;

    #[test]
    fn the_policy_allows_the_pages_own_styles_and_scripts_and_no_others() {
        let scripts: Vec<&str> = [SCRIPT].into_iter().chain(UPLOAD_SCRIPTS).collect();
        for (directive, sources) in [("script-src", &scripts[..]), ("style-src", &[STYLE, UPLOAD_STYLE])] {
            let hashes = sources.iter().map(|source| BASE64_STANDARD.encode(Sha256::digest(source)));
            let hashes: String = hashes.map(|hash| format!(" 'sha256-{hash}'")).collect();
            let expected = format!("; {directive}{hashes};");
            assert!(CONTENT_SECURITY_POLICY.contains(&expected), "the policy has to say{expected}");
        }
        let page = upload_page();
        for style in [STYLE, UPLOAD_STYLE] {
            assert!(page.contains(&format!("<style>{style}</style>")));
        }
        for script in scripts {
            assert!(page.contains(&format!("<script>{script}</script>")));
        }
        for attribute in [" style=", " onclick=\"", " onload=\"", "javascript:"] {
            assert!(!page.contains(attribute), "the policy forbids {attribute}");
        }
    }

    #[test]
    fn styles_and_scripts_do_not_end_early() {
        for source in [STYLE, UPLOAD_STYLE, SCRIPT].into_iter().chain(UPLOAD_SCRIPTS) {
            assert!(!source.contains("</") && !source.contains("<!--"));
        }
    }
}
