"""What the services share: where tools are kept, how programs are obtained, started, waited for and stopped."""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve() / "tools"


class Missing(Exception):
    """Something is needed that is not there and cannot be obtained. The text says what to do."""


def say(text):
    print(f"tests: {text}", file=sys.stderr, flush=True)


def obtain(program, package, why):
    """The path of a program; installs its Debian package where there is none and we may."""
    # Servers are in /usr/sbin, which is not on the PATH of everybody.
    places = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
    found = shutil.which(program, path=places)
    if found:
        return found
    install(package, f"{program}, which {why}")
    found = shutil.which(program, path=places)
    if not found:
        raise Missing(f"{package} was installed, but there is still no {program} on the PATH")
    return found


def install(package, what):
    """Installs a Debian package, or says that somebody must."""
    advice = f"needs {what}. Install it (Debian: apt-get install {package}) and run this again."
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise Missing(advice)
    say(f"installing {package} with apt-get")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # No service of the machine's own is wanted, only the program: ours run on ports of their own.
    steps = [["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package]]
    for step in steps:
        done = subprocess.run(step, env=quiet, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise Missing(f"{advice} ({' '.join(step)} failed: {done.stderr.strip()[-400:]})")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Service:
    """A program that runs until it is stopped. It ends with us, however we end."""

    def __init__(self, name, arguments, log):
        self.name, self.log = name, Path(log)
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, preexec_fn=end_with_parent
            )

    def wait_until(self, ready, what, limit=60.0):
        """Asks `ready` until it says yes. A service that has ended, or takes too long, is a failure with its log."""
        end = time.monotonic() + limit
        while True:
            if self.process.poll() is not None:
                raise Missing(f"{self.name} ended with code {self.process.returncode}:\n{self.tail()}")
            try:
                if ready():
                    return
            except (OSError, ValueError):
                pass
            if time.monotonic() > end:
                raise Missing(f"{self.name}: not {what} after {limit:.0f} s:\n{self.tail()}")
            try:
                self.process.wait(0.05)
            except subprocess.TimeoutExpired:
                pass

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def tail(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])


def end_with_parent():
    """Asks Linux to end this process when the one that started it ends."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
