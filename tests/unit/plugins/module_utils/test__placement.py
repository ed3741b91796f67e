# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _placement
from ansible_collections.crm.continuity.plugins.module_utils._errors import StackError
from ansible_collections.crm.continuity.plugins.module_utils._placement import compare, place, refuse_differing
from ansible_collections.crm.continuity.tests.unit.archives import described


@pytest.fixture
def pair(tmp_path):
    staged, live = tmp_path / "staged", tmp_path / "live"
    for root in (staged, live):
        (root / "d").mkdir(parents=True)
        (root / "d" / "same").write_text("same")
        os.utime(root / "d" / "same", ns=(5, 5))
    (staged / "d" / "changed").write_text("backup")
    (live / "d" / "changed").write_text("live")
    (staged / "new" / "inner").mkdir(parents=True)
    (staged / "new" / "inner" / "file").write_text("new")
    (live / "other").write_text("other")
    return str(staged), str(live)


def test_what_is_new_differs_or_is_there_is_told_apart(pair):
    found = compare(*pair)

    assert list(found.directories) == [b"new", b"new/inner"]
    assert (found.new, found.differing, found.same) == ([b"new/inner/file"], [b"d/changed"], 1)
    assert found.changed


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda path: None, True),
        (lambda path: os.chmod(path, 0o600), False),
        (lambda path: os.utime(path, ns=(5, 6)), False),
        (lambda path: os.utime(path, ns=(7, 5)), True),
        (lambda path: os.setxattr(path, "user.x", b"y"), False),
    ],
    ids=["nothing", "mode", "time", "time of access", "attribute"],
)
def test_a_file_is_the_same_when_all_that_matters_is(pair, change, same):
    path = os.path.join(pair[1], "d", "same")
    os.chmod(os.path.join(pair[0], "d", "same"), 0o644)
    os.chmod(path, 0o644)
    try:
        change(path)
    except OSError as exc:
        if exc.errno != errno.ENOTSUP:
            raise
        pytest.skip("no attributes here")

    assert compare(*pair).same == int(same)


def test_links_are_compared_by_their_targets(tmp_path):
    for root, target in (("staged", "a"), ("live", "b")):
        (tmp_path / root).mkdir()
        (tmp_path / root / "equal").symlink_to("x")
        (tmp_path / root / "other").symlink_to(target)

    found = compare(str(tmp_path / "staged"), str(tmp_path / "live"))

    assert (found.same, found.differing) == (1, [b"other"])


def test_what_is_placed_is_there_and_what_was_there_is_staged(pair):
    staged, live = pair
    place(staged, live, compare(staged, live))

    after = {path: facts[7] for path, facts in described(live).items()}
    assert after[b"/d/changed"] == b"backup"
    assert after[b"/new/inner/file"] == b"new"
    assert after[b"/other"] == b"other"
    assert described(staged)[b"/d/changed"][7] == b"live"


def test_a_message_does_not_show_hundreds_of_names(pair, tmp_path):
    for number in range(30):
        for root in pair:
            with open(os.path.join(root, f"x{number}"), "w") as stream:
                stream.write(root)

    with pytest.raises(StackError, match=r"31 of the files .* and 21 more"):
        refuse_differing(compare(*pair), pair[1])


@pytest.mark.parametrize("moment", ["_move", "_exchange", "_copy_attributes", "sync"])
def test_after_a_failure_everything_is_as_it_was(pair, monkeypatch, moment):
    staged, live = pair
    before = described(live)
    found = compare(staged, live)
    right = getattr(_placement, moment)
    calls = []

    def fail(*args):
        calls.append(args)
        # The first call of sync comes before anything is touched.
        if len(calls) > (1 if moment == "sync" else 0):
            raise OSError(errno.EIO, "Input/output error")
        return right(*args)

    monkeypatch.setattr(_placement, moment, fail)

    with pytest.raises(OSError, match="Input/output error"):
        place(staged, live, found)

    monkeypatch.undo()
    after = described(live)
    # The times of directories that things came to and went from again tell of it.
    assert {path: facts[7] for path, facts in after.items()} == {path: facts[7] for path, facts in before.items()}


@pytest.mark.parametrize("failure", [errno.EINVAL, errno.ENOSYS], ids=["file system", "kernel"])
def test_where_names_cannot_be_exchanged_it_is_done_step_by_step(pair, monkeypatch, failure):
    staged, live = pair
    found = compare(staged, live)
    monkeypatch.setattr(_placement, "renameat2", lambda *args: failure)

    place(staged, live, found)

    assert {path: facts[7] for path, facts in described(live).items()}[b"/d/changed"] == b"backup"
    assert described(staged)[b"/d/changed"][7] == b"live"


def test_a_name_that_came_meanwhile_is_not_replaced(pair):
    staged, live = pair
    found = compare(staged, live)
    os.makedirs(os.path.join(live, "new", "inner"))
    found.directories.clear()
    with open(os.path.join(live, "new", "inner", "file"), "w") as stream:
        stream.write("came meanwhile")

    with pytest.raises(FileExistsError):
        place(staged, live, found)

    assert described(live)[b"/new/inner/file"][7] == b"came meanwhile"
    assert described(live)[b"/d/changed"][7] == b"live"
