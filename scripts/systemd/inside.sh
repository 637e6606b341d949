#!/usr/bin/env bash
# The checks of systemd.sh that run under the container's systemd, as root. Prints a line for each, and `all passed` at the end.
# usage: inside.sh [CHECK]. With the name of a check it runs only that, in the folder $scratch.
set -euo pipefail

export LC_ALL=C
url=http://127.0.0.1:4221
wait_seconds=20
failed=0

# check WHAT FUNCTION: runs the function in a process of its own, which ends at the first command that fails. Here it would go
# on, since `if` switches that off.
check() {
    if "$0" "$2" >"$scratch/output" 2>&1; then
        printf '  ok    %s\n' "$1"
    else
        failed=1
        printf '  FAIL  %s\n' "$1"
        tail -n 20 "$scratch/output" | sed 's/^/        | /'
        { systemctl status --no-pager --lines=20 'spindle*' 2>&1 || true; } | sed 's/^/        | /'
    fi
}

equal() {
    [[ $1 == "$2" ]] || {
        printf 'expected %s, got %s\n' "$1" "$2"
        return 1
    }
}

# property UNIT NAME
property() {
    systemctl show --property="$2" --value "$1"
}

# until_true COMMAND…: waits until the command succeeds.
until_true() {
    local deadline=$((SECONDS + wait_seconds))
    until "$@"; do
        ((SECONDS < deadline)) || {
            echo "not in $wait_seconds s: $*"
            return 1
        }
        sleep 0.05
    done
}

# drop_in UNIT LINE…: adds lines to the service.
drop_in() {
    mkdir -p "/etc/systemd/system/$1.d"
    printf '%s\n' '[Service]' "${@:2}" >"/etc/systemd/system/$1.d/checks.conf"
    systemctl daemon-reload
}

fetch() {
    curl -sS --fail --max-time 10 "$@"
}

a_connection_starts_the_service() {
    systemctl start spindle.socket
    equal inactive "$(property spindle.service ActiveState)"
    fetch -o /dev/null "$url/"
    equal active "$(property spindle.service ActiveState)"
}

it_is_ready_with_a_status() {
    equal 'Sharing /var/lib/spindle: others may read.' "$(property spindle.service StatusText)"
}

# filters PID: how many filters of system calls it has. The container itself has some.
filters() {
    awk '/^Seccomp_filters:/ { print $2 }' "/proc/$1/status"
}

it_is_confined() {
    local process status
    process=$(property spindle.service MainPID)
    status=/proc/$process/status
    equal "$(id -u spindle)" "$(awk '/^Uid:/ { print $2 }' "$status")"
    grep -qx 'NoNewPrivs:[[:space:]]1' "$status"
    grep -qx 'CapBnd:[[:space:]]0*' "$status"
    (($(filters "$process") > $(filters 1)))
    # It has a network of its own, and sees every file system but its folders read-only.
    [[ $(readlink "/proc/$process/ns/net") != "$(readlink /proc/1/ns/net)" ]]
    nsenter --target "$process" --mount touch /var/lib/spindle/probe /var/log/spindle/probe
    nsenter --target "$process" --mount touch /usr/probe /etc/probe /srv/probe /var/lib/probe 2>"$scratch/refusals" || true
    equal 4 "$(grep -c 'Read-only file system' "$scratch/refusals")"
}

uploads_are_stored_for_its_user() {
    drop_in spindle.service 'Environment="SPINDLE_OPTIONS=--uploads create --fsync"'
    systemctl restart spindle.service
    head -c 1000000 /dev/urandom >"$scratch/file"
    fetch -T "$scratch/file" "$url/new/file"
    cmp "$scratch/file" /var/lib/spindle/new/file
    equal 'spindle 640' "$(stat -c '%U %a' /var/lib/spindle/new/file)"
    fetch "$url/new/?archive=tar" | tar -xO | cmp "$scratch/file" -
}

a_folder_elsewhere_can_be_shared() {
    mkdir -p /srv/inbox
    chown spindle: /srv/inbox
    drop_in spindle.service 'Environment=SPINDLE_FOLDER=/srv/inbox "SPINDLE_OPTIONS=--uploads create"' ReadWritePaths=/srv/inbox
    systemctl restart spindle.service
    fetch -T "$scratch/file" "$url/file"
    cmp "$scratch/file" /srv/inbox/file
}

the_administrator_reaches_it() {
    local socket=/run/spindle/admin.sock
    fetch --unix-socket "$socket" http://localhost/healthz
    fetch --unix-socket "$socket" http://localhost/metrics | grep -q '^# TYPE '
    # Others may not.
    equal 'spindle 750' "$(stat -c '%G %a' /run/spindle)"
}

a_reload_opens_the_log_anew() {
    local before log=/var/log/spindle/access.log
    before=$(property spindle.service MainPID)
    mv "$log" "$log.1"
    systemctl reload spindle.service
    until_true test -e "$log"
    fetch -o /dev/null "$url/?reloaded"
    until_true grep -q '?reloaded' "$log"
    equal "$before" "$(property spindle.service MainPID)"
    equal 'spindle 640' "$(stat -c '%U %a' "$log")"
}

# request_without_end: makes requests, one connection each, until it is told to end, and writes how many there were.
request_without_end() {
    local requests=0
    until [[ -e $scratch/enough ]]; do
        fetch -o /dev/null "$url/"
        requests=$((requests + 1))
        echo "$requests" >"$scratch/requests"
    done
}

# more_requests_than COUNT
more_requests_than() {
    [[ -s $scratch/requests ]] && (($(cat "$scratch/requests") > $1))
}

no_connection_is_lost_by_a_restart() {
    local round loading
    request_without_end &
    loading=$!
    for ((round = 0; round < 3; round++)); do
        until_true more_requests_than $((5 * round))
        systemctl restart spindle.service
    done
    touch "$scratch/enough"
    wait "$loading"
}

# another_process_serves PID
another_process_serves() {
    [[ $(property spindle.service MainPID) != "$1" && $(property spindle.service ActiveState) == active ]] &&
        fetch -o /dev/null "$url/"
}

a_killed_process_is_restarted() {
    local before
    before=$(property spindle.service MainPID)
    kill -KILL "$before"
    until_true another_process_serves "$before"
}

a_stopped_process_is_restarted() {
    local before
    drop_in spindle.service WatchdogSec=1
    systemctl restart spindle.service
    before=$(property spindle.service MainPID)
    # It stays as long as it is alive, also without requests.
    sleep 3
    equal "$before" "$(property spindle.service MainPID)"
    kill -STOP "$before"
    until_true another_process_serves "$before"
}

it_stops_in_order() {
    systemctl stop spindle.socket
    equal 'inactive success 0' "$(property spindle.service ActiveState) $(property spindle.service Result) $(property spindle.service ExecMainStatus)"
    ! curl -sS --max-time 5 -o /dev/null "$url/"
}

# requests_of INSTANCE: how many requests the process has counted.
requests_of() {
    fetch --unix-socket "/run/spindle-$1/admin.sock" http://localhost/metrics |
        awk '/^spindle_requests_total/ { sum += $NF } END { print sum + 0 }'
}

# The system chooses by the port of the client, so that each gets some of a hundred connections.
several_processes_share_a_port() {
    local round
    systemctl start spindle@1 spindle@2
    for ((round = 0; round < 100; round++)); do fetch -o /dev/null "$url/"; done
    equal 100 $(($(requests_of 1) + $(requests_of 2)))
    (($(requests_of 1) > 0 && $(requests_of 2) > 0))
    systemctl stop spindle@1
    equal 'success 0' "$(property spindle@1 Result) $(property spindle@1 ExecMainStatus)"
    for ((round = 0; round < 20; round++)); do fetch -o /dev/null "$url/"; done
    systemctl reload spindle@2
    systemctl stop spindle@2
    test -s /var/log/spindle/access-1.log -a -s /var/log/spindle/access-2.log
}

a_new_package_is_started_only_where_the_old_one_ran() {
    local before
    equal 'disabled disabled' "$(systemctl is-enabled spindle.service spindle.socket | xargs)"
    systemctl enable --now spindle.service
    fetch -o /dev/null "$url/"
    before=$(property spindle.service MainPID)
    dpkg -i /spindle.deb
    [[ $(property spindle.service MainPID) != "$before" ]]
    equal 'active inactive' "$(property spindle.service ActiveState) $(property spindle@1.service ActiveState)"
    fetch -o /dev/null "$url/"
}

a_removed_package_leaves_files_and_logs() {
    dpkg -r spindle
    equal '' "$(pgrep -x spindle || true)"
    equal '' "$(find /usr /etc/systemd -path '*spindle*' ! -name 'spindle-checks*' ! -path '*/spindle*.service.d*')"
    test -s /var/lib/spindle/new/file -a -s /var/log/spindle/access.log -a -e /etc/logrotate.d/spindle
}

a_purged_package_leaves_only_files() {
    dpkg -P spindle
    test -s /var/lib/spindle/new/file -a ! -e /var/log/spindle -a ! -e /etc/logrotate.d/spindle
}

if (($# > 0)); then
    "$1"
    exit
fi
# Not below /tmp, over which systemd mounts another file system.
scratch=$(mktemp -d /run/checks.XXXXXX)
export scratch
check 'a connection to the socket starts the service' a_connection_starts_the_service
check 'it reports that it is ready, and what it shares' it_is_ready_with_a_status
check 'it has its own user, no capabilities and a filter of system calls' it_is_confined
check 'with a drop-in it stores uploads' uploads_are_stored_for_its_user
check 'with a drop-in it shares another folder' a_folder_elsewhere_can_be_shared
check 'metrics and health are at its Unix socket' the_administrator_reaches_it
check 'a reload opens the access log anew' a_reload_opens_the_log_anew
check 'three restarts lose no connection' no_connection_is_lost_by_a_restart
check 'a killed process is restarted' a_killed_process_is_restarted
check 'a process that no longer reports that it is alive is restarted' a_stopped_process_is_restarted
check 'it stops in order, and its socket with it' it_stops_in_order
check 'two processes share a port' several_processes_share_a_port
if [[ -e /spindle.deb ]]; then
    check 'a new version of the package is started only where the old one ran' a_new_package_is_started_only_where_the_old_one_ran
    check 'without the package nothing runs, and files and logs are left' a_removed_package_leaves_files_and_logs
    check 'without its configuration only files are left' a_purged_package_leaves_only_files
fi
((failed > 0)) || echo 'all passed'
