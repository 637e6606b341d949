# shellcheck shell=bash
# Resumable uploads, directly and through proxies: without a library, and with put.sh while the proxies are restarted. Sourced by
# clients.sh, whose functions and those of proxies.sh it uses.

# --- Resumable uploads --------------------------------------------------------------------------------------------------

# Without a library, since those drop interim responses. Its arguments: the URL, the file, and the upload's name. An upload of
# a byte shows which interim responses arrive. Then the file is sent in one request, which breaks off in the middle, and continued
# at the offset that the server says. Without the 104 the client does not know where, so it first creates the upload with a
# request of its own.
resuming_client=$(
    cat <<'PYTHON'
import select, socket, sys, urllib.parse

url, path, name = sys.argv[1:]
host, port = urllib.parse.urlsplit(url).netloc.split(":")
content = open(path, "rb").read()
part = content[: len(content) // 3]


class Connection:
    def __init__(self):
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.received = b""

    def send(self, method, target, *fields):
        head = [f"{method} {target} HTTP/1.1", f"Host: {host}:{port}", "Upload-Draft-Interop-Version: 8", *fields, "", ""]
        self.socket.sendall("\r\n".join(head).encode())

    def has_more(self, seconds):
        return bool(self.received or select.select([self.socket], [], [], seconds)[0])

    def head(self):
        while b"\r\n\r\n" not in self.received:
            received = self.socket.recv(65536)
            assert received, f"the connection ended after {self.received}"
            self.received += received
        head, self.received = self.received.split(b"\r\n\r\n", 1)
        status, *lines = head.decode().split("\r\n")
        fields = {key.lower(): value.strip() for key, value in (line.split(":", 1) for line in lines)}
        return int(status.split()[1]), fields

    # None of the responses here has content.
    def final(self, interim=None):
        status, fields = self.head()
        while status < 200:
            if interim is not None:
                interim[status] = fields
            status, fields = self.head()
        return status, fields


def expect(expected, got):
    if expected != got:
        sys.exit(f"expected {expected}, got {got}")


connection, interim = Connection(), {}
connection.send("PUT", "/" + name, "Upload-Complete: ?1", "Expect: 100-continue", "Content-Length: 1")
while 100 not in interim and connection.has_more(1):
    status, fields = connection.head()
    interim[status] = fields
connection.socket.sendall(b"x")
expect(201, connection.final(interim)[0])

patch = ["Content-Type: application/partial-upload", "Upload-Complete: ?1"]
if 104 in interim:
    expect("8", interim[104]["upload-draft-interop-version"])
    connection.send("PUT", "/" + name, "Upload-Complete: ?1", f"Content-Length: {len(content)}")
    status, fields = connection.head()
    expect(104, status)
    connection.socket.sendall(part)
else:
    connection.send("PUT", "/" + name, "Upload-Complete: ?0", f"Upload-Length: {len(content)}", "Content-Length: 0")
    status, fields = connection.final()
    expect(201, status)
    connection.send("PATCH", fields["location"], *patch, "Upload-Offset: 0", f"Content-Length: {len(content)}")
    connection.socket.sendall(part)
location = fields["location"]
connection.socket.close()


def resume():
    connection = Connection()
    connection.send("HEAD", location)
    status, fields = connection.final()
    expect((204, "?0"), (status, fields["upload-complete"]))
    offset = int(fields["upload-offset"])
    connection.send("PATCH", location, *patch, f"Upload-Offset: {offset}", f"Content-Length: {len(content) - offset}")
    try:
        connection.socket.sendall(content[offset:])
        status, fields = connection.final()
    except OSError:
        return False
    # A proxy still passed on what it had of the first request.
    if status == 409:
        return False
    expect((204, "?1"), (status, fields["upload-complete"]))
    return True


if not any(resume() for _ in range(10)):
    sys.exit("the offset changes again and again")
print("interim responses that arrived:", *sorted(interim) or ["none"])
PYTHON
)

# through_python_resumes WAY: and that way's interim responses are those of the file $work/interim.WAY.
through_python_resumes() {
    run python3 -c "$resuming_client" "$base" "$work/payload" "resumed-$1" | tee "$work/interim.$1" &&
        same "$work/payload" "$work/proxied/resumed-$1"
}

# tus-js-client implements earlier versions of the draft, the latest of which differs from the current one in the interim
# responses. It sends pieces, and breaks off after the second one; then another object continues.
tus_version=4.3.1
tus_client=$(
    cat <<'JAVASCRIPT'
const { readFileSync } = require('node:fs');
const tus = require('tus-js-client');
const [url, path, name] = process.argv.slice(1);
const content = readFileSync(path);
const methods = [];

function upload(options) {
  const settings = { endpoint: `${url}/${name}`, protocol: tus.PROTOCOL_IETF_DRAFT_05 || 'ietf-draft-05', chunkSize: 3000000 };
  const onAfterResponse = (request, response) => methods.push(`${request.getMethod()} ${response.getStatus()}`);
  return new tus.Upload(content, { ...settings, retryDelays: null, onAfterResponse, onError: fail, ...options });
}

function fail(error) {
  console.error(String(error));
  process.exit(1);
}

const first = upload({
  onChunkComplete: async (bytes, accepted) => {
    if (accepted < 6000000) return;
    await first.abort();
    upload({ uploadUrl: first.url, onSuccess: finish }).start();
  },
});

function finish() {
  const expected = 'POST 201,PATCH 204,PATCH 204,HEAD 204,PATCH 204,PATCH 201';
  if (String(methods) !== expected) fail(`expected ${expected}, got ${methods}`);
}

first.start();
JAVASCRIPT
)

# prepare_tus: installs tus-js-client below $work. Fails without npm or its registry.
prepare_tus() {
    mkdir -p "$work/tus" && has_client node && has npm && $install &&
        npm install --silent --ignore-scripts --no-audit --no-fund --prefix "$work/tus" "tus-js-client@$tus_version" \
            </dev/null >/dev/null 2>&1
}

through_tus_resumes() {
    rm -f "$work/proxied/tus"
    NODE_PATH=$work/tus/node_modules run node -e "$tus_client" "$base" "$work/payload" tus && same "$work/payload" "$work/proxied/tus"
}

# --- put.sh -------------------------------------------------------------------------------------------------------------

# put_through WAY: uploads with put.sh, so slowly that there is time for interruptions.
put_through() {
    HOME=$work/proxies XDG_STATE_HOME=$work/proxies PUT_PAUSE=0.2 run sh "$scripts/put.sh" "$work/payload" \
        "${way_url[$1]}/put-$1" 2>"$work/put.$1"
}

interruptions() {
    grep -c '^Interrupted' "$work/put.$1" || true
}

# is_under_way WAY: whether that upload is sending.
is_under_way() {
    [[ $(tail -n 1 "$work/put.$1") == Sending* ]]
}

# has_noticed WAY TIMES: whether that upload was interrupted so often, or has ended.
has_noticed() {
    (($(interruptions "$1") >= $2)) || [[ -e $work/put.$1.status ]]
}

# soon COMMAND…: waits until it succeeds, but not for long.
soon() {
    local tries
    for ((tries = 0; tries < 60; tries++)); do
        ! "$@" || return 0
        sleep 0.05
    done
    return 1
}

# interrupt_uploads WAY…: uploads all these ways at the same time, and restarts the proxies until each upload has been
# interrupted three times. The exit status is in $work/put.WAY.status.
interrupt_uploads() {
    local way round tries noticed puts=()
    printf 'limit-rate = 3M\nsilent\n' >"$work/proxies/.curlrc"
    for way in "$@"; do
        : >"$work/put.$way"
        { put_through "$way" && echo 0 >"$work/put.$way.status" || echo $? >"$work/put.$way.status"; } &
        puts+=($!)
    done
    for round in 1 2 3; do
        # A restart between two requests interrupts nothing.
        for ((tries = 0; tries < 10; tries++)); do
            for way in "$@"; do
                soon is_under_way "$way" || true
            done
            # A part of the content is on its way then.
            sleep 0.2
            [[ -z ${proxy_process[haproxy]:-} ]] || restart_proxy haproxy "$haproxy_port"
            [[ -z ${proxy_process[nginx]:-} ]] || restart_proxy nginx "$nginx_port"
            noticed=true
            for way in "$@"; do
                soon has_noticed "$way" "$round" || noticed=false
            done
            ! $noticed || break
        done
    done
    wait "${puts[@]}"
}

put_arrived() {
    equal 0 "$(cat "$work/put.$1.status")" && same "$work/payload" "$work/proxied/put-$1" || {
        cat "$work/put.$1"
        return 1
    }
    (($(interruptions "$1") >= 3)) || {
        printf 'it was interrupted less than three times\n'
        return 1
    }
}

# nginx refuses the whole file with 413.
put_in_pieces() {
    head -c 3000001 "$work/payload" >"$work/short"
    PUT_PAUSE=0.1 XDG_STATE_HOME=$work/proxies run sh "$scripts/put.sh" "$work/short" \
        "http://127.0.0.1:$nginx_default_port/pieces" && same "$work/short" "$work/proxied/pieces"
}
