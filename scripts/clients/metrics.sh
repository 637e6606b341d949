# shellcheck shell=bash
# Reads the metrics with Prometheus, its promtool, and the parser of its Python client. Sourced by clients.sh, whose functions it
# uses.

metrics_clients=(prometheus promtool)

# serve_metrics: starts a server with an administrator's listener. Sets $base, $metrics_url and $metrics_at.
serve_metrics() {
    serve_files metered --admin 127.0.0.1:0
    metrics_url=$(sed -n 's/^Metrics on //p' "$work/metered.banner")
    metrics_at=${metrics_url#http://}
    metrics_at=${metrics_at%/metrics}
}

# load_server: makes requests whose metrics are known: 3 uploads of 1000 bytes, 20 downloads of one of them, and 5 requests of
# what is not there.
load_server() {
    random_file "$work/thousand" 1000
    run curl -sS -f -o "$work/response" -T "$work/thousand" "$base/[1-3]"
    # A file that has just been written is not cached, since it may change again within the resolution of its time.
    sleep 3
    run curl -sS -f -o "$work/response" "$base/1?[1-20]"
    run curl -sS -o "$work/response" "$base/absent[1-5]"
}

# The metrics after the load, and their values.
known_metrics=(
    'spindle_requests_total{method="PUT",class="2xx"}' 3
    'spindle_requests_total{method="GET",class="2xx"}' 20
    'spindle_requests_total{method="GET",class="4xx"}' 5
    'spindle_exchanges_total{outcome="complete"}' 28
    'spindle_content_received_bytes_total' 3000
    'spindle_exchange_duration_seconds_count' 28
    'spindle_uploads_accepted_total' 3
    'spindle_uploads_in_progress' 0
    'spindle_uploads_pending' 0
    'spindle_connections' 0
    'spindle_connections_accepted_total' 3
    'spindle_file_cache_requests_total{result="hit"}' 19
)

# A program that passes requests on to the server, but accepts nothing but the text format. Prometheus always asks
# for OpenMetrics as well. Its argument is the server's address. Prints its own port.
metrics_relay=$(
    cat <<'PYTHON'
import http.client, http.server, sys


class Relay(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        connection = http.client.HTTPConnection(sys.argv[1], timeout=10)
        connection.request("GET", self.path, headers={"Accept": "text/plain;version=0.0.4"})
        response = connection.getresponse()
        content = response.read()
        self.send_response(response.status)
        self.send_header("Content-Type", response.headers["Content-Type"])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Relay)
print(server.server_address[1], flush=True)
server.serve_forever()
PYTHON
)

promtool_accepts_the_text() {
    run curl -sS -f -o "$work/metrics.text" "$metrics_url" || return 1
    run curl -sS -f -H 'Accept: application/openmetrics-text' -o "$work/metrics.open" "$metrics_url" || return 1
    promtool check metrics <"$work/metrics.text" >"$work/lint" 2>&1 || {
        cat "$work/lint"
        return 1
    }
    equal '' "$(cat "$work/lint")"
}

# Its arguments: the file, and metrics with their values. Both formats, each with the parser for it.
metrics_parser=$(
    cat <<'PYTHON'
import sys
from prometheus_client import parser
from prometheus_client.openmetrics import parser as open_parser

text, open_text, *expected = sys.argv[1:]
for path, parse in ((text, parser), (open_text, open_parser)):
    values = {}
    for family in parse.text_string_to_metric_families(open(path).read()):
        if not family.documentation or not family.samples:
            sys.exit(f"{path}: {family}")
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            values[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    for name, value in zip(expected[::2], expected[1::2]):
        if values.get(name) != float(value):
            sys.exit(f"{path}: {name} is {values.get(name)}, not {value}")
PYTHON
)

# prepare_metrics_python: sets $metrics_python to a Python that has prometheus_client. With --install it gets an environment.
prepare_metrics_python() {
    for metrics_python in python3 /usr/bin/python3 "$work/metrics-venv/bin/python"; do
        ! "$metrics_python" -c 'import prometheus_client' 2>/dev/null || return 0
    done
    $install && python3 -m venv "$work/metrics-venv" >/dev/null 2>&1 &&
        "$metrics_python" -m pip install -q --disable-pip-version-check prometheus_client </dev/null >/dev/null 2>&1
}

# start_prometheus ADDRESS…: scrapes these addresses, each as a job, and writes nowhere else. Sets $prometheus_url.
start_prometheus() {
    local address port tries
    port=$(free_port)
    mkdir -p "$work/prometheus"
    {
        printf 'global:\n  scrape_interval: 500ms\n  scrape_timeout: 500ms\nscrape_configs:\n'
        for address in "$@"; do
            printf "  - job_name: 'job-%s'\n    static_configs:\n      - targets: ['%s']\n" "$address" "$address"
        done
    } >"$work/prometheus/configuration.yml"
    prometheus --config.file="$work/prometheus/configuration.yml" --storage.tsdb.path="$work/prometheus/data" \
        --web.listen-address="127.0.0.1:$port" --log.level=warn >"$work/prometheus/log" 2>&1 &
    servers+=($!)
    prometheus_url=http://127.0.0.1:$port
    for ((tries = 0; tries < 200; tries++)); do
        ! curl -sf -o "$work/response" "$prometheus_url/-/ready" || return 0
        sleep 0.1
    done
    cat "$work/prometheus/log"
    return 1
}

# query EXPRESSION: prints the values that Prometheus has, one for each job.
query() {
    run curl -sS -f -G --data-urlencode "query=$1" "$prometheus_url/api/v1/query" |
        jq -r '.data.result | sort_by(.metric.job) | [.[].value[1]] | join(" ")'
}

# has_value EXPECTED EXPRESSION: waits until both jobs have that value.
has_value() {
    local tries
    for ((tries = 0; tries < 100; tries++)); do
        [[ $(query "$2") != "$1 $1" ]] || return 0
        sleep 0.1
    done
    printf '%s: ' "$2"
    equal "$1 $1" "$(query "$2")"
}

prometheus_scrapes_both_formats() {
    local at index
    python3 -c "$metrics_relay" "$metrics_at" >"$work/relay.port" 2>"$work/relay.log" &
    servers+=($!)
    for ((index = 0; index < 100; index++)); do
        [[ ! -s $work/relay.port ]] || break
        sleep 0.05
    done
    at=127.0.0.1:$(cat "$work/relay.port")
    start_prometheus "$metrics_at" "$at" || return 1
    has_value 1 up || return 1
    for ((index = 0; index < ${#known_metrics[@]}; index += 2)); do
        has_value "${known_metrics[index + 1]}" "${known_metrics[index]}" || return 1
    done
    # What administrators ask for.
    has_value 1 'histogram_quantile(0.99, spindle_exchange_duration_seconds_bucket) > bool 0' || return 1
    has_value 1 'time() - process_start_time_seconds < bool 600' || return 1
    has_value 1 'spindle_build_info' || return 1
    # It counts on.
    run curl -sS -f -o "$work/response" "$base/1?[1-7]"
    has_value 27 'spindle_requests_total{method="GET",class="2xx"}' || return 1
    equal '' "$(cat "$work/prometheus/log")"
}

check_metrics() {
    local client
    serve_metrics
    load_server
    for client in "${metrics_clients[@]}"; do
        has "$client" || left_out+=("$client")
    done
    ! has promtool || check 'promtool has nothing to say about the metrics' promtool_accepts_the_text
    if has python3 && prepare_metrics_python; then
        run curl -sS -f -o "$work/metrics.text" "$metrics_url"
        run curl -sS -f -H 'Accept: application/openmetrics-text' -o "$work/metrics.open" "$metrics_url"
        check 'prometheus_client parses both formats, with the right values' \
            run "$metrics_python" -c "$metrics_parser" "$work/metrics.text" "$work/metrics.open" "${known_metrics[@]}"
    else
        left_out+=(prometheus_client)
    fi
    ! { has prometheus && has jq && has python3; } ||
        check 'Prometheus scrapes both formats, and has the right values' prometheus_scrapes_both_formats
}
