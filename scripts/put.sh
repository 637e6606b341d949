#!/bin/sh
# Uploads a file to a Spindle server, and continues after any interruption: of the connection, of the server, or of this
# script, if it is started again with the same arguments. The server verifies what arrives. Needs only sh and curl; with
# openssl also the digest is sent.
#
#   put.sh FILE URL
#
# A URL that ends in a slash gets the name of the file. A server without resumable uploads gets a plain upload.
# Exits with 0 once the file is stored, 1 if the server refuses it or cannot be reached, 2 if it is called wrongly.
set -eu

fail() {
    printf 'put.sh: %s\n' "$1" >&2
    exit "${2:-1}"
}

[ $# -eq 2 ] || fail 'usage: put.sh FILE URL' 2
file=$1
url=$2
if [ ! -f "$file" ] || [ ! -r "$file" ]; then fail "cannot read the file $file" 2; fi
command -v curl >/dev/null 2>&1 || fail 'curl is missing' 2
case $url in
*/) url=$url$(basename -- "$file" | sed 's/%/%25/g; s/ /%20/g; s/#/%23/g; s/?/%3F/g') ;;
esac

# How often in a row it is tried without a byte of progress, and the longest pause between two attempts, in seconds.
attempts_max=${PUT_ATTEMPTS:-30}
pause_s_max=60

state_directory=${XDG_STATE_HOME:-$HOME/.local/state}/spindle-put
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
trap 'exit 1' HUP INT TERM

bytes=$(($(wc -c <"$file")))
modified=$(ls -l -- "$file")

# Where the location of the unfinished upload is kept: under a name made of the file, its version and the URL.
mkdir -p -- "$state_directory"
state=$state_directory/$(printf '%s\n' "$PWD" "$modified" "$bytes" "$url" | cksum | tr ' ' '-')

# field NAME: the value of a field in the head of the last response.
field() {
    sed -n "s/^$1: *//Ip" "$work/head" | tr -d '\r' | tail -n 1
}

# request ARGUMENT...: makes a request. The status is in $status, 000 if there was no response; the head in $work/head.
request() {
    : >"$work/head"
    status=$(curl --silent --show-error --output "$work/content" --dump-header "$work/head" --write-out '%{http_code}' \
        "$@" 2>"$work/error") || status=000
}

# refused: ends with what the server said.
refused() {
    reason=$(head -n 1 "$work/content" 2>/dev/null || true)
    rm -f -- "$state"
    fail "the server refuses the file with status $status${reason:+: $reason}"
}

# The digest of the file, as a field of the request that creates the upload; empty without openssl.
digest() {
    command -v openssl >/dev/null 2>&1 || return 0
    printf 'Repr-Digest: sha-256=:%s:' "$(openssl dgst -sha256 -binary -- "$file" 2>/dev/null | openssl base64 -A)"
}

# create: creates the upload resource, whose URL is then in $location.
create() {
    request --request OPTIONS "$url"
    case $status in
    2*) ;;
    000) return 1 ;;
    *) refused ;;
    esac
    if [ -z "$(field Upload-Limit)" ]; then
        curl --fail --upload-file "$file" "$url" || fail 'the server does not take the file'
        exit 0
    fi
    stated=$(digest)
    set -- --request PUT --header 'Upload-Complete: ?0' --header "Upload-Length: $bytes" --header 'Content-Length: 0'
    [ -z "$stated" ] || set -- "$@" --header "$stated"
    request "$@" "$url"
    case $status in
    201) ;;
    000 | 5*) return 1 ;;
    *) refused ;;
    esac
    path=$(field Location)
    [ -n "$path" ] || fail 'the server does not say where the upload is continued'
    case $path in
    *://*) location=$path ;;
    *) location=$(printf '%s\n' "$url" | sed 's|^\([a-z]*://[^/]*\).*|\1|')$path ;;
    esac
    offset=0
    printf '%s\n' "$location" >"$state"
}

# find: asks how far the upload has come; fails if the server cannot be reached.
find_offset() {
    request --head "$location"
    case $status in
    2*) offset=$(field Upload-Offset) ;;
    000 | 5*) return 1 ;;
    *)
        # It has expired, or the server has lost it.
        rm -f -- "$state"
        location=
        return 1
        ;;
    esac
}

# send: sends the file from $offset on. Succeeds if it is stored.
send() {
    printf 'Sending %s from byte %s of %s\n' "$file" "$offset" "$bytes" >&2
    : >"$work/head"
    set -- --request PATCH --header 'Content-Type: application/partial-upload' --header 'Upload-Complete: ?1' \
        --header "Upload-Offset: $offset" --header 'Expect:' --header 'Content-Range:' \
        --output "$work/content" --dump-header "$work/head" --write-out '%{http_code}'
    if [ "$offset" -lt "$bytes" ]; then
        set -- "$@" --continue-at "$offset" --upload-file "$file"
    else
        set -- "$@" --header 'Content-Length: 0'
    fi
    status=$(curl "$@" "$location") || status=000
    case $status in
    2*) return 0 ;;
    000 | 409 | 5*) return 1 ;;
    *) refused ;;
    esac
}

location=
offset=0
[ ! -s "$state" ] || location=$(cat "$state")
attempts=0
furthest=0
while :; do
    if [ -z "$location" ]; then
        if create && send; then break; fi
    elif find_offset; then
        if send; then break; fi
    fi
    if [ "$offset" -gt "$furthest" ]; then
        furthest=$offset
        attempts=0
    fi
    attempts=$((attempts + 1))
    [ "$attempts" -lt "$attempts_max" ] || fail "no progress in $attempts attempts: $(tail -n 1 "$work/error" 2>/dev/null)"
    pause=$((attempts < 6 ? 1 << (attempts - 1) : pause_s_max))
    [ "$attempts" -le 1 ] || { [ "$pause" -le "$pause_s_max" ] || pause=$pause_s_max; sleep "${PUT_PAUSE:-$pause}"; }
done
rm -f -- "$state"
printf 'Stored %s at %s\n' "$file" "$url" >&2
