# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Recognise the services of a stack by image, label and name, and read their environment.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import fnmatch
import typing as t

from ._errors import StackError
from ._stack import COMPOSE, Service, depends_on

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ._engine import Container, Engine
    from ._profile import Condition, Profile, ServiceRule

PROFILE_LABEL = "crm.continuity.profile"


def repository(image: str) -> str:
    """Return the repository of an image reference, without tag and digest."""
    name = image.partition("@")[0]
    head, slash, tail = name.rpartition("/")
    return head + slash + tail.partition(":")[0]


def image_matches(image: str, pattern: str) -> bool:
    """Tell whether an image is the one of a profile, whichever registry it was pulled from."""
    name = repository(image)
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, f"*/{pattern}")


def recognise(container: Container, profiles: Mapping[str, Profile], asked: Sequence[str]) -> Service:
    name = container.labels.get(COMPOSE + "service", container.name)
    labelled = container.labels.get(PROFILE_LABEL)
    if labelled and labelled not in profiles:
        raise StackError(
            f"Container {container.name} has the label {PROFILE_LABEL}={labelled}, but there is no such profile. Known "
            f"are {', '.join(sorted(profiles))}; add one in crm_profiles."
        )
    candidates = asked or ((labelled,) if labelled else tuple(profiles))
    for profile_name in candidates:
        profile = profiles.get(profile_name)
        by_name = profile_name in asked or profile_name == labelled
        for rule in profile.services if profile else ():
            if _matches(rule, container, name, by_name):
                return Service(container, name, depends_on(container), profile_name, rule)
    return Service(container, name, depends_on(container))


def _matches(rule: ServiceRule, container: Container, service: str, by_name: bool) -> bool:
    # Names such as "backend" say nothing by themselves: they count only for a profile that was asked for.
    known = any(image_matches(container.image, pattern) for pattern in rule.images) or (
        by_name and any(fnmatch.fnmatchcase(service, pattern) for pattern in rule.compose_services)
    )
    return known and (rule.command is None or rule.command.search(" ".join(container.command)) is not None)


def environment(service: Service, profile: Profile) -> dict[str, str]:
    """Return the environment that the application sees.

    That is what the container sets, even to nothing; then what an env file inside it adds; then what the image assumes.
    """
    return {**profile.environment, **service.file_env, **service.container.env}


def holds(condition: Condition, service: Service, env: Mapping[str, str]) -> bool:
    """Tell whether a rule of a profile is meant for a service with this image and environment.

    Words are compared as the applications do it: exactly. "TRUE" is not "true". A variable that is not set is empty.
    """
    if condition.image is not None and condition.image.search(service.container.image) is None:
        return False
    return all(env.get(name, "") in words for name, words in condition.when.items())


def first(env: Mapping[str, str], names: Sequence[str]) -> str | None:
    """Return the first variable that is set to something."""
    return next((env[name] for name in names if env.get(name)), None)


def of_role(services: Sequence[Service], profile: Profile, role: str) -> list[Service]:
    """Return the containers that are one part of a CRM, running ones first."""
    found = [s for s in services if s.profile == profile.name and s.rule is not None and s.rule.name == role]
    # A running container tells the truth about its environment; a stopped one may be an older copy.
    return sorted(found, key=lambda service: not service.container.running)


def find_host(engine: Engine, asker: Container, host: str) -> Container | None:
    """Return the container that ``asker`` reaches under a host name or address, or None."""
    own = {network.name for network in asker.networks}
    project = asker.labels.get(COMPOSE + "project")
    # Where stacks share a network, several may have a "postgres": the stack's own comes first, and one that runs.
    candidates = sorted(
        engine.containers(), key=lambda c: (c.labels.get(COMPOSE + "project") != project, not c.running, c.name)
    )
    for container in candidates:
        for network in container.networks:
            # The engine resolves names only within one network.
            if network.name not in own:
                continue
            names = {container.name, container.labels.get(COMPOSE + "service", ""), network.address, container.id[:12]}
            # The engine's name server does not tell upper from lower case, and URLs are read in lower case.
            if host.lower() in {name.lower() for name in names | set(network.aliases)}:
                return container
    return None
