# shellcheck shell=bash
# Uploads and downloads directly and through HAProxy and nginx, with their own temporary configurations. Sourced by
# clients.sh, whose functions it uses.

proxy_clients=(haproxy nginx caddy node httpx)
# What a client connects to: the server, HAProxy, nginx with an upload buffered before it is passed on, nginx without that.
ways=(directly haproxy nginx nginx-unbuffered)
declare -A way_url proxy_process

# --- The proxies --------------------------------------------------------------------------------------------------------

# free_port: prints a port of the loopback interface on which nothing listens.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        listens "$port" || break
    done
    printf '%s\n' "$port"
}

listens() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# The connections to the server are kept and shared by all clients.
write_haproxy_configuration() {
    cat >"$work/proxies/haproxy.conf" <<CONFIGURATION
global
    maxconn 200
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    option http-keep-alive
    http-reuse always
frontend clients
    bind 127.0.0.1:$haproxy_port
    default_backend spindle
backend spindle
    server spindle ${1#http://}
CONFIGURATION
}

# One process, which writes nowhere else. nginx 1.22 takes a 104 for the final response. Without the field with the version of
# the draft, the server sends none. The last server has nginx's defaults: HTTP/1.0 to the server, a connection for each request,
# and at most 1 MiB of content.
write_nginx_configuration() {
    cat >"$work/proxies/nginx.conf" <<CONFIGURATION
daemon off;
master_process off;
pid $work/proxies/nginx.pid;
error_log $work/proxies/nginx.log;
events {}
http {
    access_log off;
    client_body_temp_path $work/proxies/client_body;
    proxy_temp_path $work/proxies/proxy;
    fastcgi_temp_path $work/proxies/fastcgi;
    uwsgi_temp_path $work/proxies/uwsgi;
    scgi_temp_path $work/proxies/scgi;
    upstream spindle {
        server ${1#http://};
        keepalive 8;
    }
    proxy_set_header Host \$http_host;
    server {
        listen 127.0.0.1:$nginx_port;
        client_max_body_size 0;
        location / {
            proxy_pass http://spindle;
            proxy_http_version 1.1;
            proxy_set_header Host \$http_host;
            proxy_set_header Connection "";
            proxy_set_header Upload-Draft-Interop-Version "";
        }
    }
    server {
        listen 127.0.0.1:$nginx_unbuffered_port;
        client_max_body_size 0;
        location / {
            proxy_pass http://spindle;
            proxy_http_version 1.1;
            proxy_set_header Host \$http_host;
            proxy_set_header Connection "";
            proxy_set_header Upload-Draft-Interop-Version "";
            proxy_request_buffering off;
            proxy_buffering off;
        }
    }
    server {
        listen 127.0.0.1:$nginx_default_port;
        location / {
            proxy_pass http://spindle;
        }
    }
}
CONFIGURATION
}

# start_proxy NAME PORT: waits until it accepts connections.
start_proxy() {
    local tries
    case $1 in
    haproxy) haproxy -db -f "$work/proxies/haproxy.conf" >>"$work/proxies/haproxy.log" 2>&1 & ;;
    nginx) nginx -p "$work/proxies" -c "$work/proxies/nginx.conf" >>"$work/proxies/nginx.log" 2>&1 & ;;
    esac
    proxy_process[$1]=$!
    servers+=($!)
    for ((tries = 0; tries < 100; tries++)); do
        ! listens "$2" || return 0
        sleep 0.05
    done
    cat "$work/proxies/$1.log" >&2
    die "$1 does not start"
}

# restart_proxy NAME PORT: ends it at once, with its connections, and starts it again.
restart_proxy() {
    local process=${proxy_process[$1]} other kept=()
    kill -TERM "$process"
    wait "$process" 2>/dev/null || true
    for other in "${servers[@]}"; do
        [[ $other == "$process" ]] || kept+=("$other")
    done
    servers=("${kept[@]}")
    start_proxy "$1" "$2"
}

# start_proxies URL: starts those that are installed, before the server with this URL.
start_proxies() {
    way_url=([directly]=$1)
    mkdir -p "$work/proxies"
    haproxy_port=$(free_port)
    nginx_port=$(free_port)
    nginx_unbuffered_port=$(free_port)
    nginx_default_port=$(free_port)
    if has_client haproxy; then
        write_haproxy_configuration "$1"
        start_proxy haproxy "$haproxy_port"
        way_url[haproxy]=http://127.0.0.1:$haproxy_port
    fi
    if has_client nginx; then
        write_nginx_configuration "$1"
        start_proxy nginx "$nginx_port"
        way_url[nginx]=http://127.0.0.1:$nginx_port
        way_url[nginx-unbuffered]=http://127.0.0.1:$nginx_unbuffered_port
    fi
}

# --- curl, wget and rclone ----------------------------------------------------------------------------------------------

# Both uploads over one connection. Their length is announced; curl waits for 100 Continue.
through_curl_stores() {
    rm -f "$work/proxied/file" "$work/proxied/other"
    curl_prints '1201 0201 ' '%{num_connects}%{http_code} ' -T "$work/payload" "$base/file" -o /dev/null -T "$work/list" "$base/other" &&
        same "$work/payload" "$work/proxied/file" && same "$work/list" "$work/proxied/other"
}

through_curl_streams() {
    rm -f "$work/proxied/stream"
    timeout "$client_seconds" curl -sS -f -o /dev/null -T - "$base/stream" <"$work/payload" &&
        same "$work/payload" "$work/proxied/stream"
}

through_curl_posts_a_form() {
    rm -f "$work/proxied/payload" "$work/proxied/list"
    curl_prints 201 '%{http_code}' -F "file=@$work/payload" -F "file=@$work/list" "$base/" &&
        same "$work/payload" "$work/proxied/payload" && same "$work/list" "$work/proxied/list"
}

# digest_of FILE: its SHA-256 digest as the value of a field.
digest_of() {
    printf 'sha-256=:%s:' "$(openssl dgst -sha256 -binary "$1" | openssl base64 -A)"
}

through_curl_is_verified() {
    rm -f "$work/proxied/verified"
    curl_prints 400 '%{http_code}' -T "$work/payload" -H "Repr-Digest: $(digest_of "$work/list")" "$base/verified" || return 1
    [[ ! -e $work/proxied/verified ]] || return 1
    curl_prints 201 '%{http_code}' -T "$work/payload" -H "Repr-Digest: $(digest_of "$work/payload")" "$base/verified" &&
        same "$work/payload" "$work/proxied/verified" || return 1
    run curl -sS -f -D "$work/head" -o "$work/fetched" -H 'Want-Repr-Digest: sha-256=1' "$base/verified" || return 1
    # HAProxy writes the names of fields in lower case.
    grep -qixF "Repr-Digest: $(digest_of "$work/fetched")" <(tr -d '\r' <"$work/head")
}

# The server refuses long content that is on its way, and the client gets the reason.
through_curl_is_refused() {
    curl_prints 412 '%{http_code}' -T "$work/payload" -H 'Expect:' -H 'If-None-Match: *' "$base/other" || return 1
    curl_prints 412 '%{http_code}' -T "$work/payload" -H 'If-None-Match: *' "$base/other" && same "$work/list" "$work/proxied/other"
}

through_curl_fetches() {
    run curl -sS -f -o "$work/fetched" "$base/file" && same "$work/payload" "$work/fetched" || return 1
    run curl -sS -f -r 1000-1999 -o "$work/fetched" "$base/file" && same <(tail -c +1001 "$work/payload" | head -c 1000) "$work/fetched"
}

through_wget_resumes() {
    fresh wget
    head -c 3456789 "$work/payload" >"$work/wget/file"
    (cd "$work/wget" && run wget -q -c "$base/file") && same "$work/payload" "$work/wget/file"
}

through_rclone_copies() {
    fresh copied
    base=$base/tree rclone_here copy :http: "$work/copied" && same_tree "$work/proxied/tree" "$work/copied"
}

# --- Libraries ----------------------------------------------------------------------------------------------------------

# Its arguments: the URL, and the file to send and to compare with.
httpx_client=$(
    cat <<'PYTHON'
import sys, httpx

url, path = sys.argv[1:]
content = open(path, "rb").read()


def pieces():
    for start in range(0, len(content), 99_991):
        yield content[start : start + 99_991]


def expect(expected, got):
    if expected != got:
        sys.exit(f"expected {str(expected)[:80]}, got {str(got)[:80]}")


with httpx.Client(timeout=60, trust_env=False) as client:
    client.put(url + "/httpx", content=b"")
    expect(204, client.put(url + "/httpx", content=content).status_code)
    expect(content, client.get(url + "/httpx").content)
    expect(204, client.put(url + "/httpx", content=pieces()).status_code)
    expect(content[5:10], client.get(url + "/httpx", headers={"Range": "bytes=5-9"}).content)
    form = {"one": ("httpx", content), "two": ("httpx 2", b"two")}
    expect(201, client.post(url + "/", files=form).status_code)
    expect(b"two", client.get(url + "/httpx%202").content)
    expect(412, client.put(url + "/httpx", content=content, headers={"If-None-Match": "*"}).status_code)
    expect(content, client.get(url + "/httpx").content)
PYTHON
)

# The same with Node's fetch.
fetch_client=$(
    cat <<'JAVASCRIPT'
const { readFileSync, createReadStream } = require('node:fs');
const { Readable } = require('node:stream');
const [url, path] = process.argv.slice(1);
const content = readFileSync(path);

function expect(expected, got) {
  if (expected !== got) throw new Error(`expected ${expected}, got ${got}`);
}

async function stored(name) {
  const response = await fetch(`${url}/${name}`);
  return Buffer.from(await response.arrayBuffer());
}

async function main() {
  const put = async (body, more) => {
    const response = await fetch(`${url}/fetch`, { method: 'PUT', body, ...more });
    await response.text();
    return response.status;
  };
  await put('');
  expect(204, await put(content));
  expect(true, content.equals(await stored('fetch')));
  expect(204, await put(Readable.toWeb(createReadStream(path)), { duplex: 'half' }));
  const range = await fetch(`${url}/fetch`, { headers: { Range: 'bytes=5-9' } });
  expect(content.toString('latin1', 5, 10), Buffer.from(await range.arrayBuffer()).toString('latin1'));
  const form = new FormData();
  form.append('one', new Blob([content]), 'fetch');
  form.append('two', new Blob(['two']), 'fetch 2');
  expect(201, (await fetch(`${url}/`, { method: 'POST', body: form })).status);
  expect('two', String(await stored('fetch%202')));
  expect(412, await put('', { headers: { 'If-None-Match': '*' } }));
  expect(true, content.equals(await stored('fetch')));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
JAVASCRIPT
)

# --- Main ---------------------------------------------------------------------------------------------------------------

# check_way WAY: all clients, one way.
check_way() {
    local name="$1: "
    check "$name"'curl -T stores two files over one connection' through_curl_stores
    check "$name"'curl -T - stores a stream in chunks' through_curl_streams
    check "$name"'curl -F stores the files of a form' through_curl_posts_a_form
    check "$name"'curl -T with a digest is verified' through_curl_is_verified
    check "$name"'curl -T is told why it is refused' through_curl_is_refused
    check "$name"'curl fetches a file, and a range of it' through_curl_fetches
    ! has wget || check "$name"'wget -c resumes' through_wget_resumes
    ! has rclone || check "$name"'rclone copies a folder' through_rclone_copies
    ! has_client httpx || check "$name"'httpx stores, posts and fetches' run "$httpx_python" -c "$httpx_client" "$base" "$work/payload"
    ! has_client node || check "$name"'fetch of Node stores, posts and fetches' run node -e "$fetch_client" "$base" "$work/payload"
    ! $has_tus || check "$name"'tus-js-client resumes' through_tus_resumes
    if has python3; then
        check "$name"'an upload is resumed' through_python_resumes "$1"
        printf '        %s\n' "$(cat "$work/interim.$1")"
    fi
}

# check_smuggling: ambiguous messages through all proxies, while others use the same connections to the server. Prints how
# many there were.
check_smuggling() {
    check 'ambiguous messages through the proxies mix up no clients' \
        run python3 -B "$scripts/clients/smuggling/smuggling.py" "$program" "$work/smuggling"
    sed 's/^/        /' "$work/output"
}

# prepare_httpx: sets $httpx_python to a Python that has it. With --install it gets an environment of its own.
prepare_httpx() {
    httpx_python=python3
    has python3 || return 0
    if ! python3 -c 'import httpx' 2>/dev/null && $install; then
        { python3 -m venv "$work/venv" && "$work/venv/bin/pip" install -q --disable-pip-version-check httpx; } \
            </dev/null >/dev/null 2>&1 || return 0
        httpx_python=$work/venv/bin/python
    fi
}

check_proxies() {
    local way client shared=$base proxied=()
    prepare_httpx
    if prepare_tus; then
        has_tus=true
    else
        has_tus=false
        left_out+=(tus-js-client)
    fi
    for client in "${proxy_clients[@]}"; do
        has_client "$client" || left_out+=("$client")
    done
    fresh proxied
    cp -a "$work/tree" "$work/proxied/tree"
    find "$work/proxied/tree" -depth '(' -name $'*\xff*' -o -type d -name '*:*' ')' -exec rm -r {} +
    : >"$work/rclone.conf"
    printf 'a list' >"$work/list"
    random_file "$work/payload" 10000003
    share proxied --uploads replace
    start_proxies "$base"
    for way in "${ways[@]}"; do
        [[ -n ${way_url[$way]:-} ]] || continue
        base=${way_url[$way]}
        check_way "$way"
        [[ $way == directly ]] || proxied+=("$way")
    done
    if ((${#proxied[@]} > 0)); then
        interrupt_uploads "${proxied[@]}"
        for way in "${proxied[@]}"; do
            check "$way: put.sh stores a file although the proxy is restarted three times" put_arrived "$way"
        done
    fi
    if has python3 && ((${#proxied[@]} > 0)); then
        check_smuggling
    fi
    [[ -z ${way_url[nginx]:-} ]] || check 'nginx with its defaults: put.sh stores a file in pieces' put_in_pieces
    base=$shared
}
