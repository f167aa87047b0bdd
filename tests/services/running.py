"""All services at once, for as long as a `with` block lasts."""

import contextlib
import shutil
import signal
import sys
import tempfile

import express
import mongod
import redisd
from process import say

KINDS = {
    "mongo": ("TOLLGATE_TEST_MONGO_URI", mongod.start),
    "redis": ("TOLLGATE_TEST_REDIS_URI", redisd.start),
    "express": ("TOLLGATE_TEST_EXPRESS", express.start),
}


@contextlib.contextmanager
def services(names=tuple(KINDS)):
    """Starts the services, yields the variables that name them, and stops them whatever happens."""
    # A termination from outside runs the clean-up too.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    directory = tempfile.mkdtemp(prefix="tollgate-services-")
    with contextlib.ExitStack() as stack:
        stack.callback(signal.signal, signal.SIGTERM, before)
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        variables = {}
        for name in names:
            variable, start = KINDS[name]
            service, variables[variable] = start(directory)
            stack.callback(service.stop)
            say(f"{service.name} is up: {variables[variable]}")
        yield variables
