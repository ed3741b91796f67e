# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import itertools
import json
import multiprocessing
import os
import pwd
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _audit
from ansible_collections.crm.continuity.plugins.module_utils._audit import AuditLog
from ansible_collections.crm.continuity.plugins.module_utils._audit_chain import Head
from ansible_collections.crm.continuity.plugins.module_utils._errors import StoreError

DOZEN = 12


@pytest.fixture
def log(tmp_path):
    """A log with a dozen events."""
    log = AuditLog(str(tmp_path / "root"))
    fill(log, DOZEN)
    return log


def fill(log, count):
    for number in range(count):
        actor = {"user": "ana", "job": "nightly", "control_node": "control"}
        log.append("backup", stack="crm", backup=f"2026112{number}T020000Z", actor=actor, facts={"files": number})


def lines(log):
    return Path(log.path).read_bytes().splitlines(keepends=True)


def write(log, content):
    Path(log.path).write_bytes(b"".join(content) if isinstance(content, list) else content)


def kinds(log, known=()):
    return [problem.kind for problem in log.read(known)[1]]


def serious(log, known=()):
    return [problem for problem in log.read(known)[1] if not problem.harmless]


def test_events_are_read_as_they_were_appended(tmp_path):
    log = AuditLog(str(tmp_path / "root"))

    first = log.append("backup", stack="crm", backup="20261121T020000Z", actor={"user": "ana"}, facts={"files": 3})
    second = log.append("verify", result="failed")
    events, problems = log.read()

    assert problems == []
    assert events == [first, second]
    assert [event.sha256 for event in events] == [first.sha256, second.sha256]
    assert (second.sequence, second.previous) == (2, first.sha256)
    assert (events[0].stack, events[0].backup, events[0].actor) == ("crm", "20261121T020000Z", {"user": "ana"})
    assert log.remarks == []


def test_a_log_is_for_nobody_else_to_read(log, heads):
    modes = {path: os.stat(path).st_mode & 0o777 for path in (log.path, log.root, log.head_path, str(heads))}

    assert modes == {log.path: 0o600, log.root: 0o700, log.head_path: 0o600, str(heads): 0o700}


def test_a_chain_can_be_followed_with_nothing_but_sha256sum(log):
    written = lines(log)

    for before, line in itertools.pairwise(written):
        assert json.loads(line)["previous"] == _audit.digest(before.rstrip(b"\n"))


def test_without_a_name_it_is_who_runs_the_process(tmp_path, monkeypatch):
    log = AuditLog(str(tmp_path / "root"))
    monkeypatch.setenv("SUDO_USER", "bia")
    by_sudo = log.append("note", actor={"user": "", "job": None})
    monkeypatch.delenv("SUDO_USER")
    by_root = log.append("note")

    assert by_sudo.actor == {"user": "bia"}
    assert by_root.actor == {"user": pwd.getpwuid(os.getuid()).pw_name}


@pytest.mark.parametrize("bit", [0x01, 0x20, 0x80], ids=lambda bit: f"bit {bit:#x}")
def test_every_byte_of_a_log_counts(log, bit):
    content = Path(log.path).read_bytes()
    undetected = []
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= bit
        write(log, bytes(damaged))
        if not serious(log):
            undetected.append(place)

    assert len(content) > DOZEN * 200
    assert undetected == []


def test_a_log_cut_off_anywhere_is_detected(log):
    content = Path(log.path).read_bytes()
    undetected = []
    for length in range(len(content)):
        write(log, content[:length])
        if "truncated" not in kinds(log):
            undetected.append(length)

    assert undetected == []


@pytest.mark.parametrize("place", range(DOZEN))
def test_a_line_that_was_removed_is_missed(log, place):
    written = lines(log)
    del written[place]
    write(log, written)

    assert serious(log)


@pytest.mark.parametrize("place", range(DOZEN - 1))
def test_lines_that_changed_places_are_detected(log, place):
    written = lines(log)
    written[place], written[place + 1] = written[place + 1], written[place]
    write(log, written)

    assert {"broken", "moved"} <= set(kinds(log))


def test_a_line_that_was_repeated_or_brought_in_is_detected(log, tmp_path):
    other = AuditLog(str(tmp_path / "other"))
    fill(other, 3)
    written = lines(log)
    foreign = lines(other)[1]

    for content in ([*written[:5], written[4], *written[5:]], [*written[:5], foreign, *written[5:]]):
        write(log, content)
        assert "broken" in kinds(log)


def test_a_log_written_anew_as_a_whole_is_detected(log, tmp_path):
    other = AuditLog(str(tmp_path / "other"))
    fill(other, DOZEN)
    write(log, lines(other))

    assert kinds(log) == ["replaced"]


def test_a_log_that_is_gone_is_missed(log):
    os.unlink(log.path)

    assert kinds(log) == ["truncated"]
    assert "events 1 to 12 are missing" in serious(log)[0].message


def test_what_was_kept_elsewhere_shows_what_the_host_would_hide(log):
    kept = log.read()[0][-1]
    write(log, lines(log)[:-1])
    os.unlink(log.head_path)

    assert not serious(log)
    assert [p.kind for p in serious(log, [Head(kept.sequence, kept.sha256)])] == ["truncated"]


def test_another_checksum_than_the_one_kept_elsewhere_is_a_problem(log):
    assert kinds(log, [Head(3, "0" * 64)]) == ["replaced"]


def test_the_events_before_a_damaged_line_and_after_it_are_read(log):
    written = lines(log)
    written[4] = b"nothing\n"
    write(log, written)
    events, _problems = log.read()

    assert [event.sequence for event in events] == [1, 2, 3, 4, *range(6, 13)]


def test_a_line_torn_by_a_power_cut_is_said_and_sealed(log):
    write(log, Path(log.path).read_bytes() + b'{"sequence":13,"at":"2026')
    before = log.read()[1]

    event = log.append("note", facts={"text": "after the power came back"})
    events, after = log.read()

    assert [(p.kind, p.harmless) for p in before] == [("torn", True)]
    assert [(p.kind, p.line, p.harmless) for p in after] == [("torn", 13, True)]
    assert [(e.sequence, e.action) for e in events[-2:]] == [(13, "seal"), (14, "note")]
    assert events[-1] == event


def test_appending_says_what_it_found(log):
    write(log, Path(log.path).read_bytes() + b"{")

    log.append("note")

    assert len(log.remarks) == 1
    assert log.path in log.remarks[0]


def test_a_sealed_torn_line_is_guarded_like_any_other(log):
    write(log, Path(log.path).read_bytes() + b'{"torn')
    log.append("note")
    content = Path(log.path).read_bytes()
    start = content.index(b'{"torn')
    for place in range(start, len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1
        write(log, bytes(damaged))
        assert serious(log), place


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda written: written[:9], id="truncated"),
        pytest.param(lambda written: [*written[:9], written[9][:40]], id="truncated within a line"),
        pytest.param(lambda written: [], id="emptied"),
        pytest.param(lambda written: [*written[:-1], b"garbage\n"], id="last line overwritten"),
        pytest.param(lambda written: [*written[:-1], written[-1].replace(b"ana", b"eva")], id="last line changed"),
    ],
)
def test_the_next_event_does_not_hide_what_only_the_end_shows(log, damage):
    write(log, damage(lines(log)))
    assert serious(log)

    log.append("note")
    log.append("note")

    assert "noted" in kinds(log)
    assert [event.sequence for event in log.read()[0][-3:]] == [13, 14, 15]


def test_a_run_that_died_between_the_log_and_what_the_host_remembers_is_no_problem(log):
    remembered = Path(log.head_path).read_bytes()
    log.append("note")
    Path(log.head_path).write_bytes(remembered)

    assert log.read()[1] == []
    log.append("note")
    assert log.read()[1] == []
    assert len(log.read()[0]) == DOZEN + 2


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"sequence":"12","sha256":1}', b"\xff"])
def test_a_host_that_has_forgotten_the_end_says_so(log, content):
    Path(log.head_path).write_bytes(content)

    assert [(p.kind, p.harmless) for p in log.read()[1]] == [("unproved", True)]
    log.append("note")
    assert log.read()[1] == []


def test_a_store_that_came_from_another_host_goes_on_with_its_log(log, tmp_path, monkeypatch):
    monkeypatch.setattr(_audit, "DEFAULT_HEADS", str(tmp_path / "new host"))
    here = AuditLog(log.root)

    assert here.append("note").sequence == DOZEN + 1
    assert here.read()[1] == []


def test_a_host_that_cannot_remember_says_so_and_keeps_the_event(tmp_path):
    (tmp_path / "file").touch()
    log = AuditLog(str(tmp_path / "root"), str(tmp_path / "file" / "heads"))

    log.append("note")

    assert "nobody sees on this host when the end" in log.remarks[0]
    assert len(log.read()[0]) == 1


def test_an_event_that_does_not_fit_leaves_the_log_as_it_was(log, monkeypatch):
    before = Path(log.path).read_bytes()

    def full(descriptor, data):
        os.write(descriptor, data[:30])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(_audit, "write_all", full)
        with pytest.raises(StoreError, match=r"audit\.jsonl is full"):
            log.append("note")

    assert Path(log.path).read_bytes() == before
    assert log.append("note").sequence == DOZEN + 1
    assert log.read()[1] == []


def test_a_link_in_the_place_of_the_log_is_not_followed(tmp_path):
    log = AuditLog(str(tmp_path / "root"))
    os.mkdir(log.root)
    (tmp_path / "precious").write_text("mine")
    os.symlink(tmp_path / "precious", log.path)

    with pytest.raises(StoreError, match="cannot be written"):
        log.append("note")
    with pytest.raises(StoreError, match="cannot be read"):
        log.read()
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_directory_in_the_place_of_the_log_is_named(tmp_path):
    log = AuditLog(str(tmp_path / "root"))
    os.makedirs(log.path)

    with pytest.raises(StoreError, match=r"audit\.jsonl"):
        log.read()


def test_a_log_that_somebody_holds_is_given_up_on(log, monkeypatch):
    monkeypatch.setattr(_audit, "LOCK_TIMEOUT", 0.05)
    with log._opened(os.O_RDONLY, _audit.fcntl.LOCK_SH):
        with pytest.raises(StoreError, match="held by another process"):
            log.append("note")
        assert len(log.read()[0]) == DOZEN


def test_many_who_append_at_once_make_one_chain(tmp_path, heads):
    root = str(tmp_path / "root")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=fill, args=(AuditLog(root, str(heads)), 10)) for _number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    events, problems = AuditLog(root).read()

    assert [worker.exitcode for worker in workers] == [0] * 4
    assert [event.sequence for event in events] == list(range(1, 41))
    assert problems == []


def test_two_roots_are_remembered_apart(tmp_path, heads):
    for name in ("a", "b"):
        AuditLog(str(tmp_path / name / "crm")).append("note")
    os.symlink(tmp_path / "a", tmp_path / "link")

    assert len(os.listdir(heads)) == 2
    assert AuditLog(str(tmp_path / "link" / "crm")).head_path == AuditLog(str(tmp_path / "a" / "crm")).head_path


def test_an_event_is_longer_than_one_look_at_the_end(tmp_path):
    log = AuditLog(str(tmp_path / "root"))
    log.append("note", facts={"text": "x" * 300_000})
    log.append("note", facts={"text": "\n\u2028é"})

    assert log.read()[1] == []
    assert len(lines(log)) == 2


def test_unknown_words_are_a_bug_of_the_caller(log):
    with pytest.raises(ValueError, match="frobnicate"):
        log.append("frobnicate")
    with pytest.raises(ValueError, match="maybe"):
        log.append("note", result="maybe")
