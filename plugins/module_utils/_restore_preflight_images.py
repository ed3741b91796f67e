# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the images that would be started are those that the backup was taken with.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ._restore_preflight_compose import Composed
from ._restore_preflight_findings import OK, REFUSE, WARN, Finding
from ._stack_services import repository

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ._engine import Container, Engine
    from ._manifest import Manifest
    from ._restore_preflight_compose import Unknown

POLICIES = ("warn", "pin", "refuse")
SAME, DIFFERENT, UNKNOWN = "same", "different", "unknown"


@dataclass(frozen=True)
class Comparison:
    """One service: the image of the backup, the one that would be started, and whether they are the same.

    ``pin`` is a reference that always stands for the image of the backup; None where there is no such reference.
    """

    service: str
    before: str
    wanted: str | None
    verdict: str
    pin: str | None
    why: str


def compare(
    manifest: Manifest, engine: Engine, compose: Composed | Unknown, containers: Mapping[str, Container]
) -> list[Comparison]:
    """Compare every service of the backup; ``containers`` are those that are there now, by service."""
    return [
        _compare(entry, engine, _wanted(entry["service"], compose, containers), containers.get(entry["service"]))
        for entry in manifest.source["services"]
    ]


def findings(compared: Sequence[Comparison], policy: str) -> list[Finding]:
    """Judge the comparisons as the operator wants it: warn, pin or refuse what differs."""
    return [_finding(entry, policy) for entry in compared]


def pins(compared: Sequence[Comparison]) -> dict[str, str]:
    """Return, for the services whose image is not known to be the backup's, the reference to start them with."""
    return {entry.service: entry.pin for entry in compared if entry.verdict != SAME and entry.pin is not None}


def fits(entry: Mapping[str, t.Any], compared: Sequence[Comparison], policy: str) -> bool:
    """Tell whether a volume that belongs to an image will be mounted by services of that very image."""
    services = {mount["service"] for mount in entry["mounts"]}
    mounting = [found for found in compared if found.service in services]
    return all(
        found.verdict == SAME
        or (policy == "pin" and found.pin is not None)
        # One tag stands for one version, unless it is one that moves.
        or (found.verdict == UNKNOWN and found.wanted == found.before and not _moves(found.before))
        for found in mounting
    )


def volume_finding(entry: Mapping[str, t.Any], stack: str) -> Finding:
    """Judge a volume that belongs to an image which will not be the one that is started."""
    if entry["profile"] is None:
        # The files of a database server that was not dumped: without them its data is lost.
        return Finding(
            "same_image",
            REFUSE,
            entry["name"],
            f"Volume {entry['source']} holds files that only the image of the backup can read ({entry['note']}), and "
            f"{stack} would start another. Set that image in the compose file, or images=pin.",
        )
    return Finding(
        "same_image",
        WARN,
        entry["name"],
        f"Volume {entry['source']} ({entry['purpose']}) belongs to the image of the backup, and {stack} would start "
        "another, which it would break: it is left as it is. Set that image, or images=pin, to have it restored; or "
        "allow same_image to restore it all the same.",
    )


def _wanted(service: str, compose: Composed | Unknown, containers: Mapping[str, Container]) -> str | None:
    if isinstance(compose, Composed):
        return compose.image(service)
    return containers[service].image if service in containers else None


def _compare(entry: Mapping[str, t.Any], engine: Engine, wanted: str | None, container: Container | None) -> Comparison:
    before, digests = entry["image"], entry["digests"]
    pin = _pin(entry, engine)

    def verdict(word: str, why: str) -> Comparison:
        return Comparison(entry["service"], before, wanted, word, pin, why)

    if wanted is None:
        return verdict(UNKNOWN, "which image would be started is not known")
    if "@" in wanted:
        named = wanted.rpartition("@")[2]
        if named in {digest.rpartition("@")[2] for digest in digests}:
            return verdict(SAME, "it is named by the digest of the backup")
        return verdict(DIFFERENT if digests else UNKNOWN, f"it is named by the digest {named[:19]}…")
    image = engine.image(wanted)
    if image is not None and (image.id == entry["image_id"] or set(image.digests) & set(digests)):
        return verdict(SAME, "it is the image of the backup")
    if wanted == before:
        if image is None:
            return verdict(UNKNOWN, "it is not on this host yet: what its tag stands for is known when it is pulled")
        moved = " (the container that is there still has the old one)" if _has(container, entry) else ""
        return verdict(DIFFERENT, f"its tag stands for another image on this host{moved}")
    return verdict(DIFFERENT, "it has another name or tag")


def _has(container: Container | None, entry: Mapping[str, t.Any]) -> bool:
    return container is not None and container.image_id == entry["image_id"]


def _pin(entry: Mapping[str, t.Any], engine: Engine) -> str | None:
    digests = entry["digests"]
    own = [digest for digest in digests if digest.partition("@")[0] == repository(entry["image"])]
    if own or digests:
        return str((own or digests)[0])
    # One that was built here has no digest, but may be here still.
    return entry["image_id"] if engine.image(entry["image_id"]) is not None else None


def _moves(image: str) -> bool:
    tag = image.rpartition("/")[2].partition("@")[0].partition(":")[2]
    return re.search(r"\d", tag) is None


def _finding(entry: Comparison, policy: str) -> Finding:
    subject = entry.service
    if entry.verdict == SAME:
        return Finding("images", OK, subject, f"Service {subject} starts {entry.wanted}: {entry.why}.")
    start = (
        f"Service {subject} ran {entry.before} when the backup was taken, and would start "
        f"{entry.wanted or 'an unknown image'}: {entry.why}."
    )
    breaks = "Another version may migrate the database, and cannot always read it."
    if policy == "pin":
        if entry.pin is None:
            remedy = "It cannot be pinned, because the backup knows no digest of it and it is not on this host."
            return Finding("images", REFUSE, subject, f"{start} {breaks} {remedy}")
        return Finding("images", WARN, subject, f"{start} It is pinned to {entry.pin}.")
    known = f" The image of the backup is {entry.pin}; images=pin starts it." if entry.pin else ""
    severity = REFUSE if policy == "refuse" and entry.verdict == DIFFERENT else WARN
    return Finding("images", severity, subject, f"{start} {breaks}{known}")
