//! RFC 9112 §6.1 and §7.1: Transfer-Encoding and the chunked coding.

use spindle::http1::Settings;
use spindle::http1::limits::RECEIVE_BUFFER_BYTES;
use spindle::http1::protocol_error::ProtocolError::{self, *};

use crate::driver::{Driver, Reading};
use crate::probe::Probe;
use crate::script::{Told, get, keeps, post, refused, waits};

fn coded(coding: &str) -> String {
    post(&format!("Transfer-Encoding: {coding}\r\n"), "5\r\nabcde\r\n0\r\n\r\n")
}

fn chunks(content: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", content)
}

#[track_caller]
fn taken(content: &str) -> Told {
    keeps(chunks(content), &[201])
}

/// The protocol error shows in the content, when a sink has already been found for it.
#[track_caller]
fn broken(content: &str, error: ProtocolError) {
    let told = crate::script::script(chunks(content)).refused(error);
    assert!(told.seen.len() == 1 && !told.seen[0].is_complete, "an upload was completed");
}

#[test]
fn chunks_are_put_together() {
    assert_eq!(taken("0\r\n\r\n").content(), b"");
    assert_eq!(taken("5\r\nabcde\r\n0\r\n\r\n").content(), b"abcde");
    assert_eq!(taken("1\r\na\r\n1\r\nb\r\n3\r\ncde\r\n0\r\n\r\n").content(), b"abcde");
    assert_eq!(taken("2\r\n\r\n\r\n5\r\n0\r\n\r\n\r\n0\r\n\r\n").content(), b"\r\n0\r\n\r\n");
    assert_eq!(taken("000\r\n\r\n").content(), b"");
    assert_eq!(taken("005\r\nabcde\r\n00\r\n\r\n").content(), b"abcde");
    assert_eq!(taken("a\r\n0123456789\r\n0\r\n\r\n").content(), b"0123456789");
    assert_eq!(taken("A\r\n0123456789\r\n0\r\n\r\n").content(), b"0123456789");
    assert_eq!(taken("1F\r\n0123456789012345678901234567890\r\n0\r\n\r\n").content().len(), 31);
    assert_eq!(taken("0000000000000005\r\nabcde\r\n0\r\n\r\n").content(), b"abcde");
}

#[test]
fn the_coding_is_exactly_one_chunked() {
    keeps(coded("chunked"), &[201]);
    keeps(coded("Chunked"), &[201]);
    keeps(coded("CHUNKED"), &[201]);
    keeps(coded(" \tchunked\t "), &[201]);
    refused(coded(""), TransferEncodingInvalid);
    refused(coded("identity"), TransferEncodingInvalid);
    refused(coded("gzip"), TransferEncodingInvalid);
    refused(coded("xchunked"), TransferEncodingInvalid);
    refused(coded("chunke"), TransferEncodingInvalid);
    refused(coded("chunkedd"), TransferEncodingInvalid);
    refused(coded("chunked, chunked"), TransferEncodingInvalid);
    refused(coded("chunked, identity"), TransferEncodingInvalid);
    refused(coded("chunked, gzip"), TransferEncodingInvalid);
    refused(coded("chunked,"), TransferEncodingInvalid);
    refused(coded(",chunked"), TransferEncodingInvalid);
    refused(coded("gzip,,chunked"), TransferEncodingInvalid);
    refused(coded("chunked;a=b"), TransferEncodingInvalid);
    refused(coded("chunked;"), TransferEncodingInvalid);
    refused(coded("\"chunked\""), TransferEncodingInvalid);
    refused(coded("chunked chunked"), TransferEncodingInvalid);
    refused(coded("gzip chunked"), TransferEncodingInvalid);
    refused(coded("(a), chunked"), TransferEncodingInvalid);
    refused(coded("chunked\u{a0}"), TransferEncodingInvalid);
    refused(coded("\u{212a}chunked"), TransferEncodingInvalid);
    refused(coded("\x0bchunked"), FieldValueInvalid);
    refused(coded("chunked\x0b"), FieldValueInvalid);
    refused(coded("chunked\x0c"), FieldValueInvalid);
    refused(coded("chunked\0"), FieldValueInvalid);
    refused(coded("\r\n chunked"), FieldLineIndented);
}

#[test]
fn two_lines_are_one_list() {
    let two = |one: &str, other: &str| {
        post(&format!("Transfer-Encoding: {one}\r\nTransfer-Encoding: {other}\r\n"), "0\r\n\r\n")
    };
    refused(two("chunked", "chunked"), TransferEncodingInvalid);
    refused(two("chunked", "identity"), TransferEncodingInvalid);
    refused(two("chunked", ""), TransferEncodingInvalid);
    refused(two("", "chunked"), TransferEncodingInvalid);
    refused(two("gzip", "chunked"), TransferCodingUnknown);
}

#[test]
fn another_coding_before_chunked_is_not_implemented() {
    refused(coded("gzip, chunked"), TransferCodingUnknown);
    refused(coded("gzip,chunked"), TransferCodingUnknown);
    refused(coded("identity, chunked"), TransferCodingUnknown);
    refused(coded("x-foo;a=b, gzip, chunked"), TransferCodingUnknown);
    refused(coded("gzip;a, chunked"), TransferEncodingInvalid);
    refused(coded("gzip ; a = b\t;c=d , chunked"), TransferCodingUnknown);
    refused(coded("gzip; =b, chunked"), TransferEncodingInvalid);
    refused(coded("gzip;a=, chunked"), TransferEncodingInvalid);
    refused(coded("gzip;a=b c, chunked"), TransferEncodingInvalid);
    refused(coded("gzip;, chunked"), TransferEncodingInvalid);
}

#[test]
fn a_parameter_of_a_coding_may_be_quoted() {
    refused(coded("x;a=\"b\", chunked"), TransferCodingUnknown);
    refused(coded("x;a=\"b, chunked\", chunked"), TransferCodingUnknown);
    refused(coded("x;a=\"\", y;b=\"\\\"\\\\\" , chunked"), TransferCodingUnknown);
    // Where the quotation marks end decides what the last coding is.
    refused(coded("x;a=\"b, chunked\""), TransferEncodingInvalid);
    refused(coded("x;a=\"b, chunked"), TransferEncodingInvalid);
    refused(coded("x;a=\"\\\", chunked"), TransferEncodingInvalid);
    refused(coded("x;a=\"b\"c, chunked"), TransferEncodingInvalid);
    refused(coded("x;a=b\"c\", chunked"), TransferEncodingInvalid);
    refused(coded("x;\"a\"=b, chunked"), TransferEncodingInvalid);
    refused(coded("chunked;a=\"b\""), TransferEncodingInvalid);
}

#[test]
fn version_10_has_no_transfer_encoding() {
    refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", TransferEncodingInHttp10);
    refused(
        "POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        TransferEncodingInHttp10,
    );
}

#[test]
fn a_chunk_size_is_hexadecimal_digits_alone() {
    broken("+5\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    broken("-5\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    broken("0x5\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    broken("0X5\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    broken("1_0\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    broken("5 \r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    broken("5\t\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    broken(" 5\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    broken("\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    broken("g\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    broken("5g\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    broken("5.0\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    broken("5,\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    broken("5\x0b\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    broken("5\0\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    broken("\"5\"\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    broken("5 5\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    broken("\u{665}\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    broken(";a=b\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    broken("5\r\nabcde\r\n+0\r\n\r\n", ChunkSizeInvalid);
    broken("5\r\nabcde\r\n\r\n0\r\n\r\n", ChunkSizeInvalid);
}

#[test]
fn a_chunk_size_of_more_than_64_bits_is_refused() {
    broken("FFFFFFFFFFFFFFFFF\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    broken("10000000000000005\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    broken("00000000000000005\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid);
    waits(chunks("FFFFFFFFFFFFFFFF\r\nabcde\r\n0\r\n\r\n"), ContentIncomplete);
}

#[test]
fn extensions_are_parsed_and_ignored() {
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
        let told = taken(&format!("5{extension}\r\nabcde\r\n0{extension}\r\n\r\n"));
        assert_eq!(told.content(), b"abcde", "{extension}");
    }
}

#[test]
fn a_malformed_extension_is_refused() {
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
        ";a=\"b",
        ";a=\"b\r",
        ";a=\"b\\\r\"",
        ";a=\"b\n\"",
        ";a=\"\0\"",
        ";a=\"\x7f\"",
        ";a=b\"c\"",
        ";a\x0b",
        ";a\0",
        ";\u{e9}",
        ";a=\u{e9}",
        ";a\n",
        ";a,b",
    ] {
        broken(&format!("5{extension}\r\nabcde\r\n0\r\n\r\n"), ChunkExtensionInvalid);
        broken(&format!("0{extension}\r\n\r\n"), ChunkExtensionInvalid);
    }
}

#[test]
fn a_line_of_the_coding_ends_in_cr_lf_and_nothing_else() {
    broken("5\nabcde\r\n0\r\n\r\n", LineEndInvalid);
    broken("5\rabcde\r\n0\r\n\r\n", LineEndInvalid);
    broken("5\r\r\nabcde\r\n0\r\n\r\n", LineEndInvalid);
    broken("5;a\r\rabcde\r\n0\r\n\r\n", LineEndInvalid);
    broken("0\n\r\n", LineEndInvalid);
    broken("0\r\n\n", LineEndInvalid);
    broken("0\r\n\r\r", LineEndInvalid);
    broken("0\r\r\n", LineEndInvalid);
}

#[test]
fn cr_lf_follows_the_data_of_a_chunk() {
    broken("5\r\nabcde\n0\r\n\r\n", ChunkEndInvalid);
    broken("5\r\nabcde\r0\r\n\r\n", ChunkEndInvalid);
    broken("5\r\nabcde0\r\n\r\n", ChunkEndInvalid);
    broken("5\r\nabcdef\r\n0\r\n\r\n", ChunkEndInvalid);
    broken("5\r\nabcd\r\n0\r\n\r\n", ChunkEndInvalid);
    broken("5\r\nabcde \r\n0\r\n\r\n", ChunkEndInvalid);
}

#[test]
fn trailers_are_read_as_fields_and_discarded() {
    let told =
        taken("5\r\nabcde\r\n0\r\nA: b\r\nHost: x\r\nContent-Length: 7\r\nTransfer-Encoding: gzip\r\nC:\r\n\r\n");
    assert_eq!(told.content(), b"abcde");
    assert_eq!(told.seen[0].fields.len(), 2, "no trailer is a field of the head");
    keeps(chunks("0\r\nConnection: close\r\n\r\n"), &[201]);
}

#[test]
fn a_malformed_trailer_is_refused() {
    broken("0\r\nA : b\r\n\r\n", SpaceBeforeColon);
    broken("0\r\n A: b\r\n\r\n", FieldLineIndented);
    broken("0\r\nA: b\r\n c\r\n\r\n", FieldLineIndented);
    broken("0\r\nA\r\n\r\n", FieldColonMissing);
    broken("0\r\n: b\r\n\r\n", FieldNameEmpty);
    broken("0\r\nA(: b\r\n\r\n", FieldNameInvalid);
    broken("0\r\nA: \0\r\n\r\n", FieldValueInvalid);
    broken("0\r\nA: b\n\r\n", LineEndInvalid);
    broken("0\r\nA: b\rC: d\r\n\r\n", LineEndInvalid);
    broken("0\r\nGET / HTTP/1.1\r\n\r\n", SpaceBeforeColon);
}

#[test]
fn chunks_that_nobody_wants_are_read_as_strictly() {
    let unwanted = |content: &str| get("/", "Transfer-Encoding: chunked\r\n") + content;
    keeps(unwanted("5\r\nabcde\r\n0\r\nA: b\r\n\r\n"), &[200]);
    for (content, error) in [
        ("+5\r\nabcde\r\n0\r\n\r\n", ChunkSizeInvalid),
        ("5\r\nabcdef\r\n0\r\n\r\n", ChunkEndInvalid),
        ("0;\r\n\r\n", ChunkExtensionInvalid),
        ("0\r\n\n", LineEndInvalid),
    ] {
        crate::script::script(unwanted(content)).refused(error);
    }
}

#[test]
fn chunks_that_the_peer_does_not_finish_are_refused_at_its_end() {
    waits(chunks(""), ContentIncomplete);
    waits(chunks("5"), ContentIncomplete);
    waits(chunks("5\r"), ContentIncomplete);
    waits(chunks("5\r\nabcde"), ContentIncomplete);
    waits(chunks("5\r\nabcde\r\n"), ContentIncomplete);
    waits(chunks("5\r\nabcde\r\n0"), ContentIncomplete);
    waits(chunks("5\r\nabcde\r\n0\r\n"), ContentIncomplete);
    waits(chunks("5\r\nabcde\r\n0\r\nA: b\r\n\r"), ContentIncomplete);
}

/// Content of announced length is received up to whole buffers. Between chunks there is framing, of which a byte a read would
/// come where that much content is just missing.
#[test]
fn framing_is_received_in_large_pieces_wherever_in_the_content_it_is() {
    let mut driver = Driver::new(Probe, Settings::default(), Reading::Everything);
    let content = "x".repeat(RECEIVE_BUFFER_BYTES - 1);
    driver.receive(chunks(&format!("{:x}\r\n{content}\r\n", content.len())).as_bytes());
    assert!(driver.connection.input_space(&mut driver.shared).len() > RECEIVE_BUFFER_BYTES / 2);
}
