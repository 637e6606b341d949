//! Tests of the parser: tables of forms, and generated forms that are split anywhere.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

/// A part, with its whole content.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    head: PartHead,
    content: Vec<u8>,
}

/// Parses a form that arrives in these pieces. Returns the parts that are complete, and the result.
fn parse<'a>(boundary: &str, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Part>, Result<(), FormError>) {
    let content_type = format!("multipart/form-data; boundary=\"{boundary}\"");
    let mut parser = match FormParser::new(content_type.as_bytes()) {
        Ok(parser) => parser,
        Err(error) => return (Vec::new(), Err(error)),
    };
    let (mut parts, mut part) = (Vec::new(), None);
    for mut piece in pieces {
        loop {
            match parser.next(&mut piece) {
                Ok(None) => break,
                Ok(Some(Event::Part(head))) => part = Some(Part { head, content: Vec::new() }),
                Ok(Some(Event::Content(content))) => {
                    assert!(!content.is_empty());
                    part.as_mut().expect("content of a part").content.extend_from_slice(content);
                }
                Ok(Some(Event::PartEnd)) => parts.push(part.take().expect("a part that ends")),
                Err(error) => return (parts, Err(error)),
            }
        }
        assert!(piece.is_empty(), "all bytes are removed");
    }
    (parts, parser.finish())
}

/// Parses a form whose boundary is `b`, as a whole and byte by byte.
fn parse_whole(form: &[u8]) -> (Vec<Part>, Result<(), FormError>) {
    let whole = parse("b", [form]);
    assert_eq!(parse("b", form.chunks(1)), whole, "{}", form.escape_ascii());
    whole
}

fn contents(form: &[u8]) -> Result<Vec<String>, FormError> {
    let (parts, result) = parse_whole(form);
    result.map(|()| parts.iter().map(|part| part.content.escape_ascii().to_string()).collect())
}

/// The result for a form with one part, whose header is `lines`.
fn head(lines: &[u8]) -> Result<PartHead, FormError> {
    let form = [b"--b\r\n", lines, b"\r\n\r\n--b--"].concat();
    let (parts, result) = parse_whole(&form);
    result.map(|()| parts[0].head.clone())
}

/// The name of the file in `Content-Disposition: form-data` with these parameters.
fn file_name(parameters: &[u8]) -> Result<FileName, FormError> {
    head(&[b"Content-Disposition: form-data", parameters, b"\r\n"].concat()).map(|head| head.file_name)
}

fn stated(name: &[u8]) -> Result<FileName, FormError> {
    Ok(FileName::Stated(name.to_vec()))
}

const DISPOSITION: &str = "Content-Disposition: form-data; name=f\r\n";

#[test]
fn content_is_what_precedes_the_crlf_before_the_boundary() {
    for (content, expected) in [
        ("", ""),
        ("a", "a"),
        ("\r\n", "\\r\\n"),
        ("\r\n\r", "\\r\\n\\r"),
        ("a\r\n-", "a\\r\\n-"),
        ("\r\n--", "\\r\\n--"),
        ("\r\n--\r\n--", "\\r\\n--\\r\\n--"),
        ("\r\r\n\n--b", "\\r\\r\\n\\n--b"),
        ("a--b--", "a--b--"),
    ] {
        let form = format!("--b\r\n{DISPOSITION}\r\n{content}\r\n--b\r\n{DISPOSITION}\r\n2\r\n--b--\r\n");
        assert_eq!(contents(form.as_bytes()), Ok(vec![expected.to_owned(), "2".to_owned()]));
    }
}

#[test]
fn preamble_epilogue_and_white_space_after_a_boundary_are_ignored() {
    let part = format!("{DISPOSITION}\r\nx");
    for form in [
        format!("--b\r\n{part}\r\n--b--"),
        format!("\r\n--b\r\n{part}\r\n--b--\r\n"),
        format!("A preamble\r\n-b\r\n--b \t \r\n{part}\r\n--b-- \t\r\nAn epilogue\r\n--b\r\n"),
        format!("\r\n\r\n-\r\r\n--b\r\n{part}\r\n--b--junk"),
    ] {
        assert_eq!(contents(form.as_bytes()), Ok(vec!["x".to_owned()]), "{form:?}");
    }
    assert_eq!(contents(b"--b--"), Ok(Vec::new()));
}

#[test]
fn the_empty_line_after_a_header_may_belong_to_the_next_boundary() {
    let form = format!("--b\r\n{DISPOSITION}\r\n--b\r\n{DISPOSITION}\r\n--b-\r\n--b--");
    assert_eq!(parse_whole(form.as_bytes()).1, Err(FormError::BoundaryLineMalformed));
    let form = format!("--b\r\n{DISPOSITION}\r\n--b\r\n{DISPOSITION}\r\n-b\r\n--b--");
    assert_eq!(contents(form.as_bytes()), Ok(vec![String::new(), "-b".to_owned()]));
}

#[test]
fn a_line_that_begins_with_the_boundary_and_continues_is_an_error_and_ends_no_part() {
    for line in ["--bb", "--b x", "--b-", "--b-x", "--b\rx", "--b\r\r\n", "--b\n", "--b \n", "--bc--"] {
        let form = format!("--b\r\n{DISPOSITION}\r\nx\r\n{line}\r\n--b--");
        assert_eq!(parse_whole(form.as_bytes()), (Vec::new(), Err(FormError::BoundaryLineMalformed)), "{line:?}");
    }
}

#[test]
fn a_form_without_its_last_boundary_is_incomplete_and_complete_parts_are_reported() {
    let form = format!("--b\r\n{DISPOSITION}\r\none\r\n--b\r\n{DISPOSITION}\r\ntwo\r\n--b--");
    let second = form.find("\r\n--b\r\n").unwrap() + "\r\n--b\r\n".len();
    for bytes in 0..form.len() {
        let (parts, result) = parse_whole(&form.as_bytes()[..bytes]);
        assert_eq!((parts.len(), result), (usize::from(bytes >= second), Err(FormError::Incomplete)), "{bytes}");
    }
    assert_eq!(parse_whole(form.as_bytes()).1, Ok(()));
}

#[test]
fn the_name_of_a_file_is_decoded_as_browsers_and_curl_encode_it() {
    for (parameters, expected) in [
        (&b"; name=\"f\"; filename=\"a.txt\""[..], &b"a.txt"[..]),
        (b"; filename=a.txt;name=f", b"a.txt"),
        (b";FileName = \"x\"", b""),
        (b" ; ; filename=\"a b;c\" ; ", b"a b;c"),
        (b"; filename=\"\"", b""),
        (b"; filename=\"\\\"a\\\\\\\"\"", b"\""),
        (b"; filename=\"say \\\"hi\\\".txt\"", b"say \"hi\".txt"),
        (b"; filename=\"%22a%0D%0Ab%22\"", b"\"a\r\nb\""),
        (b"; filename=\"100%25 %0a %41%.txt\"", b"100%25 %0a %41%.txt"),
        (b"; filename=\"\xc3\xa9\xff\"", b"\xc3\xa9\xff"),
        (b"; filename=\"caf\xc3\xa9\"; filename*=UTF-8''other", b"caf\xc3\xa9"),
        (b"; filename=\"/etc/passwd\"", b"passwd"),
        (b"; filename=\"C:\\My Files\\new.txt\"", b"new.txt"),
        (b"; filename=\"\\\\host\\share\\x\"", b"x"),
        (b"; filename=\"../../x\"", b"x"),
        (b"; filename=\"a/..\"", b".."),
        (b"; filename=\"a/\"", b""),
    ] {
        if parameters.starts_with(b";FileName =") {
            // No white space is allowed around the equals sign.
            assert_eq!(file_name(parameters), Err(FormError::DispositionInvalid));
            continue;
        }
        assert_eq!(file_name(parameters), stated(expected), "{}", parameters.escape_ascii());
    }
    assert_eq!(file_name(b"; name=\"f\""), Ok(FileName::Absent));
    assert_eq!(file_name(b""), Ok(FileName::Absent));
    assert_eq!(file_name(b"; filename*=UTF-8''x"), Ok(FileName::Extended));
}

#[test]
fn an_ambiguous_or_malformed_disposition_is_an_error() {
    for parameters in [
        &b"; filename=\"a"[..],
        b"; filename=\"a\\\"",
        b"; filename=a b",
        b"; filename=",
        b"; filename",
        b"; =a",
        b"; filename=\"a\"b",
        b"; filename=a; filename=b",
        b"; filename=\"a\"; filename=\"a\"",
        b" filename=a",
    ] {
        assert_eq!(file_name(parameters), Err(FormError::DispositionInvalid), "{}", parameters.escape_ascii());
    }
    for lines in ["", "Content-Type: text/plain\r\n", "Content-Disposition: attachment; filename=a\r\n"] {
        assert_eq!(head(lines.as_bytes()), Err(FormError::DispositionInvalid), "{lines:?}");
    }
    let twice = [DISPOSITION, DISPOSITION].concat();
    assert_eq!(head(twice.as_bytes()), Err(FormError::DispositionInvalid));
}

#[test]
fn a_malformed_header_of_a_part_is_an_error() {
    for lines in [
        &b"no colon\r\n"[..],
        b"Content-Type : text/plain\r\n",
        b": x\r\n",
        b"A: b\r\n folded\r\n",
        b"A: b\nC: d\r\n",
        b"A: b\rC: d\r\n",
        b"A: \x00\r\n",
        b"A: \x7f\r\n",
        b"\x00: b\r\n",
        b"--b: c\r\n",
    ] {
        assert_eq!(head(lines), Err(FormError::PartHeadMalformed), "{}", lines.escape_ascii());
    }
}

#[test]
fn other_header_fields_of_a_part_are_ignored() {
    let alone = head(DISPOSITION.as_bytes()).unwrap();
    for lines in
        ["Content-Type: image/png\r\n", "Content-Length: 9\r\n", "Content-Encoding: gzip\r\n", "X: filename=a\r\n"]
    {
        assert_eq!(head([lines, DISPOSITION, lines].concat().as_bytes()), Ok(alone.clone()), "{lines}");
    }
}

#[test]
fn only_a_transfer_encoding_that_changes_nothing_is_plain() {
    for (encoding, is_plain) in [
        ("binary", true),
        ("8BIT", true),
        (" 7bit\t", true),
        ("base64", false),
        ("quoted-printable", false),
        ("", false),
    ] {
        let lines = format!("{DISPOSITION}content-transfer-encoding:{encoding}\r\n");
        assert_eq!(head(lines.as_bytes()).map(|head| head.is_plain), Ok(is_plain), "{encoding}");
    }
    assert_eq!(head(DISPOSITION.as_bytes()).map(|head| head.is_plain), Ok(true));
}

#[test]
fn a_boundary_is_valid_if_it_is_stated_once_and_has_1_to_70_allowed_characters() {
    let longest = "x".repeat(BOUNDARY_BYTES_MAX);
    for (content_type, expected) in [
        ("multipart/form-data; boundary=b", Some("b")),
        ("multipart/form-data;charset=utf-8;BOUNDARY=\"b c\"", Some("b c")),
        ("multipart/form-data; boundary==_Part:1/2?(')+,.", Some("=_Part:1/2?(')+,.")),
        (&format!("multipart/form-data; boundary={longest}"), Some(&longest)),
        (&format!("multipart/form-data; boundary={longest}x"), None),
        ("multipart/form-data", None),
        ("multipart/form-data; boundary", None),
        ("multipart/form-data; boundary=", None),
        ("multipart/form-data; boundary=\"\"", None),
        ("multipart/form-data; boundary=\"b \"", None),
        ("multipart/form-data; boundary=\"b", None),
        ("multipart/form-data; boundary=b*", None),
        ("multipart/form-data; boundary=\"b\\\"\"", None),
        ("multipart/form-data; boundary=b; boundary=b", None),
        ("multipart/form-data; boundary=b c", None),
    ] {
        let boundary = boundary_of(content_type.as_bytes()).map(|boundary| String::from_utf8(boundary).unwrap());
        assert_eq!(boundary.as_deref(), expected, "{content_type}");
    }
}

#[test]
fn the_header_of_a_part_may_have_8_kib_and_no_more() {
    let padded = |bytes: usize| {
        let lines = format!("{DISPOSITION}A: ");
        // The CRLF of this line, and the empty line.
        let padding = "x".repeat(bytes - lines.len() - 4);
        head(format!("{lines}{padding}\r\n").as_bytes())
    };
    assert!(padded(PART_HEAD_BYTES_MAX).is_ok());
    assert_eq!(padded(PART_HEAD_BYTES_MAX + 1), Err(FormError::PartHeadTooLarge));
    let endless = [b"--b\r\n", &b"x".repeat(2 * PART_HEAD_BYTES_MAX)[..]].concat();
    assert_eq!(parse_whole(&endless).1, Err(FormError::PartHeadTooLarge));
}

#[test]
fn a_form_may_have_1000_parts_and_no_more() {
    let form = |parts: usize| format!("--b\r\n{DISPOSITION}\r\nx\r\n").repeat(parts) + "--b--";
    let (parts, result) = parse("b", [form(PARTS_MAX).as_bytes()]);
    assert_eq!((parts.len(), result), (PARTS_MAX, Ok(())));
    let (parts, result) = parse("b", [form(PARTS_MAX + 1).as_bytes()]);
    assert_eq!((parts.len(), result), (PARTS_MAX, Err(FormError::PartsTooMany)));
}

fn generated_content() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(vec![&b"\r"[..], b"\n", b"\r\n", b"-", b"--", b"b", b"x", b"\r\n--", b"\r\n--a", b"\r\n-b\0"]);
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn however_a_form_is_split_its_parts_are_those_that_were_written(
        contents in vec(generated_content(), 0..5),
        preamble in select(vec![&b""[..], b"\r\n", b"preamble\r\n", b"\r\n--\r\n"]),
        split_points in vec(any::<Index>(), 0..10),
    ) {
        // Two characters, of which the content has one: no content contains the boundary.
        let boundary = "bB";
        let mut form = preamble.to_vec();
        for (index, content) in contents.iter().enumerate() {
            let lines = format!("--{boundary}\r\nContent-Disposition: form-data; filename={index}\r\n\r\n");
            form.extend_from_slice(lines.as_bytes());
            form.extend_from_slice(content);
            form.extend_from_slice(b"\r\n");
        }
        form.extend_from_slice(format!("--{boundary}--").as_bytes());
        let expected: Vec<Part> = contents
            .into_iter()
            .enumerate()
            .map(|(index, content)| {
                let file_name = FileName::Stated(index.to_string().into_bytes());
                Part { head: PartHead { file_name, is_plain: true }, content }
            })
            .collect();
        let mut splits: Vec<usize> = split_points.iter().map(|point| point.index(form.len() + 1)).collect();
        splits.extend([0, form.len()]);
        splits.sort_unstable();
        let pieces = splits.windows(2).map(|pair| &form[pair[0]..pair[1]]);
        prop_assert_eq!(parse(boundary, pieces), (expected, Ok(())));
    }
}
