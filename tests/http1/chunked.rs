//! RFC 9112 §6.1 and §7.1: Transfer-Encoding and the chunked coding.

use spindle::http1::Settings;
use spindle::http1::limits::RECEIVE_BUFFER_BYTES;
use spindle::http1::protocol_error::ProtocolError::{self, *};

use crate::driver::{Driver, ReadMode};
use crate::script::{CaseResult, assert_incomplete, assert_rejected, assert_stays_open, get, post};
use crate::service::TestService;

fn request_with_coding(coding: &str) -> String {
    post(&format!("Transfer-Encoding: {coding}\r\n"), "5\r\nabcde\r\n0\r\n\r\n")
}

fn chunked_request(content: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", content)
}

#[track_caller]
fn assert_accepted(content: &str) -> CaseResult {
    assert_stays_open(chunked_request(content), &[201])
}

/// `content` causes this protocol error after the service has accepted the request: the sink must not be finished.
#[track_caller]
fn assert_content_rejected(content: &str, error: ProtocolError) {
    let result = crate::script::script(chunked_request(content)).assert_rejected(error);
    assert!(result.requests.len() == 1 && !result.requests[0].is_complete, "a sink was finished");
}

#[test]
fn chunks_are_put_together() {
    assert_eq!(assert_accepted("0\r\n\r\n").content(), b"");
    assert_eq!(assert_accepted("5\r\nabcde\r\n0\r\n\r\n").content(), b"abcde");
    assert_eq!(assert_accepted("1\r\na\r\n1\r\nb\r\n3\r\ncde\r\n0\r\n\r\n").content(), b"abcde");
    assert_eq!(assert_accepted("2\r\n\r\n\r\n5\r\n0\r\n\r\n\r\n0\r\n\r\n").content(), b"\r\n0\r\n\r\n");
    assert_eq!(assert_accepted("000\r\n\r\n").content(), b"");
    assert_eq!(assert_accepted("005\r\nabcde\r\n00\r\n\r\n").content(), b"abcde");
    assert_eq!(assert_accepted("a\r\n0123456789\r\n0\r\n\r\n").content(), b"0123456789");
    assert_eq!(assert_accepted("A\r\n0123456789\r\n0\r\n\r\n").content(), b"0123456789");
    assert_eq!(assert_accepted("1F\r\n0123456789012345678901234567890\r\n0\r\n\r\n").content().len(), 31);
    assert_eq!(assert_accepted("0000000000000005\r\nabcde\r\n0\r\n\r\n").content(), b"abcde");
}

#[test]
fn only_a_single_chunked_coding_is_accepted() {
    assert_stays_open(request_with_coding("chunked"), &[201]);
    assert_stays_open(request_with_coding("Chunked"), &[201]);
    assert_stays_open(request_with_coding("CHUNKED"), &[201]);
    assert_stays_open(request_with_coding(" \tchunked\t "), &[201]);
    assert_rejected(request_with_coding(""), TransferEncodingInvalid);
    assert_rejected(request_with_coding("identity"), TransferEncodingInvalid);
    assert_rejected(request_with_coding("gzip"), TransferEncodingInvalid);
    assert_rejected(request_with_coding("xchunked"), TransferEncodingInvalid);
    assert_rejected(request_with_coding("chunke"), TransferEncodingInvalid);
    assert_rejected(request_with_coding("chunkedd"), TransferEncodingInvalid);
    assert_rejected(request_with_coding("chunked, chunked"), TransferEncodingInvalid);
    assert_rejected(request_with_coding("chunked, identity"), TransferEncodingInvalid);
    assert_rejected(request_with_coding("chunked, gzip"), TransferEncodingInvalid);
    assert_rejected(request_with_coding("chunked,"), TransferEncodingInvalid);
    assert_rejected(request_with_coding(",chunked"), TransferEncodingInvalid);
    assert_rejected(request_with_coding("gzip,,chunked"), TransferEncodingInvalid);
    assert_rejected(request_with_coding("chunked;a=b"), TransferEncodingInvalid);
    assert_rejected(request_with_coding("chunked;"), TransferEncodingInvalid);
    assert_rejected(request_with_coding("\"chunked\""), TransferEncodingInvalid);
    assert_rejected(request_with_coding("chunked chunked"), TransferEncodingInvalid);
    assert_rejected(request_with_coding("gzip chunked"), TransferEncodingInvalid);
    assert_rejected(request_with_coding("(a), chunked"), TransferEncodingInvalid);
    assert_rejected(request_with_coding("chunked\u{a0}"), TransferEncodingInvalid);
    assert_rejected(request_with_coding("\u{212a}chunked"), TransferEncodingInvalid);
    assert_rejected(request_with_coding("\x0bchunked"), FieldValueInvalid);
    assert_rejected(request_with_coding("chunked\x0b"), FieldValueInvalid);
    assert_rejected(request_with_coding("chunked\x0c"), FieldValueInvalid);
    assert_rejected(request_with_coding("chunked\0"), FieldValueInvalid);
    assert_rejected(request_with_coding("\r\n chunked"), FieldLineIndented);
}

#[test]
fn two_transfer_encoding_lines_form_one_list() {
    let two = |one: &str, other: &str| {
        post(&format!("Transfer-Encoding: {one}\r\nTransfer-Encoding: {other}\r\n"), "0\r\n\r\n")
    };
    assert_rejected(two("chunked", "chunked"), TransferEncodingInvalid);
    assert_rejected(two("chunked", "identity"), TransferEncodingInvalid);
    assert_rejected(two("chunked", ""), TransferEncodingInvalid);
    assert_rejected(two("", "chunked"), TransferEncodingInvalid);
    assert_rejected(two("gzip", "chunked"), TransferCodingUnknown);
}

#[test]
fn another_coding_before_chunked_is_not_implemented() {
    assert_rejected(request_with_coding("gzip, chunked"), TransferCodingUnknown);
    assert_rejected(request_with_coding("gzip,chunked"), TransferCodingUnknown);
    assert_rejected(request_with_coding("identity, chunked"), TransferCodingUnknown);
    assert_rejected(request_with_coding("x-foo;a=b, gzip, chunked"), TransferCodingUnknown);
    assert_rejected(request_with_coding("gzip;a, chunked"), TransferEncodingInvalid);
    assert_rejected(request_with_coding("gzip ; a = b\t;c=d , chunked"), TransferCodingUnknown);
    assert_rejected(request_with_coding("gzip; =b, chunked"), TransferEncodingInvalid);
    assert_rejected(request_with_coding("gzip;a=, chunked"), TransferEncodingInvalid);
    assert_rejected(request_with_coding("gzip;a=b c, chunked"), TransferEncodingInvalid);
    assert_rejected(request_with_coding("gzip;, chunked"), TransferEncodingInvalid);
}

#[test]
fn a_transfer_coding_parameter_may_be_quoted() {
    assert_rejected(request_with_coding("x;a=\"b\", chunked"), TransferCodingUnknown);
    assert_rejected(request_with_coding("x;a=\"b, chunked\", chunked"), TransferCodingUnknown);
    assert_rejected(request_with_coding("x;a=\"\", y;b=\"\\\"\\\\\" , chunked"), TransferCodingUnknown);
    // Which coding is the last depends on where the quoted string ends.
    assert_rejected(request_with_coding("x;a=\"b, chunked\""), TransferEncodingInvalid);
    assert_rejected(request_with_coding("x;a=\"b, chunked"), TransferEncodingInvalid);
    assert_rejected(request_with_coding("x;a=\"\\\", chunked"), TransferEncodingInvalid);
    assert_rejected(request_with_coding("x;a=\"b\"c, chunked"), TransferEncodingInvalid);
    assert_rejected(request_with_coding("x;a=b\"c\", chunked"), TransferEncodingInvalid);
    assert_rejected(request_with_coding("x;\"a\"=b, chunked"), TransferEncodingInvalid);
    assert_rejected(request_with_coding("chunked;a=\"b\""), TransferEncodingInvalid);
}

#[test]
fn transfer_encoding_in_http_10_is_rejected() {
    assert_rejected("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", TransferEncodingInHttp10);
    assert_rejected(
        "POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        TransferEncodingInHttp10,
    );
}

#[test]
fn a_chunk_size_contains_only_hexadecimal_digits() {
    assert_content_rejected("+5\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    assert_content_rejected("-5\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    assert_content_rejected("0x5\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    assert_content_rejected("0X5\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    assert_content_rejected("1_0\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    assert_content_rejected("5 \r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    assert_content_rejected("5\t\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    assert_content_rejected(" 5\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    assert_content_rejected("\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    assert_content_rejected("g\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    assert_content_rejected("5g\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    assert_content_rejected("5.0\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    assert_content_rejected("5,\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    assert_content_rejected("5\x0b\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    assert_content_rejected("5\0\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    assert_content_rejected("\"5\"\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    assert_content_rejected("5 5\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    assert_content_rejected("\u{665}\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    assert_content_rejected(";a=b\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    assert_content_rejected("5\r\nabcde\r\n+0\r\n\r\n", ChunkSizeInvalid);
    assert_content_rejected("5\r\nabcde\r\n\r\n0\r\n\r\n", ChunkSizeInvalid);
}

#[test]
fn a_chunk_size_of_more_than_64_bits_is_rejected() {
    assert_content_rejected("FFFFFFFFFFFFFFFFF\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    assert_content_rejected("10000000000000005\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    assert_content_rejected("00000000000000005\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    assert_incomplete(chunked_request("FFFFFFFFFFFFFFFF\r\nabcde\r\n0\r\n\r\n"), ContentIncomplete);
}

#[test]
fn chunk_extensions_are_ignored() {
    for extension in [
        ";a",
        ";a=b",
        ";a=\"b\"",
        ";a=\"\"",
        ";a=\"b;c=d, \\\" \\\\ \t\u{e9}\"",
        ";a;b;c=d",
        " ;a=b",
        "\t ; \ta\t =\t b",
        " ; a = \"b\" ; c",
        ";a=\"b\";c",
        ";!#$%&'*+-.^_`|~09azAZ",
    ] {
        let result = assert_accepted(&format!("5{extension}\r\nabcde\r\n0{extension}\r\n\r\n"));
        assert_eq!(result.content(), b"abcde", "{extension}");
    }
}

/// RFC 9110 §2.4 leaves it to the recipient what to do with invalid elements, and these do not change where the line
/// ends.
#[test]
fn malformed_chunk_extensions_are_ignored() {
    for extension in [
        ";",
        ";;a",
        ";a;",
        ";=b",
        ";a=",
        ";a=;b",
        ";a==b",
        ";a b",
        ";a=b c",
        ";a ",
        ";a=b ",
        ";a=\"b\" ",
        ";a=\"b\"c",
        ";a=b\"c\"",
        ";\u{e9}",
        ";a=\u{e9}",
        ";a,b",
        ";a\\",
    ] {
        let result = assert_accepted(&format!("5{extension}\r\nabcde\r\n0{extension}\r\n\r\n"));
        assert_eq!(result.content(), b"abcde", "{extension}");
    }
}

#[test]
fn a_control_character_in_a_chunk_extension_is_rejected() {
    for extension in [
        ";a=\"b",
        ";a=\"b\r",
        ";a=\"b\\\r\"",
        ";a=\"b\\\"",
        ";a=\"b\n\"",
        ";a=\"b\r\n\"",
        ";a=\"b\r\n0\r\n\r\n\"",
        ";a=\"\0\"",
        ";a=\"\x7f\"",
        ";a\x0b",
        ";a\0",
        ";\0",
        ";a\n",
        ";a\nb",
    ] {
        assert_content_rejected(&format!("5{extension}\r\nabcde\r\n0\r\n\r\n"), ChunkExtensionInvalid);
        assert_content_rejected(&format!("0{extension}\r\n\r\n"), ChunkExtensionInvalid);
    }
}

#[test]
fn chunk_lines_end_only_in_crlf() {
    assert_content_rejected("5\nabcde\r\n0\r\n\r\n", LineEndInvalid);
    assert_content_rejected("5\rabcde\r\n0\r\n\r\n", LineEndInvalid);
    assert_content_rejected("5\r\r\nabcde\r\n0\r\n\r\n", LineEndInvalid);
    assert_content_rejected("5;a\r\rabcde\r\n0\r\n\r\n", LineEndInvalid);
    assert_content_rejected("0\n\r\n", LineEndInvalid);
    assert_content_rejected("0\r\n\n", LineEndInvalid);
    assert_content_rejected("0\r\n\r\r", LineEndInvalid);
    assert_content_rejected("0\r\r\n", LineEndInvalid);
}

#[test]
fn chunk_data_must_be_followed_by_crlf() {
    assert_content_rejected("5\r\nabcde\n0\r\n\r\n", ChunkEndInvalid);
    assert_content_rejected("5\r\nabcde\r0\r\n\r\n", ChunkEndInvalid);
    assert_content_rejected("5\r\nabcde0\r\n\r\n", ChunkEndInvalid);
    assert_content_rejected("5\r\nabcdef\r\n0\r\n\r\n", ChunkEndInvalid);
    assert_content_rejected("5\r\nabcd\r\n0\r\n\r\n", ChunkEndInvalid);
    assert_content_rejected("5\r\nabcde \r\n0\r\n\r\n", ChunkEndInvalid);
}

#[test]
fn trailers_are_parsed_as_fields_and_discarded() {
    let result = assert_accepted(
        "5\r\nabcde\r\n0\r\nA: b\r\nHost: x\r\nContent-Length: 7\r\nTransfer-Encoding: gzip\r\nC:\r\n\r\n",
    );
    assert_eq!(result.content(), b"abcde");
    assert_eq!(result.requests[0].fields.len(), 2, "no trailer is a field of the head");
    assert_stays_open(chunked_request("0\r\nConnection: close\r\n\r\n"), &[201]);
}

#[test]
fn a_malformed_trailer_is_rejected() {
    assert_content_rejected("0\r\nA : b\r\n\r\n", SpaceBeforeColon);
    assert_content_rejected("0\r\n A: b\r\n\r\n", FieldLineIndented);
    assert_content_rejected("0\r\nA: b\r\n c\r\n\r\n", FieldLineIndented);
    assert_content_rejected("0\r\nA\r\n\r\n", FieldColonMissing);
    assert_content_rejected("0\r\n: b\r\n\r\n", FieldNameEmpty);
    assert_content_rejected("0\r\nA(: b\r\n\r\n", FieldNameInvalid);
    assert_content_rejected("0\r\nA: \0\r\n\r\n", FieldValueInvalid);
    assert_content_rejected("0\r\nA: b\n\r\n", LineEndInvalid);
    assert_content_rejected("0\r\nA: b\rC: d\r\n\r\n", LineEndInvalid);
    assert_content_rejected("0\r\nGET / HTTP/1.1\r\n\r\n", SpaceBeforeColon);
}

#[test]
fn discarded_chunks_are_parsed_as_strictly() {
    let unwanted = |content: &str| get("/", "Transfer-Encoding: chunked\r\n") + content;
    assert_stays_open(unwanted("5\r\nabcde\r\n0\r\nA: b\r\n\r\n"), &[200]);
    for (content, error) in [
        ("+5\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid),
        ("5\r\nabcdef\r\n0\r\n\r\n", ChunkEndInvalid),
        ("0;\0\r\n\r\n", ChunkExtensionInvalid),
        ("0\r\n\n", LineEndInvalid),
    ] {
        crate::script::script(unwanted(content)).assert_rejected(error);
    }
}

#[test]
fn unfinished_chunked_content_is_rejected_when_the_client_half_closes() {
    assert_incomplete(chunked_request(""), ContentIncomplete);
    assert_incomplete(chunked_request("5"), ContentIncomplete);
    assert_incomplete(chunked_request("5\r"), ContentIncomplete);
    assert_incomplete(chunked_request("5\r\nabcde"), ContentIncomplete);
    assert_incomplete(chunked_request("5\r\nabcde\r\n"), ContentIncomplete);
    assert_incomplete(chunked_request("5\r\nabcde\r\n0"), ContentIncomplete);
    assert_incomplete(chunked_request("5\r\nabcde\r\n0\r\n"), ContentIncomplete);
    assert_incomplete(chunked_request("5\r\nabcde\r\n0\r\nA: b\r\n\r"), ContentIncomplete);
}

/// Content with a Content-Length is received up to the next buffer boundary. Chunked content must not be: one byte
/// before a boundary, the framing that follows would be received one byte a read.
#[test]
fn chunk_framing_is_received_in_large_reads_at_every_content_offset() {
    let mut driver = Driver::new(TestService, Settings::default(), ReadMode::Immediate);
    let content = "x".repeat(RECEIVE_BUFFER_BYTES - 1);
    driver.send(chunked_request(&format!("{:x}\r\n{content}\r\n", content.len())).as_bytes());
    assert!(driver.connection.input_space(&mut driver.shared, &driver.now).len() > RECEIVE_BUFFER_BYTES / 2);
}
