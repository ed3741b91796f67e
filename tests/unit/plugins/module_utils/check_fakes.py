# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A compose project in memory for the tests of the checks: an engine that only answers, a clock that never waits."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.crm.continuity.plugins.module_utils._check import Clock
from ansible_collections.crm.continuity.plugins.module_utils._engine import Container, Network
from ansible_collections.crm.continuity.plugins.module_utils._profile import (
    Condition,
    HttpCheck,
    LogPattern,
    Profile,
    RedisRule,
    Secret,
    ServiceRule,
)
from ansible_collections.crm.continuity.plugins.module_utils._stack import Request

CRM = Request("crm")
LONG_AGO = "2026-11-21T01:00:00.123456789Z"
NOW = 1795230000.0  # 2026-11-21T03:00:00Z
RUNNING_STATE = {"Status": "running", "ExitCode": 0}


class FakeClock:
    """Time that passes only when somebody sleeps; ``during`` holds what happens after so many seconds."""

    def __init__(self, during=None):
        self.passed = 0.0
        self.during = dict(during or {})

    def sleep(self, seconds):
        self.passed += seconds
        for moment in [moment for moment in self.during if moment <= self.passed]:
            self.during.pop(moment)()

    def clock(self):
        return Clock(monotonic=lambda: 100.0 + self.passed, now=lambda: NOW + self.passed, sleep=self.sleep)


class FakeEngine:
    """Holds containers, their descriptions and their logs by name; IDs are names."""

    def __init__(self, *containers):
        self.by_name = {container.name: container for container in containers}
        self.raw = {container.name: described() for container in containers}
        self.log = {}
        self.asked_for_logs = []

    def containers(self):
        return [self.by_name[name] for name in sorted(self.by_name)]

    def container(self, id_):
        return self.by_name.get(id_)

    def inspect(self, id_):
        return self.raw[id_]

    def volume(self, name):
        return None

    def logs(self, id_, tail, since=None):
        self.asked_for_logs.append((id_, tail, since))
        return "".join(f"{line}\n" for line in self.log.get(id_, ())[-tail:])

    def change(self, name, **fields):
        self.by_name[name] = replace(self.by_name[name], **fields)

    def end(self, name, code=0, **state):
        self.change(name, state="exited")
        self.raw[name]["State"] = {"Status": "exited", "ExitCode": code, **state}


def described(*, restart="unless-stopped", network="crm_default", ports=None, log_driver="json-file", healthcheck=None):
    """Return what the engine says about a container beyond the model."""
    return {
        "State": dict(RUNNING_STATE),
        "Config": {"Healthcheck": healthcheck} if healthcheck else {},
        "HostConfig": {
            "RestartPolicy": {"Name": restart},
            "NetworkMode": network,
            "LogConfig": {"Type": log_driver},
        },
        "NetworkSettings": {"Ports": ports or {}},
    }


def container(service, image="example/app:1", *, project="crm", depends_on="", name=None, **fields):
    """Return a container of a compose project, up for hours."""
    name = name or f"{project}-{service}-1"
    labels = {
        "com.docker.compose.project": project,
        "com.docker.compose.service": service,
        "com.docker.compose.project.working_dir": "/opt/crm",
        "com.docker.compose.depends_on": depends_on,
    }
    values = {"state": "running", "started_at": LONG_AGO, **fields}
    return Container(id=name, name=name, image=image, image_id="sha256:0", labels=labels, **values)


def on_localhost():
    return (Network("crm_default", "127.0.0.1"),)


def profile(*, http=(), logs=(), secrets=(), environment=None):
    """Return a profile of one application with a web service; its Redis is found by REDIS_URL."""
    web = ServiceRule(
        name="web",
        images=("example/app",),
        compose_services=(),
        command=None,
        env_file=None,
        freeze="pause",
        http=tuple(http),
    )
    redis = RedisRule(
        name="app",
        service="web",
        condition=Condition(),
        url=("REDIS_URL",),
        host=(),
        port=(),
        password=(),
        required=False,
    )
    return {
        "app": Profile(
            name="app",
            title="App",
            services=(web,),
            environment=environment or {},
            redis=(redis,),
            secrets=tuple(Secret(name) for name in secrets),
            logs=tuple(logs),
        )
    }


def question(port, **fields):
    values = {"path": "/", "status": (200,), "json": {}, "headers": {}, **fields}
    return HttpCheck(name=values.pop("name", "the application answers"), port=port, **values)


def pattern(compiled, meaning="something broke", severity="error"):
    return LogPattern(compiled, meaning, severity)
