"""A real redis-server without persistence."""

import socket
from pathlib import Path

from process import Service, free_port, obtain


def start(directory):
    """Starts redis-server with its data in `directory` and returns it and its URI once it answers PONG."""
    program = obtain("redis-server", "redis-server", "the installation that the tests run against")
    port = free_port()
    data = Path(directory) / "redis"
    data.mkdir()
    arguments = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(data), "--save", ""]
    arguments += ["--appendonly", "no"]
    service = Service("redis-server", arguments, Path(directory) / "redis.log")
    try:
        service.wait_until(lambda: answers(port), "answering PONG")
    except BaseException:
        service.stop()
        raise
    return service, f"redis://127.0.0.1:{port}"


def answers(port):
    with socket.create_connection(("127.0.0.1", port), timeout=2.0) as server:
        server.sendall(b"PING\r\n")
        return server.recv(7) == b"+PONG\r\n"
