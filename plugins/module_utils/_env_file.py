# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the env file that an application reads by itself, inside its container.

The engine knows nothing of it: it may be part of the image, or be mounted over the image's own. Standard library only.
Private to this collection.
"""

from __future__ import annotations

import re
import typing as t

from ._errors import ProcessError
from ._process import run

if t.TYPE_CHECKING:
    from ._engine import Container, Engine

_LINE = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?([A-Za-z_][\w.-]*)[ \t]*=[ \t]*("(?:\\.|[^"\\])*"|'[^']*'|`[^`]*`|[^#\r\n]*)""",
    re.MULTILINE,
)


def read_env_file(engine: Engine, container: Container, path: str) -> dict[str, str]:
    """Return what the file sets; nothing where there is no such file, or the container does not run."""
    if container.state != "running":
        return {}
    try:
        read = run(engine.exec_stage(container.id, f"read {path} of container {container.name}", ["cat", path]))
    except ProcessError:
        # Most have none, and an image may even lack the program.
        return {}
    return parse(read.stdout.decode(errors="replace"))


def parse(text: str) -> dict[str, str]:
    """Return the variables of an env file as the applications' own readers see them; the last of a name counts."""
    return {name: _value(raw.strip()) for name, raw in _LINE.findall(text)}


def _value(raw: str) -> str:
    if len(raw) > 1 and raw[0] == raw[-1] and raw[0] in "\"'`":
        inner = raw[1:-1]
        return inner.replace("\\n", "\n").replace('\\"', '"') if raw[0] == '"' else inner
    return raw
