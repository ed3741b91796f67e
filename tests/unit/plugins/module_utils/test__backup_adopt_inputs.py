# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._backup_adopt_inputs import RUNBOOK, TICKETZ, choose
from ansible_collections.crm.continuity.plugins.module_utils._errors import StoreError

TWO_DAYS = [
    "storage_2026-11-19_0200.tar.gz",
    "public_2026-11-19_0203.tar.gz",
    "instances_2026-11-19_0203.tar.gz",
    "storage_2026-11-20_0200.tar.gz",
    "public_2026-11-20_0204.tar.gz",
    "instances_2026-11-20_0205.tar.gz",
]


@pytest.fixture
def place(tmp_path):
    """Return a function that makes a directory with files of these names."""

    def make(*names):
        for name in names:
            (tmp_path / name).touch()
        return str(tmp_path)

    return make


def chosen(*paths, date="", archives=(), dumps=()):
    return choose(paths, date, archives, dumps)


def names(inputs):
    return {entry.file for entry in (*inputs.archives, *inputs.dumps)}


def test_the_newest_run_of_the_runbook_is_chosen(place):
    found = chosen(place(*TWO_DAYS))

    assert found.kind == RUNBOOK
    assert names(found) == set(TWO_DAYS[3:])
    assert {entry.name for entry in found.archives} == {"storage", "public", "instances"}
    assert found.made_at.isoformat() == "2026-11-20T02:00:00+00:00"
    assert found.last.isoformat() == "2026-11-20T02:05:00+00:00"


@pytest.mark.parametrize("date", ["2026-11-19", "2026-11-19_0203", "2026-11-19 02:00", "20261119"])
def test_a_date_chooses_the_run_that_holds_it(place, date):
    assert names(chosen(place(*TWO_DAYS), date=date)) == set(TWO_DAYS[:3])


def test_a_date_that_several_have_asks_for_the_time(place):
    with pytest.raises(StoreError, match=r"several backups of 2026-11: 2026-11-19_0200, 2026-11-20_0200\. Give"):
        chosen(place(*TWO_DAYS), date="2026-11")


def test_a_date_that_none_has_says_what_there_is(place):
    with pytest.raises(StoreError, match=r"no backup of 2025-01-01 .* There are 2026-11-19_0200, 2026-11-20_0200"):
        chosen(place(*TWO_DAYS), date="2025-01-01")


def test_a_volume_that_comes_again_begins_another_run(place):
    found = chosen(place("a_2026-11-20_0200.tar.gz", "b_2026-11-20_0201.tar.gz", "a_2026-11-20_0230.tar.gz"))

    assert names(found) == {"a_2026-11-20_0230.tar.gz"}


def test_a_run_does_not_take_a_day(place):
    assert names(chosen(place("a_2026-11-19_2300.tar.gz", "b_2026-11-20_1300.tar.gz"))) == {"b_2026-11-20_1300.tar.gz"}


def test_a_run_goes_on_after_midnight(place):
    files = {"a_2026-11-19_2359.tar.gz", "b_2026-11-20_0003.tar.gz"}

    assert names(chosen(place(*files))) == files


def test_files_that_are_named_are_all_taken(place):
    directory = place(*TWO_DAYS)
    wanted = {TWO_DAYS[0], TWO_DAYS[4]}

    assert names(chosen(*(os.path.join(directory, name) for name in wanted))) == wanted


def test_two_archives_of_one_volume_are_not_both_taken(place):
    directory = place(*TWO_DAYS)

    with pytest.raises(StoreError, match="several archives of storage"):
        chosen(os.path.join(directory, TWO_DAYS[0]), os.path.join(directory, TWO_DAYS[3]))


def test_dumps_of_the_same_day_belong_to_the_archives(place):
    found = chosen(
        place(*TWO_DAYS, "chatwoot_2026-11-20_0159.sql.gz", "chatwoot-20261119.sql", "evolution-20261120T0210.dump")
    )

    assert {(entry.file, entry.name) for entry in found.dumps} == {
        ("chatwoot_2026-11-20_0159.sql.gz", "chatwoot"),
        ("evolution-20261120T0210.dump", "evolution"),
    }
    assert found.made_at.isoformat() == "2026-11-20T01:59:00+00:00"


def test_a_dump_without_a_date_is_left_out_and_said(place):
    found = chosen(place(*TWO_DAYS, "chatwoot.sql"))

    assert found.dumps == ()
    assert found.remarks == ("chatwoot.sql was not adopted: its name does not say of when it is. Name it in paths.",)


def test_a_dump_that_is_named_belongs_to_the_archives_whatever_its_date(place):
    directory = place(*TWO_DAYS, "chatwoot.sql", "chatwoot_2026-11-20.sql")

    assert names(chosen(directory, f"{directory}/chatwoot.sql")) == {*TWO_DAYS[3:], "chatwoot.sql"}


def test_several_dumps_of_a_day_are_for_the_operator_to_choose_from(place):
    with pytest.raises(StoreError, match=r"several dumps of chatwoot of that day: .*0100.*, .*0300"):
        chosen(place(*TWO_DAYS, "chatwoot_2026-11-20_0100.sql", "chatwoot_2026-11-20_0300.sql"))


def test_a_file_whose_content_was_said_may_have_any_name(place):
    directory = place("old.tgz", "backup", "before")

    found = chosen(directory, archives=["backup"], dumps=["before"])

    assert [entry.file for entry in found.archives] == ["backup"]
    assert [entry.file for entry in found.dumps] == ["before"]


def test_a_file_that_was_said_has_to_be_there(place):
    with pytest.raises(StoreError, match=r"no absent\.tar among the files"):
        chosen(place(*TWO_DAYS), archives=["absent.tar"])


def test_the_newest_archive_of_the_sidekick_is_chosen(place):
    found = chosen(place("ticketz-backup-20261119020000.tar.gz", "ticketz-backup-20261120020001.tar.gz"))

    assert found.kind == TICKETZ
    assert names(found) == {"ticketz-backup-20261120020001.tar.gz"}
    assert found.made_at.isoformat() == "2026-11-20T02:00:01+00:00"


def test_an_archive_of_the_sidekick_is_chosen_by_its_date(place):
    directory = place("ticketz-backup-20261119020000.tar.gz", "ticketz-backup-20261120020001.tar.gz")

    assert names(chosen(directory, date="2026-11-19")) == {"ticketz-backup-20261119020000.tar.gz"}


def test_two_kinds_are_not_mixed(place):
    with pytest.raises(StoreError, match=r"hold both ticketz-backup-20261119020000.tar.gz and other archives"):
        chosen(place("ticketz-backup-20261119020000.tar.gz", *TWO_DAYS))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        pytest.param([], "nothing to adopt", id="an empty directory"),
        pytest.param(["storage.tar.gz", "notes.txt"], "nothing to adopt", id="no dates"),
        pytest.param(["storage_2026-13-40_0200.tar.gz"], "nothing to adopt", id="no real date"),
        pytest.param(["chatwoot_2026-11-20_0200.sql"], "Dumps alone have to be named", id="dumps alone"),
    ],
)
def test_a_directory_without_a_set_is_refused(place, files, words):
    with pytest.raises(StoreError, match=words):
        chosen(place(*files))


def test_dumps_that_are_named_need_no_archives(place):
    directory = place("chatwoot.sql")

    found = chosen(f"{directory}/chatwoot.sql")

    assert [entry.name for entry in found.dumps] == ["chatwoot"]
    assert abs(found.made_at.timestamp() - os.stat(f"{directory}/chatwoot.sql").st_mtime) < 1


def test_a_file_of_an_unknown_kind_is_refused_by_name(place):
    with pytest.raises(StoreError, match=r"notes.txt is neither .* Say what it holds"):
        chosen(place("notes.txt") + "/notes.txt")


def test_what_is_not_there_is_refused():
    with pytest.raises(StoreError, match="There is no /absent on this host"):
        chosen("/absent")
