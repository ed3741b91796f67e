# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the stacks of a host and what each consists of.

Decisions over what the engine says and what an application reads inside its container; changes nothing.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import posixpath
import typing as t
from dataclasses import replace

from ._env_file import read_env_file
from ._errors import StackError
from ._stack import COMPOSE, Request, Stack
from ._stack_data import data_of
from ._stack_databases import databases_of
from ._stack_outside import outside_of
from ._stack_redis import redis_of
from ._stack_services import PROFILE_LABEL, recognise
from ._stack_session import Places, session_state

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ._engine import Container, Engine
    from ._profile import Profile
    from ._stack import Service


def find(engine: Engine, profiles: Mapping[str, Profile], requests: Sequence[Request] = ()) -> list[Stack]:
    """Return the stacks that ``requests`` name, or every stack of the host that a profile matches.

    Raises StackError for a request that names a stack which is not there, and for a request or a label that names a
    profile which does not exist or match.
    """
    projects: dict[str, list[Container]] = {}
    for container in engine.containers():
        project = container.labels.get(COMPOSE + "project")
        if project and container.labels.get(COMPOSE + "oneoff", "False").lower() != "true":
            projects.setdefault(project, []).append(container)
    if requests:
        return [_requested(engine, projects, profiles, request) for request in requests]
    found = [_resolve(engine, projects[name], profiles, Request(name)) for name in sorted(projects)]
    for stack in found:
        labelled = [s.container for s in stack.services if PROFILE_LABEL in s.container.labels]
        if labelled and not stack.profiles:
            raise StackError(
                f"Container {labelled[0].name} of stack {stack.name} has the label {PROFILE_LABEL}="
                f"{labelled[0].labels[PROFILE_LABEL]}, but neither its image {labelled[0].image} nor its name is one "
                "of that profile. Add the image or the compose service to the profile in crm_profiles.",
                stack=stack.name,
            )
    return [stack for stack in found if stack.profiles]


def find_one(engine: Engine, profiles: Mapping[str, Profile], request: Request) -> Stack:
    """Return one stack by name; raise StackError when it is not there."""
    return find(engine, profiles, [request])[0]


def _requested(
    engine: Engine, projects: Mapping[str, list[Container]], profiles: Mapping[str, Profile], request: Request
) -> Stack:
    if request.name not in projects:
        there = f"This host runs {', '.join(sorted(projects))}." if projects else "This host runs no compose project."
        raise StackError(f"There is no stack {request.name} on this host. {there}", stack=request.name)
    for name in request.profiles:
        if name not in profiles:
            raise StackError(
                f"Stack {request.name}: there is no profile {name}. Known are {', '.join(sorted(profiles))}; "
                "add one in crm_profiles.",
                stack=request.name,
            )
    stack = _resolve(engine, projects[request.name], profiles, request)
    missing = set(request.profiles) - {profile.name for profile in stack.profiles}
    if missing:
        images = ", ".join(sorted({service.container.image for service in stack.services}))
        raise StackError(
            f"Stack {request.name}: no service matches the profile {', '.join(sorted(missing))}; its images are "
            f"{images}. Add the image or the compose service to the profile in crm_profiles.",
            stack=request.name,
        )
    return stack


def _resolve(
    engine: Engine, containers: Sequence[Container], profiles: Mapping[str, Profile], request: Request
) -> Stack:
    services = tuple(_with_env_file(engine, recognise(entry, profiles, request.profiles)) for entry in containers)
    matched = tuple(profiles[name] for name in sorted({service.profile for service in services if service.profile}))
    warnings: list[str] = []
    databases, others = databases_of(engine, services, matched, warnings)
    caches = redis_of(engine, services, matched)
    project_dir = request.project_dir or _label(containers, "project.working_dir")
    data = data_of(engine, services, matched, databases, project_dir, request.exclude, warnings)
    outside = outside_of(engine, services, matched, data, databases, others, caches)
    places = Places(services, databases, others, caches, data, outside)
    session = tuple(state for profile in matched for state in session_state(profile, places))
    return Stack(
        name=request.name,
        project_dir=project_dir,
        compose_files=_paths(_label(containers, "project.config_files"), project_dir),
        environment_files=_paths(_label(containers, "project.environment_file"), project_dir),
        profiles=matched,
        services=services,
        data=data,
        databases=databases,
        redis=caches,
        session=session,
        warnings=tuple(warnings),
        others=others,
        outside=outside,
    )


def _with_env_file(engine: Engine, service: Service) -> Service:
    if service.rule is None or service.rule.env_file is None:
        return service
    return replace(service, file_env=read_env_file(engine, service.container, service.rule.env_file))


def _label(containers: Sequence[Container], name: str) -> str | None:
    return next((value for value in (c.labels.get(COMPOSE + name) for c in containers) if value), None)


def _paths(value: str | None, project_dir: str | None) -> tuple[str, ...]:
    return tuple(posixpath.join(project_dir or "/", path) for path in (value or "").split(",") if path)
