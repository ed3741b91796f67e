# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Database servers as containers: which program an image holds, and where it keeps its files.

Files of a database fit only the program that wrote them, and are whole only while it does not run. Standard library
only. Private to this collection.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ._stack_services import repository

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ._engine import Container
    from ._stack import Data, Service


@dataclass(frozen=True)
class Kind:
    """A program that serves databases; ``directories`` are where images have its files, ``schemes`` begin its URLs."""

    name: str
    images: re.Pattern[str]
    directories: tuple[str, ...]
    schemes: tuple[str, ...]


def _named(words: str) -> re.Pattern[str]:
    # A part of the repository's name, so that forks and mirrors are known too.
    return re.compile(rf"(^|[/-])({words})([-/]|$)")


POSTGRESQL = Kind(
    "PostgreSQL",
    _named("postgres|postgresql|pgvector|postgis|timescaledb"),
    ("/var/lib/postgresql/data", "/var/lib/postgresql", "/bitnami/postgresql"),
    ("postgres", "postgresql"),
)
# Percona packs all three: the first that fits counts.
KINDS = (
    POSTGRESQL,
    Kind("MongoDB", _named("mongo|mongodb"), ("/data/db", "/bitnami/mongodb"), ("mongodb", "mongodb+srv")),
    Kind("MariaDB", _named("mariadb"), ("/var/lib/mysql", "/bitnami/mariadb"), ("mariadb",)),
    Kind("MySQL", _named("mysql|percona"), ("/var/lib/mysql", "/bitnami/mysql"), ("mysql", "mysql2")),
)
# Programs around a database that have its name in theirs, and none of its files.
_TOOLS = re.compile(r"(backup|exporter|express|admin|client|operator|dump|s3)")


def server_kind(container: Container) -> Kind | None:
    """Return which database server a container runs, by its image; None for anything else."""
    name = repository(container.image)
    if _TOOLS.search(name.rpartition("/")[2]):
        return None
    return next((kind for kind in KINDS if kind.images.search(name)), None)


def kind_of_scheme(scheme: str) -> Kind | None:
    """Return which program a URL leads to, by what it begins with."""
    # A driver may be named after a plus sign, as in postgresql+asyncpg.
    return next((kind for kind in KINDS if scheme in kind.schemes or scheme.partition("+")[0] in kind.schemes), None)


def holder(path: str, service: str, data: Sequence[Data]) -> Data | None:
    """Return what is mounted on a path of a service, or nearest above it."""
    found = [
        (len(target), entry)
        for entry in data
        for name, target in entry.mounts
        if name == service and f"{path}/".startswith(target.rstrip("/") + "/")
    ]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def files_of(service: Service, data: Sequence[Data]) -> Data | None:
    """Return the volume or directory with the files of a server; None where they are not on one."""
    kind = server_kind(service.container)
    usual = (holder(path, service.name, data) for path in (kind.directories if kind else ()))
    found = next((entry for entry in usual if entry is not None), None)
    # An image of one's own may keep them elsewhere.
    return found or next((entry for entry in data if service.name in entry.servers), None)
