# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import replace

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _backup_extract
from ansible_collections.crm.continuity.plugins.module_utils._backup_extract import Request, plan, plan_absent
from ansible_collections.crm.continuity.plugins.module_utils._errors import StackError, StoreError
from ansible_collections.crm.continuity.plugins.module_utils._extract_database import Look
from ansible_collections.crm.continuity.plugins.module_utils._manifest import NAME, SUMS, encode, sums
from ansible_collections.crm.continuity.plugins.module_utils._signature import Signers
from ansible_collections.crm.continuity.tests.unit.archives import archive_twice
from ansible_collections.crm.continuity.tests.unit.database_fakes import location
from ansible_collections.crm.continuity.tests.unit.fakes import artifact, manifest, source

ID = "20261121T020000Z"


def zstd(data):
    return subprocess.run(["zstd", "-q"], input=data, capture_output=True, check=True).stdout


@pytest.fixture
def root(tmp_path):
    """A backup root with one backup: a volume with two files, of which one came later, and a dump."""
    directory = tmp_path / "root" / "crm" / ID
    (directory / "volumes").mkdir(parents=True)
    (directory / "databases").mkdir()
    tree = tmp_path / "live"
    (tree / "a").mkdir(parents=True)
    (tree / "a" / "file").write_text("content")
    archive_twice(
        tree, directory / "volumes" / "crm_storage.tar.zst", lambda tree: (tree / "later").write_text("later")
    )
    (directory / "databases" / "chatwoot.dump.zst").write_bytes(zstd(b"PGDMP and the rest"))

    def known(path, kind, of, facts):
        sha256 = hashlib.sha256((directory / path).read_bytes()).hexdigest()
        return artifact(path, kind, source=of, compression="zstd", sha256=sha256, facts=facts)

    artifacts = (
        known("volumes/crm_storage.tar.zst", "archive", "crm_storage", {"files": 2}),
        known(
            "databases/chatwoot.dump.zst", "dump", "chatwoot", {"rows": {"public.accounts": 2}, "server": "postgres"}
        ),
    )
    facts = source()
    facts["volumes"] = [{**facts["volumes"][0], "kind": "bind", "source": str(tree)}]
    wanted = manifest(id=ID, artifacts=artifacts, source=facts)
    encoded = encode(wanted)
    (directory / NAME).write_bytes(encoded)
    (directory / SUMS).write_bytes(sums(wanted, encoded))
    return tmp_path / "root"


def never(*args):
    raise AssertionError("nobody should be asked")


def carried_out(root, *, act=True, engine=never, locate=never, **more):
    return plan(Request(str(root), "crm", **more), engine, locate).carry_out(act=act)


def test_files_go_to_a_directory_without_engine_and_server(root, tmp_path):
    done = carried_out(root, volume="crm_storage", path="a", to=str(tmp_path / "to"))

    assert (done["changed"], done["files"], done["placed"]) == (True, 1, 2)
    assert (tmp_path / "to" / "a" / "file").read_text() == "content"


def test_a_backup_that_its_host_has_not_signed_is_refused_where_signers_are_known(root, tmp_path):
    with pytest.raises(StoreError, match="is not signed, and signers are known"):
        carried_out(root, volume="crm_storage", to=str(tmp_path / "out"), signers=Signers(("crm-a ssh-ed25519 AAAA",)))

    assert not (tmp_path / "out").exists()


def test_files_go_back_to_where_they_are_live(root, tmp_path):
    (tmp_path / "live" / "later").unlink()

    said = carried_out(root, volume="crm_storage", path="later", engine=lambda: None, act=False)
    done = carried_out(root, volume="crm_storage", path="later", engine=lambda: None)

    assert (said["changed"], said["placed"]) == (done["changed"], done["placed"]) == (True, 1)
    assert (tmp_path / "live" / "later").read_text() == "later"


def test_no_backup_runs_while_live_files_are_put_back(root, tmp_path, monkeypatch):
    held = []
    (tmp_path / "live" / "later").unlink()
    right = _backup_extract.locked_on_host

    def noted(stack):
        held.append(stack)
        return right(stack)

    monkeypatch.setattr(_backup_extract, "locked_on_host", noted)

    carried_out(root, volume="crm_storage", path="later", engine=lambda: None, act=False)
    carried_out(root, volume="crm_storage", path="later", engine=lambda: None)

    assert held == ["crm"]


@pytest.mark.parametrize(
    ("more", "error", "words"),
    [
        ({"volume": "other", "to": "/x"}, StoreError, "holds no volume other. It holds crm_storage."),
        ({"database": "other", "to": "/x"}, StoreError, "holds no database other. It holds chatwoot."),
        ({"volume": "crm_storage"}, StackError, "by volume_import"),
        ({"id": "20200101T000000Z", "volume": "crm_storage", "to": "/x"}, StoreError, "There is no backup 2020"),
    ],
)
def test_what_is_not_there_is_refused(root, more, error, words):
    with pytest.raises(error, match=words):
        carried_out(root, **more)


def test_a_whole_database_is_not_put_in_place_here(root):
    with pytest.raises(StackError, match="by database_restore"):
        carried_out(root, database="chatwoot", locate=lambda facts: location())


# A dump


def test_a_dump_is_written_without_compression_and_left_alone_the_second_time(root, tmp_path):
    to = tmp_path / "to"

    said = carried_out(root, database="chatwoot", to=str(to), act=False)
    nothing = not to.exists()
    first = carried_out(root, database="chatwoot", to=str(to))
    second = carried_out(root, database="chatwoot", to=str(to))

    assert nothing
    assert [entry["changed"] for entry in (said, first, second)] == [True, True, False]
    assert (to / "chatwoot.dump").read_bytes() == b"PGDMP and the rest"
    assert os.listdir(to) == ["chatwoot.dump"]


@pytest.mark.parametrize("act", [True, False])
def test_another_file_of_that_name_is_replaced_only_when_that_was_said(root, tmp_path, act):
    to = tmp_path / "to"
    to.mkdir()
    (to / "chatwoot.dump").write_text("mine")

    with pytest.raises(StackError, match=r"chatwoot\.dump is there already and differs"):
        carried_out(root, database="chatwoot", to=str(to), act=act)
    mine = (to / "chatwoot.dump").read_text()
    done = carried_out(root, database="chatwoot", to=str(to), act=act, replace=True)

    assert mine == "mine"
    assert done["changed"]
    assert (to / "chatwoot.dump").read_text().startswith("PGDMP" if act else "mine")
    assert os.listdir(to) == ["chatwoot.dump"]


def test_a_damaged_dump_is_refused_before_anything_is_made(root, tmp_path):
    with open(root / "crm" / ID / "databases" / "chatwoot.dump.zst", "r+b") as stream:
        stream.seek(8)
        stream.write(b"!")

    with pytest.raises(StoreError, match="is damaged: its SHA-256 is"):
        carried_out(root, database="chatwoot", to=str(tmp_path / "to"))

    assert not (tmp_path / "to").exists()


def test_a_dump_that_is_missing_is_said(root):
    (root / "crm" / ID / "databases" / "chatwoot.dump.zst").unlink()

    with pytest.raises(StoreError, match="is missing"):
        carried_out(root, database="chatwoot", to="/x")


# A database to look at


LOOK = Look("x__crm_look", "comment", exists=False, current=False)


@pytest.fixture
def looked(root, monkeypatch):
    """Return a function that carries out a request for a database that is as described, and what was made."""
    made = []

    def run(look, *, act=True, **more):
        monkeypatch.setattr(_backup_extract, "look_at", lambda place, name, origin: replace(look, comment=origin))
        monkeypatch.setattr(_backup_extract, "make", lambda *args: made.append(args) or {"public.accounts": 2})
        return carried_out(root, database="chatwoot", to_database="x", act=act, locate=lambda facts: location(), **more)

    return run, made


def test_a_database_to_look_at_is_made_once(looked):
    run, made = looked

    said = run(LOOK, act=False)
    done = run(LOOK)
    again = run(replace(LOOK, exists=True, current=True))

    assert [entry["changed"] for entry in (said, done, again)] == [True, True, False]
    assert done["rows"] == {"public.accounts": 2}
    assert [args[0].comment for args in made] == [f"chatwoot of backup {ID} of crm"]


def test_one_that_is_of_something_else_is_replaced_only_when_that_was_said(looked):
    run, made = looked
    other = replace(LOOK, exists=True)

    with pytest.raises(StackError, match="is there already, made from something else"):
        run(other)
    run(other, replace=True, table="accounts")

    assert [(args[0].comment, args[6].name) for args in made] == [
        (f"chatwoot, table public.accounts of backup {ID} of crm", "accounts")
    ]


@pytest.mark.parametrize(("exists", "act", "removed"), [(True, True, 1), (True, False, 0), (False, True, 0)])
def test_it_is_removed_where_it_is_there(monkeypatch, exists, act, removed):
    calls = []
    monkeypatch.setattr(_backup_extract, "look_at", lambda place, name, origin: replace(LOOK, exists=exists))
    monkeypatch.setattr(_backup_extract, "remove", lambda look, place: calls.append(look))

    done = plan_absent("x", location()).carry_out(act=act)

    assert (done["changed"], len(calls)) == (exists, removed)


# A table


def test_a_live_table_is_filled_under_the_lock_of_its_stack(root, monkeypatch):
    calls = []
    monkeypatch.setattr(_backup_extract, "plan_live", lambda table, place, name, replace: LiveTable(table, name))
    monkeypatch.setattr(_backup_extract, "restore_live", lambda live: calls.append(live.database))
    request = {"database": "chatwoot", "table": "accounts", "locate": lambda facts: location()}

    said = carried_out(root, act=False, **request)
    before = list(calls)
    done = carried_out(root, **request)

    assert said == done
    assert (before, calls) == ([], ["chatwoot"])
    assert (done["table"], done["rows"], done["rows_before"]) == ("public.accounts", 2, 7)


class LiveTable:
    rows = 7

    def __init__(self, table, database):
        self.table = table
        self.database = database


def test_a_table_file_has_a_name_that_can_be_one(root, monkeypatch, tmp_path):
    class Session:
        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

        def server_version(self):
            return 160003

    def write(table, place, version, path, form):
        with open(path, "w") as stream:
            stream.write(f"{table.label} {version} {form}")
        return Written()

    class Written:
        encoding = "UTF8"

    monkeypatch.setattr(_backup_extract, "connect", lambda connection: Session())
    monkeypatch.setattr(_backup_extract, "write_table", write)

    done = carried_out(
        root,
        database="chatwoot",
        table="accounts",
        to=str(tmp_path / "to"),
        form="sql",
        locate=lambda facts: location(),
    )

    assert done["file"] == str(tmp_path / "to" / "chatwoot.public.accounts.sql")
    assert (tmp_path / "to" / "chatwoot.public.accounts.sql").read_text() == "public.accounts 16 sql"
    assert (done["rows"], done["encoding"]) == (2, "UTF8")
