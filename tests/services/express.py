"""Express and its parsers in the versions that LibreChat locks, for tests that ask what LibreChat would read.

Nothing is started here: the tests start Node themselves, as often as they need it.
"""

import shutil
import subprocess

from process import ROOT, TOOLS, Missing, obtain, say

SOURCES = ROOT / "tests" / "express"
KEPT = TOOLS / "express"
FILES = ["package.json", "package-lock.json"]


def start(_directory):
    """The folder in which the packages of tests/express are installed, in the versions of its lock file."""
    for program, package in [("node", "nodejs"), ("npm", "npm")]:
        obtain(program, package, "the tests need to ask Express what it reads")
    if not up_to_date():
        fetch()
    return Installed(), str(KEPT)


class Installed:
    """Packages in a folder: nothing runs, so nothing has to be stopped."""

    name = "express"

    def stop(self):
        pass


def up_to_date():
    return (KEPT / "node_modules").is_dir() and all(
        (KEPT / name).is_file() and (KEPT / name).read_bytes() == (SOURCES / name).read_bytes() for name in FILES
    )


def fetch():
    say("fetching Express with npm into target/tools")
    shutil.rmtree(KEPT, ignore_errors=True)
    aside = TOOLS / "express.new"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for name in FILES:
        shutil.copyfile(SOURCES / name, aside / name)
    # No package's own program is run, and what does not match the lock file's hashes is refused.
    npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(npm, cwd=aside, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise Missing(f"npm could not install tests/express: {done.stderr.strip()[-400:]}")
    # A fetch that breaks off leaves nothing behind that looks whole.
    aside.rename(KEPT)
