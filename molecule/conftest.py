# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tests of all scenarios share: what the playbooks have observed, and the servers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import testinfra

ROOT = Path(__file__).resolve().parents[1]
OBSERVED = ROOT / "build" / "molecule"
REFERENCE = OBSERVED / "reference"
INVENTORY = ROOT / "build" / "testbed" / "inventory.yml"
STACKS = ROOT / "tests" / "standins" / "stacks"
COMPARE = ROOT / "tests" / "standins" / "seed" / "compare.py"
# The profile of Ticketz gives this function a search path, without which its index could not be built again.
REPAIRED = "functions › public.immutable_unaccent(text): was "  # noqa: RUF001 - compare.py writes it so

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
KEPT = re.compile(r"databases › \S+__crm_(?:staged|previous)_\d+: ")  # noqa: RUF001


@dataclass(frozen=True)
class Evidence:
    """The files that the playbooks of one scenario have left."""

    directory: Path

    def read(self, name: str) -> Any:
        """Return what was observed under a name."""
        return json.loads((self.directory / f"{name}.json").read_text(encoding="utf-8"))

    def said(self, name: str) -> str:
        """Return all that a playbook printed, its lines joined as the eye joins them."""
        return re.sub(r"\s+", " ", COLOURS.sub("", self.output(name)))

    def output(self, name: str) -> str:
        """Return what a playbook printed, word for word."""
        return str(self.read(name)["output"])

    def succeeded(self, name: str) -> bool:
        """Tell whether a playbook ended with 0."""
        return bool(self.read(name)["rc"] == 0)

    def states(self, name: str) -> dict[str, str]:
        """Return how each container was: running, paused, exited …"""
        return {
            container.lstrip("/"): "paused" if state["Paused"] else state["Status"]
            for container, state in self.read(name).items()
        }

    def starts(self, name: str) -> dict[str, str]:
        """Return when each container was started last."""
        return {container.lstrip("/"): state["StartedAt"] for container, state in self.read(name).items()}

    def differences(self, name: str, reference: Path) -> list[str]:
        """Compare a fingerprint with an earlier one and return what differs.

        Left out are what a restore mends on purpose, and databases that it keeps.
        """
        compared = subprocess.run(
            [
                sys.executable,
                str(COMPARE),
                str(reference),
                str(self.directory / f"{name}.json"),
                "--json",
                "--show=1000000",
            ],
            check=False,
            capture_output=True,
            text=True,
        )
        found: list[str] = json.loads(compared.stdout)["differences"]
        return [line for line in found if REPAIRED not in line and not KEPT.search(line)]


@pytest.fixture(scope="module")
def evidence(request: pytest.FixtureRequest) -> Evidence:
    """Return what the playbooks of this scenario have observed."""
    return Evidence(OBSERVED / request.path.parents[1].name)


@pytest.fixture(scope="session")
def reference() -> Path:
    """Return where the fingerprints of the reference backups are."""
    return REFERENCE


@pytest.fixture(scope="session")
def mol_a() -> Any:
    """Return the server that runs the stacks."""
    return testinfra.get_host(f"ansible://mol-a?ansible_inventory={INVENTORY}")


@pytest.fixture(scope="session")
def mol_b() -> Any:
    """Return the server that has nothing but an engine."""
    return testinfra.get_host(f"ansible://mol-b?ansible_inventory={INVENTORY}")


@pytest.fixture(scope="session")
def secrets() -> list[str]:
    """Return every secret in the env files of the stacks."""
    found = {
        secret
        for path in {*STACKS.glob("*/.env*"), *STACKS.glob("*/*.env")}
        for secret in re.findall(r"not-a-secret[\w-]*", path.read_text(encoding="utf-8"))
    }
    return sorted(found)


@pytest.fixture(scope="session")
def manifest_schema() -> jsonschema.Draft202012Validator:
    """Return the published description of a manifest."""
    path = ROOT / "docs" / "schemas" / "manifest.schema.json"
    return jsonschema.Draft202012Validator(json.loads(path.read_text(encoding="utf-8")))
