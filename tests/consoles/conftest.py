# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A starter repository as its owner has it, with the collection as its requirements name it, and backups to look at."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._audit import DEFAULT_HEADS
from ansible_collections.crm.continuity.tests.unit.backup_fakes import crm_host
from ansible_collections.crm.continuity.tests.unit.conftest import own_place
from ansible_collections.crm.continuity.tests.unit.keys import PASSPHRASE, age_pair, passphrase_pair

# A fixture: backups for these tests are taken apart from this machine.
__all__ = ["own_place"]

ROOT = Path(__file__).resolve().parents[2]
STARTER = ROOT / "examples" / "starter"
REPOSITORY = "https://github.com/crm-continuity/crm.continuity.git"
# Nobody listens there.
NO_ENGINE = "unix:///nonexistent/docker.sock"


def run(argv, **more):
    """Run a program that has to succeed."""
    ran = subprocess.run(
        argv, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, check=False, **more
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def own_environment(home):
    """Return an environment without anything that Ansible would read, but the way to its programs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "CRM_", "GIT_"))}
    return {**kept, "HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


@pytest.fixture(scope="session", autouse=True)
def nothing_remembered(tmp_path_factory):
    """Let this machine forget the audit logs of these tests: the next run has directories of the same names."""
    _forget_below(tmp_path_factory.getbasetemp())
    yield
    _forget_below(tmp_path_factory.getbasetemp())


def _forget_below(directory):
    for head in Path(DEFAULT_HEADS).glob("*.json"):
        if Path(json.loads(head.read_text(encoding="utf-8"))["root"]).is_relative_to(directory):
            head.unlink()


@pytest.fixture(scope="session")
def starter(tmp_path_factory):
    """Return a checkout of the starter, and install the collection there as AWX, Semaphore and its README do."""
    home = tmp_path_factory.mktemp("home")
    upstream = tmp_path_factory.mktemp("upstream")
    files = run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT).split("\0")
    for name in filter(None, files):
        if (ROOT / name).is_file():
            (upstream / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, upstream / name)
    author = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    run(["git", "init", "--quiet", "--initial-branch=main"], cwd=upstream)
    run(["git", "add", "--all"], cwd=upstream)
    run(["git", *author, "commit", "--quiet", "--no-gpg-sign", "--message=As it is"], cwd=upstream)
    checkout = tmp_path_factory.mktemp("starter") / "crm-backups"
    shutil.copytree(STARTER, checkout)
    instead = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{upstream}.insteadOf",
        "GIT_CONFIG_VALUE_0": REPOSITORY,
    }
    command = ["ansible-galaxy", "collection", "install", "-r", "collections/requirements.yml", "-p", "collections"]
    run(command, cwd=checkout, env={**own_environment(home), **instead})
    return checkout


@dataclass(frozen=True)
class Backups:
    """A root with an encrypted backup, and what opens it."""

    root: str
    inputs: dict[str, str]
    secrets: tuple[str, ...]


@pytest.fixture(scope="session")
def backups(tmp_path_factory):
    """Return roots with a real backup in each, by the method that encrypted it."""
    made = {}
    with pytest.MonkeyPatch.context() as monkeypatch:
        for method, pair_of in (("age", age_pair), ("aes256", passphrase_pair)):
            pair = pair_of(tmp_path_factory.mktemp("keys"))
            host = crm_host(tmp_path_factory.mktemp("host"), monkeypatch)
            host.back_up(encryption=pair.encryption)
            if method == "age":
                identity = Path(pair.keys.identity_file).read_text(encoding="utf-8")
                (key,) = [line for line in identity.splitlines() if line.startswith("AGE-SECRET-KEY-")]
                made[method] = Backups(host.root, {"identity": key}, (key,))
            else:
                made[method] = Backups(host.root, {"passphrase": PASSPHRASE}, (PASSPHRASE,))
    return made


def local_host(root, **more):
    """Return the variables of a host that is this machine, with backups and without an engine."""
    return {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_become": False,
        "crm_backup_root": root,
        "crm_docker_host": NO_ENGINE,
        "crm_metrics_directory": f"{root}/nowhere",
        "crm_signers": [],
        **more,
    }


# A host that refuses every connection.
GONE = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_timeout": 2, "ansible_ssh_retries": 0}
