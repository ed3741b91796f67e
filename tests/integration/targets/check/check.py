# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the playbook check over hosts that are broken in different ways: each is named with its code, none hides another.

All hosts are this machine, reached or not reached as their variables say.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

SECRET = "s3cret-of-the-engine"
# A clock three hours ahead, for the Python that is told so.
SKEW = """
import datetime

real = datetime.datetime


class Ahead(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return real.now(tz) + datetime.timedelta(hours=3)


datetime.datetime = Ahead
"""
LINE = re.compile(r'^\s+"([a-z_]+): (?:warning|critical) ([a-z_]+): (.*)",?$', re.MULTILINE)


def hosts(work: Path) -> dict[str, tuple[dict[str, object], str]]:
    """Return each host with its variables, and the code that it has to be told with."""
    skewed = _program(work / "skewed", f'PYTHONPATH={work} exec {sys.executable} "$@"')
    (work / "sitecustomize.py").write_text(SKEW, encoding="utf-8")
    refuses = _program(work / "refuses", "echo 'ops is not in the sudoers file.' >&2; exit 1")
    undefined = "{{ nobody_has_set_this }}"
    return {
        # As the first host is the one that tells of all, it is one that cannot even be connected to.
        "a_undefined": ({"ansible_user": undefined}, "broken"),
        "bad_become": ({"ansible_become_method": "nosuch"}, "broken"),
        "bad_connection": ({"ansible_connection": "nosuch"}, "broken"),
        "bad_alerts": ({"crm_alerts": {"max_age": 3}}, "broken"),
        "bad_stacks": ({"crm_stacks": "crm"}, "broken"),
        "closed_port": ({"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}, "unreachable"),
        "no_python": ({"ansible_python_interpreter": "/nowhere/python3"}, "half_installed"),
        "no_sudo": ({"ansible_become_exe": refuses, "ansible_become_user": "nobody"}, "password"),
        "no_docker": ({"crm_docker_host": f"tcp://crm:{SECRET}@127.0.0.1:1"}, "engine"),
        "skewed": ({"ansible_python_interpreter": skewed}, "clock"),
    }


def _program(path: Path, command: str) -> str:
    path.write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def run(inventory: Path, *options: str) -> tuple[int, str, dict[str, set[str]]]:
    """Return how the playbook ended, what it printed, and the codes that it told by host."""
    # Escapes would stand between the words.
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
    argv = ["ansible-playbook", "crm.continuity.check", "-i", str(inventory), *options]
    done = subprocess.run(
        argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding="utf-8", check=False
    )
    output = done.stdout + done.stderr
    codes: dict[str, set[str]] = {}
    for host, code, _words in LINE.findall(output):
        codes.setdefault(host, set()).add(code)
    return done.returncode, output, codes


def check(condition: bool, words: str, output: str) -> None:
    """End with what was printed unless something holds."""
    if not condition:
        sys.exit(f"{output}\n{words}")


def main() -> None:
    """Run all of it."""
    with tempfile.TemporaryDirectory(prefix="crm-check-") as name:
        work = Path(name)
        work.chmod(0o755)
        wanted = hosts(work)
        inventory = work / "inventory.json"
        common = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "crm_backup_root": str(work / "backups"),
        }
        entries = {host: variables for host, (variables, _code) in wanted.items()}
        inventory.write_text(json.dumps({"all": {"vars": common, "hosts": entries}}), encoding="utf-8")

        ended, output, codes = run(inventory)
        check(ended == 2, f"It ended with {ended}.", output)
        check(codes.keys() == wanted.keys(), f"Told of {sorted(codes)}.", output)
        for host, (_variables, code) in wanted.items():
            check(code in codes[host], f"{host} is told with {codes[host]}, and not with {code}.", output)
            check(re.search(rf"^{host} .*failed=1", output, re.MULTILINE) is not None, f"{host} did not fail.", output)
        check(SECRET not in output, "The password of the engine was printed.", output)
        print("every host is told with its code, and fails")

        ended, output, said = run(inventory, "--check")
        check((ended, said) == (2, codes), f"In check mode it ended with {ended}, and told {said}.", output)
        print("check mode says the same")

        silent = [host for host, (_variables, code) in wanted.items() if code not in ("clock", "engine")]
        ended, output, said = run(inventory, "--limit", ",".join(silent), "-e", "check_fail_on=never")
        check(ended == 0, f"Nothing was to fail, and it ended with {ended}.", output)
        check(said == {host: codes[host] for host in silent}, f"Told {said}.", output)
        print("all of them without an answer are told, and fail nothing when asked so")


if __name__ == "__main__":
    main()
