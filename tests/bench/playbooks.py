# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole backup of a stack: what Ansible and SSH add to the module's own time."""

from __future__ import annotations

import resource
import statistics
import time
import typing as t

from lab import crm
from lab.server import say

from .subjects import Row, Samples, Subject

if t.TYPE_CHECKING:
    from lab.server import Server


def rows(server: Server, rounds: int) -> list[Row]:
    """Measure, and return the rows of the table."""
    say("deploying the CRM stack")
    crm.deploy(server)
    crm.fill(server, "small")
    prepared = server.module("backup", "stack_backup", {"stack": crm.STACK})
    subject = Subject("stack_backup alone", ["python3", prepared.payload])
    samples = Samples(server)
    elapsed, used = [], []
    for _round in range(rounds):
        samples.interleave([subject], 1)
        before, begun = _cpu(), time.monotonic()
        server.playbook("backup")
        elapsed.append(time.monotonic() - begun)
        used.append(_cpu() - before)
        say(f"playbook: {elapsed[-1]:.2f} s, {used[-1]:.2f} s of CPU on the control node")
    whole, alone, cpu = statistics.median(elapsed), samples.median(subject.name), statistics.median(used)
    return [
        Row(
            "capture",
            "playbook crm.continuity.backup; peer: module alone",
            "s",
            whole,
            alone,
            whole / alone,
            "none",
            holds=True,
        ),
        Row(
            "fleet",
            "CPU of the control node for that playbook, start included",
            "s",
            cpu,
            None,
            None,
            "none",
            holds=True,
        ),
    ]


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
