"""The contestants: how each is configured and started. One worker each, no access log, caches as its users have them."""

import functools
import getpass
import pathlib
import shutil
import subprocess
import tempfile

import client
import process

NULL = "null"
CONTROL = "null again"
SPINDLE = "spindle"
BEFORE = "spindle before"
PEERS = ("nginx", "lighttpd", "h2o")

# nginx in its best light: with tcp_nopush each file costs two calls more, and a 1 MiB file more than twice the time; up to
# some KiB, reading is cheaper than sendfile.
NGINX = """
daemon off;
user {user};
worker_processes 1;
worker_rlimit_nofile 65536;
pid {run}/nginx.pid;
error_log {run}/error.log crit;
events {{ worker_connections 20000; }}
http {{
    access_log off;
    default_type application/octet-stream;
    sendfile on;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
    open_file_cache max=1000 inactive=1h;
    open_file_cache_valid 1h;
    client_body_temp_path {run}/body;
    client_body_buffer_size 512k;
    client_max_body_size 1g;
    proxy_temp_path {run}/proxy;
    fastcgi_temp_path {run}/fastcgi;
    uwsgi_temp_path {run}/uwsgi;
    scgi_temp_path {run}/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {root};
        location = / {{ return 200 ""; }}
        location = /user-agent {{ default_type text/plain; return 200 $http_user_agent; }}
        location = /files/4k {{ sendfile off; }}
        location /files/up- {{ dav_methods PUT; }}
        location /folder/ {{ autoindex on; }}
        location /json/ {{ autoindex on; autoindex_format json; }}
    }}
}}
"""

LIGHTTPD = """
server.bind = "127.0.0.1"
server.port = {port}
server.document-root = "{root}"
server.errorlog = "{run}/error.log"
server.upload-dirs = ("{run}")
server.max-connections = 20000
server.max-fds = 40000
server.max-keep-alive-requests = 65535
server.max-keep-alive-idle = 3600
server.stat-cache-engine = "simple"
server.network-backend = "sendfile"
index-file.names = ("index.html")
server.modules += ("mod_dirlisting")
dir-listing.activate = "enable"
"""

H2O = """
user: {user}
num-threads: 1
max-connections: 20000
http1-request-timeout: 3600
error-log: {run}/error.log
hosts:
  default:
    listen: {{ host: 127.0.0.1, port: {port} }}
    paths:
      /:
        file.dir: {root}
        file.index: [index.html]
        file.dirlisting: ON
"""


class Binaries:
    """Where our own programs are, and which peers are installed."""

    def __init__(self, directory, before):
        self.directory = pathlib.Path(directory)
        self.before = before

    def path(self, name):
        """The program of a contestant."""
        if name in (NULL, CONTROL):
            return self.example("null")
        if name == SPINDLE:
            return self.directory / "spindle"
        return pathlib.Path(self.before if name == BEFORE else _executable(name))

    def example(self, name):
        return self.directory / "examples" / name

    def available(self):
        names = [NULL, CONTROL, SPINDLE]
        names += [BEFORE] if self.before else []
        return names + [peer for peer in PEERS if _executable(peer)]


def _executable(peer):
    return shutil.which(peer, path="/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin")


def version(peer):
    """What a peer calls itself."""
    option = {"nginx": "-v", "lighttpd": "-v", "h2o": "--version"}[peer]
    said = subprocess.run([_executable(peer), option], capture_output=True, text=True, check=False)
    words = (said.stdout + said.stderr).replace("/", " ").split()
    return next(f"{peer} {word}" for word in words if word[0].isdigit())


class Server:
    """A running contestant."""

    def __init__(self, name, binaries, root, null_arguments=(), shares_root=False):
        self.name = name
        self.port = client.free_port()
        self._run = tempfile.TemporaryDirectory(prefix="bench-")
        served = [root] if shares_root else ["--directory", root / "files"]
        arguments = _arguments(name, binaries, root, self.port, self._run.name, null_arguments, served)
        with open(pathlib.Path(self._run.name, "said"), "wb") as log:
            self.process = process.start(arguments, process.SERVER_CORE, stdout=subprocess.DEVNULL, stderr=log)
        try:
            client.wait_for(self.port, self.process)
        except client.Mismatch as mismatch:
            said = pathlib.Path(self._run.name, "said").read_text(errors="replace")
            self.stop()
            raise client.Mismatch(f"{name}: {mismatch}; it said: {said}") from None

    @functools.cached_property
    def pids(self):
        """Its processes. Only once it has answered is it sure that all are there."""
        return process.family(self.process.pid)

    @property
    def worker(self):
        """The process that serves: nginx has a master before it, h2o a helper behind it."""
        return self.pids[1] if self.name == "nginx" else self.pids[0]

    def cpu_ns(self):
        return process.cpu_ns(self.pids)

    def resident_bytes(self):
        return process.resident_bytes(self.worker)

    def stop(self):
        process.stop(self.process)
        self._run.cleanup()


def _arguments(name, binaries, root, port, run, null_arguments, served):
    if name in (NULL, CONTROL):
        return [binaries.path(name), port, *null_arguments]
    if name in (SPINDLE, BEFORE):
        address = ["--bind", "127.0.0.1", "--port", port]
        return [binaries.path(name), *address, "--idle-timeout", "3600", "--quiet", *served]
    configuration = pathlib.Path(run, "configuration")
    template = {"nginx": NGINX, "lighttpd": LIGHTTPD, "h2o": H2O}[name]
    configuration.write_text(template.format(port=port, root=root, run=run, user=getpass.getuser()))
    options = {"nginx": ["-c"], "lighttpd": ["-D", "-f"], "h2o": ["-c"]}[name]
    return [binaries.path(name), *options, configuration]
