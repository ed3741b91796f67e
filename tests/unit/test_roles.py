# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a role accepts and what it documents are the same: names, defaults, and what is required.

A default such as ``{{ crm_stacks | default([]) }}`` may be documented word for word or by what it comes to in an
inventory that sets nothing, which is the only form that the documentation tools accept for a list or a dictionary.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import StrictUndefined, TemplateError
from jinja2.nativetypes import NativeEnvironment

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path for path in (ROOT / "roles").glob("*") if path.is_dir())
TEMPLATES = NativeEnvironment(undefined=StrictUndefined)
# The environment is as empty as the inventory.
TEMPLATES.globals.update(lookup=lambda *terms: "", query=lambda *terms: [])


def in_an_empty_inventory(value: Any, defaults: dict[str, Any]) -> Any:
    """Render what is a template in ``value``; one that cannot be rendered here stays as it is."""
    if isinstance(value, dict):
        return {key: in_an_empty_inventory(entry, defaults) for key, entry in value.items()}
    if isinstance(value, list):
        return [in_an_empty_inventory(entry, defaults) for entry in value]
    if not isinstance(value, str) or "{{" not in value:
        return value
    # One default may name another of the same role.
    context = {name: in_an_empty_inventory(other, {}) for name, other in defaults.items()}
    try:
        return TEMPLATES.from_string(value).render(context)
    except TemplateError:
        return value


def same(left: Any, right: Any) -> bool:
    """Compare strictly: in YAML, ``1``, ``true`` and ``1.0`` are three things."""
    return bool(left == right) and repr(left) == repr(right)


def differences(defaults: dict[str, Any], specs: dict[str, Any]) -> list[str]:
    """Compare the content of defaults/main.yml with that of meta/argument_specs.yml; an empty list means equal."""
    found = []
    documented: dict[str, dict[str, Any]] = {}
    for entry_point, spec in specs["argument_specs"].items():
        for name, option in spec.get("options", {}).items():
            if "default" in option and option.get("required"):
                found.append(f"{entry_point}: {name} is required and has a default")
            if option.get("default") != documented.setdefault(name, option).get("default"):
                found.append(f"{entry_point}: {name} has another default than in another entry point")
    found += [f"{name} has a default but is not documented" for name in defaults.keys() - documented.keys()]
    for name, option in documented.items():
        if "default" not in option:
            if name in defaults:
                found.append(f"{name} has a default that is not documented")
        elif name not in defaults:
            found.append(f"{name} is documented with a default but has none")
        elif not same(defaults[name], option["default"]):
            effective = in_an_empty_inventory(defaults[name], defaults)
            if not same(effective, option["default"]):
                found.append(f"{name} defaults to {effective!r} but {option['default']!r} is documented")
    return sorted(found)


def load(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(content, dict), f"{path} holds no mapping"
    return content


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_defaults_equal_argument_specs(role):
    defaults = role / "defaults" / "main.yml"

    assert differences(load(defaults) if defaults.exists() else {}, load(role / "meta" / "argument_specs.yml")) == []


def specs(**options: dict[str, Any]) -> dict[str, Any]:
    return {"argument_specs": {"main": {"options": options}}}


LIST = "{{ crm_a | default([]) }}"


@pytest.mark.parametrize(
    ("defaults", "options", "expected"),
    [
        pytest.param({"a": 1}, {"a": {"default": 1}, "b": {"required": True}}, [], id="equal"),
        pytest.param({"a": LIST}, {"a": {"default": LIST}}, [], id="the same template"),
        pytest.param({"a": LIST}, {"a": {"default": []}}, [], id="what the template comes to"),
        pytest.param(
            {"a": "{{ b }}/x", "b": "/y"}, {"a": {"default": "/y/x"}, "b": {"default": "/y"}}, [], id="of another"
        ),
        pytest.param({"a": LIST}, {"a": {"default": {}}}, ["a defaults to [] but {} is documented"], id="and not"),
        pytest.param({"a": 1}, {"a": {"default": 2}}, ["a defaults to 1 but 2 is documented"], id="another value"),
        pytest.param({"a": 1}, {"a": {"default": True}}, ["a defaults to 1 but True is documented"], id="another type"),
        pytest.param({"a": 1}, {}, ["a has a default but is not documented"], id="undocumented"),
        pytest.param({"a": 1}, {"a": {}}, ["a has a default that is not documented"], id="default undocumented"),
        pytest.param({}, {"a": {"default": 1}}, ["a is documented with a default but has none"], id="no such default"),
        pytest.param(
            {"a": 1}, {"a": {"default": 1, "required": True}}, ["main: a is required and has a default"], id="required"
        ),
    ],
)
def test_a_difference_is_named(defaults, options, expected):
    assert differences(defaults, specs(**options)) == expected
