# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventories to begin with: Ansible reads them, and every role takes what they set."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar

ROOT = Path(__file__).resolve().parents[2]
INVENTORIES = sorted(path.parent for path in (ROOT / "examples" / "inventories").glob("*/inventory.yml"))
HOSTS = {"one": 1, "ten": 10, "hundreds": 250}
# Those that need to be told what to do with which stack, each time.
ALONE = {"adopt", "audit", "extract", "hold", "keys", "legacy", "load", "migrate", "retrieve"}
ROLES = sorted(path.name for path in (ROOT / "roles").glob("*") if path.is_dir() and path.name not in ALONE)


@pytest.fixture(scope="module", autouse=True)
def _plugins():
    """Defaults look things up. Afterwards, modules of the collection are imported as in all other tests."""
    finders, hooks = sys.meta_path[:], sys.path_hooks[:]
    init_plugin_loader()
    yield
    sys.meta_path[:], sys.path_hooks[:] = finders, hooks


@cache
def listed(inventory: Path) -> dict[str, Any]:
    """Return what Ansible makes of an inventory."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-inventory"), "-i", str(inventory / "inventory.yml"), "--list"],
        env={**os.environ, "ANSIBLE_INVENTORY_UNPARSED_FAILED": "1", "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "WARNING" not in done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def kinds_of_hosts(inventory: Path) -> list[dict[str, Any]]:
    """Return the variables of one host of each kind: those that only differ by name are one."""
    kinds = {json.dumps(found, sort_keys=True): found for found in listed(inventory)["_meta"]["hostvars"].values()}
    return list(kinds.values())


def errors_of(role: str, variables: dict[str, Any]) -> list[str]:
    """Return what the argument specification of a role has against these variables."""
    loader = DataLoader()
    loader.set_basedir(str(ROOT))
    files = [ROOT / "roles" / role / part / "main.yml" for part in ("defaults", "vars")]
    own = [loader.load_from_file(str(path), trusted_as_template=True) or {} for path in files if path.exists()]
    given = [loader.load(json.dumps(variables))]
    known: dict[str, Any] = {
        "inventory_dir": "/etc/ansible",
        "inventory_hostname": "h.x",
        "inventory_hostname_short": "h",
    }
    for one in (own[0] if own else {}, *given, *own[1:]):
        known |= one
    templar = Templar(loader, known)
    spec = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]
    options = spec.get("options", {})
    rendered = {name: templar.template(known[name]) for name in options if name in known}
    return list(ArgumentSpecValidator(options).validate(rendered).error_messages)


@pytest.mark.parametrize("inventory", INVENTORIES, ids=lambda path: path.name)
def test_ansible_reads_it(inventory):
    assert len(listed(inventory)["_meta"]["hostvars"]) == HOSTS[inventory.name]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("inventory", INVENTORIES, ids=lambda path: path.name)
def test_every_role_takes_what_it_sets(inventory, role, monkeypatch, tmp_path):
    # The files of keys and signers that an inventory names are made by the user, or by prepare.
    variables = [{**found, "crm_signers": []} for found in kinds_of_hosts(inventory)]

    assert [errors_of(role, found) for found in variables] == [[] for _other in variables]


@pytest.mark.parametrize("inventory", INVENTORIES, ids=lambda path: path.name)
def test_every_variable_it_sets_is_one_that_a_role_reads(inventory):
    roles = "".join(path.read_text() for path in (ROOT / "roles").rglob("*.yml"))
    read = set(re.findall(r"\bcrm_\w+", roles))
    texts = [path.read_text() for path in inventory.rglob("*") if path.is_file()]
    # Those in comments, too: they are there to be uncommented.
    written = {name for text in texts for name in re.findall(r"^(?:# )?(crm_\w+):", text, re.MULTILINE)}

    assert written
    assert written <= read


@pytest.mark.parametrize("inventory", INVENTORIES, ids=lambda path: path.name)
def test_the_public_keys_are_none_that_anybody_could_leave_there(inventory):
    for found in kinds_of_hosts(inventory):
        assert all("your-public-key" in key or "in-the-safe" in key for key in found["crm_encryption"]["recipients"])


@pytest.mark.parametrize("inventory", INVENTORIES, ids=lambda path: path.name)
def test_secrets_are_examples_in_a_file_that_is_not_read(inventory):
    assert not any(name.startswith("vault_") for found in kinds_of_hosts(inventory) for name in found)
    for example in inventory.rglob("vault.yml.example"):
        assert all(isinstance(name, str) for name in yaml.safe_load(example.read_text()))


@pytest.mark.parametrize(
    ("role", "variables"),
    [
        ("backup", {"crm_batch": "many"}),
        ("prune", {"crm_retention": {"keep_lst": 3}}),
        ("notify", {"crm_notify": {"language": "tlh"}}),
    ],
)
def test_a_wrong_setting_would_be_found(role, variables):
    assert errors_of(role, variables) != []
