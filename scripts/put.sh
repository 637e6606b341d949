#!/bin/sh
# Uploads a file to a Spindle server, and continues after any interruption: of the connection, of the server, or of this
# script, if it is started again with the same file and URL. The server verifies what arrives.
#
#   put.sh FILE URL
#
# A URL that ends in a slash, or has no path, gets the name of the file. Any other URL must be percent-encoded. A server
# without resumable uploads gets a plain upload. Needs only sh and curl. Without openssl or sha256sum no digest is sent.
#
# Exit status:
#   0  the file is stored
#   1  the server refuses the file, or the file changes meanwhile
#   2  the arguments are wrong, or curl is missing
#   3  no progress in 30 attempts, about 25 minutes; start the script again to continue
#
# For a server with accounts, curl finds name and secret in ~/.netrc. With PUT_ACCOUNT=NAME in the environment the script
# asks for the secret, or takes it from PUT_SECRET. It passes them to curl in a file, because all users of a system can see
# the arguments of programs.
#
# In the environment, PUT_ATTEMPTS replaces the 30, and PUT_PAUSE the growing pause between two attempts, in seconds.
set -eu
# The names of files are bytes.
export LC_ALL=C
# Whoever knows the address of an unfinished upload can change it.
umask 077

# fail STATUS REASON
fail() {
    printf 'put.sh: %s\n' "$2" >&2
    exit "$1"
}

[ $# -eq 2 ] || fail 2 'usage: put.sh FILE URL'
name=$1
url=$2
# A name that begins with a minus would be an option to some programs, and the standard input to curl.
case $name in
/*) file=$name ;;
*) file=./$name ;;
esac
if [ ! -f "$file" ] || [ ! -r "$file" ]; then fail 2 "cannot read the file $name"; fi
command -v curl >/dev/null 2>&1 || fail 2 'curl is missing'

# encode NAME: percent-encodes all but the unreserved characters.
encode() {
    printf %s "$1" | od -A n -v -t x1 | awk '
        BEGIN {
            for (code = 45; code < 127; code++) {
                character = sprintf("%c", code)
                if (character ~ /[-._~0-9A-Za-z]/) unreserved[sprintf("%02x", code)] = character
            }
        }
        { for (i = 1; i <= NF; i++) printf("%s", ($i in unreserved ? unreserved[$i] : "%" toupper($i))) }'
}

case $url in
[Hh][Tt][Tt][Pp]://* | [Hh][Tt][Tt][Pp][Ss]://*) ;;
*://*) fail 2 "not the URL of an HTTP server: $url" ;;
*) url=http://$url ;;
esac
origin=$(printf '%s\n' "$url" | sed 's|^\([^:]*://[^/]*\).*|\1|')
case $origin in
*://) fail 2 "the URL names no server: $2" ;;
esac
[ "$url" != "$origin" ] || url=$url/
case $url in
*/) stored_name=${file##*/} url=$url$(encode "${file##*/}") ;;
*) stored_name=${url%%[?#]*} stored_name=${stored_name##*/} ;;
esac

# size: the length of the file, in bytes. Some versions of wc would read the whole file.
size() {
    # shellcheck disable=SC2012 # find has no portable way to print a length.
    ls -lnL -- "$file" | awk 'NR == 1 { print $5 }'
}

# digest: the SHA-256 digest of the file, in base64. Prints nothing if no program can compute it.
digest() {
    if command -v openssl >/dev/null 2>&1; then
        openssl dgst -sha256 -binary <"$file" | openssl base64 -A
    elif command -v sha256sum >/dev/null 2>&1 && command -v base64 >/dev/null 2>&1; then
        for byte in $(sha256sum <"$file" | cut -c 1-64 | sed 's/../& /g'); do
            # shellcheck disable=SC2059 # The format is the byte.
            printf "\\$(printf '%03o' "0x$byte")"
        done | base64
    fi
}

work=$(mktemp -d)
# The settings of the terminal, while a secret is typed.
terminal=
trap 'rm -rf -- "$work"; [ -z "$terminal" ] || stty "$terminal"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# ask_secret: reads the secret of the account, which the terminal does not show.
ask_secret() {
    [ -t 0 ] || fail 2 "the secret of $PUT_ACCOUNT is missing: PUT_SECRET is not set, and nobody can be asked"
    printf 'Secret of %s: ' "$PUT_ACCOUNT" >&2
    terminal=$(stty -g)
    stty -echo
    IFS= read -r secret || secret=
    stty "$terminal"
    terminal=
    printf '\n' >&2
}

# What all calls of curl have in common.
secret=${PUT_SECRET:-}
unset PUT_SECRET
if [ -n "${PUT_ACCOUNT:-}" ]; then
    [ -n "$secret" ] || ask_secret
    # No account has such a name or secret, and curl would read them in another way.
    case $PUT_ACCOUNT:$secret in
    *[\"\\[:space:][:cntrl:]]*) fail 2 'PUT_ACCOUNT or the secret contains a character that no account has' ;;
    esac
    printf 'user = "%s:%s"\n' "$PUT_ACCOUNT" "$secret" >"$work/curl"
else
    printf 'netrc-optional\n' >"$work/curl"
fi

bytes=$(size)
[ "$bytes" -lt 100000000 ] || printf 'Computing the digest of %s\n' "$name" >&2
sha256=$(digest)
fingerprint="$bytes ${sha256:-$(cksum <"$file")}"

# The address of the unfinished upload is kept in a file, after the URL and the fingerprint that it belongs to.
states=${XDG_STATE_HOME:-${HOME:+$HOME/.local/state}}
states=${states:+$states/spindle-put}
state=$states/$(printf '%s\n' "$url" "$fingerprint" | cksum | tr ' ' '-')
if [ -n "$states" ] && mkdir -p -- "$states" 2>/dev/null && [ -w "$states" ]; then
    # No server keeps an unfinished upload for so long.
    find "$states" -type f -mtime +90 -exec rm -f -- {} + 2>/dev/null || true
else
    printf 'No folder can be written in which to remember this upload: a later run begins again\n' >&2
    state=$work/state
fi

location=
if [ -s "$state" ]; then
    { IFS= read -r saved_url && IFS= read -r saved_fingerprint && IFS= read -r location; } <"$state" || location=
    [ "$saved_url" = "$url" ] && [ "$saved_fingerprint" = "$fingerprint" ] || location=
fi

# exchange ARGUMENT...: makes a request. The status is in $status, 000 if there was no final response; the head is in
# $work/head. curl gives up if nothing moves for two minutes. No server can make it use another protocol than HTTP.
exchange() {
    : >"$work/head"
    : >"$work/content"
    code=0
    status=$(curl --config "$work/curl" --globoff --proto '=http,https' --connect-timeout 60 --speed-limit 1 --speed-time 120 \
        --output "$work/content" --dump-header "$work/head" --write-out '%{http_code}' "$@") || code=$?
    case $status in
    [2-5]??) return ;;
    esac
    status=000
    # It would fail in the same way again: options, the URL, local files, certificates.
    case $code in
    1 | 2 | 3 | 4 | 23 | 26 | 60 | 77) fail 1 "$(tail -n 1 "$work/error")" ;;
    esac
}

# request ARGUMENT...: the same, without progress. What went wrong is in $work/error.
request() {
    exchange --silent --show-error "$@" 2>"$work/error"
}

# transfer ARGUMENT...: the same, with curl's progress if somebody can see it.
transfer() {
    if [ -t 2 ]; then
        : >"$work/error"
        exchange "$@"
    else
        request "$@"
    fi
}

# field NAME: the value of a field in the head of the last response.
field() {
    tr -d '\r' <"$work/head" | awk -v name="$1:" '
        tolower(substr($0, 1, length(name))) == tolower(name) { value = substr($0, length(name) + 1) }
        END { sub(/^[ \t]*/, "", value); print value }'
}

# is_temporary: whether the same request can succeed later.
is_temporary() {
    case $status in
    000 | 408 | 425 | 429 | 500 | 502 | 503 | 504) return 0 ;;
    esac
    return 1
}

# refuse: ends with what the server said. What it has is kept: if the cause is removed, the next run continues.
refuse() {
    case $status in
    3??) reason="use the URL $(field Location)" ;;
    *) reason=$(head -n 1 "$work/content" | tr -cd '[:print:]' | cut -c 1-300) ;;
    esac
    fail 1 "the server refuses the file with status $status${reason:+: $reason}"
}

# finish: ends after the last response. The server has already compared the digest with what arrived, if it knows how to.
finish() {
    rm -f -- "$state"
    case ${sha256:+$(field Repr-Digest)} in
    *"sha-256=:$sha256:"*) ;;
    *sha-256=:*) fail 1 'the server has stored something else' ;;
    esac
    # In a drop box nothing can be read at the URL.
    printf 'Stored as %s\n' "$stored_name" >&2
    exit 0
}

# put_plainly: for a server without resumable uploads.
put_plainly() {
    printf 'Sending %s in one request, since no resumable upload is offered here\n' "$name" >&2
    set -- --upload-file "$file"
    [ -z "$sha256" ] || set -- "$@" --header "Repr-Digest: sha-256=:$sha256:"
    transfer "$@" "$url"
    case $status in
    2??) finish ;;
    000) fail 3 "the upload broke off: $(tail -n 1 "$work/error")" ;;
    *) refuse ;;
    esac
}

# create: creates the upload resource, whose URL is then in $location.
create() {
    request --request OPTIONS "$url"
    case $status in
    2?? | 405 | 501) [ -n "$(field Upload-Limit)" ] || put_plainly ;;
    *) if is_temporary; then return 1; else refuse; fi ;;
    esac
    set -- --request PUT --header 'Upload-Complete: ?0' --header "Upload-Length: $bytes" --header 'Content-Length: 0'
    if [ -n "$sha256" ]; then
        set -- "$@" --header "Repr-Digest: sha-256=:$sha256:" --header 'Want-Repr-Digest: sha-256=1'
    fi
    request "$@" "$url"
    case $status in
    201) ;;
    *) if is_temporary; then return 1; else refuse; fi ;;
    esac
    location=$(field Location)
    case $location in
    /*) location=$origin$location ;;
    "$origin"/*) ;;
    # It would get the secret.
    http://* | https://*) [ -z "$secret" ] || fail 1 "the upload is continued on another server: $location" ;;
    *) fail 1 'the server does not say where the upload is continued' ;;
    esac
    offset=0
    printf '%s\n' "$url" "$fingerprint" "$location" >"$state"
}

# set_offset: how far the upload has come, as the server says.
set_offset() {
    offset=$(field Upload-Offset)
    case $offset in
    '' | *[!0-9]*) fail 1 'the server does not say how far the upload has come' ;;
    esac
    [ "$offset" -le "$bytes" ] || fail 1 'the server has more than the file contains'
}

# find_offset: asks how far the upload has come.
find_offset() {
    request --head "$location"
    case $status in
    2??) set_offset ;;
    404 | 410)
        # It has expired, or was lost in a power failure.
        printf 'The server no longer has the upload, which begins again\n' >&2
        rm -f -- "$state"
        location=
        offset=0
        return 1
        ;;
    *) if is_temporary; then return 1; else refuse; fi ;;
    esac
}

find_or_create() {
    if [ -n "$location" ]; then find_offset; else create; fi
}

# send: sends the file from $offset on, at most $piece bytes of it if that is not empty. Succeeds if a piece has arrived
# and more is left. If nothing is left, an empty request gets the last response again, which was lost.
send() {
    [ "$(size)" = "$bytes" ] || fail 1 "the file $name has changed"
    left=$((bytes - offset))
    # With its Expect field, curl would wait for a permission. Its Content-Range is for servers that know no other way.
    set -- --request PATCH --header 'Content-Type: application/partial-upload' --header "Upload-Offset: $offset" \
        --header 'Expect:' --header 'Content-Range:'
    if [ "$left" -eq 0 ]; then
        set -- "$@" --header 'Upload-Complete: ?1' --header 'Content-Length: 0'
    elif [ "$left" -le "${piece:-$left}" ]; then
        printf 'Sending %s from byte %s of %s\n' "$name" "$offset" "$bytes" >&2
        set -- "$@" --header 'Upload-Complete: ?1' --continue-at "$offset" --upload-file "$file"
    else
        printf 'Sending %s from byte %s of %s, %s bytes\n' "$name" "$offset" "$bytes" "$piece" >&2
        tail -c "+$((offset + 1))" -- "$file" | head -c "$piece" >"$work/piece"
        set -- "$@" --header 'Upload-Complete: ?0' --upload-file "$work/piece"
    fi
    transfer "$@" "$location"
    case $status in
    2??)
        # Without the field, it is the response of something between this machine and the server.
        [ "$(field Upload-Complete)" != '?1' ] || finish
        [ -n "$(field Upload-Offset)" ] || return 1
        sent_from=$offset
        set_offset
        [ "$offset" -gt "$sent_from" ]
        return
        ;;
    # A proxy limits what one request can send. By default, nginx does at this length.
    413) [ "${piece:-$left}" -gt "$piece_min" ] || refuse; piece=$piece_min ;;
    # Another offset is right.
    409) [ -n "$(field Upload-Offset)" ] || refuse ;;
    *) is_temporary || refuse ;;
    esac
    return 1
}

# Some proxies pass nothing on before they have the whole request. If such a request breaks off, nothing was gained; so
# after an attempt without progress the file is sent in pieces, and after further ones in smaller pieces.
piece=
piece_max=$((16 << 20))
piece_min=$((1 << 20))
offset=0
furthest=0
attempts=0
sent=false
while :; do
    if find_or_create; then
        if [ "$offset" -gt "$furthest" ]; then
            furthest=$offset
            attempts=0
        elif $sent && [ "${piece:-$piece_max}" -gt "$piece_min" ]; then
            piece=$((${piece:-$((piece_max << 2))} >> 2))
        fi
        while send; do
            furthest=$offset
            attempts=0
        done
        sent=true
    fi
    attempts=$((attempts + 1))
    reason=$(tail -n 1 "$work/error" | tr -cd '[:print:]')
    [ "$status" = 000 ] || reason="status $status${reason:+, $reason}"
    [ "$attempts" -lt "${PUT_ATTEMPTS:-30}" ] || fail 3 "no progress in $attempts attempts: $reason"
    case $attempts in
    1) pause=0 ;;
    [2-5]) pause=$((1 << (attempts - 1))) ;;
    *) pause=60 ;;
    esac
    printf 'Interrupted (%s); trying again\n' "${reason:-the connection was lost}" >&2
    [ "$pause" -eq 0 ] || sleep "${PUT_PAUSE:-$pause}"
done
