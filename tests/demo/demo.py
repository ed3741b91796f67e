# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Show the main job: deploy a CRM, back it up, destroy it, restore it, and compare every row and file.

Everything happens on a server of the testbed, reached over SSH like any host. What the tools print goes to
``build/demo/``; what is shown here is the course of events and the closing table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTBED = ROOT / "tests" / "testbed" / "testbed"
LOGS = ROOT / "build" / "demo"
INVENTORY = ROOT / "build" / "testbed" / "inventory.yml"
PROJECT = "/opt/crm"
TOOLS = "/root/seed"


class DemoError(Exception):
    """A step failed; the message names its log."""


@dataclass
class Demo:
    """One run: the server it happens on, and how long each step took."""

    server: str
    scale: str
    seconds: dict[str, float] = field(default_factory=dict)

    def step(self, title: str, action: t.Callable[[], None]) -> None:
        """Run one step and say how long it took."""
        print(f"{title:<58}", end="", flush=True)
        begun = time.monotonic()
        action()
        self.seconds[title] = time.monotonic() - begun
        print(f"{self.seconds[title]:7.1f} s", flush=True)

    def run(self, log: str, *argv: str, stdin: t.IO[bytes] | None = None, stdout: t.IO[bytes] | None = None) -> None:
        """Run a program with its output in a log; show the end of that when it fails."""
        path = LOGS / f"{log}.log"
        with path.open("ab") as stream:
            done = subprocess.run(argv, stdin=stdin or subprocess.DEVNULL, stdout=stdout or stream, stderr=stream, cwd=ROOT)
        if done.returncode != 0:
            print("FAILED")
            print("".join(path.read_text(errors="replace").splitlines(keepends=True)[-40:]))
            raise DemoError(f"{' '.join(argv[:3])} … exited with {done.returncode}; all of its output is in {path}.")

    def ssh(self, log: str, *argv: str, **pipes: t.IO[bytes]) -> None:
        """Run a program on the server."""
        self.run(log, str(TESTBED), "ssh", self.server, *argv, **pipes)

    def playbook(self, name: str, *options: str) -> None:
        """Run a playbook of the collection as an operator would."""
        self.run(
            name, "ansible-playbook", "-i", str(INVENTORY), "--limit", self.server, f"crm.continuity.{name}", *options
        )

    def copy(self, log: str, source: Path, destination: str) -> None:
        """Copy a directory of the repository to the server."""
        with subprocess.Popen(["tar", "-C", str(source), "-cf", "-", "."], stdout=subprocess.PIPE) as packer:
            self.ssh(log, "mkdir", "-p", destination)
            self.ssh(log, "tar", "-xf", "-", "-C", destination, stdin=t.cast("t.IO[bytes]", packer.stdout))

    def fingerprint(self, when: str) -> None:
        """Write down every row, file and key."""
        with (LOGS / f"{when}.json").open("wb") as stream:
            self.ssh("fingerprint", "python3", f"{TOOLS}/fingerprint.py", "--project-dir", PROJECT, stdout=stream)

    # The steps

    def start_server(self) -> None:
        self.run("testbed", str(TESTBED), "down", self.server)
        self.run("testbed", str(TESTBED), "up", self.server)

    def deploy(self) -> None:
        self.copy("deploy", ROOT / "tests" / "standins" / "stacks" / "crm", PROJECT)
        self.copy("deploy", ROOT / "tests" / "standins" / "seed", TOOLS)
        self.ssh("deploy", "docker", "compose", "--project-directory", PROJECT, "up", "--detach", "--wait")

    def fill(self) -> None:
        self.ssh("seed", "python3", f"{TOOLS}/seed.py", "--stack", "crm", "--project-dir", PROJECT, "--scale", self.scale)

    def destroy(self) -> None:
        self.ssh("destroy", "docker", "compose", "--project-directory", PROJECT, "down", "--volumes", "--timeout", "5")
        self.ssh("destroy", "rm", "-rf", PROJECT)
        left = subprocess.run(
            [str(TESTBED), "ssh", self.server, "docker", "volume", "ls", "--quiet"], capture_output=True, text=True, cwd=ROOT
        )
        if left.stdout.strip() or left.returncode != 0:
            raise DemoError(f"The volumes were not removed: {left.stdout} {left.stderr}")

    def compare(self) -> None:
        with (LOGS / "compare.json").open("wb") as stream:
            self.run(
                "compare",
                sys.executable,
                str(ROOT / "tests" / "standins" / "seed" / "compare.py"),
                str(LOGS / "before.json"),
                str(LOGS / "after.json"),
                "--json",
                stdout=stream,
            )

    def manifest(self) -> dict[str, t.Any]:
        """Return the manifest of the backup that was taken."""
        path = LOGS / "backups.json"
        with path.open("wb") as stream:
            self.run(
                "manifest",
                *("ansible", "-i", str(INVENTORY), self.server, "-m", "crm.continuity.backup_info"),
                *("-a", "stack=crm id=latest manifest=true", "--one-line"),
                stdout=stream,
            )
        text = path.read_text()
        result: dict[str, t.Any] = json.loads(text[text.index("{") :])
        backup: dict[str, t.Any] = result["backups"][0]["manifest"]
        return backup


def main() -> int:
    """Run the demo and print its closing table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scale", default="demo", help="how much data: small, demo or large")
    parser.add_argument("--keep", action="store_true", help="leave the server running afterwards")
    arguments = parser.parse_args()
    LOGS.mkdir(parents=True, exist_ok=True)
    for old in LOGS.iterdir():
        old.unlink()
    os.environ["ANSIBLE_NOCOLOR"] = "1"
    demo = Demo("demo", arguments.scale)
    begun = time.monotonic()
    try:
        demo.step("Start a server (sshd and its own Docker Engine)", demo.start_server)
        demo.step("Deploy Chatwoot, Evolution API, PostgreSQL, Redis", demo.deploy)
        demo.step("Fill them with conversations, attachments, sessions", demo.fill)
        demo.step("Write down every row, file and key", lambda: demo.fingerprint("before"))
        demo.step("Back up: ansible-playbook crm.continuity.backup", lambda: demo.playbook("backup"))
        demo.step("Verify: ansible-playbook crm.continuity.verify", lambda: demo.playbook("verify"))
        manifest = demo.manifest()
        demo.step("Destroy: containers, volumes, databases, compose files", demo.destroy)
        demo.step("Restore: ansible-playbook crm.continuity.restore", lambda: demo.playbook("restore"))
        demo.step("Validate: ansible-playbook crm.continuity.validate", lambda: demo.playbook("validate"))
        demo.step("Write down every row, file and key again", lambda: demo.fingerprint("after"))
        demo.step("Compare", demo.compare)
    except DemoError as exc:
        print(exc, file=sys.stderr)
        return 1
    finally:
        if not arguments.keep:
            subprocess.run([str(TESTBED), "down", demo.server], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    print_table(demo, manifest, json.loads((LOGS / "compare.json").read_text()), time.monotonic() - begun)
    return 0


def print_table(demo: Demo, manifest: dict[str, t.Any], outcome: dict[str, t.Any], total: float) -> None:
    """Print what an operator wants to know of a backup and a restore."""
    compared = outcome["compared"]
    archives = [a for a in manifest["artifacts"] if a["kind"] == "archive"]
    dumps = [a for a in manifest["artifacts"] if a["kind"] == "dump"]
    content = sum(a["facts"]["content_bytes"] for a in archives)
    frozen = manifest["freeze"]
    seconds = {title.partition(":")[0]: value for title, value in demo.seconds.items()}
    size = sum(a["size"] for a in manifest["artifacts"])
    rows = [
        ("backup", f"{manifest['id']}, {len(archives)} volumes, {len(dumps)} databases"),
        ("content of the volumes", f"{content / 1e6:.1f} MB in {sum(a['facts']['files'] for a in archives)} files"),
        ("size of the backup", f"{size / 1e6:.1f} MB"),
        ("duration of the backup", f"{seconds['Back up']:.1f} s, playbook included"),
        ("services frozen for", f"{frozen['seconds']:.2f} s ({', '.join(s['service'] for s in frozen['services'])})"),
        ("duration of the restore", f"{seconds['Restore']:.1f} s, into a host without the stack, validation included"),
        ("rows compared", f"{compared['rows']} in {compared['tables']} tables, {compared['sequences']} sequences"),
        ("files compared", f"{compared['files']}, {compared['paths'] - compared['files']} directories, links and FIFOs"),
        ("Redis keys compared", str(compared["redis_keys"])),
        ("differences", str(outcome["count"])),
        ("whole demo", f"{total:.0f} s"),
    ]
    width = max(len(name) for name, _value in rows)
    line = "+" + "-" * (width + 2) + "+" + "-" * 72 + "+"
    print(f"\n{line}")
    for name, value in rows:
        print(f"| {name:<{width}} | {value:<70} |")
    print(f"{line}\nEverything that was there is there again.")


if __name__ == "__main__":
    sys.exit(main())
