# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups under load, and what they restore: once with a Redis that keeps an append-only file, once without."""

from __future__ import annotations

import typing as t

from lab import crm
from lab.server import LAB, ROOT, say

from .outside import added, line_of

if t.TYPE_CHECKING:
    from lab.server import Server

    from .outside import Counts

COMPOSE = ("docker", "compose", "--project-directory", crm.PROJECT, "--file", f"{crm.PROJECT}/compose.yml")
LOAD = ("--file", f"{crm.PROJECT}/load.yml")
REDIS = ("docker", "exec", "crm-redis-1", "redis-cli")


def under_load(server: Server, count: int) -> Counts:
    """Take backups of a stack that is never idle, restore the last one of each kind, and let the writers check it."""
    server.copy(ROOT / "tests" / "standins" / "apps" / "load", f"{LAB}/load")
    server.copy(ROOT / "tests" / "standins" / "stacks" / "load", crm.PROJECT)
    total: Counts = {}
    for appendonly, share in (("yes", count * 3 // 5), ("no", count - count * 3 // 5)):
        say(f"under-load: a Redis with appendonly {appendonly}")
        # When it is stopped, it saves everything: the other kind of file is as good.
        # In a file: whoever starts the stack again, such as a restore, starts the same Redis.
        _setting(server, appendonly)
        server.run(*COMPOSE, *LOAD, "up", "--detach", "--wait")
        total = added(total, line_of(server, "under-load", "--count", str(share)))
        server.playbook("restore", "-e", f"restore_confirm={crm.STACK}")
        total = added(total, line_of(server, "resumed"))
    _rest(server)
    return total


def _setting(server: Server, appendonly: str | None) -> None:
    file = f"{crm.PROJECT}/.env"
    added_line = f"echo LOAD_APPENDONLY={appendonly} >>{file}" if appendonly else "true"
    server.shell(f"sed -i /^LOAD_APPENDONLY=/d {file} && {added_line}")


def _rest(server: Server) -> None:
    """Leave the stack as it is without load."""
    _setting(server, None)
    server.run(*COMPOSE, *LOAD, "rm", "--stop", "--force", "load")
    server.run("docker", "volume", "rm", "crm_load_files", "crm_load_shapes")
    # A file from before would be read at the next start; this one is written from what is in memory.
    server.run(*REDIS, "CONFIG", "SET", "appendonly", "yes")
    server.shell(f"until {' '.join(REDIS)} INFO persistence | grep -q aof_rewrite_in_progress:0; do sleep 0.1; done")
    server.run(*COMPOSE, "up", "--detach", "--wait", "--remove-orphans")
