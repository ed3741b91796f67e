# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to be cleared where, so that the WhatsApp sessions of a stack must be paired anew.

Two sources say it: a stack that is there, and the manifest of a backup, whose data may be staged anywhere. Decisions
only; ``_session_reset`` acts. Standard library only. Private to this collection.
"""

from __future__ import annotations

import posixpath
import re
import typing as t
from dataclasses import dataclass, replace

from ._errors import StackError
from ._stack_servers import holder
from ._stack_services import environment
from ._stack_session import rule_of

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ._engine import Container
    from ._manifest import Manifest
    from ._profile import Profile, ResetStep, SessionStore
    from ._stack import Data, Service, Stack, StackDatabase, StackRedis

_VARIABLE = re.compile(r"\{(\w+)\}")
# What a pattern of keys means something else by.
_SPECIAL = re.compile(r"([*?\[\]\\])")


@dataclass(frozen=True)
class Part:
    """One place of a session, and how it is cleared there.

    ``source`` is the name of the database, or of the volume or bound directory, as stacks and manifests call it. In a
    volume the files are in ``directory`` below its root. ``server`` tells apart databases of one name in a manifest,
    ``schema`` is where the tables are, ``image`` is that of the Redis.
    """

    profile: str
    rule: str
    holds: str
    place: str
    where: str
    source: str
    steps: tuple[ResetStep, ...]
    schema: str | None = None
    directory: str = ""
    server: str | None = None
    image: str | None = None


@dataclass(frozen=True)
class Parts:
    """All places of all sessions; ``refusals`` are sentences about those that cannot be cleared from here."""

    parts: tuple[Part, ...]
    refusals: tuple[str, ...]


@dataclass(frozen=True)
class LivePart:
    """A part of a session in a stack that is there, with what it is in: one of the three."""

    part: Part
    database: StackDatabase | None = None
    cache: StackRedis | None = None
    data: Data | None = None


def parts_of_stack(stack: Stack, *, outside_ok: bool = False) -> tuple[list[LivePart], list[str]]:
    """Return the parts of the sessions of a stack that is there, and why others cannot be cleared.

    What is outside the stack may belong to the very server that this one is a copy of, and is only cleared when that
    is ``outside_ok``.
    """
    found: list[LivePart] = []
    refusals: list[str] = []
    for profile in stack.profiles:
        decided = rule_of(profile, stack.services)
        if decided is None:
            continue
        service, rule = decided
        if rule is None:
            refusals.append(f"No rule of the profile {profile.name} says where the session is. Add one to session.")
            continue
        env = environment(service, profile)
        for store in rule.stores:
            part = Part(profile.name, rule.name, store.holds, store.place, store.place, "", ())
            try:
                live = _live(store, profile, service, stack, outside_ok)
                part = replace(part, steps=_resolved(store, part, env))
                found.append(replace(live, part=_placed(part, live, store)))
            except StackError as exc:
                refusals.append(str(exc))
    return found, refusals


def parts_of_backup(manifest: Manifest, profiles: Mapping[str, Profile], env: Mapping[str, str] | None = None) -> Parts:
    """Return the parts of the sessions that a backup holds, and what of them it does not hold.

    ``env`` is the environment of the application where it is known; a variable that is not stands for anything.
    """
    found: list[Part] = []
    refusals: list[str] = []
    for state in manifest.session:
        part = Part(state["profile"], state["rule"], state["holds"], state["place"], state["where"], "", ())
        try:
            if not state["covered"]:
                raise _refusal(part, f"is not in the backup: {state['where']}")
            store = _store_of(part, profiles)
            part = replace(part, steps=_resolved(store, part, env or {}))
            found.append(_in_backup(part, store, profiles[part.profile], manifest))
        except StackError as exc:
            refusals.append(str(exc))
    return Parts(tuple(found), tuple(refusals))


def _store_of(part: Part, profiles: Mapping[str, Profile]) -> SessionStore:
    profile = profiles.get(part.profile)
    rules = profile.session_rules if profile else ()
    for rule in rules:
        for store in rule.stores if rule.name == part.rule else ():
            if (store.holds, store.place) == (part.holds, part.place):
                return store
    raise _refusal(part, f"is known to the backup by the rule {part.rule!r}, and the profile has no such rule any more")


def _resolved(store: SessionStore, part: Part, env: Mapping[str, str]) -> tuple[ResetStep, ...]:
    if store.place == "external":
        raise _refusal(
            part,
            "is in an external provider, which cannot be reset from here. Delete it there, or give the copy others",
        )
    if not store.reset:
        raise _refusal(part, "has no reset in the profile. Add the steps, or clear it by hand")
    steps = []
    for step in store.reset:
        keys = tuple(_VARIABLE.sub(lambda found: _value(env.get(found[1])), pattern) for pattern in step.keys)
        for pattern in keys:
            # What is left of it would match every key that anybody has.
            if not re.search(r"\w", pattern):
                raise _refusal(
                    part, f"cannot be told from other keys: {pattern!r} matches all. Set the variables in it"
                )
        steps.append(replace(step, keys=keys))
    return tuple(steps)


def _value(value: str | None) -> str:
    return _SPECIAL.sub(r"\\\1", value) if value else "*"


def _live(store: SessionStore, profile: Profile, service: Service, stack: Stack, outside_ok: bool) -> LivePart:
    part = Part(profile.name, "", store.holds, store.place, store.place, "", ())
    if store.place == "database":
        database = next((e for e in stack.databases if profile.name in (e.profile, *e.sharers)), None)
        if database is None:
            raise _refusal(part, "is in a database that is no PostgreSQL, or that was not found. Clear it by hand")
        _check_own(part, database.container, stack, outside_ok)
        return LivePart(part, database=database)
    if store.place == "redis":
        cache = next((entry for entry in stack.redis if profile.name in entry.profiles), None)
        if cache is None or cache.container is None:
            raise _refusal(part, f"is in a Redis that is in no container here ({cache.host if cache else 'not found'})")
        _check_own(part, cache.container, stack, outside_ok)
        return LivePart(part, cache=cache)
    if store.place == "volume":
        data = holder(store.path or "/", service.name, stack.data)
        if data is None:
            raise _refusal(
                part,
                f"is in {store.path} inside container {service.container.name}, on no volume. Remove that container",
            )
        return LivePart(part, data=data)
    raise _refusal(part, "is in an external provider, which cannot be reset from here. Delete it there")


def _check_own(part: Part, container: Container | None, stack: Stack, outside_ok: bool) -> None:
    if outside_ok or (container is not None and any(s.container.id == container.id for s in stack.services)):
        return
    raise _refusal(
        part,
        "is outside this stack, where it may be the original's that this one is a copy of. If it is not, set "
        "outside_ok=true",
    )


def _placed(part: Part, live: LivePart, store: SessionStore) -> Part:
    if live.database is not None:
        name, schema = live.database.name, live.database.schema
        return replace(part, where=f"database {name}", source=name, schema=schema)
    if live.cache is not None and live.cache.container is not None:
        container = live.cache.container
        return replace(part, where=f"Redis in container {container.name}", source=live.cache.volume or "")
    if live.data is None:
        raise ValueError("a part of a session is in nothing")
    directory = _below(store.path or "/", [target for _service, target in live.data.mounts])
    return replace(part, where=f"{live.data.kind} {live.data.name}", source=live.data.name, directory=directory)


def _in_backup(part: Part, store: SessionStore, profile: Profile, manifest: Manifest) -> Part:
    source = manifest.source
    if part.place == "database":
        own = [entry for entry in source["databases"] if entry["profile"] == profile.name]
        # One that several applications share is listed for the first of them.
        named = [
            entry for entry in source["databases"] if part.where.split(",")[0].startswith(f"database {entry['name']}")
        ]
        for entry in (*own, *named):
            return replace(part, source=entry["name"], schema=entry["schema"], server=entry["globals"])
    if part.place == "redis":
        for cache in source["redis"]:
            if profile.name in cache["profiles"]:
                service = next((e for e in source["services"] if e["service"] == cache["service"]), None)
                volume = next((e["name"] for e in source["volumes"] if e["source"] == cache["volume"]), None)
                if service is not None and volume is not None:
                    return replace(part, source=volume, image=service["image"])
    if part.place == "volume":
        names = {
            e["service"]
            for e in source["services"]
            if (e["profile"], e["role"]) == (profile.name, profile.session_service)
        }
        mounts = [(m["path"], e) for e in source["volumes"] for m in e["mounts"] if m["service"] in names]
        fitting = [pair for pair in mounts if _is_below(store.path or "/", pair[0])]
        if fitting:
            path, entry = max(fitting, key=lambda pair: len(pair[0]))
            return replace(part, source=entry["name"], directory=_below(store.path or "/", [path]))
    raise _refusal(part, f"is in {part.where}, which the manifest of backup {manifest.id} does not describe")


def _is_below(path: str, mount: str) -> bool:
    return f"{path}/".startswith(mount.rstrip("/") + "/")


def _below(path: str, mounts: Sequence[str]) -> str:
    """Return where a path is below the mount point that is nearest above it; empty for the mount point itself."""
    mount = max((mount for mount in mounts if _is_below(path, mount)), key=len)
    relative = posixpath.relpath(path, mount)
    return "" if relative == "." else relative


def _refusal(part: Part, why: str) -> StackError:
    return StackError(f"The WhatsApp session of {part.profile} ({part.holds}) {why}.")
