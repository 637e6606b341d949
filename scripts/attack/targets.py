"""The servers under attack: spindle, and Debian's nginx and lighttpd with one worker, no access log, as many connections as
their descriptors allow, and otherwise default settings."""

import getpass
import pathlib
import signal
import subprocess
import tempfile
import time

import client
import process
from context import LIGHTTPD, SPINDLE

MIB = 1 << 20
LARGE_BYTES = 64 * MIB

NGINX_CONFIGURATION = """
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile {descriptors};
pid {run}/nginx.pid;
error_log {run}/error.log crit;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    default_type application/octet-stream;
    sendfile on;
    gzip on;
    gzip_types text/plain;
    keepalive_requests 1000000000;
    send_timeout 30s;
    client_max_body_size 1g;
    large_client_header_buffers 8 32k;
    client_body_temp_path {run}/body;
    proxy_temp_path {run}/proxy;
    fastcgi_temp_path {run}/fastcgi;
    uwsgi_temp_path {run}/uwsgi;
    scgi_temp_path {run}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {run};
        location = / {{ return 200 ""; }}
        location ~ ^/echo/(.*)$ {{ default_type text/plain; return 200 $1; }}
        location /files/ {{ dav_methods PUT; }}
    }}
}}
"""

LIGHTTPD_CONFIGURATION = """
server.document-root = "{run}"
server.bind = "127.0.0.1"
server.port = {port}
server.listen-backlog = 4096
server.max-fds = {descriptors}
server.max-connections = {connections}
server.max-keep-alive-requests = 1000000000
server.upload-dirs = ( "{run}" )
server.errorlog = "{run}/error.log"
index-file.names = ( "index.html" )
mimetype.assign = ( ".html" => "text/html", "" => "application/octet-stream" )
"""

# The descriptors that nginx needs besides its connections.
NGINX_DESCRIPTORS_RESERVED = 10


class Target:
    """A running server with a directory of its own for files and uploads."""

    def __init__(self, name, context, *, options=(), descriptors=None, core=None, port=None, directory=None):
        self.name = name
        self.port = port or client.free_port()
        self._context = context
        self._options = options
        self._descriptors = descriptors or process.descriptor_limit()
        self._core = context.server_core if core is None else core
        self._directory = tempfile.TemporaryDirectory(prefix="attack-", dir=directory or context.files_directory)
        self.root = pathlib.Path(self._directory.name)
        self.files = self.root / "files"
        self.files.mkdir()
        with open(self.files / "large", "wb") as large:
            large.truncate(LARGE_BYTES)
        (self.files / "ranged").write_bytes(bytes(range(256)) * (MIB // 256))
        self.process = None
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def start(self):
        """Starts the server and waits until it listens."""
        limit = ["prlimit", f"--nofile={self._descriptors}:{self._descriptors}"]
        with open(self.root / "output", "wb") as log:
            output = {"stdout": subprocess.DEVNULL, "stderr": log}
            self.process = process.start([*limit, *self._arguments()], self._core, **output)
        try:
            client.wait_for(self.port, self.process)
        except client.MeasurementFailed as failure:
            output = (self.root / "output").read_text(errors="replace")
            raise client.MeasurementFailed(f"{self.name}: {failure}; its output: {output}") from None

    def _arguments(self):
        if self.name == SPINDLE:
            address = ["--bind", "127.0.0.1", "--port", self.port]
            return [self._context.server, *address, "--directory", self.files, "--quiet", *self._options]
        if self.name == LIGHTTPD:
            return self._lighttpd_arguments()
        user = getpass.getuser()
        configuration = self.root / "configuration"
        configuration.write_text(
            NGINX_CONFIGURATION.format(
                user=f"user {user};" if user == "root" else "",
                descriptors=self._descriptors,
                connections=self._descriptors - NGINX_DESCRIPTORS_RESERVED,
                run=self.root,
                port=self.port,
            )
        )
        return [self._context.nginx, "-c", configuration]

    def _lighttpd_arguments(self):
        # A response without content, as the others have it.
        (self.root / "index.html").touch()
        configuration = self.root / "configuration"
        # A file needs a descriptor besides its connection's, so lighttpd wants twice as many as connections.
        connections = self._descriptors // 2 - NGINX_DESCRIPTORS_RESERVED
        configuration.write_text(
            LIGHTTPD_CONFIGURATION.format(
                run=self.root, port=self.port, descriptors=self._descriptors, connections=connections
            )
        )
        return [self._context.lighttpd, "-D", "-f", configuration]

    @property
    def worker(self):
        """The process that serves: nginx starts it from a master process."""
        return process.process_tree(self.process.pid)[-1]

    def cpu_ns(self):
        return process.cpu_ns([self.worker])

    def resident_bytes(self):
        return process.resident_bytes(self.worker)

    def shut_down_gracefully(self):
        """Sends the signal for a graceful shutdown."""
        self.process.send_signal(signal.SIGTERM if self.name == SPINDLE else signal.SIGQUIT)

    def seconds_to_exit(self, seconds_max):
        """Waits until the server exits. Returns how many seconds that took, or None if it took longer than `seconds_max`."""
        start = time.monotonic()
        try:
            self.process.wait(seconds_max)
        except subprocess.TimeoutExpired:
            return None
        return time.monotonic() - start

    def close(self):
        """Stops the server without waiting for its clients, and removes its files."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            # Spindle exits at once on the second signal, nginx on the first.
            self.process.terminate()
            if self.name == SPINDLE:
                time.sleep(0.1)
            process.stop(self.process)
        self._directory.cleanup()
