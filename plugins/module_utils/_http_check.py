# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask the services of a stack the questions of their profiles, over HTTP.

Only looks. The requests go from this host straight to the containers: no proxy, no redirect is followed.
Header values are secrets and appear nowhere. Standard library only. Private to this collection.
"""

from __future__ import annotations

import http.client
import json
import typing as t
import urllib.parse
from dataclasses import dataclass

from ._check import Check, Clock, has_finished, mask_of, subject
from ._stack_find import find_one

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ._check import Mask
    from ._engine import Container, Engine
    from ._profile import HttpCheck, Profile
    from ._stack import Request as StackRequest
    from ._stack import Service, Stack

POLL = 2.0
LARGEST_ANSWER = 64 * 1024 * 1024
MISSING = object()
# A reverse proxy stands before these services in real life; without its word, those that insist on TLS only redirect.
OWN_HEADERS = {"Accept": "application/json", "User-Agent": "crm.continuity", "X-Forwarded-Proto": "https"}


@dataclass(frozen=True)
class Request:
    """Which stack; how long to try in all, and how long to wait for one answer, in seconds.

    Without ``sessions`` nothing is asked that only paired WhatsApp sessions answer well.
    """

    stack: StackRequest
    timeout: float = 60
    request_timeout: float = 10
    sessions: bool = True


@dataclass(frozen=True)
class Question:
    """A check of a profile, put to one container."""

    service: Service
    check: HttpCheck
    env: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: bytes


class UnansweredError(Exception):
    """A question could not be put; ``remedy`` says what to do, and ``final`` that asking again is of no use."""

    def __init__(self, detail: str, remedy: str, *, final: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.remedy = remedy
        self.final = final


def look(request: Request, engine: Engine, profiles: Mapping[str, Profile], clock: Clock | None = None) -> list[Check]:
    """Ask every question until all is well or the time is over; raise StackError for an unknown stack."""
    clock = clock or Clock()
    stack = find_one(engine, profiles, request.stack)
    asker = _Asker(request, engine, stack)
    found: dict[int, list[Check]] = {}
    open_ = dict(enumerate(_questions(engine, stack, sessions=request.sessions)))
    deadline = clock.monotonic() + request.timeout
    while True:
        for index, question in list(open_.items()):
            found[index], final = asker.ask(question)
            if final:
                del open_[index]
        if not open_ or clock.monotonic() >= deadline:
            return [check for index in sorted(found) for check in found[index]]
        clock.sleep(POLL)


def _questions(engine: Engine, stack: Stack, *, sessions: bool) -> list[Question]:
    return [
        Question(service, check, {**profile.environment, **service.container.env})
        for profile in stack.profiles
        for service in stack.services
        if service.profile == profile.name and service.rule is not None and not has_finished(engine, stack, service)
        for check in service.rule.http
        if sessions or not check.session
    ]


class _Asker:
    """Puts questions to containers."""

    def __init__(self, request: Request, engine: Engine, stack: Stack) -> None:
        self._request = request
        self._engine = engine
        self._stack = stack
        self._mask: Mask = mask_of(stack)

    def ask(self, question: Question) -> tuple[list[Check], bool]:
        """Return what is right or wrong now, and whether asking again could not change it."""
        check, name = question.check, subject(self._stack, question.service)
        try:
            container = self._running(question.service)
            headers = _headers(question)
            if check.each_path is None or check.each_field is None:
                found = [self._judge(container, check, check.path, headers, name)]
            else:
                found = self._ask_each(container, question, headers, check.each_path, check.each_field)
        except UnansweredError as exc:
            return [Check(check.name, name, False, exc.detail, remedy=exc.remedy)], exc.final
        return found, not any(entry.failed for entry in found)

    def _ask_each(
        self, container: Container, question: Question, headers: Mapping[str, str], path: str, field: str
    ) -> list[Check]:
        check, name = question.check, subject(self._stack, question.service)
        answer = self._get(container, check.port, path, headers)
        if answer.status != 200:
            return [self._unexpected(container, check, name, path, answer.status, (200,))]
        listed = _parsed(answer.body)
        values = [_at(entry, field) for entry in listed] if isinstance(listed, list) else [MISSING]
        if any(isinstance(value, (dict, list)) or value is MISSING or value is None for value in values):
            detail = f"GET {path} does not list objects that have {field}"
            return [Check(check.name, name, False, detail, remedy=_logs(container))]
        if not values:
            remedy = "None is needed if there are none yet; otherwise the application does not see its data."
            return [Check(check.name, name, False, f"GET {path} lists nothing", severity="warning", remedy=remedy)]
        return [
            self._judge(
                container,
                check,
                check.path.replace("{value}", urllib.parse.quote(str(value), safe="")),
                headers,
                f"{name}: {self._mask.excerpt(str(value), 80)}",
            )
            for value in values
        ]

    def _judge(self, container: Container, check: HttpCheck, path: str, headers: Mapping[str, str], name: str) -> Check:
        answer = self._get(container, check.port, path, headers)
        if answer.status not in check.status:
            return self._unexpected(container, check, name, path, answer.status, check.status)
        said = f"GET {path} answered {answer.status}"
        if not check.json:
            return Check(check.name, name, True, said)
        document = _parsed(answer.body)
        if document is MISSING:
            return Check(check.name, name, False, f"{said}, but not with JSON", remedy=_logs(container))
        found = {field: _at(document, field) for field in check.json}
        wrong = [
            f"{field} is {self._shown(found[field])}, expected {self._shown(expected)}"
            for field, expected in check.json.items()
            if found[field] != expected or isinstance(found[field], bool) != isinstance(expected, bool)
        ]
        if wrong:
            return Check(check.name, name, False, f"{said}, but {'; '.join(wrong)}", remedy=_logs(container))
        return Check(check.name, name, True, "; ".join(f"{field} is {self._shown(found[field])}" for field in found))

    def _unexpected(
        self, container: Container, check: HttpCheck, name: str, path: str, status: int, wanted: Sequence[int]
    ) -> Check:
        remedy = _logs(container)
        if status in (401, 403) and check.headers:
            remedy = f"Compare {', '.join(check.headers.values())} in its environment with what the application knows."
        expected = " or ".join(map(str, wanted))
        return Check(check.name, name, False, f"GET {path} answered {status}, expected {expected}", remedy=remedy)

    def _shown(self, value: object) -> str:
        if value is MISSING:
            return "missing"
        # In quotes only where a word could be taken for a number or for nothing.
        plain = isinstance(value, str) and value.strip() and _parsed(value) is MISSING
        return self._mask.excerpt(str(value) if plain else json.dumps(value, ensure_ascii=False), 100)

    def _running(self, service: Service) -> Container:
        name = service.container.name
        container = self._engine.container(service.container.id)
        if container is None:
            raise UnansweredError("its container was removed while we looked", "Run the check again.", final=True)
        if container.state == "paused":
            raise UnansweredError(
                "its container is paused", f"Wait if a backup is running, or run docker unpause {name}."
            )
        if not container.running:
            raise UnansweredError("its container does not run", f"Run docker start {name}.", final=True)
        return container

    def _get(self, container: Container, port: int, path: str, headers: Mapping[str, str]) -> Answer:
        """Ask at every place where the container may be reached; the first reason counts when none answers."""
        reasons = []
        for host, place in self._places(container, port):
            try:
                return _fetch(host, place, path, headers, self._request.request_timeout)
            except (OSError, http.client.HTTPException, ValueError) as exc:
                # ValueErrors of http.client quote the header that they refuse.
                words = "the request cannot be sent" if isinstance(exc, ValueError) else _reason(exc)
                reasons.append(f"GET http://{host}:{place}{path} was not answered: {words}")
        if not reasons:
            raise UnansweredError(
                "its container has no address on any network", f"Run docker network connect NETWORK {container.name}."
            )
        raise UnansweredError(reasons[0], _logs(container))

    def _places(self, container: Container, port: int) -> list[tuple[str, int]]:
        facts = self._engine.inspect(container.id)
        mode = facts["HostConfig"].get("NetworkMode") or ""
        if mode == "host":
            return [("127.0.0.1", port)]
        if mode.startswith("container:"):
            other = self._engine.container(mode.partition(":")[2])
            return self._places(other, port) if other is not None else []
        places = [(network.address, port) for network in container.networks if network.address]
        # A rootless engine keeps its networks to itself, but not the published ports.
        published = (facts["NetworkSettings"].get("Ports") or {}).get(f"{port}/tcp") or []
        for entry in published:
            host = entry.get("HostIp", "")
            places.append(("127.0.0.1" if host in ("", "0.0.0.0", "::") else host, int(entry["HostPort"])))
        return places


def _headers(question: Question) -> dict[str, str]:
    headers = dict(OWN_HEADERS)
    for name, variable in question.check.headers.items():
        value = question.env.get(variable)
        if not value:
            raise UnansweredError(
                f"the environment of its container does not set {variable}, which the request needs",
                "Set it, or name another variable in crm_profiles (services, http, headers).",
                final=True,
            )
        if not (value.isascii() and value.isprintable()):
            raise UnansweredError(
                f"{variable} holds characters that a header cannot carry",
                f"Set {variable} to another value.",
                final=True,
            )
        headers[name] = value
    return headers


def _fetch(host: str, port: int, path: str, headers: Mapping[str, str], timeout: float) -> Answer:
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        # What is percent-encoded stays as it is.
        connection.request("GET", urllib.parse.quote(path, safe="/%?&=+,;:@!$'()*~"), headers=dict(headers))
        response = connection.getresponse()
        return Answer(response.status, response.read(LARGEST_ANSWER))
    finally:
        connection.close()


def _reason(exc: Exception) -> str:
    if isinstance(exc, TimeoutError):
        return "it took too long"
    if isinstance(exc, OSError):
        return exc.strerror or str(exc) or type(exc).__name__
    # An answer that is none may hold anything.
    return "the answer was not HTTP"


def _parsed(text: str | bytes) -> t.Any:
    """Return the JSON document that a text holds, or MISSING."""
    try:
        return json.loads(text)
    except ValueError:
        return MISSING


def _at(document: t.Any, path: str) -> t.Any:
    """Return what a JSON document holds at a dotted path, or MISSING."""
    for key in path.split("."):
        if isinstance(document, dict) and key in document:
            document = document[key]
        elif isinstance(document, list) and key.isdecimal() and int(key) < len(document):
            document = document[int(key)]
        else:
            return MISSING
    return document


def _logs(container: Container) -> str:
    return f"See docker logs --tail 50 {container.name}."
