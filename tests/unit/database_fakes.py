# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stand-ins for a PostgreSQL server and for the container that it runs in."""

from __future__ import annotations

import contextlib
import os
import typing as t
from dataclasses import dataclass, field

from ansible_collections.crm.continuity.plugins.module_utils._database import Connection, Role
from ansible_collections.crm.continuity.plugins.module_utils._database_location import InContainer
from ansible_collections.crm.continuity.plugins.module_utils._process import Stage

from .fakes import FakeEngine

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.crm.continuity.plugins.module_utils._engine import Container
    from ansible_collections.crm.continuity.plugins.module_utils._errors import DatabaseError


class LocalEngine(FakeEngine):
    """An engine whose containers are this very host: what is run in one runs here, and its root directory is ours.

    With ``visible`` unset, the file systems of containers cannot be seen, as with a remote engine.
    """

    def __init__(self, containers: Sequence[Container] = (), *, visible: bool = True) -> None:
        super().__init__(containers)
        self.visible = visible
        self.ports: dict[str, list[dict[str, str]]] = {}

    def inspect(self, id_: str) -> dict[str, t.Any]:
        return {"State": {"Pid": os.getpid() if self.visible else 0}, "NetworkSettings": {"Ports": self.ports}}

    def exec_stage(
        self,
        container: str,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        accept: frozenset[int] = frozenset({0}),
    ) -> Stage:
        stage = Stage(name, tuple(argv), env=env or {}, accept=accept)
        self.stages.append(stage)
        return stage


def location(engine: LocalEngine | None = None) -> InContainer:
    """Return a server in a container of a LocalEngine."""
    return InContainer(engine or LocalEngine(), "db", Connection("127.0.0.1", 1, "postgres", "crm"))


@dataclass
class FakeDatabase:
    """A Database that notes what is asked of it; ``refuses`` maps the first words of a statement to an error."""

    names: dict[str, str] = field(default_factory=dict)
    calls: list[tuple[t.Any, ...]] = field(default_factory=list)
    refuses: dict[str, DatabaseError] = field(default_factory=dict)
    version: int = 150018
    settings: dict[str, str] = field(default_factory=dict)

    def execute(self, sql: str, parameters: t.Any = None) -> list[tuple[t.Any, ...]]:
        self._call("execute", sql)
        return []

    def server_version(self) -> int:
        return self.version

    def role(self) -> Role:
        return Role("postgres", True, True)

    def setting(self, name: str) -> str | None:
        return self.settings.get(name)

    def databases(self) -> dict[str, str]:
        return self.names

    def create_database(self, name: str, *, owner: str, options: str) -> None:
        self._call(f"create {options}", name, owner, options)

    def drop_database(self, name: str) -> None:
        self._call("drop", name)

    def rename_databases(self, renames: Sequence[tuple[str, str]], comments: Mapping[str, str]) -> None:
        self._call("rename", *renames, dict(comments))

    def terminate(self, application: str) -> int:
        self._call("terminate", application)
        return 1

    def _call(self, what: str, *arguments: t.Any) -> None:
        self.calls.append((what.partition(" ")[0], *arguments))
        for words, error in self.refuses.items():
            if words in what or any(words in str(argument) for argument in arguments):
                raise error


@contextlib.contextmanager
def nothing_left(parent: str = "/var/tmp"):
    """Check that the block leaves nothing of this collection in a directory."""
    before = {name for name in os.listdir(parent) if name.startswith("crm-continuity-")}
    yield
    assert {name for name in os.listdir(parent) if name.startswith("crm-continuity-")} <= before
