# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the restored stack would fight over with others on the host: ports, names and networks; and what it mounts.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t

from ._restore_preflight_compose import Composed, Port
from ._restore_preflight_findings import REFUSE, WARN, Finding
from ._restore_target import is_anonymous, mounted_for

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from ._engine import Container, Engine
    from ._manifest import Manifest

ANYWHERE = ("", "0.0.0.0", "::")


def check(
    manifest: Manifest,
    original: Manifest,
    compose: Composed,
    engine: Engine,
    others: Sequence[Container],
    services: Collection[str],
) -> list[Finding]:
    """Return what stands in the way of starting ``services``; ``others`` are the containers of other stacks."""
    return [
        *_ports(manifest, compose, engine, others, services),
        *_container_names(manifest, compose, others),
        *_project_names(manifest, original, compose),
        *_networks(manifest, original, compose),
        *_mounts(manifest, compose),
    ]


def _ports(
    manifest: Manifest, compose: Composed, engine: Engine, others: Sequence[Container], services: Collection[str]
) -> Iterator[Finding]:
    taken = [(port, container) for container in others if container.running for port in _published(engine, container)]
    for service in sorted(set(compose.services()) & set(services)):
        for wanted in compose.ports(service):
            holder = next((container for port, container in taken if _clash(wanted, port)), None)
            if holder is not None:
                address = f"{wanted.address}:" if wanted.address else ""
                yield Finding(
                    "ports",
                    REFUSE,
                    service,
                    f"Service {service} of {manifest.stack} publishes {address}{wanted.number}/{wanted.protocol}, "
                    f"which container {holder.name} has: it could not start. Give it another port in an env file or a "
                    f"further compose file in {manifest.source['project_dir']}, or stop {holder.name}.",
                )


def _published(engine: Engine, container: Container) -> list[Port]:
    bindings = (engine.inspect(container.id).get("HostConfig") or {}).get("PortBindings") or {}
    return [
        Port(binding.get("HostIp") or "", int(binding["HostPort"]), inner.partition("/")[2] or "tcp")
        for inner, bound in bindings.items()
        for binding in bound or ()
        if str(binding.get("HostPort") or "").isdigit()
    ]


def _clash(left: Port, right: Port) -> bool:
    if (left.number, left.protocol) != (right.number, right.protocol):
        return False
    return left.address == right.address or left.address in ANYWHERE or right.address in ANYWHERE


def _container_names(manifest: Manifest, compose: Composed, others: Sequence[Container]) -> Iterator[Finding]:
    there = {container.name for container in others}
    for service in compose.services():
        name = compose.service(service).get("container_name")
        if name in there:
            yield Finding(
                "names",
                REFUSE,
                service,
                f"The compose file calls the container of service {service} {name}, and there is one of that name "
                f"that is not of {manifest.stack}: compose could not make it. Take container_name out of the compose "
                f"file in {manifest.source['project_dir']}, or change it.",
            )


def _project_names(manifest: Manifest, original: Manifest, compose: Composed) -> Iterator[Finding]:
    for path, name in sorted(compose.names.items()):
        if name != manifest.stack:
            which = f"the original stack {name}" if name == original.stack else f"the stack {name}"
            yield Finding(
                "names",
                WARN,
                path,
                f"{path} says that the project is called {name}. The restore starts it as {manifest.stack} all the "
                f"same, but docker compose by hand in that directory would work on {which}. Change the name there.",
            )


def _networks(manifest: Manifest, original: Manifest, compose: Composed) -> Iterator[Finding]:
    if manifest.stack == original.stack:
        return
    for name, external in sorted(compose.networks().items()):
        if external or not name.startswith(f"{manifest.stack}_"):
            yield Finding(
                "names",
                WARN,
                name,
                f"{manifest.stack} and {original.stack} would share the network {name}: a service such as postgres is "
                "then found under one name in both, and a proxy sees both with the same labels. Give the new stack a "
                "network of its own.",
            )


def _mounts(manifest: Manifest, compose: Composed) -> Iterator[Finding]:
    for entry in manifest.source["volumes"]:
        if entry["coverage"] not in ("archive", "dump") or is_anonymous(entry) or not entry["mounts"]:
            continue
        mounted = mounted_for(entry, compose)
        where = f"{entry['mounts'][0]['path']} of {entry['mounts'][0]['service']}"
        if mounted is None:
            what = "mounts nothing"
        elif mounted.source.rstrip("/") != entry["source"].rstrip("/"):
            what = f"mounts {mounted.source}"
        else:
            continue
        yield Finding(
            "mounts",
            WARN,
            entry["name"],
            f"The compose file {what} on {where}, where the backup had {entry['source']}: what is restored there would "
            "not be seen by the service. Mend the compose file, or map the volume.",
        )
