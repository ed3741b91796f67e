# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host to take backups of: volumes that are real directories, an engine and a PostgreSQL server in memory.

Tar and the compressors are the real ones. What happens is noted in one file, in order: by this process, and by the
programs that it starts.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.crm.continuity.plugins.module_utils import (
    _capture_databases,
    _database_dump,
    _database_globals,
    _path_index,
    _restore_preflight_servers,
    _stack_info,
)
from ansible_collections.crm.continuity.plugins.module_utils._database import Facts, Role, Snapshot
from ansible_collections.crm.continuity.plugins.module_utils._engine import EngineInfo, Network, Volume
from ansible_collections.crm.continuity.plugins.module_utils._errors import DatabaseError
from ansible_collections.crm.continuity.plugins.module_utils._process import Stage
from ansible_collections.crm.continuity.plugins.module_utils._restore_preflight_servers import VERSIONS
from ansible_collections.crm.continuity.plugins.module_utils._stack import Request as StackRequest
from ansible_collections.crm.continuity.plugins.module_utils._stack_backup import Request, take
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine, container, shipped_profiles

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import pytest

    from ansible_collections.crm.continuity.plugins.module_utils._database import Connection
    from ansible_collections.crm.continuity.plugins.module_utils._engine import Container
    from ansible_collections.crm.continuity.plugins.module_utils._stack_backup import Taken

SECRET = "correct-horse"
CHATWOOT = "chatwoot/chatwoot:v4.15.1"
EVOLUTION = "evoapicloud/evolution-api:v2.3.6"
EVOLUTION_ENV = {
    "DATABASE_CONNECTION_URI": f"postgresql://evolution:{SECRET}@postgres:5432/evolution?schema=evolution_api",
    "CACHE_REDIS_URI": "redis://redis:6379/6",
    "CACHE_REDIS_ENABLED": "true",
}

# What stands in for the programs inside containers. $0 is the program, "$@" are its arguments.
PROGRAMS = {
    "redis-cli": """
        case "$*" in
          INFO) printf 'redis_version:7.2.4\\r\\naof_last_write_status:ok\\r\\n' ;;
          "CONFIG GET appendonly") printf 'appendonly\\nno\\n' ;;
          "CONFIG GET dir") printf 'dir\\n/data\\n' ;;
          SAVE) note redis saves; echo OK ;;
          "") while read -r word rest; do
                case $word in
                  INFO) note redis is asked; printf 'aof_buffer_length:0\\r\\n' ;;
                  ECHO) echo $rest ;;
                esac
              done ;;
        esac""",
    "pg_dump": """
        for word; do case $word in --dbname=*) database=${word#*dbname=\\'}; database=${database%%\\'*} ;; esac; done
        note dump "$database"
        printf 'PGDMP %s' "$*" """,
    "pg_dumpall": """note roles; echo "-- $0 $*" """,
    "pg_restore": """cat >/dev/null; echo '1; 0 1 TABLE DATA public accounts chatwoot'""",
    "mkdir": "",
    "rm": "",
}
# Ahead of the real tar on PATH: notes which volume is archived and whether as a whole, to catch up or at the cut, does
# what a test wants meanwhile, and goes on with it.
TAR = """#!/bin/sh
verb=cut
tar={tar}
for word; do
  case $word in
    --directory=*) data=${{word#--directory=}} ;;
    --warning=no-file-changed) verb=archive ;;
    --files-from=-) [ $verb = cut ] || verb=catch-up ;;
  esac
done
echo "$verb $(basename "$(dirname "$data")")" >>{timeline}
meanwhile={meanwhile}
if [ -e "$meanwhile" ]; then . "$meanwhile"; fi
exec $tar "$@"
"""


@dataclass
class Server:
    """A PostgreSQL server in memory; ``rows`` counts by table, by database."""

    note: t.Callable[[str], None]
    rows: dict[str, dict[str, int]]
    refuses: dict[str, str] = field(default_factory=dict)
    answers: dict[str, list[tuple[t.Any, ...]]] = field(default_factory=dict)
    on_snapshot: t.Callable[[], None] = lambda: None
    sessions: int = 0
    connections: list[Connection] = field(default_factory=list)

    def connect(self, connection: Connection, application: str = "") -> FakeDatabase:
        self.connections.append(connection)
        if connection.dbname in self.refuses or connection.user in self.refuses:
            raise DatabaseError(self.refuses.get(connection.dbname) or self.refuses[connection.user])
        self.sessions += 1
        return FakeDatabase(self, connection.dbname)


class FakeDatabase:
    """A session with a database of a Server."""

    def __init__(self, server: Server, name: str) -> None:
        self._server = server
        self._name = name

    def __enter__(self) -> FakeDatabase:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._server.sessions -= 1

    def execute(self, sql: str, parameters: object = None) -> list[tuple[t.Any, ...]]:
        return self._server.answers.get(sql, [])

    def server_version(self) -> int:
        return 170002

    def role(self) -> Role:
        return Role("postgres", superuser=True, create_database=True)

    def facts(self) -> Facts:
        return Facts(
            name=self._name,
            owner="owner",
            server_version="17.2",
            server_version_num=170002,
            encoding="UTF8",
            collate="C.UTF-8",
            ctype="C.UTF-8",
            locale_provider="libc",
            locale=None,
            collation_version=None,
            extensions={"plpgsql": "1.0"},
            schemas=("public",),
            size=8000000,
        )

    @contextlib.contextmanager
    def snapshot(self, id_: str | None = None) -> Iterator[Snapshot]:
        if id_ is None:
            self._server.on_snapshot()
            self._server.note(f"snapshot {self._name}")
        yield Snapshot(
            id_ or f"snapshot-of-{self._name}", None if id_ else "2026-11-21T02:00:00.000Z", t.cast("t.Any", self)
        )

    def row_counts(self) -> dict[str, int]:
        return self._server.rows[self._name]

    def sequences(self) -> dict[str, int | None]:
        return {"public.accounts_id_seq": 2}

    def available_extensions(self) -> dict[str, bool]:
        return {"plpgsql": True}

    def setting(self, name: str) -> str | None:
        return None

    def databases(self) -> dict[str, str]:
        return dict.fromkeys((*self._server.rows, "postgres"), "owner")

    def roles(self) -> frozenset[str]:
        return frozenset({"postgres", "owner"})

    def terminate(self, application: str) -> int:
        return 0

    def terminate_orphans(self, marker: str) -> int:
        return 0


class Host(FakeEngine):
    """An engine that notes what is done, and whose containers run the programs above.

    ``programs`` are those programs; ``profiles`` are the shipped ones; ``server`` is the PostgreSQL of the stack.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory = directory
        self.root = str(directory / "backups")
        self.project = directory / "opt" / "crm"
        self.programs = dict(PROGRAMS)
        self.profiles = shipped_profiles()
        self.server = Server(self.note, {"chatwoot": {"public.accounts": 2}, "evolution": {"evolution_api.Session": 1}})
        self._noted = directory / "timeline"
        self.server.answers[VERSIONS] = [("plpgsql", "1.0")]

    # Describing it

    def add(self, service: str, image: str, **more: t.Any) -> Container:
        """Add a container to the stack, its volumes to the host, and return it."""
        labels = {
            "com.docker.compose.project.working_dir": str(self.project),
            "com.docker.compose.project.config_files": str(self.project / "compose.yml"),
            **more.pop("labels", {}),
        }
        added = container(service, image, labels=labels, **more)
        networks = tuple(Network(network.name, "192.0.2.1", network.aliases) for network in added.networks)
        self.by_id[added.id] = added = replace(added, networks=networks)
        for mount in added.mounts:
            if mount.kind == "volume" and mount.source not in self.volumes:
                self.add_volume(mount.source)
        return added

    def add_volume(self, name: str, driver: str = "local", files: Mapping[str, str] | None = None) -> Path:
        """Add a volume with some files, and return where its content is."""
        data = self.directory / "volumes" / name / "_data"
        data.mkdir(parents=True)
        for path, content in (files or {"file": f"content of {name}\n", "directory/file": "more\n"}).items():
            (data / path).parent.mkdir(parents=True, exist_ok=True)
            (data / path).write_text(content)
        self.volumes[name] = Volume(name, driver, str(data), {"com.docker.compose.project": "crm"})
        return data

    def data(self, volume: str) -> Path:
        """Return where the content of a volume is."""
        return self.directory / "volumes" / volume / "_data"

    def change(self, service: str, **more: t.Any) -> None:
        """Change a container."""
        self.by_id[service] = replace(self.by_id[service], **more)

    # Looking at it

    def note(self, what: str) -> None:
        with open(self._noted, "a", encoding="utf-8") as stream:
            stream.write(f"{what}\n")

    def timeline(self) -> list[str]:
        """Return what happened, in order."""
        return self._noted.read_text(encoding="utf-8").splitlines() if self._noted.exists() else []

    def states(self) -> dict[str, str]:
        return {id_: found.state for id_, found in self.by_id.items()}

    def published(self) -> list[str]:
        """Return everything that lies in the stack's directory of the backup root but the lock."""
        place = os.path.join(self.root, "crm")
        return sorted(set(os.listdir(place)) - {".lock"}) if os.path.isdir(place) else []

    # Backing it up

    def request(self, **more: t.Any) -> Request:
        stack = StackRequest("crm", **{key: more.pop(key) for key in ("profiles", "exclude") if key in more})
        facts: dict[str, t.Any] = {
            "stack": stack,
            "root": self.root,
            "compression": "zstd",
            "level": None,
            "freeze": {},
            "require_session": True,
            "version": "0.1.0",
        }
        return Request(**{**facts, **more})

    def back_up(self, **more: t.Any) -> Taken:
        return take(self.request(**more), self, self.profiles, lambda: self)[1]

    def meanwhile(self, script: str) -> None:
        """Run shell commands whenever a volume is about to be archived.

        ``$data`` is its directory; ``$verb`` is archive, catch-up or cut.
        """
        (self.directory / "meanwhile").write_text(script)

    # As an engine

    def info(self) -> EngineInfo:
        return EngineInfo("20.10.24", str(self.directory), "unix:///fake.sock")

    def inspect(self, id_: str) -> dict[str, t.Any]:
        found = self.container(id_)
        assert found is not None
        return {**super().inspect(found.id), "State": {"Pid": 0}}

    def copy_stage(self, container: str, path: str, name: str) -> Stage:
        found = self.container(container)
        assert found is not None
        volume = next(mount.source for mount in found.mounts if mount.target == path)
        return Stage(name, ["tar", "--create", "--file=-", f"--directory={self.data(volume)}", "."])

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
        self.stages.append(Stage(name, tuple(argv), env or {}))
        script = f"note() {{ echo \"$*\" >>'{self._noted}'; }}\n{self.programs.get(argv[0], 'exit 127')}"
        return Stage(name, ["/bin/sh", "-c", script, *argv], env=env or {}, accept=accept)

    def _do(self, verb: str, id_: str, state: str) -> None:
        if verb in ("pause", "stop"):
            self._write_once_more(id_)
        self.note(f"{verb} {id_}")
        super()._do(verb, id_, state)

    def _write_once_more(self, id_: str) -> None:
        """Do what an application does until it stands still: touch a file, so that it has to be archived again."""
        for mount in self.by_id[id_].mounts:
            path = self.data(mount.source) / "file"
            if mount.kind == "volume" and path.exists():
                path.chmod(path.stat().st_mode & 0o777)


def crm_host(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Return a host with the stack "crm": Chatwoot with a worker, Evolution API, PostgreSQL and Redis."""
    host = Host(directory)
    chatwoot = {
        "image": CHATWOOT,
        "volumes": {"/app/storage": "crm_storage"},
        "env": {
            "POSTGRES_HOST": "postgres",
            "POSTGRES_DATABASE": "chatwoot",
            "REDIS_URL": "redis://redis:6379",
            "SECRET_KEY_BASE": SECRET,
        },
    }
    host.add("web", **chatwoot, depends_on=["postgres", "redis"])
    host.add("worker", **chatwoot, command=("sidekiq",), depends_on=["web"])
    host.add("evolution", EVOLUTION, volumes={"/evolution/instances": "crm_instances"}, env=EVOLUTION_ENV)
    host.add(
        "postgres",
        "pgvector/pgvector:pg17",
        volumes={"/var/lib/postgresql/data": "crm_pg"},
        env={"POSTGRES_PASSWORD": SECRET},
    )
    host.add("redis", "redis:7-alpine", volumes={"/data": "crm_redis"})
    host.project.mkdir(parents=True)
    (host.project / "compose.yml").write_text("services: {}\n")
    (host.project / ".env").write_text(f"SECRET_KEY_BASE={SECRET}\n")
    for module in (_stack_info, _capture_databases, _database_dump, _database_globals, _restore_preflight_servers):
        monkeypatch.setattr(module, "connect", host.server.connect)
    _watch_tar(host, monkeypatch)
    # What was written a moment ago would be read twice.
    time.sleep(2 * _path_index.TICK / _path_index.SECOND)
    return host


def _watch_tar(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = host.directory / "bin"
    programs.mkdir()
    wrapper = programs / "tar"
    text = TAR.format(
        timeline=host.directory / "timeline", meanwhile=host.directory / "meanwhile", tar=shutil.which("tar")
    )
    wrapper.write_text(text)
    wrapper.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
