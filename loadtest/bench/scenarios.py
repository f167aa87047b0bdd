"""What is asked of every candidate, and what a right answer looks like."""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from pathlib import Path

SECRET = "load-test-secret-that-guards-nothing-at-all"
# What policy/load.yaml, config/policy.js and config/haproxy.cfg allow the role USER.
ALLOWED = {"openAI": ["gpt-4o-mini"], "MindRoom": ["mindroom-basic"]}
ALL_MODELS = json.loads((Path(__file__).parent.parent / "config" / "models.json").read_text())


@dataclass(frozen=True)
class Scenario:
    """One kind of request: its name in tables, and who can be asked it."""

    name: str
    says: str
    method: str
    path: str
    body: bytes
    refused: bool = False
    # Only candidates that know a policy answer as expected.
    judged: bool = False
    filtered: bool = False
    # It takes from limits where there are some.
    counted: bool = False
    # The scenario whose nginx row this one is compared with.
    yardstick: str = ""

    def wrong(self, status: int, body: bytes, judges: bool) -> str:
        """Why an answer is not the right one; empty when it is."""
        if self.refused:
            if status != 403:
                return f"status {status}, not 403"
            return "" if b"illegal_model_request" in body else f"a refusal of another shape: {body[:120]!r}"
        if status != 200:
            return f"status {status}, not 200: {body[:120]!r}"
        if self.filtered:
            expected = ALLOWED if judges else ALL_MODELS
            return "" if json.loads(body) == expected else f"not the catalogue expected: {body[:120]!r}"
        return "" if body else "an empty answer"


def chat(model: str) -> bytes:
    """A chat request of 1 KB as the web client sends it (capture 140_chat-openAI-mini, with a longer text)."""
    body = {
        "text": "",
        "sender": "User",
        "clientTimestamp": "2026-11-21T05:38:12",
        "isCreatedByUser": True,
        "parentMessageId": "00000000-0000-0000-0000-000000000000",
        "messageId": "d66fd606-5bb0-42d3-b812-ab876543ee65",
        "error": False,
        "endpoint": "openAI",
        "model": model,
        "key": "never",
        "isTemporary": False,
        "isRegenerate": False,
        "isContinued": False,
    }
    words = "Please explain, with an example, why the sky is blue and the sea is too. "
    room = 1024 - len(json.dumps(body))
    body["text"] = (words * (room // len(words) + 1))[:room]
    return json.dumps(body).encode()


CHAT = "/api/agents/chat/openAI"
SCENARIOS = [
    Scenario("pass", "GET passed through, 60 bytes", "GET", "/api/user", b""),
    Scenario("chat", "chat request of 1 KB, allowed", "POST", CHAT, chat("gpt-4o-mini"), counted=True),
    Scenario(
        "refused",
        "chat request of 1 KB, refused",
        "POST",
        CHAT,
        chat("gpt-4o"),
        refused=True,
        judged=True,
        yardstick="chat",
    ),
    Scenario("models", "GET /api/models, filtered", "GET", "/api/models", b"", filtered=True),
]


def token(user: str) -> str:
    """A token as LibreChat signs it: HS256, claims id, username, provider, email, iat, exp; good for ten years."""

    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    now = int(time.time())
    claims = {
        "id": user,
        "username": "user",
        "provider": "local",
        "email": f"{user}@example.edu",
        "iat": now,
        "exp": now + 315_360_000,
    }
    text = part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()) + "." + part(json.dumps(claims).encode())
    return text + "." + part(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest())


def people(count: int) -> list[str]:
    """User ids in LibreChat's form, 24 hexadecimal digits."""
    return [hashlib.sha256(f"person {number}".encode()).hexdigest()[:24] for number in range(count)]
