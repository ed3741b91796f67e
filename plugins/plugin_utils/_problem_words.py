# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the report and the notifications call a problem, and its message in other languages than English.

Hosts tell a message in English with the facts in it, and may be hostile: whatever does not fit is told as it came.
Runs on the control node. Private to this collection.
"""

from __future__ import annotations

import functools
import os
import typing as t

import yaml

from ..module_utils._status_words import say

if t.TYPE_CHECKING:
    from collections.abc import Mapping

PATH = os.path.normpath(os.path.join(os.path.dirname(__file__), os.pardir, os.pardir, "report", "problems.yml"))


@functools.cache
def labels(language: str) -> Mapping[str, str]:
    """Return the name of every problem, by its code; as in the middle of a sentence."""
    return {code: names[language] for code, names in _table()["labels"].items()}


def translated(problem: Mapping[str, t.Any], language: str) -> str | None:
    """Return the message of a problem in a language; None where that has no words for it but those of the host."""
    known = _table().get(language)
    says, facts, message = problem.get("says"), problem.get("facts"), problem.get("message")
    if known is None or not isinstance(says, str) or not isinstance(facts, dict) or not isinstance(message, str):
        return None
    if not all(isinstance(fact, (str, int, float)) for fact in facts.values()):
        return None
    try:
        text = say(known["texts"][says], facts, known["units"])
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
        return None
    prefix = f"Stack {problem.get('stack')}: "
    return f"{prefix}{text}" if message.startswith(prefix) else text


@functools.cache
def _table() -> dict[str, t.Any]:
    with open(PATH, encoding="utf-8") as file:
        return t.cast("dict[str, t.Any]", yaml.safe_load(file))
