# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Show the main job: deploy a CRM, back it up, destroy it, restore it, and compare every row and file.

Everything happens on a server of the testbed, reached over SSH like any host. What the playbooks print goes to
``build/demo/``; what is shown here is the course of events and the closing table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import typing as t

from lab.crm import PROJECT, STACK, deploy, fill
from lab.server import LAB, ROOT, LabError, Server, server
from lab.table import render

LOGS = ROOT / "build" / "demo"
COMPARE = ROOT / "tests" / "standins" / "seed" / "compare.py"


class Demo:
    """One run on one server; ``seconds`` says how long each step took."""

    def __init__(self, host: Server, scale: str) -> None:
        self.host = host
        self.scale = scale
        self.seconds: dict[str, float] = {}

    def step(self, title: str, action: t.Callable[[], object]) -> None:
        """Run one step and say how long it took."""
        print(f"{title:<58}", end="", flush=True)
        begun = time.monotonic()
        action()
        self.seconds[title.partition(":")[0]] = time.monotonic() - begun
        print(f"{time.monotonic() - begun:7.1f} s", flush=True)

    def playbook(self, name: str) -> None:
        """Run a playbook of the collection as an operator would, and keep what it prints."""
        done = self.host.playbook(name)
        (LOGS / f"{name}.log").write_bytes(done.stdout + done.stderr)

    def fingerprint(self, when: str) -> None:
        """Write down every row, file and key."""
        done = self.host.run("python3", f"{LAB}/seed/fingerprint.py", "--project-dir", PROJECT)
        (LOGS / f"{when}.json").write_bytes(done.stdout)

    def manifest(self) -> dict[str, t.Any]:
        """Return the manifest of the backup that was taken."""
        path = self.host.run("find", f"/var/backups/crm/{STACK}", "-name", "manifest.json").stdout.decode().split()
        found: dict[str, t.Any] = self.host.ask("cat", path[-1])
        return found

    def destroy(self) -> None:
        """Lose everything that the stack had on the server."""
        self.host.run("docker", "compose", "--project-directory", PROJECT, "down", "--volumes", "--timeout", "5")
        self.host.run("rm", "-rf", PROJECT)
        left = self.host.run("docker", "volume", "ls", "--quiet").stdout.decode().split()
        if left:
            raise LabError(f"The volumes {', '.join(left)} were not removed.")

    def compare(self) -> dict[str, t.Any]:
        """Return what was compared; raise LabError when anything differs."""
        done = subprocess.run(
            [sys.executable, str(COMPARE), str(LOGS / "before.json"), str(LOGS / "after.json"), "--json"],
            capture_output=True,
            check=False,
        )
        found: dict[str, t.Any] = json.loads(done.stdout)
        if done.returncode != 0 or not found["same"]:
            raise LabError(f"{found['count']} differences after the restore: {'; '.join(found['differences'])}")
        return found


def main() -> int:
    """Run the demo and print its closing table; return the exit code."""
    parser = argparse.ArgumentParser(description="Back up, destroy, restore and compare a CRM server.")
    parser.add_argument("--scale", default="demo", choices=("small", "demo", "large"), help="how much data")
    parser.add_argument("--keep", action="store_true", help="leave the server running afterwards")
    arguments = parser.parse_args()
    LOGS.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    try:
        with server("demo", keep=arguments.keep) as host:
            demo = Demo(host, arguments.scale)
            rows = perform(demo)
    except LabError as exc:
        print(f"\n{exc}", file=sys.stderr)
        return 1
    rows.append(("whole demo", f"{time.monotonic() - begun:.0f} s"))
    print("\n" + render(("what", "figure"), rows))
    print("Everything that was there is there again.")
    return 0


def perform(demo: Demo) -> list[tuple[str, str]]:
    """Run all steps and return the rows of the closing table."""
    demo.step("Deploy Chatwoot, Evolution API, PostgreSQL, Redis", lambda: deploy(demo.host))
    demo.step("Fill them with conversations, attachments, sessions", lambda: fill(demo.host, demo.scale))
    demo.step("Write down every row, file and key", lambda: demo.fingerprint("before"))
    demo.step("Back up: ansible-playbook crm.continuity.backup", lambda: demo.playbook("backup"))
    demo.step("Verify: ansible-playbook crm.continuity.verify", lambda: demo.playbook("verify"))
    manifest = demo.manifest()
    demo.step("Destroy: containers, volumes, databases, compose files", demo.destroy)
    demo.step("Restore: ansible-playbook crm.continuity.restore", lambda: demo.playbook("restore"))
    demo.step("Validate: ansible-playbook crm.continuity.validate", lambda: demo.playbook("validate"))
    demo.step("Write down every row, file and key again", lambda: demo.fingerprint("after"))
    return table(demo, manifest, demo.compare())


def table(demo: Demo, manifest: dict[str, t.Any], outcome: dict[str, t.Any]) -> list[tuple[str, str]]:
    """Return what an operator wants to know of a backup and a restore."""
    archives = [artifact["facts"] for artifact in manifest["artifacts"] if artifact["kind"] == "archive"]
    dumps = [artifact for artifact in manifest["artifacts"] if artifact["kind"] == "dump"]
    content = sum(facts["content_bytes"] for facts in archives) / 1e6
    size = sum(artifact["size"] for artifact in manifest["artifacts"]) / 1e6
    frozen = manifest["freeze"]
    compared = outcome["compared"]
    others = compared["paths"] - compared["files"]
    return [
        ("backup", f"{manifest['id']}: {len(archives)} volumes, {len(dumps)} databases"),
        ("content of the volumes", f"{content:.1f} MB in {sum(facts['files'] for facts in archives)} files"),
        ("size of the backup", f"{size:.1f} MB"),
        ("duration of the backup", f"{demo.seconds['Back up']:.1f} s, playbook included"),
        ("services frozen for", f"{frozen['seconds']:.2f} s ({', '.join(s['service'] for s in frozen['services'])})"),
        ("duration of the restore", f"{demo.seconds['Restore']:.1f} s into an empty host, validation included"),
        ("rows compared", f"{compared['rows']} in {compared['tables']} tables, {compared['sequences']} sequences"),
        ("files compared", f"{compared['files']}, and {others} directories, links and FIFOs"),
        ("Redis keys compared", str(compared["redis_keys"])),
        ("differences", str(outcome["count"])),
    ]


if __name__ == "__main__":
    sys.exit(main())
