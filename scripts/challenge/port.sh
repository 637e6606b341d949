# shellcheck shell=bash
# The port that the challenge prescribes: whether it is free, and which process has it. For lib.sh and ../check.sh, which
# source this file.

port=4221

# Without --foreground, timeout moves its command into a process group of its own, which Ctrl-C does not reach. Not every
# timeout has the option.
bounded=(timeout --foreground)
"${bounded[@]}" 5 true 2>/dev/null || bounded=(timeout)

# accepts HOST: whether a TCP connection to the port succeeds within 2 seconds.
accepts() {
    "${bounded[@]}" 2 bash -c "exec 3<>/dev/tcp/$1/$port" 2>/dev/null
}

# port_conflict: prints why the port cannot be used, and which process to stop. Prints nothing if the port is free.
port_conflict() {
    local address taken=() pid name
    for address in 127.0.0.1 ::1; do
        if accepts "$address"; then taken+=("$address"); fi
    done
    ((${#taken[@]} > 0)) || return 0
    printf 'port %s is in use on %s' "$port" "${taken[*]}"
    pid=$(port_holder)
    if [[ -n $pid ]]; then
        name=$(cat "/proc/$pid/comm" 2>/dev/null || ps -o comm= -p "$pid" 2>/dev/null) || name='?'
        printf ' by process %s (%s): stop it with "kill %s"' "$pid" "$name" "$pid"
    else
        printf ' by a process that this user cannot see: stop it'
    fi
}

# port_holder: the process that listens on the port. Prints nothing if it belongs to another user, or if the system has
# neither /proc nor lsof.
port_holder() {
    local inode link
    if [[ ! -r /proc/net/tcp ]]; then
        lsof -nP -t -iTCP:"$port" -sTCP:LISTEN 2>/dev/null | head -n 1 || true
        return 0
    fi
    # The inodes of the sockets that listen (state 0A) on the port, then the first process that has one of them open.
    awk -v port=":$(printf %04X "$port")" '$4 == "0A" && substr($2, length($2) - 4) == port { print $10 }' \
        /proc/net/tcp /proc/net/tcp6 2>/dev/null |
        while read -r inode; do
            link=$(find /proc/[0-9]*/fd -lname "socket:\[$inode\]" -print 2>/dev/null | head -n 1) || true
            [[ $link =~ ^/proc/([0-9]+)/ ]] || continue
            printf '%s' "${BASH_REMATCH[1]}"
            break
        done || true
}
