# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import os
import shutil
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._encryption import NO_KEYS
from ansible_collections.crm.continuity.plugins.module_utils._errors import StoreError
from ansible_collections.crm.continuity.plugins.module_utils._key_check import SHOWN, Request, attempt, show
from ansible_collections.crm.continuity.tests.unit.backup_fakes import crm_host
from ansible_collections.crm.continuity.tests.unit.keys import age_pair, passphrase_pair


@pytest.fixture(scope="module", params=["age", "aes256"])
def real(request, tmp_path_factory):
    """A root with an encrypted backup, one of whose archives is larger than what is shown; and its keys."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        pair = {"age": age_pair, "aes256": passphrase_pair}[request.param](tmp_path_factory.mktemp("keys"))
        host = crm_host(tmp_path_factory.mktemp("host"), monkeypatch)
        (host.directory / "volumes/crm_storage/_data/large").write_bytes(os.urandom(3 * SHOWN))
        host.back_up(encryption=pair.encryption)
        return host.root, pair


def test_the_key_opens_everything_that_is_encrypted(real, tmp_path):
    root, pair = real

    (shown,) = show(Request(root))
    opened = attempt(shown, pair.keys, str(tmp_path))

    assert opened.ok
    assert opened.encrypted
    assert (opened.artifacts, opened.whole) == (8, 7)


def test_no_more_than_the_beginning_of_a_large_artifact_leaves_the_host(real):
    (shown,) = show(Request(real[0]))

    sizes = [len(base64.b64decode(artifact["content"])) for artifact in shown["artifacts"]]
    assert max(sizes) == SHOWN


def test_another_key_opens_nothing_and_that_is_said_once(real, tmp_path):
    root, pair = real
    (shown,) = show(Request(root))

    opened = attempt(shown, pair.others, str(tmp_path))

    assert not opened.ok
    told = " ".join(opened.problems)
    assert all(told.count(artifact["path"]) == 1 for artifact in shown["artifacts"])
    assert len(opened.problems) < opened.artifacts
    assert "it cannot be decrypted with this key" in told
    assert str(tmp_path) not in told


def test_without_the_key_it_is_said_which_one_is_missing(real, tmp_path):
    (shown,) = show(Request(real[0]))

    (problem,) = attempt(shown, NO_KEYS, str(tmp_path)).problems

    assert "crm_identity_file" in problem or "crm_passphrase" in problem


def test_what_opens_and_is_something_else_is_found(real, tmp_path):
    root, pair = real
    (shown,) = show(Request(root))
    large = next(artifact for artifact in shown["artifacts"] if not artifact["whole"])
    small = [artifact for artifact in shown["artifacts"] if artifact["whole"]]
    large["compression"] = "gzip"
    small[0]["content"] = small[1]["content"]

    problems = attempt(shown, pair.keys, str(tmp_path)).problems

    assert sorted(problems) == sorted(
        [
            f"{large['path']}: opens, and is not what it should be",
            f"{small[0]['path']}: opens, and is not what the manifest says",
        ]
    )


def test_nothing_has_to_be_opened_of_a_backup_that_is_not_encrypted(tmp_path, monkeypatch):
    host = crm_host(tmp_path, monkeypatch)
    host.back_up()

    (shown,) = show(Request(host.root))

    assert shown["artifacts"] == []
    opened = attempt(shown, NO_KEYS, str(tmp_path))
    assert (opened.ok, opened.encrypted) == (True, False)


def test_it_is_the_newest_backup_of_every_stack(real, tmp_path):
    root = Path(shutil.copytree(real[0], tmp_path / "root"))
    (only,) = (root / "crm").glob("2*")
    shutil.copytree(only, root / "crm" / "20200101T000000Z")
    (root / "empty").mkdir()

    assert [(shown["stack"], shown["id"]) for shown in show(Request(str(root)))] == [("crm", only.name)]


def test_a_root_without_backups_is_an_error(tmp_path):
    with pytest.raises(StoreError, match="There is no backup below"):
        show(Request(str(tmp_path)))
