//! The decision table: each kind of request by each kind of client, with each right for everybody.

use spindle::semantics::accounts::parse_rights;
use spindle::semantics::rights::{Rights, UploadPolicy};

use super::Guarded;

/// The accounts, and their own rights. The name without letters is that of a client without credentials.
const ACCOUNTS: [(&str, &str); 5] =
    [("", ""), ("reader", "read"), ("adder", "create"), ("writer", "read,replace"), ("manager", "manage")];

const EVERYBODY: [&str; 4] = ["", "read", "create", "read,create"];

fn rights_of(list: &str) -> Rights {
    parse_rights(list).unwrap_or(Rights::NONE)
}

/// A client, as the server should see it.
struct Client<'a> {
    name: &'a str,
    rights: Rights,
    /// What it could do with the best account.
    others: Rights,
}

impl Client<'_> {
    /// The status of a request that needs `is_allowed`, which is `allowed` if the client has that right.
    fn expected(&self, is_allowed: impl Fn(Rights) -> bool, allowed: u16) -> u16 {
        match (is_allowed(self.rights), self.name.is_empty() && is_allowed(self.others)) {
            (true, _) => allowed,
            (false, true) => 401,
            (false, false) => 403,
        }
    }
}

fn check(guarded: &Guarded, client: &Client<'_>, bound: UploadPolicy) {
    let reads = |rights: Rights| rights.reads;
    let uploads = |rights: Rights| rights.uploads >= UploadPolicy::Create;
    let manages = |rights: Rights| rights.uploads == UploadPolicy::Manage;
    let Client { name, rights, .. } = client;
    let title = format!("{name:?} with {rights:?}, bound {bound:?}");
    let status = |method: &str, target: &str, fields: &[&str]| guarded.ask_with(name, method, target, fields).status;
    for method in ["GET", "HEAD"] {
        for (target, allowed) in [
            ("/a", 200),
            ("/sub/b", 200),
            ("/missing", 404),
            ("/sub/", 200),
            ("/sub", 301),
            ("/sub/?archive=tar", 200),
            ("/.hidden", 404),
            ("/.spindle/other", 404),
        ] {
            assert_eq!(status(method, target, &[]), client.expected(reads, allowed), "{title}: {method} {target}");
        }
        // Whoever may only add files gets a page for that, and nothing else that looks like a listing.
        let page = client.expected(|rights| reads(rights) || uploads(rights), 200);
        assert_eq!(status(method, "/", &["Accept: text/html"]), page, "{title}: {method} /");
        for target in ["/?format=json", "/?archive=tar"] {
            assert_eq!(status(method, target, &[]), client.expected(reads, 200), "{title}: {method} {target}");
        }
        let put_script = if bound == UploadPolicy::Off { 404 } else { 200 };
        assert_eq!(status(method, "/.spindle/put", &[]), put_script, "{title}");
    }
    // What the server offers to nobody is a method that is not allowed, whoever asks.
    let writes = |needed: UploadPolicy, expected: u16| if bound < needed { 405 } else { expected };
    let unique = |kind: &str| format!("/{kind}-{name}-{:?}-{}", rights.uploads, rights.reads);
    let create = writes(UploadPolicy::Create, client.expected(uploads, 201));
    assert_eq!(guarded.put(name, &unique("new")), create, "{title}: PUT of a new name");
    let may_replace = rights.uploads >= UploadPolicy::Replace;
    let replace = writes(UploadPolicy::Create, client.expected(uploads, if may_replace { 204 } else { 409 }));
    assert_eq!(guarded.put(name, "/sub/b"), replace, "{title}: PUT of an existing name");
    let form = ["Content-Type: multipart/form-data; boundary=b", "Content-Length: 0"];
    let malformed_form = writes(UploadPolicy::Create, client.expected(uploads, 400));
    assert_eq!(status("POST", "/", &form), malformed_form, "{title}: a form");
    let manage = |allowed| writes(UploadPolicy::Manage, client.expected(manages, allowed));
    assert_eq!(status("MKCOL", &(unique("directory") + "/"), &[]), manage(201), "{title}: MKCOL");
    assert_eq!(status("DELETE", "/missing", &[]), manage(404), "{title}: DELETE");
    let destination = format!("Destination: {}", unique("moved"));
    assert_eq!(status("MOVE", "/missing", &[&destination]), manage(404), "{title}: MOVE");
    let upload = "/.spindle/uploads/00000000000000000000000000000001/a";
    let resource = if bound == UploadPolicy::Off { 404 } else { client.expected(uploads, 404) };
    for method in ["GET", "HEAD", "DELETE"] {
        assert_eq!(status(method, upload, &[]), resource, "{title}: {method} of an upload resource");
    }
    let part = ["Content-Type: application/partial-upload", "Upload-Complete: ?1", "Upload-Offset: 0"];
    assert_eq!(status("PATCH", upload, &part), resource, "{title}: PATCH");
}

/// The methods in Allow are exactly those that the client may use.
fn check_offers(guarded: &Guarded, client: &Client<'_>) {
    let allow = |target: &str| {
        let response = guarded.ask(client.name, "OPTIONS", target);
        assert_eq!(response.status, 204);
        (response.field("Allow").unwrap_or_default().to_owned(), response.field("Upload-Limit").is_some())
    };
    let Rights { reads, uploads } = client.rights;
    let (read, write) = (["GET", "HEAD"], ["POST", "PUT"]);
    let names = |is_page: bool, groups: &[(bool, &[&str])]| {
        let reading = read.iter().filter(|_| reads || is_page);
        let writing = groups.iter().filter(|(is_allowed, _)| *is_allowed).flat_map(|(_, names)| names.iter());
        reading.chain(writing).chain(&["OPTIONS"]).copied().collect::<Vec<_>>().join(", ")
    };
    let (creates, manages) = (uploads >= UploadPolicy::Create, uploads == UploadPolicy::Manage);
    let of_file = names(false, &[(creates, &write), (manages, &["DELETE", "MKCOL", "MOVE"])]);
    assert_eq!(allow("/a"), (of_file, creates), "{:?} {:?}", client.name, client.rights);
    let of_root = names(creates, &[(creates, &["POST"])]);
    assert_eq!(allow("/").0, of_root, "{:?} {:?}", client.name, client.rights);
}

#[test]
fn each_client_may_do_what_its_rights_and_those_of_everybody_say_and_nothing_else() {
    for everybody in EVERYBODY {
        for (option, bound) in [
            (None, UploadPolicy::Manage),
            (Some("off"), UploadPolicy::Off),
            (Some("create"), UploadPolicy::Create),
            (Some("replace"), UploadPolicy::Replace),
        ] {
            let options: Vec<&str> = option.iter().flat_map(|mode| ["--uploads", mode]).collect();
            let lines = ACCOUNTS.into_iter().filter(|(name, _)| !name.is_empty());
            let mut lines: Vec<String> = lines.map(|(name, rights)| format!("{name} {rights}")).collect();
            if !everybody.is_empty() {
                lines.push(format!("* {everybody}"));
            }
            let guarded = Guarded::with(&options, &lines.iter().map(String::as_str).collect::<Vec<_>>());
            let offered = Rights { reads: true, uploads: bound };
            for (name, own) in ACCOUNTS {
                let rights = rights_of(own).or(rights_of(everybody)).and(offered);
                let client = Client { name, rights, others: offered };
                check(&guarded, &client, bound);
                check_offers(&guarded, &client);
            }
        }
    }
}

#[test]
fn wrong_credentials_are_401_whatever_they_are_used_for() {
    let guarded = Guarded::new(&["* read,manage", "alice read"]);
    let alice = super::secret("alice");
    let wrong = [
        super::basic("alice", "wrong"),
        super::basic("bob", alice.expose()),
        super::basic("", ""),
        "Authorization: Basic".to_owned(),
        "Authorization: Basic !".to_owned(),
        "Authorization: ".to_owned(),
        format!("Authorization: Bearer {}", alice.expose()),
        [super::basic("alice", alice.expose()), super::basic("alice", alice.expose())].join("\r\n"),
    ];
    for fields in &wrong {
        for (method, target) in [
            ("GET", "/a"),
            ("HEAD", "/"),
            ("GET", "/missing"),
            ("GET", "/.spindle/put"),
            ("OPTIONS", "/a"),
            ("OPTIONS", "*"),
            ("PUT", "/new"),
            ("DELETE", "/a"),
            ("TRACE", "/"),
        ] {
            let response = guarded.ask_with("", method, target, &[fields]);
            assert_eq!(response.status, 401, "{method} {target} {fields}");
            let reason = if method == "HEAD" { "" } else { "No account has this name and this secret.\n" };
            assert_eq!(response.text(), reason, "{method} {target} {fields}");
            let challenge = response.field("WWW-Authenticate");
            assert_eq!(challenge, Some("Basic realm=\"Spindle\", charset=\"UTF-8\""), "{}", response.head);
        }
    }
    assert_eq!(guarded.server.file_names(), ["a", "sub"]);
    assert_eq!((guarded.status("", "GET", "/a"), guarded.status("alice", "GET", "/a")), (200, 200));
}

#[test]
fn without_accounts_credentials_mean_nothing() {
    let server = crate::support::share(&["a"]);
    for field in ["Authorization: Basic !", "Authorization: Bearer x"] {
        let response = crate::support::ask(&server, "GET", "/a", &[field]);
        assert_eq!(
            (response.status, response.field("Vary")),
            (200, None),
            "a proxy in front may have its own accounts"
        );
    }
}

#[test]
fn a_folder_without_listings_lets_no_account_read() {
    let guarded = Guarded::with(&["--no-list"], &["* create", "alice read,manage"]);
    for name in ["", "alice"] {
        assert_eq!(guarded.status(name, "GET", "/a"), 404, "{name}");
        assert_eq!(guarded.ask_with(name, "GET", "/", &["Accept: text/html"]).status, 200);
        assert_eq!(guarded.status(name, "GET", "/?format=json"), 404);
    }
    assert_eq!((guarded.put("", "/new"), guarded.put("", "/a"), guarded.put("alice", "/a")), (201, 409, 204));
    assert_eq!((guarded.status("", "DELETE", "/a"), guarded.status("alice", "DELETE", "/a")), (401, 204));
}

#[test]
fn who_could_add_files_with_an_account_is_asked_to_sign_in_at_the_page() {
    for options in [&[][..], &["--no-list"]] {
        let guarded = Guarded::with(options, &["alice create"]);
        let page = |name: &str| guarded.ask_with(name, "GET", "/", &["Accept: text/html"]).status;
        assert_eq!((page(""), page("alice")), (401, 200), "{options:?}");
        assert_eq!(guarded.status("", "GET", "/a"), if options.is_empty() { 403 } else { 404 });
    }
    let guarded = Guarded::new(&["* create", "alice create"]);
    assert_eq!(guarded.status("", "GET", "/a"), 403, "nobody may read");
}

#[test]
fn a_site_may_have_readers_of_its_own() {
    let guarded = Guarded::with(&["--site"], &["alice read,manage"]);
    assert_eq!((guarded.status("", "GET", "/a"), guarded.status("alice", "GET", "/a")), (401, 200));
    assert_eq!((guarded.put("alice", "/new"), guarded.put("", "/new")), (405, 405));
}
