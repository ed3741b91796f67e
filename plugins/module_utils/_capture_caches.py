# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Redis servers of a backup: what they hold at the cut has to be in their files when these are archived.

With an append-only file every command is written to it, sometimes a moment after it was answered: that moment is waited
for while everything stands still. Without one the files are as old as the last save: it has to save. A small one does
so while everything stands still; a big one would take too long, and writes down what it held then while everything goes
on, after which its volume is archived.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import typing as t

from ._redis import AppendOnly, BackgroundSave, save
from ._volume_directory import data_directory

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ._engine import Engine
    from ._freeze import Target
    from ._redis import RedisFacts
    from ._stack import Stack, StackRedis
    from ._stack_backup import Plan


class Caches:
    """The Redis servers of a stack, as a context manager."""

    def __init__(self, wanted: Plan, engine: Engine) -> None:
        self._engine = engine
        self._open = contextlib.ExitStack()
        self._unsaved: dict[str, StackRedis] = {}
        self._appending: dict[str, AppendOnly] = {}
        self._late: list[BackgroundSave] = []
        for cache, facts in wanted.caches:
            if cache.container is None or cache.volume is None:
                continue
            if facts.appendonly:
                self._appending[cache.container.id] = AppendOnly(engine, cache)
            elif cache.volume in wanted.late:
                directory = data_directory(engine, "volume", cache.volume)
                self._late.append(self._open.enter_context(BackgroundSave(engine, cache, directory)))
            else:
                self._unsaved[cache.container.id] = cache

    def __enter__(self) -> Caches:
        return self

    def __exit__(self, *exception: t.Any) -> bool | None:
        return self._open.__exit__(*exception)

    def connect(self) -> None:
        """Begin to talk to those with an append-only file, before anything stands still."""
        for appending in self._appending.values():
            self._open.enter_context(appending)

    def wants(self, container: str) -> bool:
        """Return whether the Redis in a container still has to put something on disk."""
        return container in self._unsaved or container in self._appending

    def save(self, container: str) -> None:
        """Let the Redis in a container put what it holds on disk, and wait for it."""
        if container in self._appending:
            self._appending.pop(container).settle()
        else:
            save(self._engine, self._unsaved.pop(container))

    def save_rest(self) -> None:
        """Let all others save: those that are not frozen themselves, and those that go on meanwhile."""
        for late in self._late:
            late.start()
        for container in [*self._unsaved, *self._appending]:
            self.save(container)

    def wait(self) -> None:
        """Wait for those that save while they go on."""
        for late in self._late:
            late.wait()

    def check(self) -> None:
        """Make sure that what was archived of them since is what they held at the cut."""
        for late in self._late:
            late.check()


def late_volumes(
    engine: Engine,
    stack: Stack,
    caches: Sequence[tuple[StackRedis, RedisFacts]],
    frozen: Sequence[Target],
    budget: float,
) -> dict[str, str]:
    """Return the volumes of the Redis servers that take too long to save, each with the ID of its container.

    Not of one that is to be stopped, and only where the volume is Redis's alone: what others write there has to be
    archived while they stand still.
    """
    stopped = {target.container for target in frozen if target.mode == "stop"}
    archived = {data.source for data in stack.archived() if data.kind == "volume"}
    found = {}
    for cache, facts in caches:
        if cache.container is None or cache.volume not in archived or cache.container.id in stopped:
            continue
        if not facts.appendonly and facts.save_seconds > budget / 2 and _users(engine, cache.volume) == 1:
            found[cache.volume] = cache.container.id
    return found


def _users(engine: Engine, volume: str) -> int:
    containers = [container for container in engine.containers() if container.running]
    return sum(any(mount.source == volume for mount in container.mounts) for container in containers)
