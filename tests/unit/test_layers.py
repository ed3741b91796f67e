# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may import what under plugins/. The layering is what would rot first, and unseen."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"
FILES = sorted(PLUGINS.rglob("*.py"))

# Each library, and the files or directories (with a trailing slash) below plugins/ that may import it.
ALLOWED = {
    # The Docker SDK talks through requests and lets its errors out.
    "docker": {"module_utils/_engine.py"},
    "requests": {"module_utils/_engine.py"},
    "psycopg2": {"module_utils/_database.py"},
    "ansible": {"module_utils/_module.py", "modules/", "action/", "filter/", "lookup/", "plugin_utils/"},
    # On the control node, where Ansible needs it, too.
    "yaml": {"plugin_utils/"},
    "jinja2": {"plugin_utils/"},
    "markupsafe": {"plugin_utils/"},
    "apprise": {"plugin_utils/_notify_sender.py"},
}


def imported_by(source: str) -> set[str]:
    """Return the top-level packages that a source text imports, within functions and for types as well."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


def trespasses(path: str, source: str) -> set[str]:
    """Return the libraries that the file at ``path``, relative to plugins/, imports and may not."""
    return {
        name
        for name in imported_by(source) - sys.stdlib_module_names
        if not any(path == place or (place.endswith("/") and path.startswith(place)) for place in ALLOWED.get(name, ()))
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PLUGINS)))
def test_a_file_imports_only_what_its_layer_may(file):
    path = file.relative_to(PLUGINS).as_posix()

    assert trespasses(path, file.read_text(encoding="utf-8")) == set()


UTIL = "module_utils/_tar.py"
ENGINE = "module_utils/_engine.py"
MODULE = "modules/stack_info.py"


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        pytest.param(UTIL, "import docker.errors", {"docker"}, id="docker outside its adapter"),
        pytest.param(UTIL, "def f():\n    from psycopg2 import sql", {"psycopg2"}, id="in a function"),
        pytest.param(
            "module_utils/_engine.py", "import ansible.module_utils.basic", {"ansible"}, id="ansible in a port"
        ),
        pytest.param(MODULE, "import docker", {"docker"}, id="docker in a module"),
        pytest.param(UTIL, "import zstandard", {"zstandard"}, id="a library no target has"),
        pytest.param(ENGINE, "import docker, os\nfrom . import _errors", set(), id="an adapter"),
        pytest.param(
            "modules/stack_info.py", "from ansible.module_utils.basic import env_fallback", set(), id="a module"
        ),
    ],
)
def test_the_rule_tells_right_from_wrong(path, source, expected):
    assert trespasses(path, source) == expected


def test_there_are_files_to_look_at():
    assert FILES
