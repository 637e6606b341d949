#!/usr/bin/env python3
"""Types command lines with the Tab key into an interactive bash, zsh and fish, and compares what the completions in
contrib/completions make of them. A shell that is not installed is named and left out.

Usage: shells.py PATH/TO/spindle. Prints a line for each shell. Exit status: 0, or 1 if a completion is not as expected.
"""

import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

COMPLETIONS = pathlib.Path(__file__).resolve().parents[2] / "contrib/completions"
WAIT_SECONDS = 20

# What is typed after the name of the program, and the arguments that it then gets.
VALUES = {
    "pho\t": ["photos"],
    "my\t": ["my letters"],
    "-d pho\t": ["-d", "photos"],
    "--directory pho\t": ["--directory", "photos"],
    "--directory=pho\t": ["--directory=photos"],
    "--uploads cr\t": ["--uploads", "create"],
    "--uploads=m\t": ["--uploads=manage"],
    "--log-format j\t": ["--log-format", "json"],
    "--bind lo\t": ["--bind", "localhost"],
    "-b lo\t": ["-b", "localhost"],
    "--listen uni\tbo\t": ["--listen", "unix:box.sock"],
    "--listen unix:bo\t": ["--listen", "unix:box.sock"],
    "--admin=unix:bo\t": ["--admin=unix:box.sock"],
    "--trusted-proxy u\t": ["--trusted-proxy", "unix"],
    "--access-log bo\t": ["--access-log", "box.sock"],
    # A flag has no value, so a folder follows. So it does after the last option.
    "--site pho\t": ["--site", "photos"],
    "--uploads create pho\t": ["--uploads", "create", "photos"],
    "-- pho\t": ["--", "photos"],
}


def names(program):
    """The long names of the options that the program lists."""
    usage = subprocess.run([program, "--help"], check=True, capture_output=True, text=True).stdout
    return re.findall(r"^ {2}(?:-\w, | {4})(--[a-z-]+)", usage, re.MULTILINE)


def cases(program):
    options = names(program)
    assert len(options) > 25, options
    typed = dict(VALUES)
    for option in options:
        # Without its last letter, if that leaves no doubt about which option is meant.
        if sum(other.startswith(option[:-1]) for other in options) == 1:
            typed[option[:-1] + "\t"] = [option]
    return typed


class Shell:
    """An interactive shell, in which `spindle` is a function that writes its arguments to a file."""

    def __init__(self, name, directory):
        self.output = pathlib.Path(directory) / "arguments"
        self.transcript = b""
        start, definitions = START[name], DEFINITIONS[name]
        environment = {
            "HOME": str(directory),
            "PATH": os.environ["PATH"],
            "TERM": "dumb",
            "LC_ALL": "C.UTF-8",
            "COMPLETIONS": str(COMPLETIONS),
            "OUTPUT": str(self.output),
        }
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.chdir(pathlib.Path(directory) / "files")
            os.execvpe(start[0], start, environment)
        for line in definitions:
            self.type(line + "\n")
        self.arguments("ready")

    def type(self, text):
        os.write(self.terminal, text.encode())

    def arguments(self, typed):
        """The arguments that the program gets from this line."""
        self.output.unlink(missing_ok=True)
        self.type("spindle " + typed + "\n")
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            # The output must be read, or the shell would wait for it.
            if select.select([self.terminal], [], [], 0.01)[0]:
                self.transcript += os.read(self.terminal, 65536)
            if self.output.exists() and (text := self.output.read_text()).endswith("\n.\n"):
                return text.splitlines()[:-1]
        raise TimeoutError(f"nothing happens after {typed!r}; the terminal shows {self.transcript[-500:]!r}")

    def end(self):
        os.close(self.terminal)
        os.waitpid(self.process, 0)


START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "--no-rcs", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
POSIX_FUNCTION = """spindle() { printf '%s\\n' "$@" . >"$OUTPUT"; }"""
DEFINITIONS = {
    "bash": [POSIX_FUNCTION, 'source "$COMPLETIONS/spindle.bash"'],
    "zsh": ["fpath=($COMPLETIONS $fpath)", "autoload -Uz compinit", "compinit -u -D", POSIX_FUNCTION],
    "fish": ["function spindle; printf '%s\\n' $argv . >$OUTPUT; end", 'source "$COMPLETIONS/spindle.fish"'],
}


def without_suffix(argument):
    """zsh adds = to an option that takes a value, and all of them add a slash to a directory."""
    return argument.rstrip("/=")


def check(name, typed):
    with tempfile.TemporaryDirectory() as directory:
        files = pathlib.Path(directory) / "files"
        for name_of_directory in ["photos", "my letters"]:
            (files / name_of_directory).mkdir(parents=True)
        (files / "box.sock").touch()
        shell = Shell(name, directory)
        failures = []
        for line, expected in typed.items():
            arguments = [without_suffix(argument) for argument in shell.arguments(line)]
            if arguments != expected:
                failures.append(f"{line!r}: expected {expected}, got {arguments}")
        shell.end()
    return failures


def main():
    typed = cases(sys.argv[1])
    status = 0
    for name in START:
        if shutil.which(name) is None:
            print(f"  {name} is not installed: its completions are not tried")
            continue
        failures = check(name, typed)
        print(f"  {'FAIL' if failures else 'ok'}    {name} completes {len(typed) - len(failures)} of {len(typed)} command lines")
        for failure in failures:
            print(f"        | {failure}")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
