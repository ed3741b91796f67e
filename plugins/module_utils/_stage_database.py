# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restore one database into a database of its own that waits beside the live one; see ``_stage_servers`` for its names.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ._database_globals import restore_globals
from ._database_restore import fill, prove
from ._database_scratch import KEPT, building, stem

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._database import PostgreSQL
    from ._database_location import Location
    from ._database_restore import Plan
    from ._restore_record import StagedDatabase

STAGED = "__crm_staged_"


def stage(
    database: StagedDatabase,
    location: Location,
    wanted: Plan,
    steps: Sequence[Callable[[str, PostgreSQL], list[str]]],
    note: Callable[[StagedDatabase], object],
) -> list[str]:
    """Restore, prove and finish a database; return remarks.

    ``steps`` are carried out on it when its content is proved to be that of the backup, and may change that. ``note``
    is told what is known of it before it gets the name under which it waits, so that a dead run leaves none that
    nobody knows: one without that name is removed by the next restore.
    """
    request = wanted.request
    if request.globals_path is not None:
        restore_globals(location, wanted.maintenance, request.globals_path)
    with building(location, wanted.maintenance, request.database, wanted.dump, wanted.owner) as scratch:
        fill(scratch, wanted)
        rows = prove(scratch, request)
        remarks = []
        with scratch.session() as session:
            for step in steps:
                remarks += step(database.name, session)
        # Without statistics the first queries of the application would be planned blindly.
        scratch.analyze(wanted.jobs)
        scratch.apply_settings(privileges=request.privileges)
        name = stem(request.database) + STAGED + scratch.stamp
        oid = scratch.control.execute("SELECT oid FROM pg_database WHERE datname = %s", (scratch.name,))[0][0]
        former = stem(request.database) + KEPT + scratch.stamp if wanted.live_rows is not None else None
        note(replace(database, staged=name, previous=former, oid=int(oid), rows=sum(rows.values())))
        scratch.control.rename_databases([(scratch.name, name)], {})
    return [f"database {database.name}: {line}" for line in (*scratch.warnings, *remarks)]
