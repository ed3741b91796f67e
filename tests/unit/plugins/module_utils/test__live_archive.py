# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import mmap
import os
import random
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _live_archive
from ansible_collections.crm.continuity.plugins.module_utils._errors import ArchiveError, ProcessError
from ansible_collections.crm.continuity.plugins.module_utils._live_archive import live_archive
from ansible_collections.crm.continuity.plugins.module_utils._tree import scan
from ansible_collections.crm.continuity.plugins.module_utils._volume_directory import file_system
from ansible_collections.crm.continuity.tests.unit.archives import bind_socket, described, make_tree

UNPACK = {"zstd": ["zstd", "-dc"], "gzip": ["gzip", "-dc"], "none": ["cat"]}


@pytest.fixture
def source(tmp_path):
    directory = tmp_path / "volume"
    directory.mkdir()
    return directory


@pytest.fixture
def store(tmp_path):
    directory = tmp_path / "backup"
    directory.mkdir()
    return directory


@pytest.fixture
def tar(tmp_path, monkeypatch):
    """Return a function that puts a shell script in the place of tar; ``$real`` is the real one."""

    def replace(script):
        directory = tmp_path / "bin"
        directory.mkdir(exist_ok=True)
        (directory / "tar").write_text(f"#!/bin/sh\nreal={shutil.which('tar', path='/usr/bin:/bin')}\n{script}\n")
        (directory / "tar").chmod(0o755)
        monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")

    return replace


class Recorder:
    """Archives a directory step by step; what is there can be changed between the steps."""

    def __init__(self, source, store, compression="zstd"):
        self.source, self.store, self.compression = source, store, compression
        self.path = str(store / "v.tar")
        self.deletions = str(store / "v.deleted")
        self.caught = []

    def record(self, *between, exact=True, live_rounds=1):
        """Archive; ``between`` are called after the live pass, after each live round, and before the cut."""
        steps = list(between) + [lambda: None] * (live_rounds + 1 - len(between))
        making = live_archive(str(self.source), self.path, compression=self.compression, level=None, subject="volume v")
        with making as archive:
            archive.start()
            for step in steps[:live_rounds]:
                step()
                self.caught.append(archive.catch_up(still=False))
            for step in steps[live_rounds:]:
                step()
            self.caught.append(archive.catch_up(still=True, exact=exact))
            return archive.finish(self.deletions)

    def restore(self, target):
        """Restore with stock tools, as RESTORE.md says."""
        target.mkdir()
        plain = subprocess.run([*UNPACK[self.compression], self.path], capture_output=True, check=True).stdout
        command = ["tar", "-xP", "--delay-directory-restore", "--xattrs", "--acls", "-C", str(target)]
        subprocess.run(command, input=plain, check=True)
        if os.path.exists(self.deletions):
            names = Path(self.deletions).read_bytes()
            # Directories empty only when what is in them is gone.
            subprocess.run(["xargs", "-0", "rm", "-rf", "--"], input=names, cwd=target, check=True)
        return described(target)


def churn(directory, chance):
    """Do something to a tree that an application may do, one of many things."""
    every = [Path(parent, name) for parent, names, files in os.walk(directory) for name in names + files]
    files = [path for path in every if path.is_file() and not path.is_symlink()]
    folders = [directory, *(path for path in every if path.is_dir() and not path.is_symlink())]
    new = chance.choice(folders) / f"n{chance.randrange(10_000)}"
    old = chance.choice(every) if every else None
    what = chance.randrange(13)
    if os.path.lexists(new):
        return
    if what == 0 or not files or old is None:
        new.write_bytes(chance.randbytes(chance.randrange(9000)))
    elif what == 1:
        with open(chance.choice(files), "ab") as stream:
            stream.write(b"more")
    elif what == 2:
        path = chance.choice(files)
        status = path.stat()
        path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    elif what == 3:
        chance.choice(files).unlink()
    elif what == 4:
        chance.choice(files).rename(new)
    elif what == 5:
        new.hardlink_to(chance.choice(files))
    elif what == 6:
        new.symlink_to(chance.choice(["nowhere", "/etc", ".", "../x"]))
    elif what == 7:
        new.mkdir(mode=0o750)
        (new / "child").write_text("child")
    elif what == 8 and len(folders) > 1:
        shutil.rmtree(chance.choice(folders[1:]))
    elif what == 9 and len(folders) > 1:
        folder = chance.choice(folders[1:])
        if not str(new).startswith(f"{folder}/"):
            folder.rename(new)
    elif what == 10:
        chance.choice(files).chmod(0o640)
        chance.choice(folders).chmod(0o710)
    elif what == 11:
        # Another kind of thing takes the name.
        shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
        chance.choice([old.mkdir, lambda: old.write_text("x"), lambda: old.symlink_to("y")])()
    else:
        os.mkfifo(new)


def without_times_of_directories(tree):
    """To remove what is gone, as rm does it, changes the time of the directory that it was in."""
    return {
        path: tuple(fact for position, fact in enumerate(facts) if position != 3 or not stat.S_ISDIR(int(facts[0], 8)))
        for path, facts in tree.items()
    }


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_meanwhile_stock_tools_restore_the_state_of_the_cut(seed, source, store, tmp_path):
    chance = random.Random(seed)
    for _number in range(40):
        churn(source, chance)
    recorder = Recorder(source, store, chance.choice(list(UNPACK)))

    def change():
        for _number in range(chance.randrange(25)):
            churn(source, chance)

    archived = recorder.record(change, change, change, live_rounds=2)

    restored = recorder.restore(tmp_path / "restored")
    assert without_times_of_directories(restored) == without_times_of_directories(described(source))
    assert archived.totals == scan(str(source))


def test_hard_links_attributes_holes_and_odd_names_survive_in_a_delta(source, store, tmp_path):
    recorder = Recorder(source, store)

    recorder.record(lambda: make_tree(source))

    assert recorder.restore(tmp_path / "restored") == described(source)


def test_nothing_is_read_twice_when_nothing_changes(source, store):
    make_tree(source)
    bind_socket(source / "socket")
    for path, _names, _files in os.walk(source):
        os.utime(path, (1, 1))
    recorder = Recorder(source, store)
    # What was written a moment ago is in doubt.
    subprocess.run(["sleep", "0.1"], check=True)

    archived = recorder.record()

    assert [caught.entries for caught in recorder.caught] == [0, 0]
    assert (archived.superseded, archived.deleted, archived.deletions) == (0, 0, None)
    assert not os.path.exists(recorder.deletions)
    assert archived.warnings == ("1 socket was left out, as no archive can hold one: ./socket",)


def test_a_change_that_keeps_size_and_time_is_seen(source, store, tmp_path):
    path = source / "file"
    path.write_text("before")
    os.utime(path, (1, 1))
    # What was written a moment ago is in doubt anyway.
    subprocess.run(["sleep", "0.1"], check=True)

    def change():
        path.write_text("after!")
        os.utime(path, (1, 1))
        subprocess.run(["sleep", "0.1"], check=True)

    recorder = Recorder(source, store)
    recorder.record(change)

    recorder.restore(tmp_path / "restored")
    assert (tmp_path / "restored" / "file").read_text() == "after!"


@pytest.mark.parametrize("when", ["while tar reads", "before the cut"])
def test_a_store_to_a_page_that_was_dirty_before_is_seen(when, source, store, tmp_path, tar):
    if file_system(str(source)).startswith(_live_archive.UNOBSERVED):
        pytest.skip("nobody sees this on such a file system")
    path = source / "mapped"
    path.write_bytes(bytes(8192))
    with open(path, "r+b") as stream, mmap.mmap(stream.fileno(), 0) as mapped:
        mapped[0] = 1
        subprocess.run(["sleep", "0.1"], check=True)
        recorder = Recorder(source, store)
        recorder.record(lambda: None, lambda: mapped.__setitem__(0, 2))

    recorder.restore(tmp_path / "restored")
    assert (tmp_path / "restored" / "mapped").read_bytes()[0] == 2


def test_what_is_written_after_tar_has_read_it_is_read_again(source, store, tmp_path, tar):
    for number in range(50):
        (source / f"f{number}").write_text("before")
    # Once tar is done with the whole of it, everything changes, within one tick of the clock for some.
    tar(f'"$real" "$@" || exit; for file in {source}/f*; do printf after >$file; done')
    recorder = Recorder(source, store)

    with live_archive(str(source), recorder.path, compression="none", level=None, subject="volume v") as archive:
        archive.start()
        (tmp_path / "bin" / "tar").unlink()
        archive.catch_up(still=True)
        archive.finish(recorder.deletions)
    recorder.compression = "none"
    recorder.restore(tmp_path / "restored")

    assert {path.read_text() for path in (tmp_path / "restored").iterdir()} == {"after"}


# What is swapped while tar reads it and back before the next look: every name looks as it did.


def once(tmp_path):
    """Let tar do what it does, but for its first run."""
    return f'[ -e {tmp_path}/once ] && exec "$real" "$@"; touch {tmp_path}/once;'


def swapped(one, other):
    return f"mv {one} {one}.x; mv {other} {one}; mv {one}.x {other};"


# Nothing tells directories apart whose files are as old and as big, and that something was added to.
@pytest.mark.parametrize(("twins", "touched"), [(True, False), (False, False), (False, True)])
@pytest.mark.parametrize("depth", ["one", "one/deep/er"])
def test_directories_that_are_others_while_tar_reads_them(twins, touched, depth, source, store, tmp_path, tar):
    for number, name in enumerate((depth, depth.replace("one", "other", 1))):
        (source / name).mkdir(parents=True)
        path = source / name / "file"
        path.write_text(name[:3])
        os.utime(path, ns=(1, 1_700_000_000_000_000_000 + (0 if twins else number * 4_000_000)))
    subprocess.run(["sleep", "0.1"], check=True)
    swap = swapped(source / "one", source / "other")
    add = f"touch {source}/one/more {source}/other/more;" if touched else ""
    # The first run only: that of the whole.
    tar(f'{once(tmp_path)} {swap} "$real" "$@"; code=$?; {swap} {add} exit $code')
    recorder = Recorder(source, store)

    recorder.record()

    assert recorder.restore(tmp_path / "restored") == described(source)


@pytest.mark.parametrize("touched", [True, False])
def test_a_directory_that_is_a_link_to_elsewhere_while_tar_reads_it(touched, source, store, tmp_path, tar):
    elsewhere = tmp_path / "elsewhere"
    for place in (source / "d" / "e", elsewhere / "e"):
        place.mkdir(parents=True)
        (place / "file").write_text("own")
    (elsewhere / "e" / "file").write_text("secret of the host")
    # So that only the file is read again, not the link.
    subprocess.run(["sleep", "0.1"], check=True)
    recorder = Recorder(source, store)

    def change():
        (source / "d" / "e" / "file").write_text("new")
        for place in (source / "d", elsewhere):
            os.utime(place / "e" / "file", ns=(1, 1_700_000_000_000_000_000))
        subprocess.run(["sleep", "0.1"], check=True)
        back = f"rm {source}/d; mv {source}/x {source}/d; {f'touch {source}/d/more;' if touched else ''}"
        tar(
            f"{once(tmp_path)} mv {source}/d {source}/x; ln -s {elsewhere} {source}/d;"
            f' "$real" "$@"; code=$?; {back} exit $code'
        )

    recorder.record(change)

    assert (tmp_path / "once").exists()
    recorder.restore(tmp_path / "restored")
    assert (tmp_path / "restored" / "d" / "e" / "file").read_text() == "new"


def test_a_name_that_is_a_directory_only_when_tar_reads_it(source, store, tmp_path, tar):
    name = source / "name"
    name.symlink_to("nowhere")
    recorder = Recorder(source, store)

    def change():
        name.unlink()
        name.write_text("a file")
        tar(f'{once(tmp_path)} rm {name}; mkdir {name}; touch {name}/in; exec "$real" "$@"')

    recorder.record(change)

    assert (tmp_path / "once").exists()
    assert recorder.restore(tmp_path / "restored") == described(source)


def test_a_directory_above_that_is_a_file_when_tar_comes_is_no_error_while_in_use(source, store, tmp_path, tar):
    (source / "d").mkdir()
    (source / "d" / "file").write_text("a")
    recorder = Recorder(source, store)

    def change():
        (source / "d" / "file").write_text("b")
        tar(f'{once(tmp_path)} rm -r {source}/d; touch {source}/d; exec "$real" "$@"')

    recorder.record(change)

    assert recorder.restore(tmp_path / "restored") == described(source)


@pytest.mark.parametrize("when", ["at first", "meanwhile"])
def test_what_a_restore_keeps_in_the_directory_is_no_content_of_it(when, source, store, tmp_path):
    def keep():
        (source / ".crm-restore-20261121T020000Z" / "old").mkdir(parents=True)
        (source / ".crm-restore-20261121T020000Z" / "old" / "file").write_text("former")

    (source / "d").mkdir()
    (source / "d" / ".crm-restore-of-the-application").write_text("own")
    if when == "at first":
        keep()

    archived = Recorder(source, store).record(*([keep] if when == "meanwhile" else []))

    recorder = Recorder(source, store)
    assert sorted(recorder.restore(tmp_path / "restored")) == [b"", b"/d", b"/d/.crm-restore-of-the-application"]
    assert (archived.totals.files, archived.totals.directories) == (1, 1)


def test_what_is_gone_is_listed_with_its_checksum(source, store, tmp_path):
    for name in ("a", "b", "odd\n\udcff", "d/e/f"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name.encode(errors="surrogateescape").hex())

    def change():
        shutil.rmtree(source / "d")
        (source / "odd\n\udcff").unlink()

    archived = Recorder(source, store).record(change)

    content = (store / "v.deleted").read_bytes()
    assert sorted(content.split(b"\0")) == [b"", b"./d", b"./d/e", b"./d/e/f", b"./odd\n\xff"]
    assert (archived.deleted, archived.totals.files) == (4, 2)
    assert archived.deletions.sha256 == hashlib.sha256(content).hexdigest()


def test_what_comes_back_is_not_listed(source, store, tmp_path):
    (source / "a").write_text("one")
    recorder = Recorder(source, store)

    archived = recorder.record((source / "a").unlink, lambda: (source / "a").write_text("two"))

    assert archived.deleted == 0
    recorder.restore(tmp_path / "restored")
    assert (tmp_path / "restored" / "a").read_text() == "two"


def test_what_tar_met_between_two_looks_is_listed_too(source, store, tmp_path, tar):
    (source / "kept").write_text("kept")
    # There when tar reads, but at no look.
    tar(f'touch {source}/ghost; "$real" "$@"; code=$?; rm {source}/ghost; exit $code')

    archived = Recorder(source, store).record()

    assert archived.deleted == 1
    assert (store / "v.deleted").read_bytes() == b"./ghost\0"


def test_names_that_are_gone_when_tar_looks_for_them_are_no_error_while_in_use(source, store, tmp_path, tar):
    (source / "a").write_text("a")
    tar(f'rm -f {source}/b; exec "$real" "$@"')
    recorder = Recorder(source, store)

    archived = recorder.record(lambda: (source / "b").write_text("b"))

    assert recorder.caught[0].entries >= 1
    assert archived.totals.files == 1
    assert recorder.restore(tmp_path / "restored") == described(source)


@pytest.mark.parametrize(
    ("code", "words"), [(2, "tar: ./a: Cannot open: Permission denied"), (2, "tar: ./a: Read error at byte 0")]
)
def test_what_cannot_be_read_is_an_error_at_every_step(code, words, source, store, tar):
    (source / "a").write_text("a")
    for step in range(3):
        tar(
            f"echo x >>{store}/../count; if [ $(wc -l <{store}/../count) -gt {step} ]; then "
            f'echo "{words}" >&2; "$real" "$@"; exit {code}; fi; exec "$real" "$@"'
        )
        (store / "../count").unlink(missing_ok=True)
        recorder = Recorder(source, store)

        with pytest.raises(ProcessError, match=words.rpartition(": ")[2]):
            recorder.record(lambda: (source / "a").write_text("b"), lambda: (source / "a").write_text("c"))

        assert list(store.iterdir()) == []


def test_a_change_during_the_cut_is_an_error_that_names_it(source, store, tar):
    (source / "a").write_text("a")
    tar(
        'case "$*" in *no-file-changed*) ;; *) echo "tar: ./a: file changed as we read it" >&2; wrong=1 ;; esac;'
        ' "$real" "$@" || exit; exit ${wrong:-0}'
    )

    with pytest.raises(ArchiveError, match=r"Volume v changed while it was archived.*a: file changed as we read it"):
        Recorder(source, store).record(lambda: None, lambda: (source / "a").write_text("c"))


def test_what_is_not_frozen_may_change_and_is_told(source, store, tar):
    (source / "a").write_text("a")
    tar(
        'case "$*" in *no-file-changed*) ;; *) echo "tar: ./a: file changed as we read it" >&2; wrong=1 ;; esac;'
        ' "$real" "$@" || exit; exit ${wrong:-0}'
    )

    archived = Recorder(source, store).record(lambda: None, lambda: (source / "a").write_text("c"), exact=False)

    assert archived.warnings == ("./a: file changed as we read it",)


def test_an_archive_that_lacks_a_name_is_noticed(source, store, tar):
    for name in ("a", "b"):
        (source / name).write_text(name)
    tar('exec "$real" --exclude=./b "$@"')

    with pytest.raises(ArchiveError, match=r"not whole.*there are 2 files.*and 1,"):
        Recorder(source, store).record()

    assert list(store.iterdir()) == []


def test_a_big_file_that_is_being_written_to_is_read_at_first_and_at_the_cut(source, store, tmp_path, monkeypatch):
    monkeypatch.setattr(_live_archive, "BIG", 1000)
    (source / "database").write_bytes(b"a" * 1000)
    (source / "upload").write_bytes(b"a" * 1000)
    recorder = Recorder(source, store)

    def change():
        (source / "database").write_bytes(b"b" * 1000)
        # Complete for a while when it is looked at.
        (source / "upload").write_bytes(b"b" * 2000)
        os.utime(source / "upload", (1, 1))

    archived = recorder.record(change)

    assert [caught.bytes for caught in recorder.caught] == [2000, 1000 + 2000]
    assert archived.superseded >= 3
    assert recorder.restore(tmp_path / "restored") == described(source)


def test_a_directory_that_became_a_file_makes_the_archive_begin_anew(source, store, tmp_path):
    (source / "thing").mkdir()
    (source / "thing" / "child").write_text("child")
    (source / "rest").write_text("rest")

    def change():
        shutil.rmtree(source / "thing")
        (source / "thing").write_text("a file now")

    recorder = Recorder(source, store)
    archived = recorder.record(change)

    assert recorder.caught[0].entries == 2
    assert archived.deleted == 0
    assert recorder.restore(tmp_path / "restored") == described(source)


def test_where_changes_cannot_be_seen_nothing_is_read_before_the_cut(source, store, tmp_path, monkeypatch):
    monkeypatch.setattr(_live_archive, "file_system", lambda _path: "fuse.sshfs")
    (source / "a").write_text("before")
    recorder = Recorder(source, store)

    archived = recorder.record(lambda: None, lambda: (source / "a").write_text("after"))

    assert [caught.entries for caught in recorder.caught] == [0, 1]
    assert (archived.superseded, archived.totals.files) == (0, 1)
    assert recorder.restore(tmp_path / "restored") == described(source)


def test_nothing_is_left_after_a_failure(source, store):
    (source / "a").write_text("a")
    making = live_archive(str(source), str(store / "v.tar"), compression="zstd", level=None, subject="volume v")

    def give_up():
        with making as archive:
            archive.start()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        give_up()

    assert list(store.iterdir()) == []
