# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.crm.continuity.plugins.module_utils._engine import Volume
from ansible_collections.crm.continuity.plugins.modules import volume_export
from ansible_collections.crm.continuity.tests.unit.archives import bind_socket, make_tree
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine


@pytest.fixture
def source(tmp_path):
    directory = tmp_path / "volume"
    directory.mkdir()
    make_tree(directory)
    return directory


@pytest.fixture
def archive(tmp_path):
    (tmp_path / "backups").mkdir()
    return tmp_path / "backups" / "uploads.tar.zst"


@pytest.fixture
def run(capsys, monkeypatch, source, archive):
    """Return a function that runs the module as Ansible would, with an engine in memory, and returns its result."""
    engine = FakeEngine(volumes=[Volume("uploads", "local", str(source))])
    monkeypatch.setattr(volume_export, "connect", lambda host, timeout: engine)

    def run_module(**params):
        with patch_module_args({"volume": "uploads", "archive": str(archive), **params}), pytest.raises(SystemExit):
            volume_export.main()
        return json.loads(capsys.readouterr().out)

    return run_module


def test_check_mode_predicts_the_run_and_writes_nothing(run, archive):
    predicted = run(_ansible_check_mode=True)
    assert list(archive.parent.iterdir()) == []

    done = run()

    assert predicted["changed"]
    assert {name: done[name] for name in predicted if name != "invocation"} == {
        name: predicted[name] for name in predicted if name != "invocation"
    }
    assert done["size"] == archive.stat().st_size
    assert done["sha256"] == done["plain_sha256"]


def test_a_second_run_changes_nothing(run):
    run()

    again = run(_ansible_diff=True)

    assert (again["changed"], again["reason"]) == (False, None)
    assert again["diff"]["before"] == again["diff"]["after"]


def test_what_is_left_out_is_a_warning(run, source, monkeypatch):
    bind_socket(source / "ctl.sock")
    said = []
    # Where controller code was imported before, Ansible would show them instead of returning them.
    monkeypatch.setattr(volume_export.AnsibleModule, "warn", lambda _module, warning: said.append(warning))

    run()

    assert "ctl.sock" in str(said)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"volume": "missing"}, "Volume missing does not exist"),
        ({"compression": "zstd", "level": 40}, "no level 40"),
        ({"archive": "/no/such/directory/x.tar"}, "There is no directory /no/such/directory"),
    ],
)
def test_a_failure_says_what_to_do(params, words, run):
    result = run(**params)

    assert result["failed"]
    assert words in result["msg"]
