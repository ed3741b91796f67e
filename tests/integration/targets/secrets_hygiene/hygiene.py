# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plant secrets in a stack and in the variables of the playbooks, run the playbooks, and look for the secrets.

What is looked through: everything that the playbooks print at -vvv; the arguments of all processes, many times a second
while they run; and every file that was written meanwhile below the places that logs, results of tasks, units and
temporary files have. A secret that is planted there on purpose has to be found in each of them, or nothing is proved.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
MAKE_STACK = HERE.parent / "setup_stack" / "files" / "make-stack"
NAME = f"crmtb-hyg-{secrets.randbelow(90000000) + 10000000}"
HOME = Path.home()

# Where something may have been written. What is not there on a host is passed over.
PLACES = {
    "logs": [Path("/var/log")],
    "results of tasks": [HOME / ".ansible_async"],
    "units": [Path("/etc/systemd"), Path("/run/systemd"), Path("/usr/lib/systemd/system"), Path("/etc/cron.d")],
    "temporary files": [Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"), HOME / ".ansible"],
    "state": [Path("/run/crm.continuity"), Path("/var/lib/crm.continuity"), Path("/etc/crm.continuity")],
}
LARGEST = 64 << 20
LOOKS = 20
# Each playbook with its variables, and whether it succeeds. One that fails prints more.
RUNS = [
    ("backup", {}, True),
    ("backup", {"crm_passphrase": ""}, False),
    ("verify", {"verify_id": "all"}, True),
    ("verify", {"crm_passphrase": "another one than that"}, False),
    ("extract", {"extract_database": "chatwoot", "extract_table": "accounts", "extract_to": "{work}/out"}, True),
    ("extract", {"extract_volume": f"{NAME}_storage", "extract_to": "{work}/out"}, True),
    ("restore", {}, False),
    ("load", {"load_path": "{work}/none.tar.gz", "load_profile": "chatwoot"}, False),
    ("retrieve", {"retrieve_path": "{work}/retrieved.tar.gz", "retrieve_profile": "chatwoot"}, None),
    ("validate", {"validate_timeout": 1}, None),
    ("adopt", {"adopt_paths": ["{work}/none"]}, False),
    ("legacy", {"legacy_paths": ["{work}"]}, True),
    ("hold", {"hold_stack": NAME, "hold_id": "latest", "hold_reason": "a trial"}, True),
    ("prune", {}, None),
    ("revert", {}, None),
    ("thaw", {}, True),
    ("commit", {}, True),
    ("audit", {"audit_storage": True}, True),
]


class Watch(threading.Thread):
    """Reads the arguments of every process that begins while it runs, again and again."""

    def __init__(self, needles: list[bytes]) -> None:
        super().__init__(daemon=True)
        self.needles = needles
        # How often each process was looked at: it changes its arguments when it becomes another program.
        self.looks = {pid: LOOKS for pid in os.listdir("/proc") if pid.isdigit()}
        self.seen: set[bytes] = set()
        self.hits: set[bytes] = set()
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.01):
            for pid in os.listdir("/proc"):
                if pid.isdigit() and self.looks.get(pid, 0) < LOOKS:
                    self.looks[pid] = self.looks.get(pid, 0) + 1
                    with contextlib.suppress(OSError):
                        self._look(Path("/proc", pid, "cmdline").read_bytes())

    def _look(self, arguments: bytes) -> None:
        self.seen.add(arguments)
        if any(needle in arguments for needle in self.needles):
            self.hits.add(arguments)

    def stop(self) -> None:
        self.ended.set()
        self.join()


def forms(secret: str) -> list[bytes]:
    """Return a secret as it is, and as it stands in an HTTP header or a file that is base64."""
    plain = secret.encode()
    # The middle of base64 is the same wherever it begins, in one of three ways.
    coded = [base64.b64encode(b"x" * shift + plain)[4:-4] for shift in range(3)]
    return [plain, *coded]


def written_since(moment: float, places: list[Path], without: list[Path]) -> list[Path]:
    """Return the files that were written or created since a moment."""
    found = []
    for place in places:
        for directory, names, files in os.walk(place):
            here = Path(directory)
            names[:] = [name for name in names if here / name not in without and not (here / name).is_mount()]
            for name in files:
                path = here / name
                with contextlib.suppress(OSError):
                    status = path.lstat()
                    if path not in without and path.is_file() and max(status.st_mtime, status.st_ctime) >= moment:
                        found.append(path)
    return found


def hits(paths: list[Path], needles: list[bytes]) -> list[str]:
    """Return the files that hold a secret."""
    found = []
    for path in paths:
        with contextlib.suppress(OSError):
            if path.stat().st_size <= LARGEST and any(needle in path.read_bytes() for needle in needles):
                found.append(str(path))
    return found


def journal(moment: float) -> bytes:
    """Return what the host has logged since a moment, where it has a journal."""
    if shutil.which("journalctl") is None:
        return b""
    return subprocess.run(
        ["journalctl", f"--since=@{int(moment)}", "--no-pager"], capture_output=True, check=False
    ).stdout


class Trial:
    """A stack with secrets in it, and what the playbooks did with it."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.planted = {name: secrets.token_hex(16) for name in ("password", "passphrase", "database")}
        self.control = secrets.token_hex(16)
        self.needles = [form for secret in self.planted.values() for form in forms(secret)]
        self.variables = work / "variables.json"
        self.own = [self.variables, work / "project"]
        self.output: dict[str, bytes] = {}
        self.failures: list[str] = []

    def run_playbook(self, name: str, extra: dict[str, object]) -> int:
        """Run a playbook of the collection at -vvv, and keep what it prints."""
        texts = json.loads(json.dumps(extra).replace("{work}", str(self.work)))
        self.variables.write_text(
            json.dumps(
                {
                    "ansible_python_interpreter": sys.executable,
                    "crm_backup_root": str(self.work / "store"),
                    "crm_stacks": [{"name": NAME, "profiles": ["chatwoot", "evolution"]}],
                    "crm_encryption": {"method": "aes256"},
                    "crm_passphrase": self.planted["passphrase"],
                    "extract_stack": NAME,
                    "restore_stack": NAME,
                    "restore_database_password": self.planted["database"],
                    "load_stack": NAME,
                    "load_database_password": self.planted["database"],
                    "retrieve_stack": NAME,
                    "retrieve_database_password": self.planted["database"],
                    "thaw_stack": NAME,
                    **texts,
                }
            )
        )
        argv = ["ansible-playbook", "-vvv", "-i", "localhost,", "-c", "local", "-e", f"@{self.variables}"]
        done = subprocess.run(
            [*argv, name if name.endswith(".yml") else f"crm.continuity.{name}"],
            env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        self.output[f"{len(self.output) + 1} {name}"] = done.stdout
        return done.returncode

    def expect(self, what: str, truth: bool) -> None:
        """Note what does not hold."""
        print(f"{'ok ' if truth else 'NOT'}  {what}", flush=True)
        if not truth:
            self.failures.append(what)

    def playbooks(self) -> None:
        """Run all of them while the processes are watched, and look for the secrets."""
        began = time.time() - 1
        watch = Watch(self.needles)
        watch.start()
        for name, extra, succeeds in RUNS:
            code = self.run_playbook(name, extra)
            good = succeeds is None or (code == 0) == succeeds
            self.expect(f"{name} {sorted(extra)} ends as it should ({code})", good)
            if not good:
                print("\n".join(list(self.output.values())[-1].decode(errors="replace").splitlines()[-40:]))
        watch.stop()
        for name, text in self.output.items():
            self.expect(f"nothing in what {name} prints", not any(needle in text for needle in self.needles))
        self.expect(f"nothing in the arguments of {len(watch.seen)} processes", not watch.hits)
        self.expect("many processes were seen", len(watch.seen) > 5 * len(RUNS))
        self.expect("nothing in the journal", not any(needle in journal(began) for needle in self.needles))
        for what, places in {**PLACES, "the store": [self.work]}.items():
            found = hits(written_since(began, places, self.own), self.needles)
            self.expect(f"nothing in {what} {found or ''}", not found)
        self.expect("a backup is there", any((self.work / "store" / NAME).glob("2*/manifest.json")))
        self.expect("the audit log is there", (self.work / "store" / "audit.jsonl").stat().st_size > 0)

    def controls(self) -> None:
        """Plant another secret in each of the places, and find it there."""
        needles = forms(self.control)
        began = time.time() - 1
        watch = Watch(needles)
        watch.start()
        playbook = self.work / "control.yml"
        task = {"ansible.builtin.set_fact": {"x": self.control}}
        playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [task]}]))
        self.run_playbook(str(playbook), {})
        subprocess.run(["sh", "-c", "sleep 0.3", self.control], check=True)
        watch.stop()
        self.expect("control: found in output", any(needle in list(self.output.values())[-1] for needle in needles))
        self.expect("control: found in arguments", bool(watch.hits))
        header = base64.b64encode(b"user:" + self.control.encode())
        self.expect("control: found in base64", any(needle in header for needle in needles))
        for what, places in PLACES.items():
            for place in places:
                if place.is_dir():
                    self._control_file(what, place, began, needles)

    def _control_file(self, what: str, place: Path, began: float, needles: list[bytes]) -> None:
        path = place / f"{NAME}.control"
        path.write_text(f"password={self.control}\n")
        try:
            found = hits(written_since(began, [place], []), needles)
        finally:
            path.unlink()
        self.expect(f"control: found in {what}, {place}", str(path) in found)


def forget(work: Path) -> None:
    """Remove what the host remembers of the audit log below a directory."""
    for path in Path("/var/lib/crm.continuity/audit").glob("*.json"):
        if json.loads(path.read_text())["root"].startswith(str(work)):
            path.unlink()


def main() -> int:
    work = Path(tempfile.mkdtemp(prefix=f"{NAME}-", dir="/var/tmp"))
    trial = Trial(work)
    try:
        subprocess.run(["bash", MAKE_STACK, "up", NAME, work, trial.planted["password"]], check=True)
        trial.playbooks()
        trial.controls()
    finally:
        subprocess.run(["bash", MAKE_STACK, "down", NAME], check=True)
        forget(work)
        shutil.rmtree(work)
    print(f"{len(trial.failures)} of the above do not hold.")
    return 1 if trial.failures else 0


if __name__ == "__main__":
    sys.exit(main())
