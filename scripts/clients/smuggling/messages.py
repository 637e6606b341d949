"""Ambiguous messages: what one HTTP implementation may take for one request, and another for two."""

import dataclasses

HOST = b"Host: localhost\r\n"
# A request that must never reach the server by itself, and one whose content would be the request of somebody else.
EMBEDDED = {
    "a GET": b"GET /SMUGGLED HTTP/1.1\r\n" + HOST + b"\r\n",
    "a PUT": b"PUT /stolen HTTP/1.1\r\n" + HOST + b"Content-Length: 300\r\n\r\n",
}


@dataclasses.dataclass
class Message:
    name: str
    content: bytes
    # Sent in pieces of so many bytes; 0 for all at once.
    piece_bytes: int = 0
    # Whether the client goes away without reading.
    abandons: bool = False


def put(fields, content, version=b"HTTP/1.1", target=b"/attack"):
    return b"PUT " + target + b" " + version + b"\r\n" + HOST + fields + b"\r\n" + content


def length(number):
    return b"Content-Length: %d\r\n" % number


def chunk(content):
    return b"%x\r\n%s\r\n" % (len(content), content)


CHUNKED = b"Transfer-Encoding: chunked\r\n"
LAST = b"0\r\n\r\n"

# Field lines of which some parsers take one for `Transfer-Encoding: chunked`, and others do not.
CODINGS = {
    "chunked": CHUNKED,
    "in capitals": b"TRANSFER-ENCODING: CHUNKED\r\n",
    "without a space": b"Transfer-Encoding:chunked\r\n",
    "after a tab": b"Transfer-Encoding:\tchunked\r\n",
    "before a tab": b"Transfer-Encoding: chunked\t\r\n",
    "after a vertical tab": b"Transfer-Encoding: \x0bchunked\r\n",
    "before a form feed": b"Transfer-Encoding: chunked\x0c\r\n",
    "after a no-break space": b"Transfer-Encoding: \xa0chunked\r\n",
    "before NUL": b"Transfer-Encoding: chunked\x00\r\n",
    "with a space before the colon": b"Transfer-Encoding : chunked\r\n",
    "with a tab before the colon": b"Transfer-Encoding\t: chunked\r\n",
    "with NUL before the colon": b"Transfer-Encoding\x00: chunked\r\n",
    "with NUL before the name": b"\x00Transfer-Encoding: chunked\r\n",
    "with a space before the name": b" Transfer-Encoding: chunked\r\n",
    "with an underscore": b"Transfer_Encoding: chunked\r\n",
    "folded": b"Transfer-Encoding:\r\n chunked\r\n",
    "folded within the value": b"Transfer-Encoding: chun\r\n ked\r\n",
    "folded before the colon": b"Transfer-Encoding\r\n : chunked\r\n",
    "folded into another field": b"X: y\r\n Transfer-Encoding: chunked\r\n",
    "after a bare LF": b"X: y\nTransfer-Encoding: chunked\r\n",
    "before a bare LF": b"Transfer-Encoding: chunked\nX: y\r\n",
    "after a bare CR": b"X: y\rTransfer-Encoding: chunked\r\n",
    "before a bare CR": b"Transfer-Encoding: chunked\r\r\n",
    "twice": CHUNKED + CHUNKED,
    "and then x": CHUNKED + b"Transfer-Encoding: x\r\n",
    "after x": b"Transfer-Encoding: x\r\n" + CHUNKED,
    "after identity": b"Transfer-Encoding: identity, chunked\r\n",
    "before identity": b"Transfer-Encoding: chunked, identity\r\n",
    "twice in a list": b"Transfer-Encoding: chunked, chunked\r\n",
    "after gzip": b"Transfer-Encoding: gzip, chunked\r\n",
    "after a comma": b"Transfer-Encoding: ,chunked\r\n",
    "before a comma": b"Transfer-Encoding: chunked,\r\n",
    "with a parameter": b"Transfer-Encoding: chunked;q=1\r\n",
    "quoted": b'Transfer-Encoding: "chunked"\r\n',
    "shortened": b"Transfer-Encoding: chunk\r\n",
    "lengthened": b"Transfer-Encoding: xchunked\r\n",
    "and empty": b"Transfer-Encoding: \r\n",
}

# Field lines about a content of 5 bytes, with more or less right.
LENGTHS = {
    "with a plus": b"Content-Length: +5\r\n",
    "with a minus": b"Content-Length: -5\r\n",
    "with zeros": b"Content-Length: 0005\r\n",
    "in hexadecimal": b"Content-Length: 0x5\r\n",
    "with a fraction": b"Content-Length: 5.0\r\n",
    "with an exponent": b"Content-Length: 5e0\r\n",
    "with an underscore": b"Content-Length: 0_5\r\n",
    "with a letter": b"Content-Length: 5a\r\n",
    "with NUL": b"Content-Length: 5\x00\r\n",
    "with a vertical tab": b"Content-Length: \x0b5\r\n",
    "with a space within": b"Content-Length: 5 0\r\n",
    "with a semicolon": b"Content-Length: 5;a\r\n",
    "quoted": b'Content-Length: "5"\r\n',
    "before a comma": b"Content-Length: 5,\r\n",
    "twice in a list": b"Content-Length: 5, 5\r\n",
    "two in a list": b"Content-Length: 5, 0\r\n",
    "twice": length(5) + length(5),
    "two, the longer first": length(5) + length(0),
    "two, the longer last": length(0) + length(5),
    "beyond 32 bits": length((1 << 32) + 5),
    "beyond 64 bits": length((1 << 64) + 5),
    "empty": b"Content-Length: \r\n",
    "with a space before the colon": b"Content-Length : 5\r\n",
    "with an underscore in the name": b"Content_Length: 5\r\n",
    "folded": b"Content-Length:\r\n 5\r\n",
    "after a bare LF": b"X: y\nContent-Length: 5\r\n",
    "after a bare CR": b"X: y\rContent-Length: 5\r\n",
    "named by Connection": length(5) + b"Connection: Content-Length\r\n",
    "named by Connection, twice": length(5) + b"Connection: keep-alive, content-length\r\n",
}

# The size lines and ends of a chunk `hello`, with more or less right.
CHUNKS = {
    "an extension": b"5;a=b\r\nhello\r\n",
    "a quoted extension": b'5;a="b;c"\r\nhello\r\n',
    "an extension with a quoted CR LF": b'5;a="\r\nhello\r\n"\r\n',
    "an extension with LF": b"5;a\nhello\r\n",
    "an extension with CR": b"5;a\rb\r\nhello\r\n",
    "an empty extension": b"5;\r\nhello\r\n",
    "a space after the size": b"5 \r\nhello\r\n",
    "a space before the size": b" 5\r\nhello\r\n",
    "a tab after the size": b"5\t\r\nhello\r\n",
    "a size in 0x": b"0x5\r\nhello\r\n",
    "a size with a plus": b"+5\r\nhello\r\n",
    "a size with a minus": b"-5\r\nhello\r\n",
    "a size with zeros": b"0000000000000000000005\r\nhello\r\n",
    "a size beyond 64 bits": b"10000000000000005\r\nhello\r\n",
    "a size beyond 32 bits": b"100000005\r\nhello\r\n",
    "a size with an underscore": b"0_5\r\nhello\r\n",
    "no size": b"\r\nhello\r\n",
    "a size line that ends in LF": b"5\nhello\r\n",
    "a size line that ends in CR": b"5\rhello\r\n",
    "content that ends in LF": b"5\r\nhello\n",
    "content without an end": b"5\r\nhello",
    "content that is too long": b"5\r\nhelloXX\r\n",
    "content that is too short": b"5\r\nhel\r\n",
}

# The ends of chunked content, with more or less right.
ENDS = {
    "zeros": b"000\r\n\r\n",
    "an extension": b"0;a=b\r\n\r\n",
    "LF": b"0\n\n",
    "LF at the end": b"0\r\n\n",
    "CR": b"0\r\r\n",
    "no empty line": b"0\r\n",
    "a trailer": b"0\r\nX: y\r\n\r\n",
    "Content-Length as a trailer": b"0\r\nContent-Length: 70\r\n\r\n",
    "Transfer-Encoding as a trailer": b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "Host as a trailer": b"0\r\nHost: other\r\n\r\n",
    "a folded trailer": b"0\r\nX: y\r\n z\r\n\r\n",
    "a trailer without a colon": b"0\r\nX\r\n\r\n",
    "a trailer with LF": b"0\r\nX: y\n\r\n",
    "a trailer with NUL": b"0\r\nX: \x00\r\n\r\n",
}

# Heads of a request whose framing is clear, but not what or where it is.
HEADS = {
    "HTTP/0.9": b"GET /a\r\n",
    "HTTP/1.2": b"GET /a HTTP/1.2\r\n" + HOST + b"\r\n",
    "HTTP/2.0": b"GET /a HTTP/2.0\r\n" + HOST + b"\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a version in small letters": b"GET /a http/1.1\r\n" + HOST + b"\r\n",
    "a version with zeros": b"GET /a HTTP/01.1\r\n" + HOST + b"\r\n",
    "a version with a space": b"GET /a HTTP/1.1 \r\n" + HOST + b"\r\n",
    "two spaces": b"GET  /a  HTTP/1.1\r\n" + HOST + b"\r\n",
    "tabs": b"GET\t/a\tHTTP/1.1\r\n" + HOST + b"\r\n",
    "a space in the target": b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n",
    "LF in the target": b"GET /a\nX: HTTP/1.1\r\n" + HOST + b"\r\n",
    "an encoded CR LF in the target": b"GET /a%0d%0aX:%20y HTTP/1.1\r\n" + HOST + b"\r\n",
    "an encoded request in the target": b"GET /a%20HTTP/1.1%0d%0aHost:%20localhost%0d%0a%0d%0aGET%20/SMUGGLED HTTP/1.1\r\n" + HOST + b"\r\n",
    "NUL in the target": b"GET /a\x00 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a byte above 127 in the target": b"GET /\x80 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a fragment": b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n",
    "two slashes": b"GET //localhost/a HTTP/1.1\r\n" + HOST + b"\r\n",
    "absolute form": b"GET http://localhost/a HTTP/1.1\r\n" + HOST + b"\r\n",
    "absolute form and another Host": b"GET http://localhost/a HTTP/1.1\r\nHost: other\r\n\r\n",
    "absolute form with a user": b"GET http://other@localhost/a HTTP/1.1\r\n" + HOST + b"\r\n",
    "two Hosts": b"GET /a HTTP/1.1\r\n" + HOST + b"Host: other\r\n\r\n",
    "a Host with a space": b"GET /a HTTP/1.1\r\nHost: localhost other\r\n\r\n",
    "a folded Host": b"GET /a HTTP/1.1\r\nHost:\r\n localhost\r\n\r\n",
    "no Host": b"GET /a HTTP/1.1\r\n\r\n",
    "lines that end in LF": b"GET /a HTTP/1.1\nHost: localhost\n\n",
    "lines that end in CR": b"GET /a HTTP/1.1\rHost: localhost\r\r",
    "an empty line before": b"\r\nGET /a HTTP/1.1\r\n" + HOST + b"\r\n",
    "LF before": b"\nGET /a HTTP/1.1\r\n" + HOST + b"\r\n",
    "NUL before": b"\x00GET /a HTTP/1.1\r\n" + HOST + b"\r\n",
    "a field without a colon": b"GET /a HTTP/1.1\r\n" + HOST + b"X\r\n\r\n",
    "a field without a name": b"GET /a HTTP/1.1\r\n" + HOST + b": y\r\n\r\n",
    "a space in a name": b"GET /a HTTP/1.1\r\n" + HOST + b"X Y: z\r\n\r\n",
    "a method in small letters": b"get /a HTTP/1.1\r\n" + HOST + b"\r\n",
    "a method with NUL": b"G\x00ET /a HTTP/1.1\r\n" + HOST + b"\r\n",
    "a method of separators": b"()<> /a HTTP/1.1\r\n" + HOST + b"\r\n",
    "TRACE": b"TRACE /a HTTP/1.1\r\n" + HOST + b"\r\n",
    "CONNECT": b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n",
    "CONNECT with a path": b"CONNECT /a HTTP/1.1\r\n" + HOST + b"\r\n",
    "an upgrade to h2c": b"GET /a HTTP/1.1\r\n" + HOST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
    "an upgrade to websocket": b"GET /a HTTP/1.1\r\n" + HOST
    + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    "Connection names Host": b"GET /a HTTP/1.1\r\n" + HOST + b"Connection: Host\r\n\r\n",
    "HEAD": b"HEAD /a HTTP/1.1\r\n" + HOST + b"\r\n",
}


def with_embedded(what, request):
    """Messages in which `request` would be a second one."""
    for name, field in CODINGS.items():
        whole = LAST + request
        yield f"CL.TE, {name}, {what}", put(length(len(whole)) + field, whole)
        whole = chunk(request) + LAST
        yield f"TE.CL, {name}, {what}", put(length(whole.index(b"\n") + 1) + field, whole)
    for name, field in LENGTHS.items():
        yield f"Content-Length {name}, {what}", put(field, b"hello" + request)
    for name, content in CHUNKS.items():
        yield f"a chunk with {name}, {what}", put(CHUNKED, content + LAST + request)
    for name, content in ENDS.items():
        yield f"a last chunk with {name}, {what}", put(CHUNKED, chunk(b"hello") + content + request)
    for name, head in HEADS.items():
        yield f"{name}, {what}", head + request
    for method in (b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT", b"MOVE", b"X"):
        head = method + b" /a HTTP/1.1\r\n" + HOST
        name = method.decode()
        yield f"{name} with content, {what}", head + length(len(request)) + b"\r\n" + request
        yield f"{name} with chunks, {what}", head + CHUNKED + b"\r\n" + chunk(request) + LAST
    yield f"HTTP/1.0 with chunks, {what}", put(CHUNKED, chunk(request) + LAST, b"HTTP/1.0")
    yield f"HTTP/1.0 with both, {what}", put(b"Connection: keep-alive\r\n" + length(3) + CHUNKED, LAST + request, b"HTTP/1.0")
    yield f"Connection names Transfer-Encoding, {what}", put(b"Connection: Transfer-Encoding\r\n" + CHUNKED, chunk(request) + LAST)
    for name, value in {"100-continue": b"100-continue", "twice": b"100-continue, 100-continue", "something else": b"x"}.items():
        field = b"Expect: " + value + b"\r\n"
        yield f"Expect {name}, {what}", put(field + length(5), b"hello" + request)
        yield f"GET with Expect {name}, {what}", b"GET /a HTTP/1.1\r\n" + HOST + field + b"\r\n" + request


def all_messages():
    messages = []
    for what, request in EMBEDDED.items():
        messages += [Message(name, content) for name, content in with_embedded(what, request)]
    ordinary = put(length(5), b"hello") + b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n" + put(CHUNKED, chunk(b"hello") + LAST)
    messages += [
        Message("requests in pieces of 2 bytes", ordinary, piece_bytes=2),
        Message("requests in pieces of 1 byte", ordinary, piece_bytes=1),
        Message("requests after which nothing is read", ordinary * 4, abandons=True),
        Message("a download after which nothing is read", b"GET /large HTTP/1.1\r\n" + HOST + b"\r\n", abandons=True),
        Message("an upload that breaks off", put(length(1000), b"hello"), abandons=True),
        Message("an upload in chunks that breaks off", put(CHUNKED, b"3e8\r\nhello"), abandons=True),
        Message("an upload that is refused and breaks off", put(length(1000), b"hello", target=b"/a/b"), abandons=True),
    ]
    return messages


def control_messages():
    """What the proxies forward, and a server that ignores Transfer-Encoding, and the content of a GET, misreads."""
    request = EMBEDDED["a GET"]
    return [
        Message("control: a PUT in chunks", put(CHUNKED, chunk(request) + LAST)),
        Message("control: a GET with content", b"GET /a HTTP/1.1\r\n" + HOST + length(len(request)) + b"\r\n" + request),
    ]
