# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._anomaly import Limits, anomalies, limits
from ansible_collections.crm.continuity.plugins.module_utils._errors import StoreError
from ansible_collections.crm.continuity.tests.unit.fakes import artifact, manifest, source

MB = 1_000_000
ROWS = {"public.messages": 20000, "public.accounts": 3, "public.contacts": 500}


def backup(
    *,
    files=1000,
    content=40 * MB,
    size=20 * MB,
    rows=None,
    dump=5 * MB,
    compression="zstd",
    changed=None,
    more=(),
    **facts,
):
    """Describe a backup with one volume and one database."""
    volume = {"files": files, "content_bytes": content, **({} if changed is None else {"changed": changed})}
    artifacts = (
        artifact("v.tar", source="storage", size=size, compression=compression, facts=volume),
        artifact("d.dump", "dump", source="chatwoot", size=dump, compression=compression, facts={"rows": rows or ROWS}),
        *more,
    )
    return manifest(artifacts=artifacts, **facts)


def broken(current, *history, **wanted):
    return sorted({found.rule for found in anomalies(current, history, Limits(**wanted))})


USUAL = [backup()] * 5


@pytest.mark.parametrize(
    ("current", "expected"),
    [
        pytest.param(backup(), [], id="as always"),
        pytest.param(backup(files=700, content=28 * MB, size=14 * MB), [], id="a bit fewer"),
        pytest.param(backup(files=300), ["files_drop"], id="files are gone"),
        pytest.param(backup(content=1 * MB, size=1 * MB), ["bytes_drop", "ratio_drop"], id="files are empty"),
        pytest.param(backup(rows={**ROWS, "public.messages": 100}), ["rows_drop"], id="an emptied table"),
        pytest.param(backup(rows={**ROWS, "public.contacts": 0}), ["rows_drop"], id="a small one"),
        pytest.param(backup(rows={**ROWS, "public.accounts": 0}), [], id="too few to say anything"),
        pytest.param(backup(rows={"public.messages": 20000, "public.accounts": 3}), ["missing"], id="no such table"),
        pytest.param(backup(dump=1 * MB), ["bytes_drop"], id="a small dump"),
        pytest.param(backup(size=41 * MB), ["ratio_drop"], id="encrypted by somebody"),
        pytest.param(backup(size=41 * MB, compression="none"), [], id="not compressed any more"),
        pytest.param(backup(files=20000), ["growth"], id="far too many files"),
        pytest.param(backup(rows={**ROWS, "public.messages": 900000}), ["growth"], id="far too many rows"),
        pytest.param(backup(changed=900), [], id="nobody counted before"),
        pytest.param(manifest(artifacts=backup().artifacts[:1]), ["missing"], id="no database"),
        pytest.param(manifest(artifacts=backup().artifacts[1:]), ["bytes_drop", "missing"], id="no volume"),
    ],
)
def test_what_is_out_of_the_ordinary(current, expected):
    assert broken(current, *USUAL) == expected


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [([20, 30], 900, ["changed"]), ([20, 30], 500, []), ([20, 900], 950, []), ([1000, 1000], 1000, [])],
)
def test_the_share_of_changed_files_is_out_of_the_ordinary_where_it_never_was_that_high(before, now, expected):
    assert broken(backup(changed=now), *(backup(changed=count) for count in before)) == expected


def test_a_redis_may_write_its_files_anew():
    redis = source(redis=[{"volume": "/srv/redis"}], volumes=[{"name": "storage", "source": "/srv/redis"}])

    assert broken(backup(source=redis, files=30, content=2 * MB), backup(source=redis)) == []


def test_what_is_in_an_archive_twice_says_nothing_of_how_it_compresses():
    twice = artifact(
        "v.tar",
        source="storage",
        size=41 * MB,
        compression="zstd",
        facts={"files": 1000, "content_bytes": 40 * MB, "superseded": 500},
    )

    assert broken(manifest(artifacts=(twice, backup().artifacts[1])), *USUAL) == []


def test_a_message_says_what_how_much_and_how_much_before():
    (table, whole) = anomalies(backup(rows={**ROWS, "public.messages": 100}), USUAL, Limits())

    assert {table.message, whole.message} == {
        "rows of database chatwoot: 603, and it was 20503 in the backups before.",
        "rows of table public.messages of database chatwoot: 100, and it was 20000 in the backups before.",
    }


def test_less_than_a_megabyte_is_out_of_the_ordinary_unless_it_was_so_before():
    small = backup(size=1000, content=2000, dump=1000)

    assert broken(small) == ["min_size"]
    assert broken(small, small) == []
    assert broken(small, min_size=0) == []
    assert broken(backup()) == []


def test_one_bad_backup_among_the_last_does_not_change_what_is_usual():
    assert broken(backup(files=300), *USUAL, backup(files=10), backup(files=10)) == ["files_drop"]


def test_slow_loss_shows_before_it_is_usual():
    history = []
    for files in range(1000, 0, -60):
        current = backup(files=files)
        if broken(current, *history):
            break
        history.append(current)

    assert files > 250


@pytest.mark.parametrize("seed", range(50))
def test_a_stack_that_grows_and_breathes_is_never_out_of_the_ordinary(seed):
    luck = random.Random(seed)
    scale, history = luck.choice([0.01, 1, 50]), []
    for _night in range(60):
        scale *= luck.uniform(0.97, 1.06)
        breath = luck.uniform(0.9, 1.1)
        current = backup(
            files=round(1000 * scale * breath),
            content=round(40 * MB * scale * breath),
            size=round(20 * MB * scale * breath),
            dump=round(5 * MB * scale * breath),
            rows={table: round(count * scale * breath) for table, count in ROWS.items()},
        )
        assert broken(current, *history, min_size=0) == []
        history.append(current)


@pytest.mark.parametrize(
    "wanted",
    [
        {"rows_drop": 0},
        {"rows_drop": 99.9},
        {"ignore": ("chatwoot.public.messages", "chatwoot")},
        {"ignore": ("chatwoot*",)},
        {"history": 0},
        {"min_rows": 100000},
    ],
    ids=str,
)
def test_every_rule_can_be_turned_off(wanted):
    assert broken(backup(rows={**ROWS, "public.messages": 100}), *USUAL, **wanted) == []


def test_two_servers_may_have_databases_of_one_name():
    def two(rows):
        other = artifact("e", "dump", source="chatwoot", facts={"rows": {"public.messages": rows}, "server": "old"})
        return backup(more=(other,))

    assert broken(two(5000), two(5000)) == []
    assert [found.subject for found in anomalies(two(5), [two(5000)], Limits())] == [
        "rows of database chatwoot on old",
        "rows of table public.messages of database chatwoot on old",
    ]


def test_a_stack_may_have_limits_of_its_own():
    given = {"min_size": 5, "ignore": None, "stacks": {"crm": {"min_size": 0, "ignore": ["a"]}}}

    assert limits(given, "crm") == Limits(min_size=0, ignore=("a",))
    assert limits(given, "ticketz") == Limits(min_size=5)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"minsize": 1}, "no limit minsize"),
        ({"min_size": -1}, "min_size is -1"),
        ({"min_size": 0.5}, "min_size is 0.5"),
        ({"growth": True}, "growth is True"),
        ({"growth": "2"}, "growth is '2'"),
        ({"ignore": "a"}, "has to be a list of patterns"),
        ({"ignore": [1]}, "has to be a list of patterns"),
        ({"stacks": {"crm": {"x": 1}}}, "no limit x"),
    ],
)
def test_limits_that_make_no_sense_are_refused(given, words):
    with pytest.raises(StoreError, match=words):
        limits(given, "crm")
