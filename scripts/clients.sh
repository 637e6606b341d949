#!/usr/bin/env bash
# Uploads and downloads files, and reads a shared folder, with common clients, directly and through proxies, and compares each
# result byte by byte. Also reads the access log and the metrics with the programs of administrators.
# usage: clients.sh [--install] [--full] [PATH/TO/spindle]
# --install installs missing clients and proxies as Debian packages, whose services are not started; without it they are left
# out and named. --full serves every file of the input directory instead of the first 2000. The environment variable INPUT names
# that directory, otherwise it is Cargo's unpacked crates. Prints a line for each check, and in the last line the count.
# Exit status: 0, 1 if a check failed, 2 if nothing could be checked.
set -euo pipefail

export LC_ALL=C TZ=UTC0
# Clients must connect to this machine directly, whatever proxy the environment names.
export no_proxy='*' NO_PROXY='*'

scripts=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
input=${INPUT:-${CARGO_HOME:-$HOME/.cargo}/registry/src}
client_seconds=120 # the longest run of a client
packages=(curl wget python3 python3-pip python3-venv aria2 rclone git ca-certificates ffmpeg openssl haproxy nginx caddy nodejs
    goaccess jq logrotate netcat-openbsd prometheus libnginx-mod-stream)
quick_files=2000
quick_upload_bytes=$((200 << 20))
full_upload_bytes=$((600 << 20))

passed=0
failed=0
# Debian's packages install some programs where only administrators look.
PATH=$PATH:/usr/sbin:/sbin
servers=()
work=

die() {
    printf 'clients.sh: %s\n' "$1" >&2
    exit 2
}

clean_up() {
    local status=$? pid
    trap '' INT TERM HUP
    for pid in ${servers[@]+"${servers[@]}"}; do
        kill -TERM "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    [[ -z $work ]] || rm -rf -- "$work"
    exit "$status"
}

# serve_files NAME OPTIONS…: starts a server with $work/NAME at /files/, and sets $base.
serve_files() {
    start_server "$1" /files --directory "$work/$1" "${@:2}"
}

# start_server NAME PATH ARGUMENTS…: creates $work/NAME, starts a server on a free port, and sets $base to its URL and PATH.
start_server() {
    local name=$1 path=$2 tries
    mkdir -p "$work/$name"
    # Created here, since the server in the background may not have created it when sed reads it.
    : >"$work/$name.banner"
    "$program" --bind 127.0.0.1 --port 0 "${@:3}" >"$work/$name.banner" &
    servers+=($!)
    for ((tries = 0; tries < 100; tries++)); do
        base=$(sed -n 's/^Listening on \(http:[^ ]*[^ /]\).*$/\1/p' "$work/$name.banner" | head -n 1)${path}
        [[ $base != http:* ]] || return 0
        sleep 0.05
    done
    die "$program does not print the address it listens on"
}

# check WHAT COMMAND…: runs the command and prints a line, followed by the end of the command's output if it failed.
check() {
    local what=$1
    shift
    if "$@" >"$work/output" 2>&1; then
        passed=$((passed + 1))
        printf '  ok    %s\n' "$what"
    else
        failed=$((failed + 1))
        printf '  FAIL  %s\n' "$what"
        tail -n 5 "$work/output" | tr -c '[:print:]\n' '?' | sed 's/^/        | /'
    fi
}

has() {
    command -v "$1" >/dev/null
}

# run COMMAND…: runs the command without this script's input, and ends it after $client_seconds.
run() {
    timeout "$client_seconds" "$@" </dev/null
}

equal() {
    [[ $1 == "$2" ]] || {
        printf 'expected %s, got %s\n' "$1" "$2"
        return 1
    }
}

same() {
    cmp -- "$1" "$2"
}

random_file() {
    head -c "$2" /dev/urandom >"$1"
}

# --- curl ---------------------------------------------------------------------------------------------------------------

# curl_prints EXPECTED FORMAT ARGUMENTS…: whether curl succeeds, and prints EXPECTED for --write-out FORMAT.
curl_prints() {
    local got
    got=$(run curl -sS -o "$work/response" -w "$2" "${@:3}") && equal "$1" "$got"
}

curl_stores() {
    curl_prints "$1" '%{http_code}' "${@:2}" && same "$work/large" "$served/large"
}

# Without run, which would redirect the input.
curl_streams() {
    local got
    got=$(timeout "$client_seconds" curl -sS -o "$work/response" -w '%{http_code}' -T - "$base/stream" <"$work/large")
    equal 201 "$got" && same "$work/large" "$served/stream"
}

curl_fetches() {
    run curl -sS --fail "${@:2}" -o "$work/fetched" "$base/large" && same "$1" "$work/fetched"
}

curl_resumes() {
    head -c 12345678 "$work/large" >"$work/fetched"
    curl_fetches "$work/large" -C -
}

curl_leaves_a_complete_file() {
    cp "$work/large" "$work/fetched"
    # curl 7.88 fails with a 416, later versions do not. Either way the file must stay the same.
    run curl -sS -C - -o "$work/fetched" "$base/large" || true
    same "$work/large" "$work/fetched"
}

# curl_range RANGE FIRST BYTES
curl_range() {
    tail -c +$(($2 + 1)) "$work/large" | head -c "$3" >"$work/part"
    curl_fetches "$work/part" -r "$1"
}

curl_two_ranges() {
    run curl -sS --fail -r 0-0,-1 -D "$work/head" -o "$work/fetched" "$base/large" || return 1
    local boundary total
    boundary=$(tr -d '\r' <"$work/head" | sed -n 's/^Content-Type: multipart\/byteranges; boundary=//p')
    total=$(stat -c %s "$work/large")
    {
        printf -- '--%s\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes 0-0/%s\r\n\r\n' "$boundary" "$total"
        head -c 1 "$work/large"
        printf '\r\n--%s\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes %s-%s/%s\r\n\r\n' \
            "$boundary" $((total - 1)) $((total - 1)) "$total"
        tail -c 1 "$work/large"
        printf '\r\n--%s--\r\n' "$boundary"
    } >"$work/parts"
    [[ -n $boundary ]] && same "$work/parts" "$work/fetched"
}

curl_fetches_only_newer() {
    run curl -sS -R -o "$work/fetched" "$base/large" || return 1
    # curl reports 304 also for a 200 whose Last-Modified is no newer, so the head is compared.
    run curl -sS -z "$work/fetched" -D "$work/head" -o "$work/response" "$base/large" || return 1
    equal 'HTTP/1.1 304 Not Modified' "$(head -n 1 "$work/head" | tr -d '\r')" || return 1
    touch -d '2001-01-01' "$work/fetched"
    curl_prints 200 '%{http_code}' -z "$work/fetched" "$base/large"
}

curl_compares_tags() {
    rm -f "$work/tag"
    curl_prints 200 '%{http_code}' --etag-save "$work/tag" --etag-compare "$work/tag" "$base/large" || return 1
    curl_prints '304 0' '%{http_code} %{size_download}' --etag-compare "$work/tag" "$base/large" || return 1
    curl_prints 204 '%{http_code}' -T "$work/large" "$base/large" || return 1
    curl_prints 200 '%{http_code}' --etag-compare "$work/tag" "$base/large"
}

curl_makes_conditional_changes() {
    printf 'one' >"$work/list"
    curl_prints 201 '%{http_code}' -T "$work/list" -H 'If-None-Match: *' "$base/list" || return 1
    curl_prints 412 '%{http_code}' -T "$work/list" -H 'If-None-Match: *' "$base/list" || return 1
    local tag
    tag=$(run curl -sSI "$base/list" | tr -d '\r' | sed -n 's/^ETag: //p')
    printf 'two' >"$work/list"
    curl_prints 204 '%{http_code}' -T "$work/list" -H "If-Match: $tag" "$base/list" || return 1
    printf 'three' >"$work/other"
    curl_prints 412 '%{http_code}' -T "$work/other" -H "If-Match: $tag" "$base/list" && same "$work/list" "$served/list"
}

# curl_is_refused_early STATUS URL: whether an upload is refused before any content was sent.
curl_is_refused_early() {
    curl_prints "$1 0" '%{http_code} %{size_upload}' -T "$work/large" "$2"
}

check_curl() {
    check 'curl -T stores a new file: 201' curl_stores 201 -T "$work/large" "$base/large"
    check 'curl -T replaces it: 204' curl_stores 204 -T "$work/large" "$base/large"
    check 'curl -T - stores a stream in chunks' curl_streams
    check 'curl --data-binary posts a file: 201' curl_stores 201 --data-binary "@$work/large" "$base/large"
    check 'curl fetches it' curl_fetches "$work/large"
    check 'curl --http1.0 fetches it' curl_fetches "$work/large" --http1.0
    check 'curl -C - resumes' curl_resumes
    check 'curl -C - leaves a complete file alone' curl_leaves_a_complete_file
    check 'curl -r 1000-1999' curl_range 1000-1999 1000 1000
    check 'curl -r -500' curl_range -500 $(($(stat -c %s "$work/large") - 500)) 500
    check 'curl -r 0-0,-1 gets two parts' curl_two_ranges
    check 'curl -z fetches only what is newer' curl_fetches_only_newer
    check 'curl --etag-compare fetches only what has changed' curl_compares_tags
    check 'curl with If-None-Match and If-Match overwrites no change' curl_makes_conditional_changes
    check 'curl -T to a missing directory is refused before it sends content' curl_is_refused_early 404 "$base/no/such/file"
    local with_replace=$base
    serve_files drop-box --uploads create --max-upload 1M --fsync
    check 'curl -T beyond --max-upload is refused before it sends content' curl_is_refused_early 413 "$base/large"
    check 'curl -T stores a file with --uploads create' curl_prints 201 '%{http_code}' -T "$work/list" "$base/list"
    check 'curl -T does not replace it' curl_prints 409 '%{http_code}' -T "$work/other" "$base/list"
    check 'the file is unchanged' same "$work/list" "$work/drop-box/list"
    base=$with_replace
}

# --- Other clients ------------------------------------------------------------------------------------------------------

wget_fetches() {
    run wget -q "${@:2}" -O "$work/fetched" "$base/large" && same "$1" "$work/fetched"
}

wget_resumes() {
    rm -rf "$work/wget" && mkdir "$work/wget"
    head -c 23456789 "$work/large" >"$work/wget/large"
    (cd "$work/wget" && run wget -q -c "$base/large") && same "$work/large" "$work/wget/large"
}

wget_leaves_a_complete_file() {
    (cd "$work/wget" && run wget -q -c "$base/large" && run wget -q -N "$base/large") && same "$work/large" "$work/wget/large"
}

check_wget() {
    check 'wget fetches a file' wget_fetches "$work/large"
    check 'wget -c resumes' wget_resumes
    check 'wget -c and -N leave a complete file alone' wget_leaves_a_complete_file
}

# With Python's http.client. Its arguments: the URL of /files, the file to send and to compare with, and what to do.
http_client=$(
    cat <<'PYTHON'
import http.client, sys, urllib.parse

url, path, what = sys.argv[1:]
parts = urllib.parse.urlsplit(url)
connection = http.client.HTTPConnection(parts.netloc, timeout=30)
content = open(path, "rb").read()
target = parts.path + "/python"


def exchange(method, target=target, body=None, headers={}, chunked=False):
    connection.request(method, target, body=body, headers=headers, encode_chunked=chunked)
    response = connection.getresponse()
    return response, response.read()


def expect(expected, got):
    if expected != got:
        sys.exit(f"expected {str(expected)[:80]}, got {str(got)[:80]}")


def pieces():
    for start in range(0, len(content), 99_991):
        yield content[start : start + 99_991]


exchange("PUT", body=content)
socket = connection.sock
if what == "stores by length":
    expect(204, exchange("PUT", body=content)[0].status)
    expect(201, exchange("POST", body=b"")[0].status)
    expect(b"", exchange("GET")[1])
elif what == "stores in chunks":
    expect(204, exchange("PUT", body=pieces(), headers={"Transfer-Encoding": "chunked"}, chunked=True)[0].status)
    expect(content, exchange("GET")[1])
elif what == "fetches ranges":
    for value, part in (("bytes=5-9", content[5:10]), ("bytes=-7", content[-7:]), ("bytes=40000000-", content[40000000:])):
        response, got = exchange("GET", headers={"Range": value})
        expect((206, part), (response.status, got))
    expect(416, exchange("GET", headers={"Range": "bytes=99999999999-"})[0].status)
    response, got = exchange("HEAD")
    expect((str(len(content)), b""), (response.headers["Content-Length"], got))
elif what == "is refused and continues":
    expect(415, exchange("PUT", body=b"x", headers={"Content-Encoding": "gzip"})[0].status)
    expect(404, exchange("PUT", target=target + "/below", body=b"x")[0].status)
    expect(412, exchange("PUT", body=b"x", headers={"If-None-Match": "*"})[0].status)
    expect(404, exchange("GET", target=parts.path + "/../absent")[0].status)
    expect(content, exchange("GET")[1])
expect(True, connection.sock is socket and socket is not None)
PYTHON
)

check_python() {
    local what
    for what in 'stores by length' 'stores in chunks' 'fetches ranges' 'is refused and continues'; do
        check "http.client $what, on one connection" run python3 -c "$http_client" "$base" "$work/large" "$what"
    done
}

aria2_fetches() {
    rm -rf "$work/aria2"
    run aria2c -q -x8 -s8 -k1M --file-allocation=none -d "$work/aria2" -o large "$base/large" &&
        same "$work/large" "$work/aria2/large"
}

check_aria2c() {
    check 'aria2c -x8 fetches a file over eight connections' aria2_fetches
}

# --- A directory of real files ------------------------------------------------------------------------------------------

# copy_input FILES_MAX: copies that many files of the input into the served directory. Names that need encoding in a URL are
# left out.
copy_input() {
    local files_max=$1
    (cd "$input" && find . -type f -printf '%P\n') | grep -E '^[A-Za-z0-9._/+~-]+$' | sort >"$work/names.all" || true
    head -n "$files_max" "$work/names.all" >"$work/names"
    mkdir -p "$served/input"
    tar -C "$input" -cf - -T "$work/names" | tar -C "$served/input" -xf -
    files=$(wc -l <"$work/names")
    bytes=$(cd "$served/input" && xargs -d '\n' stat -c %s <"$work/names" | awk '{ sum += $1 } END { print sum + 0 }')
    (cd "$served/input" && xargs -d '\n' sha256sum <"$work/names") >"$work/sums"
}

# fetch_input DIRECTORY ARGUMENTS…: fetches the whole input with one curl. Writes the number of connections to $work/connections.
fetch_input() {
    rm -rf "${work:?}/$1" && mkdir "$work/$1"
    awk -v base="$base/input/" -v to="$work/$1/" \
        '{ printf "url = \"%s%s\"\noutput = \"%s%s\"\n", base, $0, to, $0 }' "$work/names" >"$work/$1.config"
    timeout "$client_seconds" curl -sS --fail --globoff --path-as-is --create-dirs "${@:2}" -w '%{num_connects}\n' \
        --config "$work/$1.config" </dev/null >"$work/$1.connects" || return 1
    awk '{ sum += $1 } END { print sum + 0 }' "$work/$1.connects" >"$work/connections"
    (cd "$work/$1" && xargs -d '\n' sha256sum <"$work/names") | cmp - "$work/sums"
}

fetch_over_one_connection() {
    fetch_input one && equal 1 "$(cat "$work/connections")"
}

fetch_while_storing() {
    curl_prints 201 '%{http_code}' -T "$work/huge" "$base/huge" >"$work/storing" 2>&1 &
    local storing=$! fetched=0
    fetch_input meanwhile -Z --parallel-max 20 || fetched=$?
    wait "$storing" || {
        cat "$work/storing"
        return 1
    }
    same "$work/huge" "$served/huge" && return "$fetched"
}

# print_speed WHAT START BYTES: START is the $EPOCHREALTIME at which it began.
print_speed() {
    awk -v what="$1" -v begun="$2" -v ended="$EPOCHREALTIME" -v bytes="$3" -v files="$files" 'BEGIN {
        seconds = ended - begun
        printf "        %s: %d files, %.1f MB in %.1f s, %.0f files/s, %.0f MB/s, including the comparison\n",
            what, files, bytes / 1e6, seconds, files / seconds, bytes / 1e6 / seconds }'
}

check_input() {
    local files bytes begun upload_bytes=$quick_upload_bytes
    if $full; then
        upload_bytes=$full_upload_bytes
        copy_input 1000000000
    else
        copy_input "$quick_files"
    fi
    begun=$EPOCHREALTIME
    check "curl fetches $files real files over one connection" fetch_over_one_connection
    print_speed 'one connection' "$begun" "$bytes"
    begun=$EPOCHREALTIME
    check 'curl -Z fetches them over fifty connections' fetch_input many -Z --parallel-max 50
    print_speed "$(cat "$work/connections") connections" "$begun" "$bytes"
    random_file "$work/huge" "$upload_bytes"
    begun=$EPOCHREALTIME
    check "curl -T stores $((upload_bytes >> 20)) MiB while curl -Z fetches them" fetch_while_storing
    print_speed 'both directions' "$begun" $((bytes + upload_bytes))
}

# shellcheck source-path=SCRIPTDIR source=clients/folder.sh
source "$scripts/clients/folder.sh"
# shellcheck source-path=SCRIPTDIR source=clients/forwarding.sh
source "$scripts/clients/forwarding.sh"
# shellcheck source-path=SCRIPTDIR source=clients/logs.sh
source "$scripts/clients/logs.sh"
# shellcheck source-path=SCRIPTDIR source=clients/metrics.sh
source "$scripts/clients/metrics.sh"
# shellcheck source-path=SCRIPTDIR source=clients/proxies.sh
source "$scripts/clients/proxies.sh"
# shellcheck source-path=SCRIPTDIR source=clients/resumable.sh
source "$scripts/clients/resumable.sh"

# --- Main ---------------------------------------------------------------------------------------------------------------

# Clients that cannot be installed are left out, and named at the end.
install_clients() {
    export DEBIAN_FRONTEND=noninteractive
    local output client missing=()
    for client in aria2c openssl haproxy nginx caddy node "${log_clients[@]}" "${metrics_clients[@]}" "${folder_clients[@]}"; do
        has_client "$client" || missing+=("$client")
    done
    ((${#missing[@]} > 0)) || return 0
    printf 'clients.sh: installing %s\n' "${missing[*]}"
    # The packages of the proxies would start servers that everybody on the network can reach.
    local policy=/usr/sbin/policy-rc.d
    if [[ -e $policy ]] || ! printf '#!/bin/sh\nexit 101\n' >"$policy" || ! chmod +x "$policy"; then
        policy=
    fi
    output=$({ apt-get update && apt-get install -y --no-install-recommends "${packages[@]}"; } 2>&1 </dev/null) || {
        printf '%s\nclients.sh: the clients could not be installed\n' "$output" >&2
    }
    [[ -z $policy ]] || rm -f "$policy"
}

full=false
install=false
program=
while (($# > 0)); do
    case $1 in
    -h | --help)
        sed -n '2,8s/^# //p' "${BASH_SOURCE[0]}"
        exit 0
        ;;
    --install)
        install=true
        install_clients
        ;;
    --full) full=true ;;
    -*) die "unknown option $1 (--help lists the options)" ;;
    *) program=$1 ;;
    esac
    shift
done

if [[ -z $program ]]; then
    # Builds the server if necessary.
    "$scripts/../your_program.sh" --version </dev/null >/dev/null || die 'spindle could not be built'
    program=${CARGO_TARGET_DIR:-$scripts/../target}/release/spindle
fi
[[ -f $program && -x $program ]] || die "no such program: $program"

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
work=$(mktemp -d "${TMPDIR:-/tmp}/clients.XXXXXX")
served=$work/served
serve_files served
# Not a multiple of any buffer's size.
random_file "$work/large" 40000003

left_out=()
for client in curl wget python3 aria2c; do
    if has "$client"; then
        "check_${client%3}"
    else
        left_out+=("$client")
    fi
done
if ! has curl; then
    :
elif [[ -d $input ]]; then
    check_input
else
    printf '  left out: real files, since there is no directory %s\n' "$input"
fi
check_folder
if has curl; then
    check_logs
    check_metrics
    check_forwarding
fi
if has curl && has openssl; then
    check_proxies
else
    left_out+=(proxies)
fi
((${#left_out[@]} == 0)) || printf '  left out: %s (clients.sh --install installs them)\n' "${left_out[*]}"
printf '%s passed, %s failed\n' "$passed" "$failed"
((failed == 0))
