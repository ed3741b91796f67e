# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every unit test needs."""

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import (
    _backup_store,
    _journal,
    _stack_cutover,
    _stack_stage,
    _stack_thaw,
    _watchdog,
)


@pytest.fixture(autouse=True)
def own_locks(monkeypatch, tmp_path_factory):
    """Keep the locks of the host's stacks apart: a watchdog of one test may still hold one while the next runs."""
    monkeypatch.setattr(_backup_store, "RUN", str(tmp_path_factory.mktemp("run")))


@pytest.fixture(autouse=True)
def journals(monkeypatch, tmp_path_factory):
    """Return the directory of the journals, which is not that of this host."""
    directory = tmp_path_factory.mktemp("lib") / "crm.continuity" / "journal"
    for module in (_journal, _watchdog, _stack_thaw):
        monkeypatch.setattr(module, "DEFAULT_JOURNAL", str(directory))
    return directory


@pytest.fixture(autouse=True)
def restores(monkeypatch, tmp_path_factory):
    """Return the directory of the records of restores, which is not that of this host."""
    directory = tmp_path_factory.mktemp("lib") / "crm.continuity" / "restore"
    for module in (_stack_cutover, _stack_stage, _stack_thaw):
        monkeypatch.setattr(module, "DEFAULT_RECORDS", str(directory))
    return directory
