# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import re
from dataclasses import replace

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _database_scratch as scratch
from ansible_collections.crm.continuity.plugins.module_utils._database_staging import Staging
from ansible_collections.crm.continuity.plugins.module_utils._disk_watch import DiskWatch
from ansible_collections.crm.continuity.plugins.module_utils._dump_contents import Contents
from ansible_collections.crm.continuity.plugins.module_utils._dump_file import PLAIN, DumpFile
from ansible_collections.crm.continuity.plugins.module_utils._errors import DatabaseError
from ansible_collections.crm.continuity.plugins.module_utils._workplace import Workplace
from ansible_collections.crm.continuity.tests.unit.database_fakes import FakeDatabase, LocalEngine, location
from ansible_collections.crm.continuity.tests.unit.plain_dumps import SCRIPT

STAMP = "20261121020000123456"
OPTIONS = "ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'pt_BR.utf8'"


def build(control=None, live="crm", **contents):
    facts = {
        "server_version": "15.18",
        "server_major": 15,
        "database": "crm",
        "owner": "crm",
        "create_options": OPTIONS,
        "schemas": (),
        "extensions": (),
        "table_data": 1,
        "settings": (),
        "grantees": frozenset(),
        "listing": "",
    }
    dump = DumpFile("/b/crm.dump.zst", "zstd", 1, 2, Contents(**{**facts, **contents}))
    where = location()
    staging = Staging(Workplace(where, "/var/tmp/x"), "/var/tmp/x/dump")
    return scratch.Scratch(
        where, control or FakeDatabase(), staging, dump, live, "crm", STAMP, "abc", DiskWatch(None, list)
    )


def test_every_name_fits_whatever_the_name_of_the_database():
    for live in ("crm", "x" * 63, "ção" * 20):
        for suffix in (scratch.BUILDING, scratch.DOOMED, scratch.KEPT):
            assert len((scratch.stem(live) + suffix + STAMP).encode()) <= scratch.NAME_BYTES


def test_two_long_names_have_different_scratch_databases():
    assert scratch.stem("x" * 62 + "a") != scratch.stem("x" * 62 + "b")


def test_leftovers_are_those_of_this_database_that_nobody_wanted_to_keep():
    names = [
        f"crm__crm_{STAMP}",
        f"crm__crm_old_{STAMP}",
        f"crm__crm_previous_{STAMP}",
        f"other__crm_{STAMP}",
        "crm__crm_notes",
        "crm",
    ]

    assert scratch.leftovers("crm", names) == [f"crm__crm_{STAMP}", f"crm__crm_old_{STAMP}"]


def test_the_exchange_is_one_call_and_the_former_database_is_dropped():
    control = FakeDatabase()

    kept = scratch.cut_over(build(control), live_exists=True, keep=False)

    former = f"crm__crm_old_{STAMP}"
    assert kept is None
    assert control.calls == [("rename", ("crm", former), (f"crm__crm_{STAMP}", "crm"), {}), ("drop", former)]


def test_the_former_database_can_be_kept_and_says_what_it_is():
    control = FakeDatabase()

    kept = scratch.cut_over(build(control), live_exists=True, keep=True)

    assert kept == f"crm__crm_previous_{STAMP}"
    assert [call[0] for call in control.calls] == ["rename"]
    assert "Kept by crm.continuity" in control.calls[0][-1][kept]


def test_without_a_live_database_there_is_nothing_to_exchange():
    control = FakeDatabase()

    assert scratch.cut_over(build(control), live_exists=False, keep=True) is None
    assert control.calls == [("rename", (f"crm__crm_{STAMP}", "crm"), {})]


def test_a_former_database_that_cannot_be_dropped_is_a_warning():
    control = FakeDatabase(refuses={"drop": DatabaseError("it is in use")})
    built = build(control)

    scratch.cut_over(built, live_exists=True, keep=False)

    assert built.warnings == [f"The former state of the database is still there as crm__crm_old_{STAMP}: it is in use"]


def test_a_database_is_created_like_the_one_that_was_dumped():
    control = FakeDatabase()

    build(control).create()

    assert control.calls == [("create", f"crm__crm_{STAMP}", "crm", OPTIONS)]


def test_without_that_locale_the_servers_own_is_used_and_said():
    control = FakeDatabase(refuses={"pt_BR": DatabaseError("invalid locale name", sqlstate="42809")})
    built = build(control)

    built.create()

    assert control.calls[-1] == ("create", f"crm__crm_{STAMP}", "crm", "ENCODING = 'UTF8'")
    assert "may sort in another order" in built.warnings[0]


def test_another_reason_not_to_create_it_is_an_error():
    control = FakeDatabase(refuses={"pt_BR": DatabaseError("too many databases", sqlstate="53000")})

    with pytest.raises(DatabaseError, match="too many databases"):
        build(control).create()


class Playing(LocalEngine):
    """An engine whose psql keeps what it is given, and may fail."""

    def __init__(self, directory, version="15.18", ending=0):
        super().__init__()
        self.directory = directory
        self.version = version
        self.ending = ending

    def exec_stage(self, container, name, argv, **more):
        self.calls.append(argv)
        keep = f'cat >>"{self.directory}/given"; echo "ERROR: no such thing" >&2; exit {self.ending}'
        script = f'echo "psql (PostgreSQL) {self.version}"' if "--version" in argv else keep
        return super().exec_stage(container, name, ["sh", "-c", script], **more)


def play(tmp_path, engine):
    """Restore all sections of a script, and return what psql was given."""
    path = tmp_path / "x.sql.gz"
    path.write_bytes(gzip.compress(SCRIPT.encode()))
    built = build()
    built.location = location(engine)
    built.dump = replace(built.dump, path=str(path), compression="gzip", format=PLAIN)
    for section in ("pre-data", "data", "post-data"):
        built.restore_section(section, role="crm")
    return (tmp_path / "given").read_text()


def test_a_script_is_played_by_psql_in_two_halves(tmp_path):
    engine = Playing(tmp_path)

    given = play(tmp_path, engine)

    runs = [argv for argv in engine.calls if "--version" not in argv]
    assert len(runs) == 2
    assert {"--single-transaction", "--set=ON_ERROR_STOP=1", "--no-psqlrc"} <= set(runs[0])
    assert given.count('SET ROLE "crm";\n') >= 2
    assert given.index("COPY") < given.index("CREATE INDEX")
    assert len(re.findall(r"^\\restrict [0-9a-f]{32}$", given, re.MULTILINE)) == 2


def test_an_older_psql_is_given_no_command_that_it_does_not_know(tmp_path):
    assert "\\restrict" not in play(tmp_path, Playing(tmp_path, version="15.13"))


def test_backslashes_mean_what_they_meant_when_the_script_was_checked(tmp_path):
    engine = Playing(tmp_path)

    play(tmp_path, engine)

    assert "-c standard_conforming_strings=on" in engine.stages[-1].env["PGOPTIONS"]


def test_what_psql_says_is_the_reason_of_the_failure(tmp_path):
    with pytest.raises(DatabaseError, match=r"ERROR: no such thing.* Database crm was not touched"):
        play(tmp_path, Playing(tmp_path, ending=3))


def test_settings_go_to_the_scratch_database_and_grants_only_on_request():
    control = FakeDatabase()
    settings = ("ALTER DATABASE {database} SET a TO 'b'", "GRANT CONNECT ON DATABASE {database} TO app")

    build(control, settings=settings).apply_settings(privileges=False)

    assert control.calls == [("execute", f"ALTER DATABASE \"crm__crm_{STAMP}\" SET a TO 'b'")]


def test_a_setting_that_the_server_does_not_know_is_a_warning_without_its_value():
    control = FakeDatabase(refuses={"ALTER": DatabaseError("unrecognized configuration parameter")})
    built = build(control, settings=("ALTER DATABASE {database} SET a.token TO 's3cret'",))

    built.apply_settings(privileges=True)

    assert built.warnings == [
        "A setting of the database was not restored (ALTER DATABASE SET a.token): unrecognized configuration parameter"
    ]
