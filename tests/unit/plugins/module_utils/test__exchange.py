# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
from dataclasses import replace

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _exchange, _staging
from ansible_collections.crm.continuity.plugins.module_utils._errors import StoreError
from ansible_collections.crm.continuity.plugins.module_utils._exchange import Exchange, prepare
from ansible_collections.crm.continuity.tests.unit.archives import described

ID = "20261121T020000Z"


class KilledError(BaseException):
    """Takes the place of SIGKILL: nothing that follows is done."""


@pytest.fixture
def live(tmp_path):
    directory = tmp_path / "volume" / "_data"
    directory.mkdir(parents=True)
    (directory / "kept").mkdir(mode=0o750)
    (directory / "kept" / "file").write_text("before")
    (directory / "same").write_text("before")
    directory.chmod(0o2770)
    os.utime(directory, ns=(1, 2_000_000_001))
    return directory


def staged(live, *, inside):
    made = prepare(str(live), ID, may_exchange=not inside)
    with open(os.path.join(made.waiting, "same"), "w", encoding="utf-8") as file:
        file.write("after")
    os.mkdir(os.path.join(made.waiting, "new"))
    os.chmod(made.waiting, 0o755)
    os.utime(made.waiting, ns=(3, 4_000_000_001))
    return Exchange.of(vars(made))


def content(live):
    """Describe what the application sees, attributes of the directory itself included."""
    return {path: facts for path, facts in described(live).items() if b".crm-restore-" not in path}


@pytest.mark.parametrize("inside", [False, True])
def test_what_waits_takes_the_place_and_gives_it_back(live, inside):
    before = content(live)
    made = staged(live, inside=inside)
    waiting = described(made.waiting)
    assert content(live) == before

    for _time in range(2):
        made.forward()
        made.forward()
        assert made.is_live()
        assert content(live) == waiting
        made.check_back()

        made.back()
        made.back()
        assert not made.is_live()
        assert content(live) == before
    made.discard()

    assert content(live) == before
    assert not os.path.exists(made.base)


@pytest.mark.parametrize("inside", [False, True])
def test_what_was_live_before_can_be_removed(live, inside):
    made = staged(live, inside=inside)
    waiting = described(made.waiting)
    made.forward()

    made.discard()

    assert content(live) == waiting
    assert os.listdir(live.parent) == ["_data"]
    assert sorted(os.listdir(live)) == ["new", "same"]


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("direction", ["forward", "back"])
def test_whatever_step_it_dies_at_it_can_be_undone(live, inside, direction, monkeypatch):
    before = content(live)
    step = 0
    while True:
        made = staged(live, inside=inside)
        if direction == "back":
            made.forward()
        died = dies_at(step, getattr(made, direction), monkeypatch)

        made.back()

        # Who dies while names move through a directory loses its time, and nothing else.
        os.utime(live, ns=(1, 2_000_000_001))
        assert content(live) == before
        assert not made.is_live()
        assert os.path.exists(os.path.join(made.waiting, "same"))
        made.discard()
        assert content(live) == before
        if not died:
            break
        step += 1
    assert step >= (8 if inside else 1)


def dies_at(step, function, monkeypatch):
    """Run a function that dies before its n-th change of the file system; tell whether it did."""
    left = step

    def counted(real):
        def call(*arguments, **named):
            nonlocal left
            if left == 0:
                raise KilledError
            left -= 1
            return real(*arguments, **named)

        return call

    with monkeypatch.context() as patch:
        for name in ("rename", "rmdir", "mkdir", "utime"):
            patch.setattr(os, name, counted(getattr(os, name)))
        patch.setattr(_exchange, "exchange", counted(_exchange.exchange))
        patch.setattr(_exchange, "copy_attributes", counted(_exchange.copy_attributes))
        try:
            function()
        except KilledError:
            return True
    return False


def test_what_a_later_restore_has_replaced_is_not_exchanged_back(live):
    made = staged(live, inside=False)
    made.forward()
    later = prepare(str(live), "20261122T020000Z")
    later.forward()

    with pytest.raises(StoreError, match="is not what this restore has put there"):
        made.check_back()
    later.back()
    made.check_back()


@pytest.mark.parametrize("inside", [False, True])
def test_what_is_gone_cannot_be_brought_back(live, inside):
    made = staged(live, inside=inside)
    made.forward()
    shutil.rmtree(made.waiting)

    with pytest.raises(StoreError, match="cannot be brought back"):
        made.check_back()


@pytest.mark.parametrize("inside", [False, True])
def test_what_waits_no_more_does_not_replace_anything(live, inside):
    before = content(live)
    made = staged(live, inside=inside)
    shutil.rmtree(made.waiting)

    with pytest.raises(StoreError, match="Run the restore again"):
        made.forward()

    assert content(live) == before


def test_nothing_that_is_there_already_is_used(live):
    prepare(str(live), ID)

    with pytest.raises(StoreError, match="is there already"):
        prepare(str(live), ID)


def test_directories_with_the_same_parent_do_not_share_anything(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()

    bases = {prepare(str(tmp_path / name), ID).base for name in ("one", "other")}

    assert len(bases) == 2


def test_a_mount_point_is_exchanged_from_inside(live, monkeypatch):
    monkeypatch.setattr(_exchange, "is_mount_point", lambda path: path == str(live))

    assert prepare(str(live), ID).inside


def test_an_import_leaves_alone_what_is_kept(live):
    made = staged(live, inside=True)
    target = live.parent / "target"
    target.mkdir()

    _staging.move_entries(str(live), str(target))

    assert os.path.exists(os.path.join(made.waiting, "same"))


def test_what_will_be_made_is_told_before_it_is_made(live):
    told = []
    made = prepare(str(live), ID, note=lambda planned: told.append((planned, os.path.exists(planned.base))))

    assert told == [(replace(made, inode=0), False)]


def test_where_names_cannot_be_exchanged_it_is_found_out_without_a_trace(live, monkeypatch):
    told = []
    monkeypatch.setattr(_exchange, "can_exchange", lambda base: told[-1].base != base)

    made = prepare(str(live), ID, note=told.append)

    assert [planned.inside for planned in told] == [False, True]
    assert made == replace(told[-1], inode=made.inode)
    assert os.listdir(live.parent) == ["_data"]


@pytest.mark.parametrize("inside", [False, True])
def test_what_is_gone_with_its_volume_can_be_discarded(live, inside):
    made = staged(live, inside=inside)
    shutil.rmtree(live.parent)

    made.discard()
