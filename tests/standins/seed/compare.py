# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare two fingerprints: print what differs and how much was compared; exit with 1 on any difference.

compare.py before.json after.json [--json] [--show 40]
"""

from __future__ import annotations

import argparse
import json
import sys
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Iterator

MISSING = object()


def differences(before: t.Any, after: t.Any, place: str = "") -> Iterator[str]:
    """Say where two values differ, down to the property."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted(before.keys() | after.keys()):
            deeper = f"{place} › {name}" if place else name
            yield from differences(before.get(name, MISSING), after.get(name, MISSING), deeper)
    elif before is MISSING:
        yield f"{place}: appeared"
    elif after is MISSING:
        yield f"{place}: is gone"
    elif before != after:
        yield f"{place}: was {_short(before)}, is {_short(after)}"


def counts(fingerprint: dict[str, t.Any]) -> dict[str, int]:
    """How much a fingerprint covers."""
    databases = fingerprint["postgresql"]["databases"].values()
    paths = [entry for volume in fingerprint["volumes"].values() for entry in volume.values()]
    return {
        "databases": len(databases),
        "tables": sum(len(one["tables"]) for one in databases),
        "rows": sum(table["rows"] for one in databases for table in one["tables"].values()),
        "sequences": sum(len(one["sequences"]) for one in databases),
        "volumes": len(fingerprint["volumes"]),
        "paths": len(paths),
        "files": sum(entry["type"] == "file" for entry in paths),
        "bytes": sum(entry.get("size", 0) for entry in paths),
        "redis_keys": sum(len(keys) for keys in fingerprint["redis"].values()),
    }


def _short(value: t.Any) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 160 else f"{text[:150]}… ({len(text)} characters)"


def main() -> int:
    """Compare two files and report."""
    parser = argparse.ArgumentParser(description="Compare two fingerprints.")
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.add_argument("--show", type=int, default=40, help="how many differences to print")
    options = parser.parse_args()
    before = json.loads(options.before.read_text(encoding="utf-8"))
    after = json.loads(options.after.read_text(encoding="utf-8"))
    found = list(differences(before, after))
    compared = counts(before)
    if options.json:
        print(
            json.dumps(
                {"same": not found, "compared": compared, "differences": found[: options.show], "count": len(found)}
            )
        )
        return 1 if found else 0
    for line in found[: options.show]:
        # Names of files may hold anything, line breaks and invalid UTF-8 included.
        print(line.encode("utf-8", "backslashreplace").decode().replace("\n", "\\n"))
    if len(found) > options.show:
        print(f"… and {len(found) - options.show} more")
    print(
        f"{compared['rows']} rows in {compared['tables']} tables of {compared['databases']} databases, "
        f"{compared['files']} files among {compared['paths']} paths ({compared['bytes'] / 1e6:.1f} MB) "
        f"in {compared['volumes']} volumes, {compared['redis_keys']} Redis keys: {len(found)} differences"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
