# SPDX-License-Identifier: Apache-2.0
"""What the Python tests share: where the program is, how it is run and measured, and the count at the end."""
import os
import re
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
# tests/run.sh sets it to the build under test.
FINEPRUNE = os.environ.get("FINEPRUNE", str(ROOT / "build" / "fineprune"))
# A build with sanitizers is slower and larger: limits of time and memory do not hold for it.
SANITIZED = os.environ.get("FINEPRUNE_SANITIZED") == "1"


class Ran(NamedTuple):
    code: int  # exit code; negative: killed by that signal; None: ran out of time
    out: bytes
    err: str
    seconds: float
    rss: int  # largest resident set, in bytes
    cpu: float  # seconds of processor time

    @property
    def crashed(self):
        """A signal, our own 'internal error', a sanitizer's finding, or no end."""
        return bool(self.code is None or self.code < 0 or self.code == 1 or self.code in (134, 136, 139)
                or re.search(r"(ERROR|SUMMARY): \w+Sanitizer", self.err) or "runtime error:" in self.err)

    def first_line(self):
        return next((line for line in self.err.splitlines() if line.strip()), "")


def leftover(base, number, process=1234567):
    """What a run that is killed leaves of an output, by name (src/base/output.c)."""
    name = f".{base[:200]}.{process}-{number}"
    return f"{name}-{zlib.crc32(b'fineprune' + name.encode()):08x}.part"


def run(*arguments, timeout=60, stdin=None, env=None, cwd=None, preexec_fn=None, pass_fds=()):
    """Runs the program under test and measures it."""
    command = [FINEPRUNE, *map(str, arguments)]
    environment = {**os.environ, "NO_COLOR": "1", **(env or {})}
    start = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=cwd,
                               preexec_fn=preexec_fn, pass_fds=pass_fds)
    watch = _Usage(process)
    try:
        out, err = process.communicate(stdin, timeout=timeout)
        code = process.returncode
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        code = None
    return Ran(code, out, err.decode("utf-8", "replace"), time.monotonic() - start, watch.rss, watch.cpu)


class _Usage:
    """Memory and time of one child: wait4 tells them when the interpreter reaps it."""

    def __init__(self, process):
        self.rss, self.cpu = 0, 0.0
        original = process._try_wait

        def try_wait(flags):
            try:
                pid, status, usage = os.wait4(process.pid, flags)
            except ChildProcessError:
                return original(flags)
            if pid == process.pid:
                self.rss, self.cpu = usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime
            return pid, status

        process._try_wait = try_wait


class Tally:
    """Counts cases; prints the ones that fail; finish() adds the count to the file that tests/run.sh sums up."""

    def __init__(self, name):
        self.name, self.passed, self.failed, self.skipped = name, 0, 0, 0

    def ok(self, case=None):
        self.passed += 1

    def bad(self, case, why):
        self.failed += 1
        print(f"{self.name}: FAIL {case}: {why}", flush=True)

    def skip(self, case=None, why=None):
        self.skipped += 1
        if why:
            print(f"{self.name}: skip {case}: {why}", flush=True)

    def check(self, case, condition, why):
        if condition:
            self.ok(case)
        else:
            self.bad(case, why)
        return bool(condition)

    def finish(self):
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        print(f"{self.name}: {self.passed} of {self.passed + self.failed} good{skipped}", flush=True)
        path = os.environ.get("FINEPRUNE_TALLY")
        if path:
            with open(path, "a") as file:
                print(self.name, self.passed, self.failed, self.skipped, file=file)
        sys.exit(1 if self.failed or not self.passed else 0)
