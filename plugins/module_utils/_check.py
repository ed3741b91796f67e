# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the checks of a running stack share: their options, their result, the clock, and what must not be shown.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import datetime
import re
import time
import typing as t
import urllib.parse
from dataclasses import asdict, dataclass

from ._stack import COMPOSE

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ._engine import Container, Engine
    from ._stack import Service, Stack

# Documented in plugins/doc_fragments/_check.py.
CHECK_OPTIONS: dict[str, t.Any] = {
    "stack": {"type": "str", "required": True},
    "stack_profiles": {"type": "list", "elements": "str", "default": []},
    "fail_on_findings": {"type": "bool", "default": False},
}

EXCERPT = 300
SECRET_NAMES = re.compile(r"PASS|PWD|SECRET|KEY|TOKEN|CREDENTIAL|AUTH|SALT|PRIVATE|SIGNATURE", re.IGNORECASE)
# Names of things, which profiles list because they have to travel with the data.
OPEN_NAMES = re.compile(r"PREFIX|NAME|PUBLIC", re.IGNORECASE)
# Values that say nothing, under names that sound secret: hiding them would only garble what is shown.
HARMLESS = frozenset({"true", "false", "none", "null"})
SHORTEST_SECRET = 4
ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-Z\\-_]")
TIME = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(\.\d+)?(Z|z|[+-]\d\d:\d\d)")
NEVER_RESTARTED = ("", "no", "on-failure")
COMPLETED = "service_completed_successfully"


@dataclass(frozen=True)
class Check:
    """One line of the checklist. ``severity`` (error or warning) says how bad it is when ``ok`` is false."""

    check: str
    subject: str
    ok: bool
    detail: str
    severity: str = "error"
    remedy: str = ""

    @property
    def failed(self) -> bool:
        return not self.ok and self.severity == "error"


def outcome(checks: Sequence[Check]) -> dict[str, t.Any]:
    """Return the result of a module that made these checks."""
    failed = sum(check.failed for check in checks)
    return {"ok": failed == 0, "failed_checks": failed, "checks": [asdict(check) for check in checks]}


def message(stack: str, checks: Sequence[Check]) -> str:
    """Say what failed, in one line."""
    return " ".join(
        [
            f"Stack {stack} is not in order.",
            *(f"{check.subject}, {check.check}: {check.detail}. {check.remedy}" for check in checks if check.failed),
        ]
    ).rstrip()


@dataclass(frozen=True)
class Clock:
    """The time, as the checks see it."""

    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


def unix_time(text: str) -> float:
    """Return the Unix time of an RFC 3339 time, or of a number; raise ValueError for anything else."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    match = TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is neither a Unix time nor one like 2026-11-21T02:00:00Z")
    # The engine writes nanoseconds, which datetime refuses.
    whole, fraction, zone = match.groups()
    moment = datetime.datetime.fromisoformat(whole + (zone if zone not in "Zz" else "+00:00"))
    return moment.timestamp() + float(fraction or 0)


def subject(stack: Stack, service: Service) -> str:
    """Return the name of a service, with its container's where the service has several."""
    alone = sum(other.name == service.name for other in stack.services) == 1
    return service.name if alone else f"{service.name} ({service.container.name})"


def has_finished(engine: Engine, stack: Stack, service: Service) -> bool:
    """Tell a container that has done its work and ended well from a service that was stopped."""
    container = service.container
    if container.state != "exited":
        return False
    facts = engine.inspect(container.id)
    if facts["State"].get("ExitCode") != 0:
        return False
    conditions = {condition for other in stack.services for condition in _conditions(other.container, service.name)}
    if COMPLETED in conditions:
        return True
    policy = (facts["HostConfig"].get("RestartPolicy") or {}).get("Name") or ""
    if conditions or policy not in NEVER_RESTARTED or facts["Config"].get("Healthcheck"):
        return False
    needed = [database.container for database in stack.databases]
    # Any container of a Redis image is listed; those that an application uses have its profile.
    needed += [cache.container for cache in stack.redis if cache.profiles]
    if any(other is not None and other.id == container.id for other in needed):
        return False
    # Compose files often carry a service that only lends its image and settings to others, and ends at once.
    return service.rule is None or any(
        (other.profile, other.rule) == (service.profile, service.rule) and other.container.running
        for other in stack.services
    )


def _conditions(container: Container, service: str) -> list[str]:
    """Return on which conditions a container depends on a service."""
    entries = [entry.split(":") for entry in container.labels.get(COMPOSE + "depends_on", "").split(",")]
    return [entry[1] for entry in entries if entry[0] == service and len(entry) > 1]


class Mask:
    """Replaces the secrets of a stack by asterisks, in whatever comes out of its containers."""

    def __init__(self, secrets: Iterable[str]) -> None:
        spellings = {form for secret in secrets for form in (secret, urllib.parse.quote(secret, safe=""))}
        words = [word for word in spellings if len(word) >= SHORTEST_SECRET and word.lower() not in HARMLESS]
        # The longest first: one secret may be a part of another.
        words.sort(key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, words))) if words else None

    def hide(self, text: str) -> str:
        """Return the text without the secrets."""
        return self._pattern.sub("***", text) if self._pattern else text

    def excerpt(self, text: str, limit: int = EXCERPT) -> str:
        """Return a piece of text fit to be shown: one line, no control characters, no secrets, not too long."""
        plain = "".join(char if char.isprintable() else " " for char in ESCAPES.sub("", text))
        # Hidden before it is cut: half a secret is still one.
        line = self.hide(" ".join(plain.split()))
        return line if len(line) <= limit else line[: limit - 1] + "…"


def mask_of(stack: Stack) -> Mask:
    """Return the mask for everything that the containers of a stack keep secret in their environments."""
    named = {secret.name for profile in stack.profiles for secret in profile.secrets}
    secrets = [database.password for database in stack.databases if database.password]
    secrets += [cache.password for cache in stack.redis if cache.password]
    for service in stack.services:
        secrets += _secrets(service.container.env, named)
    return Mask(secrets)


def _secrets(env: Mapping[str, str], named: set[str]) -> list[str]:
    found = [
        value
        for name, value in env.items()
        if (name in named or SECRET_NAMES.search(name)) and not OPEN_NAMES.search(name)
    ]
    for value in env.values():
        # Connection strings carry their password under harmless names.
        for password in re.findall(r"://[^/@\s]*?:([^/@\s]+)@", value):
            found += [password, urllib.parse.unquote(password)]
    return found
