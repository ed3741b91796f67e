# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._compression import suffix
from ansible_collections.crm.continuity.plugins.module_utils._engine import Volume
from ansible_collections.crm.continuity.plugins.module_utils._errors import (
    ArchiveError,
    EngineError,
    ProcessError,
    StackError,
    StoreError,
)
from ansible_collections.crm.continuity.plugins.module_utils._staging import PREFIX
from ansible_collections.crm.continuity.plugins.module_utils._tree import remove_tree, scan
from ansible_collections.crm.continuity.plugins.module_utils._volume_export import export_directory
from ansible_collections.crm.continuity.plugins.module_utils._volume_import import (
    Request,
    apply,
    import_directory,
    plan,
    rehearse,
)
from ansible_collections.crm.continuity.tests.unit.archives import (
    END,
    archive_twice,
    change_tree,
    described,
    directory,
    file,
    hard_link,
    header,
    listed,
    make_tree,
    pax,
    symlink,
)
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine, container

CONFTEST = Path(__file__).parents[3] / "conftest.py"


class DiskEngine(FakeEngine):
    """An engine whose volumes are directories."""

    def __init__(self, root, containers=()):
        super().__init__(containers)
        self.root = root

    def add(self, name):
        return self.create_volume(name, labels={}, options={})

    def create_volume(self, name, *, driver="local", labels, options):
        directory = self.root / name / "_data"
        directory.mkdir(parents=True)
        self.volumes[name] = Volume(name, driver, str(directory), labels, options)
        return self.volumes[name]

    def remove_volume(self, name):
        directory = Path(self.volumes.pop(name).mountpoint)
        directory.rmdir()
        directory.parent.rmdir()


@pytest.fixture
def engine(tmp_path):
    return DiskEngine(tmp_path / "volumes")


@pytest.fixture
def original(tmp_path):
    root = tmp_path / "original"
    root.mkdir()
    make_tree(root)
    (root / "media").write_bytes(os.urandom(300_000))
    root.chmod(0o2775)
    return root


@pytest.fixture
def archive(original, tmp_path):
    path = tmp_path / "uploads.tar.zst"
    export_directory(str(original), str(path), compression="zstd", subject="volume uploads")
    return path


@pytest.fixture
def live(engine):
    """The directory of a volume that holds something else."""
    directory = Path(engine.add("uploads").mountpoint)
    (directory / "old").write_text("precious")
    (directory / "older").mkdir()
    return directory


@pytest.fixture
def wanted(archive):
    return Request(volume="uploads", archive=str(archive))


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def leftovers(live):
    return [path.name for path in (*live.iterdir(), *live.parent.iterdir()) if path.name.startswith(PREFIX)]


def assert_untouched(live, before):
    assert described(live) == before
    assert leftovers(live) == []


@pytest.mark.parametrize("compression", ["zstd", "gzip", "none"])
@pytest.mark.parametrize("may_exchange", [True, False])
def test_everything_arrives(compression, may_exchange, original, live, tmp_path):
    path = tmp_path / "archive"
    exported = export_directory(str(original), str(path), compression=compression, subject="volume uploads")

    imported = import_directory(
        str(path), str(live), sha256=exported.sha256, files=exported.files, may_exchange=may_exchange
    )

    assert described(live) == described(original)
    assert leftovers(live) == []
    assert (imported.sha256, imported.size) == (exported.sha256, exported.size)
    assert (imported.files, imported.directories, imported.content_bytes) == (
        exported.files,
        exported.directories,
        exported.content_bytes,
    )
    assert imported.warnings == ()


def test_what_a_stock_tar_wrote_is_imported_too(original, engine, tmp_path, live):
    path = tmp_path / "runbook.tar.gz"
    subprocess.run(["tar", "-C", original, "-czf", path, "."], check=True)

    plan_and_apply(Request("uploads", str(path), replace=True), engine)

    assert sorted(os.listdir(os.fsencode(live))) == sorted(os.listdir(os.fsencode(original)))


def test_without_a_member_for_the_directory_itself_it_keeps_owner_and_mode(engine, live, tmp_path):
    live.chmod(0o3771)
    (tmp_path / "x.tar").write_bytes(file(b"a", b"x") + END)

    plan_and_apply(Request("uploads", str(tmp_path / "x.tar"), replace=True), engine)

    assert live.stat().st_mode & 0o7777 == 0o3771
    assert (live / "a").read_text() == "x"


def plan_and_apply(request, engine):
    return apply(plan(request, engine), engine)


def test_planning_and_rehearsing_change_nothing(wanted, engine, live):
    before = described(live)

    planned = plan(replace(wanted, replace=True), engine)
    expected = rehearse(planned)

    assert_untouched(live, before)
    assert apply(planned, engine) == expected


def test_a_missing_volume_is_created_with_its_labels(wanted, engine, original):
    request = replace(wanted, labels={"com.docker.compose.project": "crm"})
    planned = plan(request, engine)
    assert planned.reason == "the volume does not exist"
    assert engine.volumes == {}

    apply(planned, engine)

    volume = engine.volumes["uploads"]
    assert volume.labels == {"com.docker.compose.project": "crm"}
    assert described(Path(volume.mountpoint)) == described(original)
    assert planned.diff(rehearse(planned))["before"] == ""


def test_a_missing_volume_may_be_refused(wanted, engine):
    with pytest.raises(StackError, match="does not exist"):
        plan(replace(wanted, create=False), engine)


def test_a_volume_that_was_created_in_vain_is_removed_again(engine, tmp_path):
    (tmp_path / "x.tar").write_bytes(file(b"../x") + END)

    with pytest.raises(ArchiveError):
        plan_and_apply(Request("uploads", str(tmp_path / "x.tar")), engine)

    assert engine.volumes == {}


def test_an_empty_volume_is_filled_without_asking(wanted, engine, original):
    live = Path(engine.add("uploads").mountpoint)
    planned = plan(wanted, engine)
    assert planned.reason == "the volume is empty"

    apply(planned, engine)

    assert described(live) == described(original)


def test_a_second_run_has_nothing_to_do(wanted, engine):
    plan_and_apply(wanted, engine)

    again = plan(wanted, engine)

    assert (again.changed, again.reason) == (False, None)
    assert again.diff(None)["before"] == again.diff(None)["after"] != ""


def test_a_volume_that_equals_the_archive_is_left_alone_although_it_is_in_use(wanted, engine):
    plan_and_apply(wanted, engine)
    engine.by_id["rails"] = container("rails", "chatwoot/chatwoot", volumes={"/app/storage": "uploads"})

    assert not plan(wanted, engine).changed


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda live: (live / "media").write_bytes(b"x" * 300_000), id="content"),
        pytest.param(lambda live: (live / "media").chmod(0o600), id="mode"),
        pytest.param(lambda live: os.utime(live / "media"), id="time"),
        pytest.param(lambda live: (live / "media").unlink(), id="missing file"),
        pytest.param(lambda live: (live / "more").touch(), id="new file"),
        pytest.param(lambda live: (live / "more").symlink_to("x"), id="new link"),
        pytest.param(lambda live: (live / "media").rename(live / "renamed"), id="renamed file"),
        pytest.param(
            lambda live: ((live / "deep").rename(live / "x"), (live / "deep").touch()), id="file for directory"
        ),
        pytest.param(lambda live: live.chmod(0o700), id="mode of the directory itself"),
    ],
)
def test_any_difference_is_noticed_and_mended(change, wanted, engine, original):
    plan_and_apply(wanted, engine)
    live = Path(engine.volumes["uploads"].mountpoint)
    change(live)

    with pytest.raises(StackError, match=r"not empty: it holds \d+ files .*replace=true"):
        plan(wanted, engine)
    plan_and_apply(replace(wanted, replace=True), engine)

    assert described(live) == described(original)


def test_what_is_not_empty_is_kept_unless_told_otherwise(wanted, engine, live):
    before = described(live)

    with pytest.raises(StackError, match=r"holds 1 files \(8 bytes\)") as caught:
        plan(wanted, engine)

    assert caught.value.details["files"] == 1
    assert_untouched(live, before)


def test_a_volume_in_use_is_refused(wanted, engine, live):
    engine.by_id["rails"] = container("rails", "chatwoot/chatwoot", volumes={"/app/storage": "uploads"})

    with pytest.raises(StackError, match=r"in use by the running container crm-rails-1"):
        plan(replace(wanted, replace=True), engine)


def test_a_container_that_starts_meanwhile_is_noticed(wanted, engine, live):
    before = described(live)
    planned = plan(replace(wanted, replace=True), engine)
    engine.by_id["rails"] = container("rails", "chatwoot/chatwoot", volumes={"/app/storage": "uploads"})

    with pytest.raises(StackError, match="in use"):
        apply(planned, engine)

    assert_untouched(live, before)


def test_another_driver_is_refused(wanted, engine):
    engine.volumes["uploads"] = Volume("uploads", "rexray", "/mnt")

    with pytest.raises(EngineError, match="driver rexray"):
        plan(wanted, engine)


# Archives of several passes


@pytest.fixture(params=["zstd", "gzip", "none"])
def twice(request, original, tmp_path):
    """An archive of two passes, with its list of deleted names beside it; ``original`` is what it was at the second."""
    path = tmp_path / "twice" / f"uploads.tar{suffix(request.param)}"
    path.parent.mkdir()
    archive_twice(original, path, change_tree, request.param)
    return path


@pytest.fixture
def deleted(twice):
    return twice.parent / "uploads.deleted"


@pytest.mark.parametrize("may_exchange", [True, False])
def test_what_was_superseded_and_deleted_does_not_come_back(may_exchange, twice, original, live):
    imported = import_directory(str(twice), str(live), sha256=sha256(twice), may_exchange=may_exchange)

    assert described(live) == described(original)
    assert leftovers(live) == []
    held = scan(str(original))
    assert (imported.files, imported.directories, imported.content_bytes) == (held.files, held.directories, held.bytes)
    assert imported.superseded > 5
    assert imported.deleted > 5


def test_an_archive_of_several_passes_has_every_trait_that_matters(twice, deleted):
    """The other tests prove little if these are missing."""
    names = deleted.read_bytes().split(b"\0")

    assert {b"./ blank ", b"./new\nline", b"./latin-\xe9\xff", b"./fifo", b"./absolute", b"./only a hole"} <= set(names)
    assert sum(name.startswith(b"./deep/") for name in names) > 3


def test_check_mode_predicts_what_an_archive_of_several_passes_gives(twice, engine, live):
    before = described(live)
    planned = plan(Request("uploads", str(twice), replace=True), engine)

    expected = rehearse(planned)

    assert_untouched(live, before)
    assert apply(planned, engine) == expected


def test_a_second_import_of_several_passes_has_nothing_to_do(twice, engine):
    request = Request("uploads", str(twice), sha256=sha256(twice))
    plan_and_apply(request, engine)

    assert plan(request, engine).reason is None
    assert plan(replace(request, files=scan(engine.volumes["uploads"].mountpoint).files), engine).reason is None


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda root: (root / "plain").write_text("changed"), id="only a superseded file"),
        pytest.param(lambda root: root.chmod(0o700), id="only the directory itself"),
        pytest.param(lambda root: (root / "fifo").unlink(), id="only a deleted name"),
        pytest.param(lambda root: None, id="nothing"),
    ],
)
def test_a_second_import_has_nothing_to_do_whatever_happened_between_the_passes(change, original, engine, tmp_path):
    path = tmp_path / "uploads.tar.zst"
    archive_twice(original, path, change)
    plan_and_apply(Request("uploads", str(path)), engine)

    assert plan(Request("uploads", str(path)), engine).reason is None


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda live: (live / "plain").write_bytes(b"x"), id="superseded content"),
        pytest.param(lambda live: os.utime(live / "plain"), id="time of a superseded file"),
        pytest.param(lambda live: (live / "media").write_bytes(b"x" * 300_000), id="content of the first pass"),
        pytest.param(lambda live: (live / "fifo").touch(), id="deleted name"),
        pytest.param(lambda live: ((live / "media").unlink(), (live / "fifo").touch()), id="deleted name for another"),
        pytest.param(lambda live: (live / "new" / "link").unlink(), id="new name"),
        pytest.param(lambda live: (live / "deep").chmod(0o700), id="directory"),
        pytest.param(lambda live: live.chmod(0o700), id="the directory itself"),
    ],
)
def test_any_difference_to_several_passes_is_noticed_and_mended(change, twice, engine, original):
    request = Request("uploads", str(twice))
    plan_and_apply(request, engine)
    live = Path(engine.volumes["uploads"].mountpoint)
    change(live)

    with pytest.raises(StackError, match=r"not empty: it holds \d+ files .*replace=true"):
        plan(request, engine)
    plan_and_apply(replace(request, replace=True), engine)

    assert described(live) == described(original)


def test_another_number_of_files_is_a_difference_that_needs_no_reading(archive, engine, live, stand_in):
    stand_in("zstd", "exit 1")

    planned = plan(Request("uploads", str(archive), files=7, replace=True), engine)

    assert planned.reason == "they hold different numbers of files"


def test_a_list_from_elsewhere_is_taken_as_given(twice, deleted, original, live, tmp_path):
    deleted.rename(tmp_path / "the list")
    digest = sha256(tmp_path / "the list")

    import_directory(str(twice), str(live), deleted=f"{tmp_path}/the list", deleted_sha256=digest)

    assert described(live) == described(original)


def test_the_list_that_is_given_counts_and_not_the_one_beside(twice, deleted, original, live, tmp_path):
    deleted.rename(tmp_path / "the list")
    deleted.write_bytes(b"nonsense")

    import_directory(str(twice), str(live), deleted=f"{tmp_path}/the list")

    assert described(live) == described(original)


def test_when_the_list_is_lost_the_number_of_files_tells(twice, deleted, original, live):
    before = described(live)
    deleted.unlink()

    with pytest.raises(
        ArchiveError, match=r"is not the expected archive: .* Does its list of deleted names lie beside it"
    ):
        import_directory(str(twice), str(live), files=scan(str(original)).files)

    assert_untouched(live, before)


def flipped(content):
    return bytes([content[0] ^ 1]) + content[1:]


LISTS = [
    pytest.param(lambda content: content + listed(b"../x"), "is not the name of anything", id="climbing"),
    pytest.param(lambda content: content + b"/etc/passwd\0", "does not begin with", id="absolute"),
    pytest.param(lambda content: content + b"./\0", "is not the name of anything", id="root"),
    pytest.param(lambda content: content + content, "holds no ", id="twice"),
    pytest.param(lambda content: content + listed(b"new/missing"), "holds no 'new/missing'", id="not in the archive"),
    pytest.param(lambda content: content + listed(b"new/link/x"), "holds no 'new/link/x'", id="behind a link"),
    pytest.param(lambda content: content + listed(b"new"), "'(./)?new'", id="directory that is not empty"),
    pytest.param(lambda content: content[:-1], "is truncated", id="truncated"),
    pytest.param(lambda content: b"", "is empty", id="empty"),
    pytest.param(flipped, "does not begin with", id="flipped bit"),
]


@pytest.mark.parametrize(("change", "words"), LISTS)
def test_a_list_that_is_damaged_or_hostile_changes_nothing_anywhere(
    change, words, twice, deleted, engine, live, tmp_path
):
    planned = plan(Request("uploads", str(twice), replace=True), engine)
    deleted.write_bytes(change(deleted.read_bytes()))
    before = described(tmp_path)

    with pytest.raises(ArchiveError, match=words):
        rehearse(planned)
    with pytest.raises(ArchiveError, match=words):
        apply(planned, engine)

    after = described(tmp_path)
    # The staging directory came and went beside the live one.
    before.pop(b"/volumes/uploads"), after.pop(b"/volumes/uploads")
    assert after == before


def test_one_flipped_bit_in_the_list_is_noticed_by_its_checksum(twice, deleted, live):
    before = described(live)
    digest = sha256(deleted)
    content = deleted.read_bytes()
    dice = random.Random(2026)

    for _flip in range(50):
        bit = dice.randrange(len(content) * 8)
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        deleted.write_bytes(damaged)
        with pytest.raises(ArchiveError, match="not the expected list of deleted names"):
            import_directory(str(twice), str(live), deleted_sha256=digest)

    assert_untouched(live, before)


def test_a_list_that_is_expected_and_missing_is_told(twice, deleted, live):
    digest = sha256(deleted)
    deleted.unlink()

    with pytest.raises(ArchiveError, match=f"expected to have SHA-256 {digest}, and does not lie beside"):
        import_directory(str(twice), str(live), deleted_sha256=digest)


@pytest.mark.parametrize("compression", ["zstd", "gzip", "none"])
def test_an_archive_that_ends_with_its_first_pass_is_truncated(compression, original, tmp_path, live):
    before = described(live)
    path = tmp_path / "archive"
    start = archive_twice(original, path, change_tree, compression)
    path.write_bytes(path.read_bytes()[:start])

    with pytest.raises(ArchiveError, match="is truncated"):
        import_directory(str(path), str(live))

    assert_untouched(live, before)


@pytest.fixture
def only(monkeypatch, tmp_path):
    """Return a function that leaves only tar and one decompressor on the PATH."""

    def restrict(name):
        directory = tmp_path / "only"
        directory.mkdir()
        for program in ("tar", name):
            found = shutil.which(program)
            if found is None:
                pytest.skip(f"{program} is not installed")
            (directory / program).symlink_to(found)
        monkeypatch.setenv("PATH", str(directory))

    return restrict


DECOMPRESSORS = [("zstd", "zstd"), ("gzip", "igzip"), ("gzip", "pigz"), ("gzip", "gzip")]


@pytest.mark.parametrize(
    ("compression", "program"), DECOMPRESSORS, ids=[program for _compression, program in DECOMPRESSORS]
)
def test_every_decompressor_reads_all_passes(compression, program, original, live, tmp_path, only):
    path = tmp_path / "archive"
    archive_twice(original, path, change_tree, compression)
    path.with_suffix(".deleted").rename(tmp_path / "the list")
    only(program)

    import_directory(str(path), str(live), deleted=f"{tmp_path}/the list")

    assert described(live) == described(original)


@pytest.mark.parametrize(
    ("compression", "program"), DECOMPRESSORS, ids=[program for _compression, program in DECOMPRESSORS]
)
def test_a_second_pass_that_is_damaged_where_it_begins_is_not_overlooked(
    compression, program, original, live, tmp_path, only
):
    """Programs take what follows a whole member and is none for padding, and say nothing."""
    before = described(live)
    path = tmp_path / "archive"
    start = archive_twice(original, path, change_tree, compression)
    intact = path.read_bytes()
    only(program)

    # By these they know what it is; the rest of a header in gzip tells when and where it was made.
    for place in range(start, start + 3):
        damaged = bytearray(intact)
        damaged[place] ^= 0x80
        path.write_bytes(damaged)
        with pytest.raises(ArchiveError):
            import_directory(str(path), str(live))

    assert_untouched(live, before)


@pytest.mark.parametrize("program", ["igzip", "pigz", "gzip"])
def test_what_follows_a_whole_archive_in_gzip_is_never_part_of_it(program, original, live, tmp_path, only):
    path = tmp_path / "archive.tar.gz"
    exported = export_directory(str(original), str(path), compression="gzip", subject="volume uploads")
    before = described(live)
    with open(path, "ab") as stream:
        stream.write(file(b"garbage"))
    only(program)

    with pytest.raises(ArchiveError, match="is damaged"):
        import_directory(str(path), str(live), sha256=exported.sha256)
    assert_untouched(live, before)

    # Without a checksum, some programs leave it alone and say nothing, and one refuses.
    with contextlib.suppress(ArchiveError):
        import_directory(str(path), str(live))
    assert described(live) in (before, described(original))


HOSTILE = [
    pytest.param(file(b"/tmp/x", b"x"), id="absolute name"),
    pytest.param(file(b"../escaped", b"x"), id="name with dots"),
    pytest.param(symlink(b"a", b"..") + file(b"a/escaped", b"x"), id="through a link"),
    pytest.param(symlink(b"a", b"..") + directory(b"a") + file(b"a/escaped", b"x"), id="directory over a link"),
    pytest.param(file(b"a") + symlink(b"a", b"..") + file(b"a/escaped", b"x"), id="link over a file"),
    pytest.param(hard_link(b"a", b"../../original/media") + file(b"a", b"x"), id="hard link out"),
    pytest.param(hard_link(b"a", b"/etc/passwd"), id="absolute hard link"),
    pytest.param(header(b"sda", b"4"), id="device node"),
    pytest.param(pax(path=b"../escaped") + file(b"x"), id="pax name"),
    pytest.param(file(b"big", bytes(2_000_000)), id="too much"),
]


@pytest.mark.parametrize("members", HOSTILE)
def test_a_hostile_archive_writes_nothing_anywhere(members, engine, live, tmp_path):
    (tmp_path / "x.tar").write_bytes(directory(b"./") + file(b"harmless") + members + END)
    before = described(tmp_path)
    request = Request("uploads", str(tmp_path / "x.tar"), replace=True, max_bytes=1_000_000)

    with pytest.raises(ArchiveError, match="refused"):
        rehearse(plan(request, engine))
    with pytest.raises(ArchiveError, match="refused"):
        plan_and_apply(request, engine)

    after = described(tmp_path)
    # The staging directory came and went beside the live one.
    before.pop(b"/volumes/uploads"), after.pop(b"/volumes/uploads")
    assert after == before


def test_devices_may_be_allowed(engine, live, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root may make devices")
    (tmp_path / "x.tar").write_bytes(header(b"null", b"3") + END)

    imported = plan_and_apply(Request("uploads", str(tmp_path / "x.tar"), replace=True, allow_devices=True), engine)

    assert imported.files == 0
    assert (live / "null").is_char_device()


def test_the_expected_checksum_is_verified_before_anything_is_touched(wanted, engine, live, archive):
    before = described(live)
    request = replace(wanted, replace=True, sha256="0" * 64)

    with pytest.raises(ArchiveError, match=f"SHA-256 is {sha256(archive)}, and should be 0000"):
        plan_and_apply(request, engine)
    assert_untouched(live, before)

    plan_and_apply(replace(wanted, replace=True, sha256=sha256(archive).upper()), engine)


def test_the_expected_number_of_files_is_verified_before_anything_is_touched(wanted, engine, live):
    before = described(live)

    with pytest.raises(ArchiveError, match="should hold 3"):
        plan_and_apply(replace(wanted, replace=True, files=3), engine)

    assert_untouched(live, before)


def test_200_flipped_bits_are_all_detected(wanted, engine, live, archive):
    before = described(live)
    intact = archive.read_bytes()
    checksum = sha256(archive)
    dice = random.Random(2026)

    for _flip in range(200):
        bit = dice.randrange(len(intact) * 8)
        damaged = bytearray(intact)
        damaged[bit // 8] ^= 1 << bit % 8
        archive.write_bytes(damaged)
        with pytest.raises(ArchiveError):
            import_directory(str(archive), str(live), sha256=checksum)

    assert_untouched(live, before)


@pytest.mark.parametrize("compression", ["zstd", "gzip", "none"])
def test_an_archive_cut_anywhere_is_refused_without_any_checksum(compression, original, live, tmp_path):
    before = described(live)
    path = tmp_path / "archive"
    export_directory(str(original), str(path), compression=compression, subject="volume uploads")
    intact = path.read_bytes()
    # Without compression, the end of an archive is followed by padding, which nobody misses.
    end = len(intact.rstrip(b"\0")) if compression == "none" else len(intact)

    for cut in range(0, end, end // 40):
        path.write_bytes(intact[:cut])
        with pytest.raises(ArchiveError):
            import_directory(str(path), str(live))

    assert_untouched(live, before)


def test_a_damaged_archive_is_told_in_the_words_of_the_decompressor(live, archive):
    damaged = bytearray(archive.read_bytes())
    damaged[-1] ^= 1
    archive.write_bytes(damaged)

    with pytest.raises(ArchiveError, match=r"is damaged\. Cannot decompress .*zstd exited with 1: .*checksum"):
        import_directory(str(archive), str(live))


def test_garbage_behind_the_archive_is_refused(live, archive):
    with open(archive, "ab") as stream:
        stream.write(b"garbage")

    with pytest.raises(ArchiveError, match="is damaged"):
        import_directory(str(archive), str(live))


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Return a function that puts a shell script in the place of a program."""

    def replace(name, script):
        directory = tmp_path / "bin"
        directory.mkdir(exist_ok=True)
        (directory / name).write_text(f"#!/bin/sh\nreal=/usr/bin/{name}\n{script}\n")
        (directory / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")

    return replace


@pytest.mark.parametrize(
    ("program", "script", "error", "words"),
    [
        pytest.param("tar", "kill -9 $$", ProcessError, "tar was killed by signal 9", id="tar killed at once"),
        pytest.param("tar", "head -c 4096 >/dev/null; kill -9 $$", ProcessError, "killed by signal 9", id="killed tar"),
        pytest.param("tar", '$real "$@"; exit 2', ProcessError, "tar exited with 2", id="tar fails at the end"),
        pytest.param("tar", "cat >/dev/null", ArchiveError, "0 files, 0 dir.* arrived", id="tar that does nothing"),
        pytest.param("zstd", "kill -9 $$", ArchiveError, "zstd was killed by signal 9", id="zstd killed at once"),
        pytest.param("zstd", '$real "$@" | head -c 9999; kill -9 $$', ArchiveError, "signal 9", id="killed zstd"),
        pytest.param("zstd", '$real "$@" | head -c 9999', ArchiveError, "truncated", id="zstd stops early"),
        pytest.param("zstd", '$real "$@"; exit 1', ArchiveError, "zstd exited with 1", id="zstd fails at the end"),
    ],
)
def test_a_program_that_fails_leaves_the_volume_as_it_was(program, script, error, words, live, archive, stand_in):
    before = described(live)
    stand_in(program, script)

    with pytest.raises(error, match=words):
        import_directory(str(archive), str(live))

    assert_untouched(live, before)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte, with a directory that is not empty."""
    root = tmp_path / "small"
    root.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", root]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting is not possible here")
    (root / "volume" / "_data").mkdir(parents=True)
    (root / "volume" / "_data" / "old").write_text("precious")
    yield root / "volume" / "_data"
    subprocess.run(["umount", root], check=True)


def test_an_archive_that_does_not_fit_is_refused(small_disk, original, tmp_path):
    (original / "media").write_bytes(os.urandom(2 << 20))
    path = tmp_path / "big.tar.zst"
    export_directory(str(original), str(path), compression="zstd", subject="volume uploads")
    before = described(small_disk)

    with pytest.raises(StoreError, match=r"not enough space .* \d+ bytes are free .*old content is untouched"):
        import_directory(str(path), str(small_disk))

    assert_untouched(small_disk, before)


def test_a_disk_that_fills_up_meanwhile_is_told_the_same_way(small_disk, tmp_path):
    # Files of one byte each take a page: what the headers say fits, and what is written does not.
    path = tmp_path / "many.tar"
    path.write_bytes(b"".join(file(b"f%d" % number, b"x") for number in range(600)) + END)
    before = described(small_disk)

    with pytest.raises(StoreError, match="not enough space"):
        import_directory(str(path), str(small_disk))

    assert_untouched(small_disk, before)


def test_file_systems_mounted_inside_are_refused(wanted, engine, live):
    mounted = live / "older"
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "none", mounted], check=False).returncode:
        pytest.skip("mounting is not possible here")
    try:
        with pytest.raises(StackError, match=r"mounted inside .*older"):
            plan(replace(wanted, replace=True), engine)
    finally:
        subprocess.run(["umount", mounted], check=True)


def test_an_archive_that_is_not_there_is_told(engine, live, tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        plan(Request("uploads", str(tmp_path / "missing.tar")), engine)

    assert caught.value.filename == str(tmp_path / "missing.tar")


def test_a_volume_torn_by_a_dead_run_is_mended(wanted, engine, live, original):
    dead = live / f"{PREFIX}dead"
    (dead / "old").mkdir(parents=True)
    (live / "old").rename(dead / "old" / "old")

    with pytest.raises(StackError, match="interrupted import"):
        plan(wanted, engine)
    plan_and_apply(replace(wanted, replace=True), engine)

    assert described(live) == described(original)


def test_staging_left_in_an_empty_volume_does_not_count_as_content(wanted, engine, original):
    live = Path(engine.add("uploads").mountpoint)
    (live / f"{PREFIX}dead" / "staged").mkdir(parents=True)
    (live / f"{PREFIX}dead" / "staged" / "half").write_text("x")

    planned = plan(wanted, engine)
    assert planned.reason == "the volume is empty"
    apply(planned, engine)

    assert described(live) == described(original)


# Imports, and dies of SIGKILL at one of the system calls by which Python does so; tells how many there are.
DYING = """
import os, runpy, signal, sys
conftest, archive, live, may_exchange, fatal = sys.argv[1:]
runpy.run_path(conftest)
from ansible_collections.crm.continuity.plugins.module_utils._volume_import import import_directory
calls = 0
def dying(function):
    def call(*arguments, **options):
        global calls
        calls += 1
        if calls == int(fatal):
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return call
for name in ("splice", "write", "mkdir", "rename", "unlink", "rmdir", "fsync", "utime", "chown"):
    setattr(os, name, dying(getattr(os, name)))
import_directory(archive, live, may_exchange=may_exchange == "True")
print(calls)
"""


@pytest.mark.parametrize("may_exchange", [True, False])
def test_a_killed_run_leaves_all_of_the_old_or_all_of_the_new(may_exchange, live, archive, original):
    argv = [sys.executable, "-c", DYING, str(CONFTEST), str(archive), str(live), str(may_exchange)]
    new = described(original)
    calls = int(subprocess.run([*argv, "0"], check=True, capture_output=True).stdout)
    first, last = set(), set()

    for fatal in (*range(1, calls, calls // 9), calls - 2, calls):
        remove_tree(str(live))
        live.mkdir()
        for name in ("old", "older"):
            (live / name).write_text("precious")

        died = subprocess.run([*argv, str(fatal)], check=False, capture_output=True).returncode

        # The kernel may splice in more or fewer portions from run to run, so the last calls may not be reached.
        assert died == -signal.SIGKILL or (died == 0 and fatal > calls * 0.8)
        visible = frozenset(name for name in os.listdir(os.fsencode(live)) if not name.startswith(PREFIX.encode()))
        (first if visible == {b"old", b"older"} else last).add(visible)
        import_directory(str(archive), str(live), may_exchange=may_exchange)
        assert described(live) == new
        assert leftovers(live) == []

    assert first
    if may_exchange:
        # Between the two there is nothing.
        assert last == {frozenset(name[1:] for name in new if name.count(b"/") == 1)}
