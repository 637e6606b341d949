# shellcheck shell=bash
# The client that the access log names if HAProxy or nginx forwards its requests. Sourced by clients.sh, whose functions it uses.
#
# The proxies connect from 127.0.0.1, and the clients from 127.0.0.2.

# start_forwarded_server NAME OPTIONS…: starts a server on a port and on $work/NAME.sock whose log is $work/NAME.log. Sets
# $address.
start_forwarded_server() {
    local name=$1 tries
    : >"$work/$name.banner"
    "$program" --listen 127.0.0.1:0 --listen "unix:$work/$name.sock" --access-log "$work/$name.log" "${@:2}" >"$work/$name.banner" &
    servers+=($!)
    for ((tries = 0; tries < 100; tries++)); do
        address=$(sed -n 's/^Listening on http:\/\/\([0-9.:]*\)$/\1/p' "$work/$name.banner")
        [[ -z $address ]] || return 0
        sleep 0.05
    done
    die "$program does not print the address it listens on"
}

# write_forwarding_haproxy: a frontend for each way to say who the client is. The server that wants headers has health checks with
# and without them; the latter only connect. A check by HTTP without a header would get no response.
write_forwarding_haproxy() {
    local way
    cat <<CONFIGURATION
global
    maxconn 100
defaults
    mode http
    timeout connect 5s
    timeout client 10s
    timeout server 10s
    unique-id-format %[uuid()]
CONFIGURATION
    for way in "${haproxy_ways[@]}"; do
        printf 'frontend %s\n    bind 127.0.0.1:%s\n    default_backend to-%s\nbackend to-%s\n' \
            "$way" "${forwarding_port[$way]}" "$way" "$way"
        case $way in
        send-proxy) printf '    server a %s send-proxy check inter 50ms\n' "$headers_at" ;;
        send-proxy-v2) printf '    server a %s send-proxy-v2 check inter 50ms\n' "$headers_at" ;;
        unique-id) printf '    server a %s send-proxy-v2 proxy-v2-options unique-id,crc32c check inter 50ms\n' "$headers_at" ;;
        checked-by-http)
            printf '    option httpchk GET /health\n    http-check expect status 404\n'
            printf '    server a %s send-proxy-v2 check inter 50ms\n' "$headers_at"
            ;;
        check-send-proxy) printf '    server a %s send-proxy check port %s check-send-proxy inter 50ms\n' "$headers_at" "${headers_at#*:}" ;;
        checked-without-header) printf '    server a %s send-proxy-v2 check port %s inter 50ms\n' "$headers_at" "${headers_at#*:}" ;;
        unix-send-proxy-v2) printf '    server a unix@%s send-proxy-v2\n' "$work/headers.sock" ;;
        forwardfor) printf '    option forwardfor\n    server a %s\n' "$trusting_at" ;;
        esac
    done
}
haproxy_ways=(send-proxy send-proxy-v2 unique-id checked-by-http check-send-proxy checked-without-header unix-send-proxy-v2
    forwardfor)

# write_forwarding_nginx: the same with nginx. Its stream module is a package of its own.
write_forwarding_nginx() {
    local directory=$work/forwarding
    if $has_stream; then
        printf 'load_module %s;\n' "$nginx_stream"
    fi
    cat <<CONFIGURATION
daemon off;
master_process off;
pid $directory/nginx.pid;
error_log $directory/nginx.log;
events {}
http {
    access_log off;
    client_body_temp_path $directory/client_body;
    proxy_temp_path $directory/proxy;
    fastcgi_temp_path $directory/fastcgi;
    uwsgi_temp_path $directory/uwsgi;
    scgi_temp_path $directory/scgi;
    proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;
    server {
        listen 127.0.0.1:${forwarding_port[nginx-x-forwarded-for]};
        location / {
            proxy_pass http://$trusting_at;
        }
    }
    server {
        listen 127.0.0.1:${forwarding_port[nginx-unix]};
        location / {
            proxy_pass http://unix:$work/trusting.sock:;
        }
    }
}
CONFIGURATION
    if $has_stream; then
        cat <<CONFIGURATION
stream {
    server {
        listen 127.0.0.1:${forwarding_port[nginx-stream]};
        proxy_pass $headers_at;
        proxy_protocol on;
    }
}
CONFIGURATION
    fi
}
nginx_ways=(nginx-x-forwarded-for nginx-unix)
nginx_stream=/usr/lib/nginx/modules/ngx_stream_module.so

# forwarded_as EXPECTED WAY ARGUMENTS…: whether the log names that client of requests that 127.0.0.2 sends this way.
forwarded_as() {
    local expected=$1 way=$2 target=/$2-$RANDOM$RANDOM tries logged
    run curl -sS -o "$work/response" -w '%{http_code}' --interface 127.0.0.2 "${@:3}" \
        "http://127.0.0.1:${forwarding_port[$way]}$target" "http://127.0.0.1:${forwarding_port[$way]}$target" -o "$work/response" \
        >"$work/status" || return 1
    equal 404404 "$(cat "$work/status")" || return 1
    for ((tries = 0; tries < 40; tries++)); do
        logged=$(awk -v target="$target" '$7 == target { print $1 }' "$work/headers.log" "$work/trusting.log" | paste -sd' ')
        [[ $logged != *' '* ]] || break
        sleep 0.05
    done
    equal "$expected $expected" "$logged"
}

# Health checks: those that only connect leave no line, those by HTTP have the address of the proxy, and no server is taken down.
health_checks_are_logged_as_the_proxys() {
    local lines
    sleep 0.3
    lines=$(awk '$7 == "/health" { print $1, $9 }' "$work/headers.log" | sort | uniq -c)
    [[ $lines =~ ^' '*[0-9]+' 127.0.0.1 404'$ ]] || {
        printf 'logged: %s\n' "$lines"
        return 1
    }
    # Nothing but requests.
    ! grep -vE '"GET /[^ ]* HTTP/1\.[01]" 404 ' "$work/headers.log" || return 1
    ! grep -c 'DOWN' "$work/forwarding/haproxy.log"
}

check_forwarding() {
    local way ways=() has_stream=false
    declare -A forwarding_port=()
    mkdir -p "$work/forwarding"
    start_forwarded_server headers --proxy-protocol 127.0.0.1 --proxy-protocol unix
    headers_at=$address
    start_forwarded_server trusting --trusted-proxy 127.0.0.1 --trusted-proxy unix
    trusting_at=$address
    if has_client haproxy; then
        for way in "${haproxy_ways[@]}"; do
            forwarding_port[$way]=$(free_port)
        done
        write_forwarding_haproxy >"$work/forwarding/haproxy.conf"
        haproxy -db -f "$work/forwarding/haproxy.conf" >"$work/forwarding/haproxy.log" 2>&1 &
        servers+=($!)
        ways+=("${haproxy_ways[@]}")
    fi
    if has_client nginx; then
        [[ ! -e $nginx_stream ]] || has_stream=true
        ! $has_stream || nginx_ways+=(nginx-stream)
        for way in "${nginx_ways[@]}"; do
            forwarding_port[$way]=$(free_port)
        done
        write_forwarding_nginx >"$work/forwarding/nginx.conf"
        nginx -p "$work/forwarding" -c "$work/forwarding/nginx.conf" >"$work/forwarding/nginx.log" 2>&1 &
        servers+=($!)
        ways+=("${nginx_ways[@]}")
        $has_stream || left_out+=('stream of nginx')
    fi
    for way in ${ways[@]+"${ways[@]}"}; do
        wait_for_port "${forwarding_port[$way]}"
        check "the log names the client behind $way" forwarded_as 127.0.0.2 "$way"
    done
    if has_client haproxy; then
        check 'the log shows health checks as those of the proxy' health_checks_are_logged_as_the_proxys
        check 'a client cannot add an address to what HAProxy says' \
            forwarded_as 127.0.0.2 forwardfor -H 'X-Forwarded-For: 203.0.113.9'
        check 'a client that adds Forwarded to what HAProxy says is not believed' \
            forwarded_as 127.0.0.1 forwardfor -H 'Forwarded: for=203.0.113.9'
    fi
    if has_client nginx; then
        check 'a client cannot add an address to what nginx says' \
            forwarded_as 127.0.0.2 nginx-x-forwarded-for -H 'X-Forwarded-For: 203.0.113.9'
        check 'a client that adds Forwarded to what nginx says is not believed' \
            forwarded_as unix nginx-unix -H 'Forwarded: for=203.0.113.9'
    fi
}

# wait_for_port PORT: waits until something listens there.
wait_for_port() {
    local tries
    for ((tries = 0; tries < 100; tries++)); do
        ! listens "$1" || return 0
        sleep 0.05
    done
}
