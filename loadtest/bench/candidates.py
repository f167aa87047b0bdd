"""The programs that are compared: how each is configured, started and told apart."""

import http.client
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .processes import Program, Trouble, free_port
from .scenarios import ALLOWED, ALL_MODELS, SECRET, Scenario, token

HOME = Path(__file__).parent.parent
MODULES = [Path("/usr/lib/nginx/modules"), Path("/usr/lib64/nginx/modules"), Path("/usr/share/nginx/modules")]
# The ids of limits/limits.yaml.
LIMITS = {"minute", "day", "month", "parallel"}
# Seconds in which the turns of a measurement are settled, at the latest.
SETTLED = 120
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"


@dataclass
class Bench:
    """Where a run keeps its files, and what all candidates share."""

    run: Path
    people: list[str]
    tollgate: Path
    untrained: Path
    say: Callable[[str], None]
    warm_up: list[Scenario] = field(default_factory=list)
    upstream_port: int = 0
    streams_port: int = 0
    programs: list[Program] = field(default_factory=list)

    def write(self, name: str, text: str) -> Path:
        path = self.run / name
        path.write_text(text)
        return path

    def render(self, name: str, **values: object) -> Path:
        """A file of config/ with its @NAMES@ filled in."""
        text = (HOME / "config" / name).read_text()
        kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        paths = "\n    ".join(f"{kind}_temp_path {self.run}/{Path(name).stem}-{kind};" for kind in kinds)
        shared = {"RUN": self.run, "UPSTREAM": self.upstream_port, "SECRET": SECRET, "TEMPORARY": paths}
        for key, value in {**shared, **values}.items():
            text = text.replace(f"@{key}@", str(value))
        return self.write(name, text)

    def start(self, name: str, command: list[str], core: int, **more: object) -> Program:
        program = Program(name, command, core, self.run / f"{name}.out", **more)
        self.programs.append(program)
        return program

    def stop(self) -> None:
        for program in reversed(self.programs):
            program.stop()
        self.programs.clear()

    def prepare(self) -> None:
        """Writes what does not change between starts: tokens, people, filtered catalogues."""
        self.write("tokens.txt", "".join(token(user) + "\n" for user in self.people))
        self.write("people.js", "export default " + json.dumps(dict.fromkeys(self.people, "USER")) + ";\n")
        self.write("people.map", "".join(f"{user} USER\n" for user in self.people))
        self.write(
            "allowed.map",
            "".join(f"USER|{endpoint}|{model} yes\n" for endpoint, models in ALLOWED.items() for model in models),
        )
        self.write("models.USER.json", json.dumps(ALLOWED, separators=(",", ":")))

    def start_upstream(self) -> None:
        """The upstream and its streams, on the core of the clients."""
        self.upstream_port, self.streams_port = free_port(), free_port()
        self.start("streams", ["python3", str(HOME / "bench" / "stream_upstream.py"), str(self.streams_port)], 1)
        models = json.dumps(ALL_MODELS, separators=(",", ":"))
        config = self.render("upstream.conf", PORT=self.upstream_port, STREAMS=self.streams_port, MODELS=models)
        self.start("upstream", [NGINX, "-e", str(self.run / "upstream.log"), "-c", str(config)], 1).wait_for(
            self.upstream_port, "/health"
        )


class Candidate:
    """A program between the client and the upstream."""

    name = ""
    says = ""
    # Whether it judges requests; one that does not takes part only in what needs no judgement.
    judges = True
    # Whether it counts limits; one that does takes part in the chat requests alone, which take from them.
    counts = False

    def __init__(self, bench: Bench):
        self.bench = bench
        self.port = 0
        self.program: Program | None = None

    def takes(self, scenario: Scenario) -> bool:
        """Whether it takes part in this."""
        return scenario.counted if self.counts else self.judges or not scenario.judged

    def cpu(self) -> int:
        """Nanoseconds on a processor, of all that it needs."""
        return self.program.cpu()

    def finish(self) -> None:
        """Waits, when a measurement is over, for what it has begun, and checks that it did what it says."""

    def missing(self) -> str:
        """What is not installed, or nothing."""
        return ""

    def prepare(self) -> None:
        """Once, before the first start."""

    def start(self) -> None:
        self.port = free_port()
        self.program = self.launch()
        self.program.wait_for(self.port, "/health")

    def launch(self) -> Program:
        raise NotImplementedError


class Direct(Candidate):
    name, says, judges = "direct", "the upstream itself, with nothing between", False

    def start(self) -> None:
        self.port = self.bench.upstream_port
        self.program = next(program for program in self.bench.programs if program.name == "upstream")


class Nginx(Candidate):
    name, says, judges = "nginx", "nginx as a plain proxy: the yardstick", False

    def missing(self) -> str:
        return "" if Path(NGINX).exists() else "nginx"

    def launch(self) -> Program:
        config = self.bench.render("nginx.conf", PORT=self.port)
        return self.bench.start("nginx", [NGINX, "-e", str(self.bench.run / "nginx.log"), "-c", str(config)], 0)


class Tollgate(Candidate):
    name, says = "tollgate", "Tollgate with token, directory, policy and records on, as its image has it (deploy/build)"
    admin_port = 0

    @property
    def binary(self) -> Path:
        return self.bench.tollgate

    def missing(self) -> str:
        return "" if self.binary.exists() else str(self.binary)

    def prepare(self) -> None:
        data = self.bench.run / f"{self.name}-data"
        for number, user in enumerate(self.bench.people, 1):
            if number % 100 == 0:
                self.bench.say(f"tollgate: {number} of {len(self.bench.people)} people in the directory")
            command = [
                str(self.binary),
                "users",
                "set",
                user,
                "--email",
                f"{user}@example.edu",
                "--role",
                "USER",
                "--data",
                str(data),
            ]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                raise Trouble(f"`{' '.join(command)}` ended with {done.returncode}: {done.stderr.strip()}")

    def policies(self) -> Path:
        """The directory of its policy."""
        return HOME / "policy"

    def environment(self) -> dict[str, str]:
        """Its secret, and nothing that this machine's own environment says of a Redis."""
        return {"JWT_SECRET": SECRET, "TOLLGATE_REDIS": "off"}

    def launch(self) -> Program:
        self.admin_port = free_port()
        command = [
            str(self.binary),
            "serve",
            "--config",
            str(HOME / "tollgate.yaml"),
            "--listen",
            f"127.0.0.1:{self.port}",
            "--admin",
            f"127.0.0.1:{self.admin_port}",
            "--upstream",
            f"http://127.0.0.1:{self.bench.upstream_port}",
            "--policies",
            str(self.policies()),
            "--data",
            str(self.bench.run / f"{self.name}-data"),
        ]
        # Its records go to standard output, a line each, which nobody reads here.
        return self.bench.start(self.name, command, 0, environment=self.environment(), quiet=True)


class Untrained(Tollgate):
    name, says = "untrained", "the same Tollgate from cargo build --release"

    @property
    def binary(self) -> Path:
        return self.bench.untrained


class Limits(Tollgate):
    name, says, counts = "limits", "the same Tollgate with four limits for each user, counted in its data directory", True

    def prepare(self) -> None:
        super().prepare()
        self.policies().mkdir()
        for part in [HOME / "policy" / "load.yaml", HOME / "limits" / "limits.yaml"]:
            shutil.copy(part, self.policies())

    def policies(self) -> Path:
        return self.bench.run / f"{self.name}-policy"

    def finish(self) -> None:
        """Until all turns are settled; the counters of the first person are to say so."""
        end = time.monotonic() + SETTLED
        while "\ntollgate_turns_open 0\n" not in self.get(self.admin_port, "/metrics"):
            if time.monotonic() > end:
                raise Trouble(f"{self.name}: turns are still open after {SETTLED} s (log: {self.program.log})")
            time.sleep(0.05)
        told = self.get(self.port, "/api/v1/me/limits")
        used = {limit["id"]: float(limit["used"]) for limit in json.loads(told)["limits"]}
        # A rate leaks; what is spent in a day and in a month stays.
        if set(used) != LIMITS or not used["day"] or not used["month"] or used["parallel"]:
            raise Trouble(f"{self.name} has not counted: {told}")

    def get(self, port: int, path: str) -> str:
        """An answer of Tollgate's own."""
        token = (self.bench.run / "tokens.txt").read_text().split("\n", 1)[0]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", path, None, {"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        if answer.status != 200:
            raise Trouble(f"{self.name} answers {path} with {answer.status}: {text[:300]}")
        return text


class LimitsRedis(Limits):
    name, says = "limits+redis", "the same, counted in a Redis on the same core, whose time is counted, too"

    def __init__(self, bench: Bench):
        super().__init__(bench)
        self.redis: Program | None = None
        self.redis_port = 0

    def missing(self) -> str:
        return super().missing() or ("" if shutil.which("redis-server") else "redis-server")

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "TOLLGATE_REDIS": f"redis://127.0.0.1:{self.redis_port}"}

    def launch(self) -> Program:
        self.redis_port = free_port()
        arguments = ["--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        arguments += ["--dir", str(self.bench.run)]
        self.redis = self.bench.start("redis", ["redis-server", *arguments], 0)
        return super().launch()

    def cpu(self) -> int:
        return super().cpu() + self.redis.cpu()


class Njs(Candidate):
    name, says = "nginx+njs", "nginx with the policy in njs"

    def module(self) -> Path | None:
        return next((path for home in MODULES if (path := home / "ngx_http_js_module.so").exists()), None)

    def missing(self) -> str:
        return "" if self.module() else "libnginx-mod-http-js"

    def launch(self) -> Program:
        self.bench.render("policy.js")
        config = self.bench.render("njs.conf", PORT=self.port, MODULE=self.module())
        return self.bench.start("njs", [NGINX, "-e", str(self.bench.run / "njs.log"), "-c", str(config)], 0)


class Haproxy(Candidate):
    name, says = "haproxy", "haproxy with the policy in rules; the catalogue from a file"

    def missing(self) -> str:
        return "" if shutil.which("haproxy") else "haproxy"

    def launch(self) -> Program:
        config = self.bench.render("haproxy.cfg", PORT=self.port)
        return self.bench.start("haproxy", [shutil.which("haproxy"), "-db", "-f", str(config)], 0)


ALL = [Direct, Nginx, Tollgate, Limits, LimitsRedis, Untrained, Njs, Haproxy]
