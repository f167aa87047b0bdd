"""One measurement each: a rate with its cost, a latency, the memory of idle streams. Every one checks the answers."""

import asyncio
import http.client
import json
import subprocess
import time
from pathlib import Path

from .candidates import HOME, Bench, Candidate
from .processes import Trouble
from .scenarios import Scenario


def probe(bench: Bench, candidate: Candidate, scenario: Scenario) -> None:
    """One request whose answer is read and judged."""
    token = (bench.run / "tokens.txt").read_text().split("\n", 1)[0]
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    if scenario.body:
        headers["Content-Type"] = "application/json"
    connection = http.client.HTTPConnection("127.0.0.1", candidate.port, timeout=5)
    connection.request(scenario.method, scenario.path, scenario.body or None, headers)
    answer = connection.getresponse()
    fault = scenario.wrong(answer.status, answer.read(), candidate.judges)
    connection.close()
    if fault:
        raise Trouble(f"{candidate.name} gives a wrong answer to `{scenario.name}`: {fault}")


def wrk(bench: Bench, candidate: Candidate, scenario: Scenario, connections: int, seconds: int, pause: int = 0) -> dict:
    """Runs wrk on the clients' core and returns its RESULT line. Wrong answers are counted under `wrong`."""
    body = bench.run / f"{scenario.name}.body"
    body.write_bytes(scenario.body)
    command = [
        "taskset",
        "-c",
        "1",
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        "--timeout",
        "10s",
        "-s",
        str(HOME / "config" / "chat.lua"),
        f"http://127.0.0.1:{candidate.port}",
        "--",
        scenario.method,
        scenario.path,
        str(body),
        str(bench.run / "tokens.txt"),
    ]
    if pause:
        command.append(str(pause))
    done = subprocess.run(command, capture_output=True, text=True)
    line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise Trouble(f"wrk said nothing for {candidate.name}, {scenario.name}: {done.stdout}{done.stderr}")
    result = json.loads(line.removeprefix("RESULT "))
    if result["requests"] == 0:
        raise Trouble(f"{candidate.name} answered no request of `{scenario.name}`")
    right = result["refused"] if scenario.refused else result["requests"] - result["refused"]
    result["wrong"] = result["requests"] - right + result["broken"]
    return result


def rate(bench: Bench, candidate: Candidate, scenario: Scenario, seconds: int) -> dict:
    """Requests per second at 64 connections, and processor time of the candidate for each, in microseconds."""
    probe(bench, candidate, scenario)
    before = candidate.cpu()
    result = wrk(bench, candidate, scenario, 64, seconds)
    candidate.finish()
    spent = candidate.cpu() - before
    probe(bench, candidate, scenario)
    return {
        "rate": result["requests"] / (result["duration"] / 1e6),
        "cpu": spent / 1e3 / result["requests"],
        "requests": result["requests"],
        "wrong": result["wrong"],
    }


def latency(bench: Bench, candidate: Candidate, scenario: Scenario, seconds: int) -> dict:
    """Percentiles in microseconds at about 300 requests a second over 8 connections."""
    result = wrk(bench, candidate, scenario, 8, seconds, pause=26)
    candidate.finish()
    return {
        "p50": result["p50"],
        "p99": result["p99"],
        "requests": result["requests"],
        "wrong": result["wrong"],
        "rate": result["requests"] / (result["duration"] / 1e6),
    }


async def open_stream(port: int, number: int, token: str) -> asyncio.StreamWriter:
    """Opens one stream and reads its first event."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    stream = f"00000000-0000-4000-8000-{number:012x}"
    writer.write(
        f"GET /api/agents/chat/stream/{stream} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Authorization: Bearer {token}\r\nAccept: text/event-stream\r\n\r\n".encode()
    )
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
    if b" 200 " not in head.split(b"\r\n", 1)[0]:
        raise Trouble(f"stream {number}: {head.splitlines()[0].decode()}")
    await asyncio.wait_for(reader.readuntil(b"\n\n"), 20)
    return writer


async def fill(candidate: Candidate, tokens: list[str], count: int) -> tuple[int, int]:
    """Opens `count` streams, fifty at a time; returns bytes in memory with them open, and after closing them again."""
    writers = []
    for start in range(0, count, 50):
        numbers = range(start, min(start + 50, count))
        writers += await asyncio.gather(
            *(open_stream(candidate.port, number, tokens[number % len(tokens)]) for number in numbers)
        )
    filled = candidate.program.memory()
    for writer in writers:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)
    # Memory goes back, if it does, some time after the connections.
    await asyncio.sleep(2)
    return filled, candidate.program.memory()


def streams(bench: Bench, candidate: Candidate, count: int) -> dict:
    """KiB for each of `count` idle streams, on a candidate just started: filled once, and filled again after closing."""
    tokens = (bench.run / "tokens.txt").read_text().split()
    for scenario in bench.warm_up:
        wrk(bench, candidate, scenario, 8, 1)
    before = candidate.program.memory()
    first, _ = asyncio.run(fill(candidate, tokens, count))
    second, after = asyncio.run(fill(candidate, tokens, count))
    return {
        "before": before,
        "first": (first - before) / count / 1024,
        "second": (second - before) / count / 1024,
        "kept": (after - before) / count / 1024,
    }


def spread(values: list[float]) -> float:
    """Half the distance between the largest and the smallest, as a part of their middle."""
    low, high = min(values), max(values)
    return (high - low) / (high + low) if high + low else 0.0


def machine() -> list[str]:
    """What the figures were taken on, a line each."""

    def first(command: list[str]) -> str:
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except OSError:
            return ""
        return (done.stdout or done.stderr).strip().split("\n")[0]

    models = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    system = next(
        (
            line.split("=", 1)[1].strip('"')
            for line in Path("/etc/os-release").read_text().splitlines()
            if line.startswith("PRETTY_NAME=")
        ),
        "",
    )
    commit = first(["git", "-C", str(HOME), "rev-parse", "--short=12", "HEAD"])
    return [
        f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC, commit {commit}",
        f"{len(models)} x {models[0] if models else 'unknown processor'}; {system}, kernel {first(['uname', '-r'])}",
        "; ".join(
            filter(
                None,
                [first(["nginx", "-v"]), first(["haproxy", "-v"]).split(" 2")[0], first(["wrk", "-v"]).split(" [")[0]],
            )
        ),
    ]
