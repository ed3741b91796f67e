# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stack with a restore that waits: real directories, an engine and a PostgreSQL server in memory."""

from __future__ import annotations

import functools
import os
import typing as t
from dataclasses import replace

from ansible_collections.crm.continuity.plugins.module_utils import _stage_servers
from ansible_collections.crm.continuity.plugins.module_utils._errors import DatabaseError, EngineError
from ansible_collections.crm.continuity.plugins.module_utils._exchange import prepare
from ansible_collections.crm.continuity.plugins.module_utils._restore_record import (
    Record,
    StagedDatabase,
    StagedVolume,
    records,
    write,
)

from .fakes import FakeEngine, container, volume

ID = "20261121T020000Z"
LATER = "20261121T030000Z"
# What a server has by itself.
OWN = {"postgres": 5, "template1": 1}


class FakeServer:
    """A PostgreSQL server that knows the numbers and names of its databases, and whether it answers."""

    def __init__(self, engine: FakeEngine, **databases: int) -> None:
        self.databases = {**OWN, **databases}
        self.engine = engine
        self.calls: list[tuple[t.Any, ...]] = []
        self.sessions = 0
        self.refuses: dict[str, str] = {}

    def connect(self, name: str) -> FakeServer:
        self.calls.append(("connect", name))
        if not self.engine.by_id["postgres"].running:
            raise DatabaseError("The server does not answer.")
        self.sessions += 1
        return self

    def close(self) -> None:
        self.sessions -= 1

    def execute(self, sql: str, parameters: t.Any = None) -> list[tuple[t.Any, ...]]:
        assert sql == "SELECT datname, oid FROM pg_database"
        return list(self.databases.items())

    def rename_databases(self, renames: t.Sequence[tuple[str, str]], comments: t.Mapping[str, str]) -> None:
        self.calls.append(("rename", *renames))
        if "rename" in self.refuses:
            raise DatabaseError(self.refuses["rename"])
        # All or nothing, and each only where its name is free at that moment.
        wanted = dict(self.databases)
        for old, new in renames:
            assert new not in wanted
            wanted[new] = wanted.pop(old)
        assert set(comments) <= set(wanted)
        self.databases = wanted

    def drop_database(self, name: str) -> None:
        self.calls.append(("drop", name))
        del self.databases[name]


class Location:
    """Where a FakeServer is."""

    def connection(self, name: str) -> str:
        return name


class Host:
    """A host with the stack "crm": web and worker use a volume, which is staged, and a database, which is staged."""

    def __init__(self, tmp_path: t.Any, monkeypatch: t.Any, directory: t.Any) -> None:
        self.live = tmp_path / "crm_storage" / "_data"
        self.live.mkdir(parents=True)
        (self.live / "file").write_text("before")
        storage = {"/app/storage": "crm_storage"}
        self.engine = FakeEngine(
            [
                container("web", "x", volumes=storage, depends_on=("postgres",), restart_policy="always"),
                container("worker", "x", volumes=storage, depends_on=("web",), restart_policy="on-failure:3"),
                container("postgres", "x", restart_policy="always"),
                container("other", "x", project="else"),
            ],
            [volume("crm_storage")],
        )
        self.server = FakeServer(self.engine, chatwoot=100, chatwoot__crm_staged_1=200)
        self.directory = str(directory)
        self.steps: list[t.Callable[[], object]] = []
        monkeypatch.setattr(_stage_servers, "in_container", lambda *_a, **_k: Location())
        monkeypatch.setattr(_stage_servers, "connect", self.server.connect)
        monkeypatch.setattr(_stage_servers, "ANSWERS", 0.0)
        self.put(phase="staged")

    def put(self, id_: str = ID, stamp: str = "1", oid: int = 200, **more: t.Any) -> Record:
        """Stage another restore."""
        exchange = prepare(str(self.live), id_)
        with open(os.path.join(exchange.waiting, "file"), "w", encoding="utf-8") as file:
            file.write(f"restored {stamp}")
        record = Record(
            stack="crm",
            id=id_,
            backup="20261120T020000Z",
            directory="/var/backups/crm/crm/20261120T020000Z",
            docker_host="unix:///fake.sock",
            since=f"{id_[:4]}-{id_[4:6]}-{id_[6:8]}T{id_[9:11]}:00:00.000+00:00",
            replaces=True,
            volumes=(StagedVolume("crm_storage", "volume", "crm_storage", False, 1, exchange),),
            databases=(self.database("chatwoot", oid, stamp),),
            **{"phase": "staged", **more},
        )
        return write(self.directory, record)

    @staticmethod
    def database(name: str, oid: int, stamp: str = "1", **more: t.Any) -> StagedDatabase:
        staged, former = f"{name}__crm_staged_{stamp}", f"{name}__crm_previous_{stamp}"
        facts = {"service": "postgres", "host": "postgres", "port": 5432, "rows": 7, **more}
        return StagedDatabase(name, staged, former, oid, **facts)

    def change(self, id_: str = ID, **changes: t.Any) -> Record:
        return write(self.directory, replace(self.record(id_), **changes))

    def record(self, id_: str = ID) -> Record:
        return next(record for record in records(self.directory, "crm") if record.id == id_)

    @property
    def phases(self) -> dict[str, str]:
        return {record.id: record.phase for record in records(self.directory, "crm")}

    @property
    def state(self) -> tuple[str, int]:
        """What is live: of the volume and of the databases."""
        return (self.live / "file").read_text(), self.server.databases["chatwoot"]

    @property
    def states(self) -> dict[str, str]:
        return {found.id: found.state for found in self.engine.containers()}

    @property
    def policies(self) -> dict[str, str]:
        return {found.id: found.restart_policy for found in self.engine.containers()}

    def stop(self, *ids: str) -> None:
        for id_ in ids:
            self.engine.by_id[id_] = replace(self.engine.by_id[id_], state="exited")

    def set(self, id_: str, **changes: t.Any) -> None:
        self.engine.by_id[id_] = replace(self.engine.by_id[id_], **changes)

    @property
    def engine_at(self) -> t.Callable[[str, int], FakeEngine]:
        return functools.partial(self._engine_at, [])

    def _engine_at(self, _seen: list[str], host: str, _timeout: int) -> FakeEngine:
        if host != "unix:///fake.sock":
            raise EngineError(f"{host} is another engine.")
        return self.engine


BEFORE, AFTER = ("before", 100), ("restored 1", 200)
RUNNING = {"web": "running", "worker": "running", "postgres": "running", "else-other": "running"}
