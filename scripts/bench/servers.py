"""Configures and starts the servers: each with one worker, without an access log, and with the caches that its users enable."""

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
BASELINE = "spindle baseline"
OTHERS = ("nginx", "lighttpd", "h2o")

# The fastest settings of nginx. With tcp_nopush each file takes two more calls, and a 1 MiB file takes more than twice as long.
# For files of up to a few KiB, reading is cheaper than sendfile.
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
    """Paths of the programs that were built here, and of the other servers."""

    def __init__(self, directory, baseline):
        self.directory = pathlib.Path(directory)
        self.baseline = baseline

    def path(self, name):
        """The program of a server."""
        if name in (NULL, CONTROL):
            return self.example("null")
        if name == SPINDLE:
            return self.directory / "spindle"
        return pathlib.Path(self.baseline if name == BASELINE else _executable(name))

    def example(self, name):
        return self.directory / "examples" / name

    def available(self):
        names = [NULL, CONTROL, SPINDLE]
        names += [BASELINE] if self.baseline else []
        return names + [other for other in OTHERS if _executable(other)]


def _executable(name):
    return shutil.which(name, path="/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin")


def version(name):
    """The name of a server with its version."""
    option = {"nginx": "-v", "lighttpd": "-v", "h2o": "--version"}[name]
    output = subprocess.run([_executable(name), option], capture_output=True, text=True, check=False)
    words = (output.stdout + output.stderr).replace("/", " ").split()
    return next(f"{name} {word}" for word in words if word[0].isdigit())


class Server:
    """A running server."""

    def __init__(self, name, binaries, root, null_arguments=(), shares_root=False, options=(), unix_socket=False, port=None):
        self.name = name
        self.port = port or client.free_port()
        self._run = tempfile.TemporaryDirectory(prefix="bench-")
        served = [root] if shares_root else ["--directory", root / "files"]
        arguments = _arguments(name, binaries, root, self.port, self._run.name, null_arguments, served)
        if unix_socket:
            at = arguments.index("--bind")
            arguments[at : at + 4] = ["--listen", f"127.0.0.1:{self.port}", "--listen", f"unix:{self._run.name}/socket"]
        # Only of spindle. `{run}` becomes a directory that exists as long as the server.
        arguments += [option.format(run=self._run.name) for option in options]
        self.run = self._run.name
        with open(pathlib.Path(self._run.name, "output"), "wb") as log:
            self.process = process.start(arguments, process.SERVER_CORE, stdout=subprocess.DEVNULL, stderr=log)
        try:
            client.wait_for(self.port, self.process)
        except client.MeasurementFailed as failure:
            output = pathlib.Path(self._run.name, "output").read_text(errors="replace")
            self.stop()
            raise client.MeasurementFailed(f"{name}: {failure}; its output: {output}") from None

    @functools.cached_property
    def pids(self):
        """The server's processes. The list is only complete once the server has responded to a request."""
        return process.process_tree(self.process.pid)

    @property
    def worker(self):
        """The process that serves: nginx starts it from a master process, and h2o starts a helper from it."""
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
    if name in (SPINDLE, BASELINE):
        address = ["--bind", "127.0.0.1", "--port", port]
        return [binaries.path(name), *address, "--idle-timeout", "3600", "--quiet", *served]
    configuration = pathlib.Path(run, "configuration")
    template = {"nginx": NGINX, "lighttpd": LIGHTTPD, "h2o": H2O}[name]
    configuration.write_text(template.format(port=port, root=root, run=run, user=getpass.getuser()))
    options = {"nginx": ["-c"], "lighttpd": ["-D", "-f"], "h2o": ["-c"]}[name]
    return [binaries.path(name), *options, configuration]
