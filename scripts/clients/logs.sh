# shellcheck shell=bash
# Reads the access log with the programs of administrators. Sourced by clients.sh, whose functions it uses.

log_clients=(goaccess jq logrotate)
log_requests=4000

# serve_logged NAME OPTIONS…: starts a server of $work/logged whose access log is $work/NAME.
serve_logged() {
    serve_files logged --access-log "$work/$1" "${@:2}"
}

# request_log_kinds: makes requests of all kinds that a log may contain. Sets $requested to their number.
request_log_kinds() {
    local port=${base#http://127.0.0.1:} request
    port=${port%%/*}
    run curl -sS -o "$work/response" -T "$work/list" "$base/list"
    run curl -sS -o "$work/response" "$base/list" -A 'an "agent" with \ and ümläut' -e 'http://a/?"q"'
    run curl -sS -o "$work/response" "$base/absent"
    run curl -sS -o "$work/response" -I "$base/list"
    run curl -sS -o "$work/response" -r 0-0 "$base/list"
    run curl -sS -o "$work/response" -X BREW "$base/list"
    run curl -sS -o "$work/response" -0 "$base/list?query=%22&b"
    requested=7
    for request in 'GET /\r\n\r\n' '\x16\x03\x01\x02\r\n\r\n' 'GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: \xff\x9b\x01\r\n\r\n' \
        'PUT /files/cut HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc'; do
        # shellcheck disable=SC2059 # The format contains the bytes to send.
        printf "$request" | timeout 10 nc -q 1 127.0.0.1 "$port" >"$work/response" || true
        requested=$((requested + 1))
    done
}

# has_lines FILE COUNT: waits until the file has so many lines.
has_lines() {
    local tries
    for ((tries = 0; tries < 100; tries++)); do
        [[ $(wc -l <"$1") -lt $2 ]] || break
        sleep 0.05
    done
    equal "$2" "$(wc -l <"$1")"
}

goaccess_reads_each_line() {
    serve_logged combined.log
    request_log_kinds
    has_lines "$work/combined.log" "$requested" || return 1
    run goaccess --no-global-config --log-format=COMBINED --no-progress --no-ip-validation -o "$work/report.json" \
        "$work/combined.log" || return 1
    equal "$requested 0" "$(jq -r '.general | "\(.valid_requests) \(.failed_requests)"' "$work/report.json")" || return 1
    local status
    for status in 200 201 206 400 404 501; do
        equal "$(awk -F'"' -v status="$status" 'index($3, " " status " ") == 1 { count++ } END { print count + 0 }' "$work/combined.log")" \
            "$(jq --arg status "$status" '[.status_codes.data[].items[]? | select(.data | startswith($status)) | .hits.count] | add // 0' \
                "$work/report.json")" || return 1
    done
}

jq_reads_each_line() {
    serve_logged json.log --log-format json
    request_log_kinds
    has_lines "$work/json.log" "$requested" || return 1
    equal "$requested" "$(jq -c 'select(.time and .client and .outcome)' "$work/json.log" | wc -l)" || return 1
    equal 'an "agent" with \ and ümläut' "$(jq -r 'select(.referer) | .user_agent' "$work/json.log")" || return 1
    equal '["complete","cut off","refused"]' "$(jq -cs '[.[].outcome] | unique' "$work/json.log")"
}

# logrotate moves the log five times while clients send requests.
logrotate_loses_no_line() {
    local server round loading
    fresh rotated
    chmod 750 "$work/rotated"
    serve_logged rotated/access.log
    server=${servers[-1]}
    cat >"$work/logrotate.conf" <<CONFIG
$work/rotated/access.log {
    su $(id -un) $(id -gn)
    rotate 10
    size 1
    missingok
    postrotate
        kill -HUP $server
    endscript
}
CONFIG
    chmod 640 "$work/logrotate.conf"
    run curl -sS -Z --parallel-max 20 -o "$work/response" "$base/[1-$log_requests]" >"$work/loading" 2>&1 &
    loading=$!
    for ((round = 0; round < 5; round++)); do
        sleep 0.2
        run logrotate --state "$work/logrotate.state" --force "$work/logrotate.conf" || return 1
    done
    wait "$loading" || return 1
    sleep 0.2
    cat "$work/rotated/"access.log* >"$work/all.log"
    [[ $(find "$work/rotated" -name 'access.log*' | wc -l) -ge 5 ]] || return 1
    equal "$log_requests" "$(grep -cE '^127\.0\.0\.1 - - \[[^]]*\] "GET /files/[0-9]+ HTTP/1\.1" 404 [0-9]+ "-" "curl/[^"]*"$' "$work/all.log")" || return 1
    has_lines "$work/all.log" "$log_requests" || return 1
    equal "$log_requests" "$(grep -o '/files/[0-9]*' "$work/all.log" | sort -u | wc -l)"
}

check_logs() {
    local client
    for client in "${log_clients[@]}"; do
        has "$client" || left_out+=("$client")
    done
    has nc && has jq || return 0
    printf 'one' >"$work/list"
    ! has goaccess || check 'goaccess reads each line of the access log' goaccess_reads_each_line
    check 'jq reads each line of the access log' jq_reads_each_line
    ! has logrotate || check 'logrotate moves the access log under load, and no line is lost or torn' logrotate_loses_no_line
}
