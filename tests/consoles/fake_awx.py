# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A part of the API of AWX, in memory: what the modules of awx.awx need to configure it.

It refuses what AWX refuses, as far as a starter repository may get it wrong: fields that do not exist, names that are
taken, references to nothing, surveys, schedules, injectors and settings of receivers out of shape, playbooks that the
project does not have. It runs no jobs.
"""

from __future__ import annotations

import json
import re
import threading
import zoneinfo
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "token-of-the-fake"
ENCRYPTED = "$encrypted$"
# What AWX asks for in the settings of a receiver of mail.
MAIL = {
    "host",
    "port",
    "username",
    "password",
    "use_tls",
    "use_ssl",
    "sender",
    "recipients",
}
NODES = ("success_nodes", "failure_nodes", "always_nodes")
NOTIFICATIONS = ("notification_templates_started", "notification_templates_success", "notification_templates_error")


class RefusedError(Exception):
    """An answer other than the wanted one."""

    def __init__(self, status: int, content: dict[str, Any]) -> None:
        super().__init__(content)
        self.status = status
        self.content = content


@dataclass(frozen=True)
class Kind:
    """What AWX knows of one kind of thing: its fields with their defaults, and what they refer to."""

    type: str
    fields: dict[str, Any]
    references: dict[str, str] = field(default_factory=dict)
    lists: tuple[str, ...] = ()
    identity: str = "name"
    # Two things may share a name when they differ here.
    within: tuple[str, ...] = ("organization",)


KINDS = {
    "organizations": Kind("organization", {"description": ""}),
    "credential_types": Kind(
        "credential_type", {"description": "", "kind": "cloud", "inputs": {}, "injectors": {}, "managed": False}
    ),
    "credentials": Kind(
        "credential",
        {"description": "", "organization": None, "credential_type": None, "inputs": {}},
        {"organization": "organizations", "credential_type": "credential_types"},
        within=("organization", "credential_type"),
    ),
    "execution_environments": Kind(
        "execution_environment",
        {"description": "", "image": "", "pull": "", "organization": None, "credential": None},
        {"organization": "organizations"},
        within=(),
    ),
    "notification_templates": Kind(
        "notification_template",
        {
            "description": "",
            "organization": None,
            "notification_type": "",
            "notification_configuration": {},
            "messages": None,
        },
        {"organization": "organizations"},
    ),
    "projects": Kind(
        "project",
        {
            "description": "",
            "organization": None,
            "scm_type": "",
            "scm_url": "",
            "scm_branch": "",
            "scm_clean": False,
            "scm_update_on_launch": False,
        },
        {"organization": "organizations"},
    ),
    "inventories": Kind(
        "inventory",
        {"description": "", "organization": None, "kind": "", "host_filter": None, "variables": ""},
        {"organization": "organizations"},
    ),
    "inventory_sources": Kind(
        "inventory_source",
        {
            "inventory": None,
            "source": "",
            "source_project": None,
            "source_path": "",
            "update_on_launch": False,
            "overwrite": False,
            "overwrite_vars": False,
        },
        {"inventory": "inventories", "source_project": "projects"},
        NOTIFICATIONS,
        within=("inventory",),
    ),
    "job_templates": Kind(
        "job_template",
        {
            "description": "",
            "organization": None,
            "job_type": "run",
            "inventory": None,
            "project": None,
            "playbook": "",
            "execution_environment": None,
            "extra_vars": "",
            "ask_limit_on_launch": False,
            "job_slice_count": 1,
            "survey_enabled": False,
        },
        {
            "organization": "organizations",
            "inventory": "inventories",
            "project": "projects",
            "execution_environment": "execution_environments",
        },
        ("credentials", *NOTIFICATIONS),
    ),
    "workflow_job_templates": Kind(
        "workflow_job_template",
        {"description": "", "organization": None, "inventory": None, "survey_enabled": False},
        {"organization": "organizations", "inventory": "inventories"},
        NOTIFICATIONS,
    ),
    "workflow_job_template_nodes": Kind(
        "workflow_job_template_node",
        {"workflow_job_template": None, "unified_job_template": None, "all_parents_must_converge": False},
        {"workflow_job_template": "workflow_job_templates", "unified_job_template": "unified_job_templates"},
        NODES,
        identity="identifier",
        within=("workflow_job_template",),
    ),
    "schedules": Kind(
        "schedule",
        {"description": "", "unified_job_template": None, "rrule": "", "enabled": True},
        {"unified_job_template": "unified_job_templates"},
        within=("unified_job_template",),
    ),
}
UNIFIED = ("projects", "inventory_sources", "job_templates", "workflow_job_templates")
SURVEYED = ("job_templates", "workflow_job_templates")


class FakeAwx:
    """One AWX, reachable at C(url) as long as it is a context."""

    def __init__(self, project: Path) -> None:
        # The files that the project would have after an update.
        self.project = project
        self.things: dict[str, dict[int, dict[str, Any]]] = {endpoint: {} for endpoint in KINDS}
        self.lists: dict[tuple[str, int, str], list[int]] = {}
        self.surveys: dict[tuple[str, int], dict[str, Any]] = {}
        # What was written, by method and endpoint, since the last time somebody asked.
        self.writes: list[str] = []
        self.last_id = 0
        self.lock = threading.Lock()
        self.create("organizations", {"name": "Default"})
        self.create("credential_types", {"name": "Machine", "kind": "ssh"})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True

    def __enter__(self) -> FakeAwx:
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def taken_writes(self) -> Counter[str]:
        """Return what was written since the last call."""
        taken, self.writes = self.writes, []
        return Counter(taken)

    def named(self, endpoint: str, name: str) -> dict[str, Any]:
        """Return the only thing of that name."""
        (found,) = (one for one in self.things[endpoint].values() if one[KINDS[endpoint].identity] == name)
        return found

    def delete(self, endpoint: str, name: str) -> None:
        """Remove a thing behind the back of the modules, with what refers to it."""
        gone = self.named(endpoint, name)["id"]
        del self.things[endpoint][gone]
        for other, kind in KINDS.items():
            targets = [key for key, to in kind.references.items() if to in (endpoint, "unified_job_templates")]
            for one in [one for one in self.things[other].values() if any(one[key] == gone for key in targets)]:
                del self.things[other][one["id"]]

    def answer(self, method: str, path: str, query: dict[str, str], content: dict[str, Any]) -> tuple[int, Any]:
        """Return the status and the content of an answer."""
        parts = path.removeprefix("/api/v2/").strip("/").split("/")
        if method != "GET":
            self.writes.append(f"{method} {parts[0]}" + (f" {parts[2]}" if len(parts) > 2 else ""))
        endpoint = parts[0]
        if endpoint != "unified_job_templates" and endpoint not in KINDS:
            raise RefusedError(404, {"detail": "Not found."})
        if len(parts) == 1:
            if method == "POST":
                return 201, self.show(endpoint, self.create(endpoint, content))
            return 200, self.listed(self.found(endpoint, query))
        number = int(parts[1])
        if number not in self.things[endpoint]:
            raise RefusedError(404, {"detail": "Not found."})
        if len(parts) == 2:
            if method == "PATCH":
                self.update(endpoint, number, content)
            return 200, self.show(endpoint, self.things[endpoint][number])
        if parts[2] == "survey_spec" and endpoint in SURVEYED:
            return 200, self.survey(method, (endpoint, number), content)
        if parts[2] not in KINDS[endpoint].lists:
            raise RefusedError(404, {"detail": "Not found."})
        return self.associate(method, endpoint, number, parts[2], content)

    def found(self, endpoint: str, query: dict[str, str]) -> list[dict[str, Any]]:
        endpoints = UNIFIED if endpoint == "unified_job_templates" else (endpoint,)
        every = [self.show(one, thing) for one in endpoints for thing in self.things[one].values()]
        for key, value in query.items():
            if every and key not in every[0] and key != "organization":
                raise RefusedError(400, {"detail": f"{endpoint} has no field {key}"})
            every = [one for one in every if str(one.get(key)) == value]
        return every

    def listed(self, results: list[dict[str, Any]]) -> dict[str, Any]:
        return {"count": len(results), "next": None, "previous": None, "results": results}

    def create(self, endpoint: str, content: dict[str, Any]) -> dict[str, Any]:
        kind = KINDS[endpoint]
        if not content.get(kind.identity):
            raise RefusedError(400, {kind.identity: ["This field is required."]})
        self.last_id += 1
        thing = {"id": self.last_id, **kind.fields, kind.identity: content[kind.identity]}
        self.check(endpoint, {**thing, **content})
        thing.update(content)
        self.things[endpoint][self.last_id] = thing
        return thing

    def update(self, endpoint: str, number: int, content: dict[str, Any]) -> None:
        self.check(endpoint, {**self.things[endpoint][number], **content})
        self.things[endpoint][number].update(content)

    def check(self, endpoint: str, thing: dict[str, Any]) -> None:
        kind = KINDS[endpoint]
        if unknown := thing.keys() - kind.fields.keys() - {"id", kind.identity}:
            raise RefusedError(400, {name: ["There is no such field."] for name in unknown})
        for other in self.things[endpoint].values():
            same = all(other.get(name) == thing.get(name) for name in (kind.identity, *kind.within))
            if same and other["id"] != thing["id"]:
                raise RefusedError(400, {"__all__": [f"{kind.type} with this {kind.identity} already exists."]})
        for name, target in kind.references.items():
            places = UNIFIED if target == "unified_job_templates" else (target,)
            if thing[name] is not None and not any(thing[name] in self.things[place] for place in places):
                raise RefusedError(400, {name: [f'Invalid pk "{thing[name]}" - object does not exist.']})
        if endpoint == "job_templates" and not (self.project / thing["playbook"]).is_file():
            raise RefusedError(400, {"playbook": ["Playbook not found for project."]})
        if endpoint == "inventory_sources" and not (self.project / thing["source_path"]).is_file():
            raise RefusedError(400, {"source_path": ["There is no such file in the project."]})
        problem = {
            "credential_types": wrong_injectors,
            "schedules": wrong_rule,
            "notification_templates": wrong_receiver,
        }.get(endpoint, lambda _: None)(thing)
        if problem:
            raise RefusedError(400, {"__all__": [problem]})

    def survey(self, method: str, key: tuple[str, int], content: dict[str, Any]) -> dict[str, Any]:
        if method == "DELETE":
            self.surveys.pop(key, None)
        elif method == "POST":
            if problem := wrong_survey(content):
                raise RefusedError(400, {"error": problem})
            self.surveys[key] = content
        return self.surveys.get(key, {})

    def associate(
        self, method: str, endpoint: str, number: int, name: str, content: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        target = endpoint if name in NODES else "notification_templates" if name in NOTIFICATIONS else name
        members = self.lists.setdefault((endpoint, number, name), [])
        if method == "GET":
            return 200, self.listed([self.things[target][one] for one in members if one in self.things[target]])
        if content["id"] not in self.things[target]:
            raise RefusedError(404, {"detail": "Not found."})
        if content.get("disassociate"):
            members.remove(content["id"])
        else:
            if name == "credentials":
                kinds = [self.things[target][one]["credential_type"] for one in (*members, content["id"])]
                if len(set(kinds)) < len(kinds):
                    raise RefusedError(400, {"detail": "Cannot assign multiple credentials of the same type."})
            members.append(content["id"])
        return 204, {}

    def show(self, endpoint: str, thing: dict[str, Any]) -> dict[str, Any]:
        """Return a thing as AWX shows it: what is secret stays secret."""
        url = f"/api/v2/{endpoint}/{thing['id']}/"
        shown = {**thing, "type": KINDS[endpoint].type, "url": url, "related": {"survey_spec": f"{url}survey_spec/"}}
        if endpoint == "credentials":
            secret = {
                one["id"]
                for one in self.things["credential_types"][thing["credential_type"]]["inputs"].get("fields", [])
                if one.get("secret")
            }
            shown["inputs"] = {name: ENCRYPTED if name in secret else value for name, value in thing["inputs"].items()}
        return shown

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """Return what answers requests."""
        awx = self

        class Handler(BaseHTTPRequestHandler):
            def reply(self) -> None:
                url = urlsplit(self.path)
                length = int(self.headers.get("Content-Length") or 0)
                content = json.loads(self.rfile.read(length) or b"{}")
                try:
                    if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                        raise RefusedError(401, {"detail": "Authentication credentials were not provided."})
                    with awx.lock:
                        status, result = awx.answer(self.command, url.path, dict(parse_qsl(url.query)), content)
                except RefusedError as exc:
                    status, result = exc.status, exc.content
                body = b"" if status == 204 else json.dumps(result).encode()
                self.send_response(status)
                self.send_header("X-API-Product-Name", "AWX")
                self.send_header("X-API-Product-Version", "24.6.1")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_request(self, *details: object) -> None:
                """Say nothing."""

        for method in ("GET", "POST", "PATCH", "DELETE"):
            setattr(Handler, f"do_{method}", Handler.reply)
        return Handler


def wrong_injectors(kind: dict[str, Any]) -> str | None:
    """Say what is wrong with the injectors of a type of credential."""
    names = [one["id"] for one in kind["inputs"].get("fields", [])]
    try:
        inject(kind, dict.fromkeys(names, "x"), "/nowhere", undefined=StrictUndefined)
    except TemplateError as exc:
        return f"An injector uses what is not defined: {exc}"
    return "A field is described twice." if len(set(names)) < len(names) else None


def inject(
    kind: dict[str, Any], inputs: dict[str, str], directory: str, **options: Any
) -> tuple[dict[str, str], dict[str, str]]:
    """Return what a job would get of a credential: files by path, and environment variables."""
    templates = ImmutableSandboxedEnvironment(**options)
    files = {}
    names = {}
    for label, text in kind["injectors"].get("file", {}).items():
        name = label.removeprefix("template.")
        names[name] = f"{directory}/{name}"
        files[names[name]] = templates.from_string(text).render(inputs)
    known = {**inputs, "tower": {"filename": names}}
    env = {name: templates.from_string(text).render(known) for name, text in kind["injectors"].get("env", {}).items()}
    return files, env


def wrong_rule(schedule: dict[str, Any]) -> str | None:
    """Say what is wrong with the rule of a schedule."""
    match = re.fullmatch(r"DTSTART;TZID=([^:]+):\d{8}T\d{6} RRULE:(\S+)", schedule["rrule"])
    if not match:
        return "Valid DTSTART required in rrule."
    if match[1] not in zoneinfo.available_timezones():
        return f"A valid TZID must be provided, not {match[1]}."
    return None if "INTERVAL=" in match[2] else "INTERVAL required in rrule."


def wrong_receiver(receiver: dict[str, Any]) -> str | None:
    """Say what is missing of the settings of a receiver."""
    if receiver["notification_type"] != "email":
        return "This fake knows only mail."
    missing = MAIL - receiver["notification_configuration"].keys()
    return f"Missing required fields for Notification Configuration: {', '.join(sorted(missing))}" if missing else None


def wrong_survey(survey: dict[str, Any]) -> str | None:
    """Say what is wrong with a survey."""
    if missing := {"name", "description", "spec"} - survey.keys():
        return f"Field '{missing.pop()}' is missing from survey spec."
    variables = set()
    for number, one in enumerate(survey["spec"]):
        for name, kind in {"type": str, "question_name": str, "variable": str, "required": bool}.items():
            if not isinstance(one.get(name), kind):
                return f"'{name}' missing from survey question {number}"
        if one["variable"] in variables or " " in one["variable"]:
            return f"'variable' '{one['variable']}' duplicated or out of shape in survey question {number}."
        variables.add(one["variable"])
        if one["type"] not in ("text", "multiplechoice"):
            return f"'{one['type']}' in survey question {number} is not one of the allowed question types."
        if one["type"] == "multiplechoice" and one["default"] not in ("", *one["choices"]):
            return f"The default of survey question {number} is not among its choices."
    return None if variables else "'spec' doesn't contain any items."
