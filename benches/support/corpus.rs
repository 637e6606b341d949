//! Requests as clients send them.

/// A browser that loads an image of a page: 15 fields, some 700 bytes.
pub(crate) const BROWSER_PICTURE: &[u8] = b"GET /user-agent HTTP/1.1\r\n\
    Host: photos.example.org:4221\r\n\
    Connection: keep-alive\r\n\
    sec-ch-ua: \"Not/A)Brand\";v=\"8\", \"Chromium\";v=\"126\", \"Google Chrome\";v=\"126\"\r\n\
    sec-ch-ua-mobile: ?0\r\n\
    sec-ch-ua-platform: \"Linux\"\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n\
    Accept: image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-Mode: no-cors\r\n\
    Sec-Fetch-Dest: image\r\n\
    Referer: http://photos.example.org:4221/albums/summer/index.html\r\n\
    Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Cookie: session=5f2d9c1e7ab04c3d; theme=dark; consent=1\r\n\
    DNT: 1\r\n\
    Priority: u=2, i\r\n\
    \r\n";

/// A browser that opens a page, with a long query and many cookies.
const BROWSER_PAGE: &[u8] =
    b"GET /search?q=sans+i%2Fo+state+machine&hl=en&source=header&page=3&sort=newest HTTP/1.1\r\n\
    Host: www.example.com\r\n\
    User-Agent: Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:127.0) Gecko/20100101 Firefox/127.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Accept-Language: en-GB,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate\r\n\
    DNT: 1\r\n\
    Connection: keep-alive\r\n\
    Cookie: id=a3fWa; lang=en; cart=3f9c2a6e-5c1d-4f7b-9b1e-0d2b8f6a7c11; seen=1719230461.1719233870.1719291002; \
    visitor=k7Qm2xV0b9LtR4nYz8Hc1DfPwUe5SgJo; preferences=compact%3A1%7Ccurrency%3AEUR%7Czone%3AEurope%2FBerlin; \
    csrf=1kq0Yd7u8ZrPb3XwJmLeNfTs6GhVaCi5; experiment=header-b.search-a.footer-c\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    Cache-Control: max-age=0\r\n\
    \r\n";

/// curl.
const CURL: &[u8] = b"GET /echo/abc HTTP/1.1\r\n\
    Host: localhost:4221\r\n\
    User-Agent: curl/7.88.1\r\n\
    Accept: */*\r\n\
    \r\n";

/// A program that calls an API.
const API_CALL: &[u8] = b"POST /v1/orders/18446744/lines HTTP/1.1\r\n\
    Host: api.internal.example.net\r\n\
    Accept: application/json\r\n\
    Accept-Encoding: gzip\r\n\
    Authorization: Bearer eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ3YXJlaG91c2UtNyIsInNjb3BlIjoib3JkZXJzOndyaXRlIn0.\
    c2lnbmF0dXJlLW9mLW5vLXZhbHVlLWJ1dC1vZi10aGUtcmlnaHQtbGVuZ3RoLWZvci1FUzI1Ng\r\n\
    Content-Type: application/json\r\n\
    Content-Length: 0\r\n\
    Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\
    User-Agent: Go-http-client/1.1\r\n\
    X-Request-Id: 9d3a1f50-77e4-4a43-8a55-2f6fb1f0a6b2\r\n\
    \r\n";

/// A conditional request for a file.
const REVALIDATION: &[u8] = b"GET /files/albums/summer/IMG_2041.jpg HTTP/1.1\r\n\
    Host: photos.example.org\r\n\
    User-Agent: Wget/1.21.3\r\n\
    Accept: */*\r\n\
    Accept-Encoding: identity\r\n\
    If-None-Match: \"fd01-2f00a1-18d3c0f5a2b7c1d4-5e20\"\r\n\
    If-Modified-Since: Tue, 04 Jun 2024 09:12:44 GMT\r\n\
    Connection: Keep-Alive\r\n\
    \r\n";

/// A health check.
const HEALTH_CHECK: &[u8] =
    b"GET / HTTP/1.1\r\nHost: 10.42.0.17:4221\r\nUser-Agent: kube-probe/1.29\r\nAccept: */*\r\n\r\n";

/// The shortest request.
pub(crate) const SHORTEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A request to the echo route.
pub(crate) const ECHO: &[u8] = CURL;

/// All requests, with their names.
pub(crate) const HEADS: [(&str, &[u8]); 7] = [
    ("browser's page", BROWSER_PAGE),
    ("browser's picture", BROWSER_PICTURE),
    ("curl", CURL),
    ("API call", API_CALL),
    ("health check", HEALTH_CHECK),
    ("revalidation", REVALIDATION),
    ("shortest", SHORTEST),
];
