# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One file with everything that a host needs to run modules by itself: a program for its Python, in a zip archive.

It holds the modules, what they import of this collection, and what that imports of the ``module_utils`` of the
ansible-core on this control node. The same sources give the same content, whoever packs them and when; the digest is
that of the content. Private to this collection.
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import typing as t
import zipfile
from dataclasses import dataclass

import ansible.module_utils
from ansible.errors import AnsibleActionFail
from ansible.release import __version__ as ANSIBLE_CORE

from ..module_utils._schedule_state import VERSION_FILE
from ..module_utils._version import VERSION

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

COLLECTION = "ansible_collections.crm.continuity.plugins"
CORE = "ansible.module_utils"
PLUGINS = os.path.normpath(os.path.join(os.path.dirname(__file__), os.pardir))
ROOTS = {COLLECTION: PLUGINS, CORE: os.path.dirname(ansible.module_utils.__file__)}
PROGRAM = f"{COLLECTION}.module_utils._scheduled_run"
# What a module needs that no import statement names: how its arguments are read, and its result is written.
PROFILES = tuple(f"{CORE}._internal._json._profiles._module_legacy_{way}" for way in ("c2m", "m2c"))
MAIN = f"""\
# Made by crm.continuity.schedule. It runs under its own name, which stays when a newer one is installed meanwhile.
import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
real = os.path.realpath(here)
if here != real:
    os.execv(sys.executable, [sys.executable, "-I", real, *sys.argv[1:]])

from {PROGRAM} import main

sys.exit(main())
"""
# The oldest that an archive can express.
EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Bundle:
    """The archive, and the digest of what is in it, which does not depend on how it was compressed."""

    content: bytes
    digest: str


def build(modules: Iterable[str]) -> Bundle:
    """Pack the modules of those names with all they need."""
    files = dict(sorted(_files(modules)))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, content)
    return Bundle(archive.getvalue(), digest(files))


def digest(files: dict[str, bytes]) -> str:
    """Return what tells one content of an archive from any other; the module on the host counts alike."""
    total = hashlib.sha256()
    for name, content in sorted(files.items()):
        total.update(f"{name}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()


def unpacked_digest(path: str) -> str:
    """Return the digest of an archive that was packed here."""
    with zipfile.ZipFile(path) as packed:
        return digest({name: packed.read(name) for name in packed.namelist()})


def _files(modules: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    seeds = [PROGRAM, f"{CORE}.basic", *PROFILES]
    for module in sorted(modules):
        name = f"{COLLECTION}.modules.{module}"
        if _path(name) is None:
            raise AnsibleActionFail(f"There is no module {module} in crm.continuity that a host could run.")
        seeds.append(name)
    found = _needed(seeds)
    packages: set[str] = set()
    for name, path in found.items():
        parts = name.split(".")
        packages.update(".".join(parts[:length]) for length in range(1, len(parts)))
        with open(path, "rb") as file:
            inside = "/".join(parts) + ("/__init__.py" if os.path.basename(path) == "__init__.py" else ".py")
            yield inside, file.read()
    for package in packages - found.keys():
        # The version is what modules know their ansible-core by.
        text = f'__version__ = "{ANSIBLE_CORE}"\n' if package == "ansible" else ""
        yield package.replace(".", "/") + "/__init__.py", text.encode()
    yield "__main__.py", MAIN.encode()
    yield VERSION_FILE, (json.dumps({"version": VERSION, "ansible_core": ANSIBLE_CORE}) + "\n").encode()


def _needed(seeds: Iterable[str]) -> dict[str, str]:
    """Return the paths of these Python modules and of all that they import, also for types only, by their names."""
    found: dict[str, str] = {}
    waiting = list(seeds)
    while waiting:
        name = waiting.pop()
        path = _path(name)
        if path is None or name in found:
            continue
        found[name] = path
        # Its packages run first.
        waiting.append(name.rpartition(".")[0])
        with open(path, "rb") as file:
            tree = ast.parse(file.read(), path)
        package = name if os.path.basename(path) == "__init__.py" else name.rpartition(".")[0]
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                origin = _origin(node, package)
                # What is imported may be a module, or only something in one.
                waiting += [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
    return found


def _origin(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    base = package.split(".")
    base = base[: len(base) - node.level + 1]
    return ".".join([*base, node.module] if node.module else base)


def _path(name: str) -> str | None:
    for root, directory in ROOTS.items():
        if name == root or name.startswith(f"{root}."):
            stem = os.path.join(directory, *name[len(root) :].split(".")[1:])
            for path in (f"{stem}.py", os.path.join(stem, "__init__.py")):
                if os.path.isfile(path):
                    return path
    return None
