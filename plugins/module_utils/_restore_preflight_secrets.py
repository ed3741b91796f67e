# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the secrets that the restored data needs are those that the stack will have.

Values are compared and never shown: nothing that leaves this file holds one. Standard library only. Private to this
collection.
"""

from __future__ import annotations

import json
import os
import typing as t

from ._encryption import start_of
from ._errors import StoreError
from ._files import file_sha256
from ._restore_preflight_compose import Composed
from ._restore_preflight_findings import OK, REFUSE, WARN, Finding

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ._engine import Container, Engine
    from ._manifest import Manifest
    from ._profile import Profile, Secret
    from ._restore_preflight_compose import Unknown

Environments = dict[str, dict[str, str]]
CONTAINERS = "config/containers.json"
# What describes the containers of a stack is never as long.
LARGEST = 1 << 26
SERVICE = "com.docker.compose.service"


def of_backup(manifest: Manifest, directory: str) -> Environments:
    """Return the environments of the containers when the backup was taken, by service.

    Nothing where the backup does not hold them or they cannot be read; raises StoreError where they were changed.
    """
    artifact = next((entry for entry in manifest.artifacts if entry.path.startswith(CONTAINERS)), None)
    if artifact is None or not os.path.isfile(path := os.path.join(directory, artifact.path)):
        return {}
    if file_sha256(path).sha256 != artifact.sha256:
        raise StoreError(f"{path} is damaged: its checksum is not the one of the manifest. Use another backup.")
    described = json.loads(start_of(path, LARGEST))
    found: Environments = {}
    for entry in described:
        config = entry.get("Config") or {}
        name = (config.get("Labels") or {}).get(SERVICE) or entry.get("Name", "").lstrip("/")
        found[name] = dict(word.partition("=")[::2] for word in config.get("Env") or ())
    return found


def of_target(
    engine: Engine, compose: Composed | Unknown, containers: Mapping[str, Container]
) -> tuple[Environments, str]:
    """Return the environments that the services will have after the restore, and whose words that are.

    ``containers`` are those that are there now. What an application reads from a file inside its container is not
    among this, nor is it in a backup's description of the containers.
    """
    if not isinstance(compose, Composed):
        return {name: dict(container.env) for name, container in containers.items()}, "the containers that are there"
    found: Environments = {}
    for name in compose.services():
        image = engine.image(compose.image(name) or "")
        found[name] = {**(image.env if image else {}), **compose.environment(name)}
    return found, compose.origin


def check(
    manifest: Manifest,
    profiles: Mapping[str, Profile],
    before: Environments,
    after: Environments,
    origin: str,
) -> list[Finding]:
    """Compare the secrets that the profiles name."""
    found: list[Finding] = []
    for name in manifest.source["profiles"]:
        if name not in profiles or not profiles[name].secrets:
            continue
        services = [entry["service"] for entry in manifest.source["services"] if entry["profile"] == name]
        known = [service for service in services if service in before and service in after]
        if not known:
            message = (
                f"Whether the secrets of {name} are those of the backup is not known: "
                f"{'what the stack will have' if before else 'what they were'} cannot be read. Compare "
                f"{', '.join(secret.name for secret in profiles[name].secrets)} by hand."
            )
            found.append(Finding("secrets", WARN, name, message))
            continue
        pairs = [(before[service], after[service]) for service in known]
        differing = [_differs(secret, name, pairs, origin) for secret in profiles[name].secrets]
        told = [entry for entry in differing if entry is not None]
        unseen = set(manifest.source["secrets"].get(name, ())) - {key for env, _after in pairs for key in env}
        if unseen:
            message = (
                f"{', '.join(sorted(unseen))} of {name} was set in a file that the application reads by itself: "
                "whether it is the backup's is not known. Compare it by hand before the stack is used."
            )
            told.append(Finding("secrets", WARN, name, message))
        found += told or [Finding("secrets", OK, name, f"The secrets of {name} are those of the backup ({origin}).")]
    return found


def _differs(
    secret: Secret, profile: str, pairs: Sequence[tuple[Mapping[str, str], Mapping[str, str]]], origin: str
) -> Finding | None:
    for before, after in pairs:
        was, will_be = before.get(secret.name) or None, after.get(secret.name) or None
        if was == will_be:
            continue
        how = "differs from the backup's"
        if will_be is None:
            how = "was set when the backup was taken, and would not be"
        elif was is None:
            how = "was not set when the backup was taken, and would be"
        severity = WARN if secret.severity == "warn" else REFUSE
        breaks = f" Then {secret.breaks}." if secret.breaks else " What was encrypted or signed with it is lost."
        message = (
            f"{secret.name} of {profile} {how}, as {origin} say.{breaks} Set the value of the backup "
            "(config/ of the backup has it), or let the backup's files win: restore_config=replace."
        )
        return Finding("secrets", severity, secret.name, message)
    return None
