# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.crm.continuity.plugins.module_utils._engine import Volume
from ansible_collections.crm.continuity.plugins.modules import volume_import
from ansible_collections.crm.continuity.tests.unit.archives import END, directory, file, listed
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine, container


@pytest.fixture
def live(tmp_path):
    target = tmp_path / "volumes" / "uploads" / "_data"
    target.mkdir(parents=True)
    return target


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "uploads.tar"
    path.write_bytes(directory(b"./") + directory(b"d") + file(b"d/x", b"new") + END)
    return path


@pytest.fixture
def engine(live):
    return FakeEngine(volumes=[Volume("uploads", "local", str(live))])


@pytest.fixture
def run(capsys, monkeypatch, engine, archive):
    """Return a function that runs the module as Ansible would, with an engine in memory, and returns its result."""
    monkeypatch.setattr(volume_import, "connect", lambda host, timeout: engine)

    def run_module(**params):
        with patch_module_args({"volume": "uploads", "archive": str(archive), **params}), pytest.raises(SystemExit):
            volume_import.main()
        return json.loads(capsys.readouterr().out)

    return run_module


def without_invocation(result):
    return {name: value for name, value in result.items() if name != "invocation"}


def test_check_mode_predicts_the_run_and_writes_nothing(run, live):
    predicted = run(_ansible_check_mode=True, _ansible_diff=True)
    assert list(live.iterdir()) == []

    done = run(_ansible_diff=True)

    assert without_invocation(done) == without_invocation(predicted)
    assert done["changed"]
    assert done["diff"] == {
        "before": "files: 0\ndirectories: 0\nbytes: 0\n",
        "after": "files: 1\ndirectories: 1\nbytes: 3\n",
    }
    assert (live / "d" / "x").read_text() == "new"


def test_a_second_run_changes_nothing(run):
    run()

    again = run(_ansible_diff=True)

    assert (again["changed"], again["reason"]) == (False, None)
    assert again["diff"]["before"] == again["diff"]["after"]


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "is not empty: it holds 1 files"),
        ({"replace": True, "sha256": "0" * 64}, "its SHA-256 is"),
        ({"replace": True, "files": 2}, "should hold 2"),
        ({"replace": True, "max_bytes": 2}, "more than the 2 bytes"),
        ({"volume": "missing", "create": False}, "Volume missing does not exist"),
        ({"archive": "/no/such/archive"}, "/no/such/archive: No such file"),
    ],
)
def test_what_fails_for_real_fails_in_check_mode_too(params, words, check_mode, run, live):
    (live / "old").write_text("precious")

    result = run(_ansible_check_mode=check_mode, **params)

    assert result["failed"]
    assert words in result["msg"]
    assert [path.name for path in live.iterdir()] == ["old"]


def test_deleted_names_are_left_out(run, live, archive):
    archive.write_bytes(directory(b"./") + file(b"a", b"1") + file(b"b", b"22") + file(b"a", b"333") + END)
    archive.with_suffix(".deleted").write_bytes(listed(b"b"))

    predicted, done, again = run(_ansible_check_mode=True), run(), run()

    assert without_invocation(done) == without_invocation(predicted)
    assert (done["files"], done["content_bytes"], done["superseded"], done["deleted"]) == (1, 3, 1, 1)
    assert [(path.name, path.read_text()) for path in live.iterdir()] == [("a", "333")]
    assert not again["changed"]


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"deleted": "/no/such/list"}, "/no/such/list: No such file"),
        ({"deleted_sha256": "0" * 64}, "not the expected list of deleted names"),
    ],
)
def test_a_list_that_is_not_right_fails(params, words, check_mode, run, live, archive):
    archive.with_suffix(".deleted").write_bytes(listed(b"d/x"))

    result = run(_ansible_check_mode=check_mode, **params)

    assert result["failed"]
    assert words in result["msg"]
    assert list(live.iterdir()) == []


def test_every_result_is_documented(run):
    documented = {
        line.partition(":")[0] for line in volume_import.RETURN.splitlines() if line and not line.startswith((" ", "-"))
    }

    assert set(run()) - {"changed", "invocation", "diff"} == documented - {"directory"}


def test_a_volume_in_use_is_refused(run, engine, live):
    (live / "old").write_text("precious")
    engine.by_id["rails"] = container("rails", "chatwoot/chatwoot", volumes={"/app/storage": "uploads"})

    result = run(replace=True)

    assert result["failed"]
    assert result["containers"] == ["crm-rails-1"]
