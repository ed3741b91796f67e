# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verification: how fast a backup is read back, beside sha256sum and zstd on the same files."""

from __future__ import annotations

import shlex
import typing as t

from .subjects import TIMES, Row, Samples, Subject

if t.TYPE_CHECKING:
    from lab.server import Server

SLOWEST = 1.5


def rows(server: Server, stack: str, root: str, rounds: int) -> list[Row]:
    """Measure the newest backup of a stack, and return the rows of the table."""
    asked = {"stack": stack, "backup_root": root, "record": False}
    prepared = server.module(f"verify-{stack}", "backup_verify", asked)
    (found,) = prepared.result["backups"]
    size, inside = found["bytes"] / 1e6, f"cd {shlex.quote(found['path'])}"
    checksums = f"{inside} && sha256sum --quiet --check SHA256SUMS"
    unpacked = f"{inside} && find . -name '*.zst' -exec zstd --quiet --test {{}} +"
    ours = Subject("our verify, full", ["python3", prepared.payload])
    sha256sum = Subject("sha256sum --check", ["bash", "-c", checksums])
    zstd = Subject("zstd --test", ["bash", "-c", unpacked])
    both = Subject("sha256sum --check, zstd --test", ["bash", "-c", f"{checksums} && {unpacked}"])
    samples = Samples(server)
    samples.interleave([ours, sha256sum, zstd, both], rounds)

    def beside(peer: Subject, budget: float | None) -> Row:
        ratio = samples.median(ours.name) / samples.median(peer.name)
        return Row(
            "trust",
            f"verify, all of {size:,.0f} MB; peer: {peer.name}",
            "MB/s",
            size / samples.median(ours.name),
            size / samples.median(peer.name),
            ratio,
            f"≤ {budget:g}{TIMES} the time" if budget else "none",
            holds=budget is None or ratio <= budget,
        )

    return [beside(sha256sum, None), beside(zstd, None), beside(both, SLOWEST)]
