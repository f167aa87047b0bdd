"""Starting the programs that are measured, and reading what they cost from /proc."""

import http.client
import os
import signal
import socket
import subprocess
import time
from pathlib import Path


class Trouble(Exception):
    """Something that ends the run; the text says what and where to look."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Program:
    """A running program, pinned to one core, with its output in a file."""

    def __init__(
        self,
        name: str,
        command: list[str],
        core: int,
        log: Path,
        environment: dict[str, str] | None = None,
        quiet: bool = False,
    ):
        self.name, self.log = name, log
        output = open(os.devnull if quiet else log, "wb")
        errors = open(log, "wb") if quiet else subprocess.STDOUT
        self.process = subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )

    def wait_for(self, port: int, path: str, seconds: float = 20.0) -> None:
        """Until GET on the port answers 200."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
                connection.request("GET", path)
                if connection.getresponse().status == 200:
                    return
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.02)
        tail = self.log.read_text(errors="replace")[-800:] if self.log.exists() else ""
        raise Trouble(f"{self.name} did not come up on port {port} (log: {self.log})\n{tail}")

    def stop(self) -> None:
        """Asks the program to end, and ends it when it does not."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def family(self) -> list[int]:
        """The process and its children (nginx works in a child)."""
        pids, fresh = [], [self.process.pid]
        while fresh:
            pid = fresh.pop()
            pids.append(pid)
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                fresh.extend(int(child) for child in task.read_text().split())
        return pids

    def cpu(self) -> int:
        """Nanoseconds that all threads of the family have spent on a processor."""
        return sum(
            int(stat.read_text().split()[0])
            for pid in self.family()
            for stat in Path(f"/proc/{pid}/task").glob("*/schedstat")
        )

    def memory(self) -> int:
        """Bytes of the family in memory (RSS)."""
        total = 0
        for pid in self.family():
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1]) * 1024
        return total
