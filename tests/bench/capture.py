# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The freeze window: how long services stand still while much data is backed up and some of it changes."""

from __future__ import annotations

import json
import statistics
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from lab.server import LAB, say

from .subjects import TIMES, Row, Samples, Subject, memory_row
from .volumes import VOLUMES, Tree, fill, runbook

if t.TYPE_CHECKING:
    from lab.server import Prepared, Server

PROJECT = "/opt/bench"
OUT = "/var/backups/capture"
PROFILE = {
    "name": "bench",
    "services": [{"name": "churn", "images": ["standin/load"]}],
    "volumes": [{"path": "/data", "purpose": "measured"}],
}
# Of all files, rewritten in the time that their archive takes.
SHARES = (0.001, 0.01, 0.1)
COMMON = 0.01
FIVE = 5
FEW_ROUNDS = 2
WINDOW = 1.0
FLAT = 1.5
MEMORY = 150
PAUSES = 30
SCAN = 100_000


@dataclass
class Backups:
    """What backups said: how long services stood still, by phase, and how many files came again after the live pass."""

    prepared: Prepared
    stood: list[float] = field(default_factory=list)
    phases: list[dict[str, float]] = field(default_factory=list)
    again: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def window(self) -> float:
        """The freeze window in seconds."""
        return statistics.median(self.stood)

    @property
    def total(self) -> float:
        """The whole backup in seconds."""
        return statistics.median(self.seconds)

    @property
    def scan(self) -> float:
        """How long it took to find out what had changed, and to archive it."""
        return statistics.median(phases["delta"] for phases in self.phases)


class Stack:
    """One volume and somebody who rewrites files of it, as a compose project of its own."""

    def __init__(self, server: Server, name: str, tree: Tree) -> None:
        self._server = server
        self._samples = Samples(server)
        self.name = name
        self.tree = tree
        self.churn(0)
        self.ours = self.prepare()

    def prepare(self, collections: Path | None = None) -> Backups:
        """Run the module once as Ansible does; that of another version where ``collections`` says so."""
        arguments = {"stack": self.name, "stack_profiles": ["bench"], "profiles": [PROFILE], "backup_root": OUT}
        name = f"backup-{self.name}{'-other' if collections else ''}"
        prepared = self._server.module(name, "stack_backup", arguments, collections=collections)
        self._forget()
        return Backups(prepared)

    def churn(self, rate: float) -> None:
        """Let so many files be rewritten in every second from now on."""
        compose = ("docker", "compose", "--project-directory", PROJECT, "--project-name", self.name)
        env = ("env", f"CHURN={rate:.3f}", f"VOLUME={self.name}")
        self._server.run(*env, *compose, "up", "--detach", "--wait", "--force-recreate", "--timeout", "2")

    def backup(self, into: Backups) -> None:
        """Take a backup and note what it says of its freeze."""
        measured = self._samples.take(self._subject(into))
        output = measured["output"]
        said = json.loads(output[output.index("{") :])
        manifest = self._server.ask("cat", f"{said['directory']}/manifest.json")
        into.seconds.append(measured["seconds"])
        into.stood.append(said["frozen_seconds"])
        into.phases.append(manifest["freeze"].get("phases", {}))
        into.again.append(sum(a["facts"].get("superseded", 0) for a in manifest["artifacts"] if a["kind"] == "archive"))
        say(f"{self.name}: {into.seconds[-1]:.1f} s, frozen {into.stood[-1]:.2f} s, {into.again[-1]} names came again")
        self._forget()

    def memory(self) -> dict[str, t.Any]:
        """Take a backup and look at its memory."""
        measured = self._samples.take(self._subject(self.ours), memory=True)
        self._forget()
        return dict(measured)

    def remove(self) -> None:
        """Make room for the next one."""
        self._server.shell(f"docker rm --force {self.name}-churn-1 && docker volume rm {self.name}")

    def _subject(self, backups: Backups) -> Subject:
        return Subject(f"backup of {self.name}", ["python3", backups.prepared.payload])

    def _forget(self) -> None:
        self._server.shell(f"rm -rf {OUT}/{self.name}")


def rows(server: Server, tree: Tree, many: Tree, rounds: int, other: Path | None) -> list[Row]:
    """Measure, and return the rows of the table; ``other`` is where another version of the collection is."""
    server.copy(Path(__file__).parent / "stack", PROJECT)
    server.run("mkdir", "-p", OUT)
    fill(server, "one", tree)
    one = Stack(server, "one", tree)
    found = [*_undisturbed(one, rounds, other), *_churned(server, one, rounds)]
    found += _grown(server, one, rounds)
    found += _many(server, many)
    found.append(_pauses(server))
    return found


def _undisturbed(one: Stack, rounds: int, other: Path | None) -> list[Row]:
    theirs = one.prepare(other) if other else None
    for _round in range(rounds):
        one.backup(one.ours)
        if theirs is not None:
            one.backup(theirs)
    if theirs is None:
        return []
    total = one.ours.total / theirs.total
    window = theirs.window / one.ours.window
    words = f"{one.tree.words}, nothing changes; peer: the other version"
    return [
        Row("capture", f"whole backup, {words}", "s", one.ours.total, theirs.total, total, "none", holds=True),
        Row("capture", f"freeze window, {words}", "s", one.ours.window, theirs.window, window, "none", holds=True),
    ]


def _churned(server: Server, one: Stack, rounds: int) -> list[Row]:
    """Compare the freeze window with the time for which the runbook has everything stopped."""
    windows = {share: Backups(one.ours.prepared) for share in SHARES}
    for _round in range(rounds):
        for share, backups in windows.items():
            one.churn(_rate(one, share))
            one.backup(backups)
    one.churn(0)
    down = runbook("one", OUT)
    peer = Samples(server)
    say("the runbook, which has everything stopped meanwhile")
    peer.interleave([down], 1)
    return [
        _window(f"freeze window, {one.tree.words}, {_words(share)}; peer: runbook", backups, peer.median(down.name))
        for share, backups in windows.items()
    ]


def _grown(server: Server, one: Stack, rounds: int) -> list[Row]:
    """Measure the same with five times the data: once in as many files, once in five times as many small ones."""
    large = _beside(server, one, "large", Tree(one.tree.files, FIVE * one.tree.size), rounds)
    numerous = _beside(server, one, "numerous", Tree(FIVE * one.tree.files, one.tree.size), rounds)
    return [*large, numerous[0]]


def _beside(server: Server, one: Stack, name: str, tree: Tree, rounds: int) -> list[Row]:
    fill(server, name, tree)
    other = Stack(server, name, tree)
    ours, theirs = Backups(one.ours.prepared), Backups(other.ours.prepared)
    other.backup(other.ours)
    for _round in range(min(rounds, FEW_ROUNDS)):
        for stack, backups in ((one, ours), (other, theirs)):
            stack.churn(_rate(stack, COMMON))
            stack.backup(backups)
            stack.churn(0)
    ratio = theirs.window / ours.window
    words = f"freeze window, {tree.words}, {_words(COMMON)}; peer: {one.tree.words}"
    more_files = tree.files > one.tree.files
    budget = f"≤ {WINDOW:g} s" if more_files else f"≤ {FLAT:g}{TIMES} and ≤ {WINDOW:g} s"
    holds = theirs.window <= WINDOW and (more_files or ratio <= FLAT)
    found = [Row("capture", words, "s", theirs.window, ours.window, ratio, budget, holds)]
    if not more_files:
        say("measuring memory")
        big, few = other.memory(), one.memory()
        for which, key in (("all processes", "together"), ("Python alone", "alone")):
            words = f"peak memory of stack_backup, {which}, {tree.words}; peer: {one.tree.words}"
            found.append(memory_row("capture", words, big[key], few[key], MEMORY))
    other.remove()
    return found


def _many(server: Server, tree: Tree) -> list[Row]:
    """Measure a tree of very many files, among them names with line breaks and such that are no text."""
    say(f"filling volume many: {tree.words}")
    server.run("docker", "volume", "create", "many")
    place = f"{VOLUMES}/many/_data"
    server.run("python3", f"{LAB}/bench/many.py", place, str(tree.files), str(tree.size))
    many = Stack(server, "many", tree)
    for _round in range(FEW_ROUNDS):
        many.backup(many.ours)
    finding = Subject("find", ["bash", "-c", f"find {place} -printf '%T@ %C@ %s %i %p\\0' >/dev/null"])
    samples = Samples(server)
    samples.interleave([finding], FEW_ROUNDS)
    rate, bare = tree.files / many.ours.scan, tree.files / samples.median(finding.name)
    say("measuring memory")
    seen = many.memory()
    words = f"{tree.files:,} files of {tree.size / 1e9:.0f} GB, nearly all holes"
    window, whole = many.ours.window, many.ours.total
    scan = f"scan of {words}; peer: find -printf"
    stood = f"freeze window, {words}; peer: whole backup"
    memory = f"peak memory, all processes, {words}; peer: Python alone"
    return [
        Row("capture", scan, "files/s", rate, bare, rate / bare, f"≥ {SCAN:,} files/s", holds=rate >= SCAN),
        Row("capture", stood, "s", window, whole, window / whole, "none", holds=True),
        memory_row("capture", memory, seen["together"], seen["alone"], MEMORY),
    ]


def _pauses(server: Server) -> Row:
    """Compare the two ways in which a container is made to stand still."""
    seen = server.ask("python3", f"{LAB}/bench/pauses.py", "many-churn-1", str(PAUSES))
    ours, peer = (statistics.median(seen[way]) * 1000 for way in ("cgroup", "engine"))
    name = "container paused and let go on, by its control group; peer: by the engine"
    return Row("capture", name, "ms", ours, peer, peer / ours, "none", holds=True)


def _rate(stack: Stack, share: float) -> float:
    # Of the time that a backup of it takes without any change, nearly all is the archive.
    return share * stack.tree.files / stack.ours.total


def _words(share: float) -> str:
    return f"{share * 100:g} % of the files rewritten meanwhile"


def _window(name: str, backups: Backups, peer: float) -> Row:
    ratio = peer / backups.window
    return Row("capture", name, "s", backups.window, peer, ratio, f"≤ {WINDOW:g} s", holds=backups.window <= WINDOW)
