# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._backup_transfer import Place, Request, apply, plan
from ansible_collections.crm.continuity.plugins.module_utils._errors import ProcessError, StoreError
from ansible_collections.crm.continuity.plugins.module_utils._files import file_sha256

ID = "20261121T020000Z"
FILES = {"manifest.json": b"{}", "volumes/a b.tar": os.urandom(300_000), "databases/x.dump": b"", "RESTORE.md": b"x\n"}


class Hosts:
    """Two directories that stand for two hosts; their shells note each line of shell."""

    def __init__(self, directory):
        self.lines = directory / "lines"
        self.source, self.target = directory / "source", directory / "target"
        self.shell = directory / "shell"
        self.shell.write_text(f'#!/bin/sh\nprintf "%s\\n" "$1" >>{self.lines}\nexec sh -c "$1"\n')
        self.shell.chmod(0o700)
        self.request = Request(*(Place((str(self.shell),), str(p)) for p in (self.source, self.target)), "crm", ID)

    @property
    def backup(self):
        return self.source / "crm" / ID

    @property
    def final(self):
        return self.target / "crm" / ID

    @property
    def incoming(self):
        return self.target / "crm" / f".{ID}.incoming"

    def bring(self):
        wanted = plan(self.request)
        apply(wanted)
        return wanted

    def read(self):
        return [line for line in self.lines.read_text().splitlines() if line.startswith("tail ")]


@pytest.fixture
def hosts(tmp_path):
    hosts = Hosts(tmp_path)
    lines = []
    for path, content in FILES.items():
        (hosts.backup / path).parent.mkdir(parents=True, exist_ok=True)
        (hosts.backup / path).write_bytes(content)
        lines.append(f"{file_sha256(str(hosts.backup / path)).sha256}  {path}\n")
    (hosts.backup / "SHA256SUMS").write_text("".join(lines))
    return hosts


def content(directory):
    return {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


def test_a_backup_is_brought_whole_and_private(hosts):
    wanted = hosts.bring()

    assert content(hosts.final) == content(hosts.backup)
    assert wanted.missing == sum(len(data) for data in content(hosts.backup).values())
    assert not hosts.incoming.exists()
    assert {path.stat().st_mode & 0o077 for path in hosts.target.rglob("*")} == {0}


def test_looking_brings_nothing(hosts):
    assert plan(hosts.request).missing > 0

    assert not hosts.target.exists()


def test_a_second_run_brings_nothing(hosts):
    hosts.bring()
    before = len(hosts.read())

    again = hosts.bring()

    assert (again.complete, again.missing, len(hosts.read())) == (True, 0, before)


def test_an_interrupted_run_is_continued_where_it_ended(hosts):
    (hosts.incoming / "volumes").mkdir(parents=True)
    (hosts.incoming / "volumes" / "a b.tar").write_bytes(FILES["volumes/a b.tar"][:200_000])
    (hosts.incoming / "RESTORE.md").write_bytes(FILES["RESTORE.md"])

    wanted = hosts.bring()

    assert content(hosts.final) == content(hosts.backup)
    assert wanted.have("volumes/a b.tar") == 200_000
    assert any(line.startswith("tail -c +200001 ") for line in hosts.read())
    assert not any("RESTORE.md" in line for line in hosts.read())


def test_a_file_that_is_too_long_is_begun_again(hosts):
    hosts.incoming.mkdir(parents=True)
    (hosts.incoming / "RESTORE.md").write_bytes(b"something longer")

    hosts.bring()

    assert (hosts.final / "RESTORE.md").read_bytes() == FILES["RESTORE.md"]


def test_what_differs_on_the_target_is_removed_and_brought_by_the_next_run(hosts):
    hosts.incoming.mkdir(parents=True)
    (hosts.incoming / "RESTORE.md").write_bytes(b"y\n")

    with pytest.raises(StoreError, match=r"differs from the source: RESTORE\.md. It was removed there"):
        hosts.bring()
    assert not hosts.final.exists()

    hosts.bring()
    assert content(hosts.final) == content(hosts.backup)


def test_a_backup_that_is_damaged_at_the_source_never_gets_its_name(hosts):
    (hosts.backup / "RESTORE.md").write_bytes(b"z\n")

    for _attempt in range(2):
        with pytest.raises(StoreError, match="differs from the source"):
            hosts.bring()
    assert not hosts.final.exists()


def test_another_backup_under_its_name_is_left_alone(hosts):
    hosts.bring()
    (hosts.final / "SHA256SUMS").write_text("other\n")

    with pytest.raises(StoreError, match="The target has another backup"):
        hosts.bring()


def test_a_backup_that_is_not_there_is_an_error(hosts):
    shutil.rmtree(hosts.source)

    with pytest.raises(StoreError, match=f"There is no backup {ID} of stack crm"):
        plan(hosts.request)


@pytest.mark.parametrize("id_", ["latest", "../x", ""])
def test_only_an_id_names_a_backup(hosts, id_):
    with pytest.raises(StoreError, match="is not the ID of a backup"):
        plan(Request(hosts.request.source, hosts.request.target, "crm", id_))


def test_a_host_that_cannot_be_reached_is_an_error(hosts):
    gone = Place(("/bin/sh", "-c", "echo no route >&2; exit 255", "x"), "/nowhere")

    with pytest.raises(ProcessError, match="no route"):
        plan(Request(hosts.request.source, gone, "crm", ID))


def test_a_target_that_breaks_off_is_an_error_and_can_be_continued(hosts, tmp_path):
    working = hosts.shell.read_text()
    hosts.shell.write_text(
        working.replace("exec sh", 'case $1 in *"cat >"*tar*) head -c 1000 >/dev/null; exit 255 ;; esac\nexec sh')
    )

    with pytest.raises(ProcessError, match="255"):
        hosts.bring()
    assert not hosts.final.exists()

    hosts.shell.write_text(working)
    hosts.bring()
    assert content(hosts.final) == content(hosts.backup)


def test_privileges_are_asked_for_with_the_words_that_were_given(hosts, tmp_path):
    log = tmp_path / "sudo.log"
    sudo = tmp_path / "sudo"
    sudo.write_text(f'#!/bin/sh\nprintf "%s\\n" "$1" >>{log}\nshift\nexec "$@"\n')
    sudo.chmod(0o700)
    target = Place(hosts.request.target.shell, hosts.request.target.root, (str(sudo), "-n"))

    apply(plan(Request(hosts.request.source, target, "crm", ID)))

    assert content(hosts.final) == content(hosts.backup)
    assert set(Path(log).read_text().split()) == {"-n"}
