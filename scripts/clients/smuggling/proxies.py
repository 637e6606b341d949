"""The proxies, each with as few connections to the server as it can be told to use, so that all clients share them."""

import pathlib
import shutil
import subprocess
import time

import net

# How long a proxy waits for an incomplete request. Others wait for it meanwhile.
PATIENCE_MS = 250

HAPROXY = """global
    maxconn 100
defaults
    mode http
    timeout connect 2s
    timeout client {patience}ms
    timeout server 400ms
    timeout queue 5s
    timeout http-request {patience}ms
    timeout http-keep-alive 5s
    option http-keep-alive
    http-reuse always
frontend clients
    bind 127.0.0.1:{port}
    default_backend server
backend server
    server server 127.0.0.1:{server} maxconn 1
"""

NGINX = """daemon off;
master_process off;
pid {work}/nginx.pid;
error_log {work}/nginx.error crit;
events {{}}
http {{
    access_log off;
    client_body_temp_path {work}/client_body;
    proxy_temp_path {work}/proxy;
    fastcgi_temp_path {work}/fastcgi;
    uwsgi_temp_path {work}/uwsgi;
    scgi_temp_path {work}/scgi;
    client_header_timeout {patience}ms;
    client_body_timeout {patience}ms;
    underscores_in_headers on;
    ignore_invalid_headers off;
    upstream server {{
        server 127.0.0.1:{server};
        keepalive 1;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://server;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Connection "";
            proxy_read_timeout 2s;
            {buffering}
        }}
    }}
}}
"""

CADDY = """{{
    admin off
    auto_https off
    log {{
        level ERROR
    }}
    servers {{
        protocols h1
        timeouts {{
            read_header {patience}ms
            read_body {patience}ms
        }}
    }}
}}
http://:{port} {{
    bind 127.0.0.1
    reverse_proxy 127.0.0.1:{server} {{
        transport http {{
            max_conns_per_host 1
            keepalive_idle_conns_per_host 1
        }}
    }}
}}
"""

UNBUFFERED = "proxy_request_buffering off; proxy_buffering off;"
# The name, the program, its configuration, and what differs in it.
WAYS = {
    "haproxy": ("haproxy", HAPROXY, ""),
    "nginx": ("nginx", NGINX, ""),
    "nginx-unbuffered": ("nginx", NGINX, UNBUFFERED),
    "caddy": ("caddy", CADDY, ""),
}


def is_installed(way):
    return shutil.which(WAYS[way][0]) is not None


def command(program, work, configuration):
    return {
        "haproxy": ["haproxy", "-db", "-f", configuration],
        "nginx": ["nginx", "-p", work, "-c", configuration],
        "caddy": ["caddy", "run", "--adapter", "caddyfile", "--config", configuration],
    }[program]


class Proxy:
    """A running proxy, in a directory of its own."""

    def __init__(self, way, server_port, work):
        program, template, buffering = WAYS[way]
        work.mkdir(parents=True)
        self.port = net.free_port()
        values = {"work": work, "port": self.port, "server": server_port, "patience": PATIENCE_MS, "buffering": buffering}
        configuration = work / "configuration"
        configuration.write_text(template.format(**values))
        log = open(work / "log", "wb")
        environment = {"PATH": "/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin", "HOME": str(work)}
        self.process = subprocess.Popen(command(program, str(work), str(configuration)), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        env=environment)
        for _ in range(200):
            if net.listens(self.port):
                return
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"{way} does not start: {pathlib.Path(log.name).read_text()[-2000:]}")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
