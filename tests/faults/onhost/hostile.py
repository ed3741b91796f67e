# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archives made by somebody who wants to write elsewhere, or wants two programs to see two different things.

Built byte by byte where Python's ``tarfile`` is too well-behaved to write them.
"""

from __future__ import annotations

import functools
import io
import tarfile
import typing as t
from dataclasses import dataclass

from . import target
from .damage import PLACE
from .module import run
from .tally import Attempt, Tally

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OUTSIDE = str(target.OUTSIDE)
# From the _data directory of a volume to the root, by more steps than there are.
UP = "../" * 12
BLOCK = 512
MOST = 40_000_000
ARCHIVE = PLACE / "hostile.tar"


@dataclass(frozen=True)
class Case:
    """An archive, and whether importing it would be a fault by itself; others may pass if they do no harm."""

    name: str
    content: bytes
    must_refuse: bool


def imported(tally: Tally) -> None:
    """Import every hostile archive over live data."""
    for case in cases():
        target.reset()
        live, outside = target.fingerprint(), target.outside()
        ARCHIVE.write_bytes(case.content)
        result = run("import-hostile")
        attempt = Attempt()
        if target.outside() != outside:
            attempt.lost.append("something outside of the volume has changed")
        if result.succeeded:
            attempt.undetected += ["it was imported"] if case.must_refuse else []
        else:
            attempt.other += [] if result.clean else [f"no clean error: {result.message}"]
            attempt.lost += [] if target.fingerprint() == live else ["live data has changed"]
        attempt.other += target.leftovers()
        tally.add(f"{case.name}: {result.message[:140] or 'imported, harmless'}", attempt)
    target.reset()


def cases() -> Iterator[Case]:
    """Yield all hostile archives."""
    for maker in (_names, _symbolic_links, _hard_links, _nodes, _headers, _duplicates, _sizes, _structure):
        yield from maker()


def _names() -> Iterator[Case]:
    names = {
        "absolute name": f"{OUTSIDE}/pwned",
        "name that climbs": f"{UP}{OUTSIDE[1:]}/pwned",
        "name that climbs in the middle": f"a/../../{UP}{OUTSIDE[1:]}/pwned",
        "name that climbs after ./": f"./../{UP}{OUTSIDE[1:]}/pwned",
        "two slashes in front": f"//{OUTSIDE}/pwned",
        "the sibling of the volume's directory": "../pwned",
        "a name that is only ..": "..",
        "a name that ends in ..": "a/..",
    }
    for what, name in names.items():
        yield _case(what, functools.partial(_file, name=name))
    yield _case("a directory that is ..", lambda tar: _directory(tar, "../pwned"))
    yield _case("an option for tar as a name", lambda tar: _file(tar, _OPTION), must_refuse=False)
    yield _case("a name of 70,000 bytes", lambda tar: _file(tar, "n" * 70_000))
    yield _case("5,000 directories in each other", lambda tar: _file(tar, "d/" * 5_000 + "x"))


_OPTION = f"--checkpoint-action=exec=touch {OUTSIDE}/pwned"


def _symbolic_links() -> Iterator[Case]:
    def through(link: str, target_: str, *rest: str) -> Callable[[tarfile.TarFile], None]:
        def build(tar: tarfile.TarFile) -> None:
            _symlink(tar, link, target_)
            for name in rest:
                _file(tar, name)

        return build

    yield _case("written through an absolute symbolic link", through("link", OUTSIDE, "link/pwned"))
    yield _case("written through a climbing symbolic link", through("link", UP + OUTSIDE[1:], "link/pwned"))
    yield _case("written through the link, spelled differently", through("link", OUTSIDE, "./link//./pwned"))

    def chain(tar: tarfile.TarFile) -> None:
        _symlink(tar, "one", "two")
        _symlink(tar, "two", OUTSIDE)
        _file(tar, "one/pwned")

    def into_folder(tar: tarfile.TarFile) -> None:
        _symlink(tar, "link", OUTSIDE)
        _directory(tar, "link")
        _file(tar, "link/pwned")

    def with_slash(tar: tarfile.TarFile) -> None:
        _symlink(tar, "link/", OUTSIDE)
        _file(tar, "link/pwned")

    def replaced(tar: tarfile.TarFile) -> None:
        _symlink(tar, "victim", f"{OUTSIDE}/victim")
        _file(tar, "victim")

    yield _case("written through a chain of links", chain)
    yield _case("a link that becomes a directory", into_folder)
    yield _case("a link with a slash at its end", with_slash)
    yield _case("a link to a file, then a file of that name", replaced, must_refuse=False)
    yield _case("the root of the archive is a link", through("./", OUTSIDE, "./pwned"))
    yield _case("a link without a target", lambda tar: _symlink(tar, "link", ""))


def _hard_links() -> Iterator[Case]:
    def over(name: str) -> Callable[[tarfile.TarFile], None]:
        def build(tar: tarfile.TarFile) -> None:
            _hardlink(tar, "stolen", name)
            _file(tar, "stolen")

        return build

    yield _case("hard link to an absolute name", over(f"{OUTSIDE}/victim"))
    yield _case("hard link to a name that climbs", over(f"{UP}{OUTSIDE[1:]}/victim"))
    yield _case("hard link to what the archive does not hold", over("live-0"))

    def by_symlink(tar: tarfile.TarFile) -> None:
        _symlink(tar, "link", f"{OUTSIDE}/victim")
        _hardlink(tar, "stolen", "link")
        _file(tar, "stolen/pwned")

    def through_symlink(tar: tarfile.TarFile) -> None:
        _symlink(tar, "link", OUTSIDE)
        _hardlink(tar, "stolen", "link/victim")

    def with_content(tar: tarfile.TarFile) -> None:
        _file(tar, "first")
        _add(tar, "second", tarfile.LNKTYPE, linkname=f"{OUTSIDE}/victim", content=b"pwned\n")

    yield _case("hard link to a symbolic link, written through", by_symlink)
    yield _case("hard link to a name behind a symbolic link", through_symlink)
    yield _case("hard link that brings content", with_content)


def _nodes() -> Iterator[Case]:
    yield _case("character device", lambda tar: _add(tar, "mem", tarfile.CHRTYPE, device=(1, 1)))
    yield _case("block device", lambda tar: _add(tar, "disk", tarfile.BLKTYPE, device=(8, 0)))
    yield _case("FIFO", lambda tar: _add(tar, "fifo", tarfile.FIFOTYPE), must_refuse=False)
    yield _case(
        "set-user-ID program of root", lambda tar: _add(tar, "sh", tarfile.REGTYPE, mode=0o4755), must_refuse=False
    )


def _headers() -> Iterator[Case]:
    away = f"{UP}{OUTSIDE[1:]}/pwned"
    for key in ("path", "GNU.sparse.name"):
        yield _raw(f"harmless name, {key} in an extended header", _pax({key: away}), _header("harmless"))
    yield _raw(
        "harmless target, linkpath in an extended header", _pax({"linkpath": away}), _header("l", kind=b"1", link="l")
    )
    yield _raw("global header with a path", _pax({"path": away}, b"g"), _header("harmless"))
    yield _raw("NUL in an extended header's path", _pax({"path": "harmless\0/../../x"}), _header("harmless"))
    yield _raw("two paths in one extended header", _pax_raw(_record("path", "x") + _record("path", away)), _header("x"))
    yield _raw("malformed extended header", _pax_raw(b"999 path=x\n"), _header("harmless"))
    yield _raw("long name that climbs", _long(away, b"L"), _header("harmless"))
    yield _raw("long target that climbs", _header("f"), _long(away, b"K"), _header("l", kind=b"1", link="f"))
    yield _raw("prefix that climbs", _header("pwned", prefix=UP[:60] + "x"))
    # One program takes the size from the extended header, another from the header: what follows is content or a member.
    hidden = _header(away, size=0)
    yield _raw("size that hides a member", _pax({"size": "0"}), _header("f", size=BLOCK), hidden, may_pass=False)
    yield _raw("extended header of 1 GB", _header("p", kind=b"x", size=1 << 30))


def _duplicates() -> Iterator[Case]:
    def twice(tar: tarfile.TarFile) -> None:
        _file(tar, "same")
        _file(tar, "same")

    def file_to_folder(tar: tarfile.TarFile) -> None:
        _file(tar, "same")
        _directory(tar, "same")
        _file(tar, "same/inside")

    def folder_to_link(tar: tarfile.TarFile) -> None:
        _directory(tar, "same")
        _file(tar, "same/inside")
        _symlink(tar, "same", OUTSIDE)
        _file(tar, "same/pwned")

    def folder_to_link_and_back(tar: tarfile.TarFile) -> None:
        _directory(tar, "same")
        _symlink(tar, "same", OUTSIDE)
        _directory(tar, "same")
        _file(tar, "same/pwned")

    def parent_to_link(tar: tarfile.TarFile) -> None:
        _file(tar, "a/b/c")
        _symlink(tar, "a/b", OUTSIDE)
        _file(tar, "a/b/pwned")

    def file_to_link(tar: tarfile.TarFile) -> None:
        _file(tar, "same")
        _symlink(tar, "same", f"{OUTSIDE}/victim")
        _hardlink(tar, "other", "same")
        _file(tar, "other")

    yield _case("the same file twice", twice, must_refuse=False)
    yield _case("a file that becomes a directory", file_to_folder, must_refuse=False)
    yield _case("a directory that becomes a link, written through", folder_to_link)
    yield _case("a directory that becomes a link and a directory again", folder_to_link_and_back)
    yield _case("a parent that becomes a link", parent_to_link)
    yield _case("a file that becomes a link, hard-linked and written", file_to_link, must_refuse=False)


def _sizes() -> Iterator[Case]:
    yield _raw("a file of 8 EiB", _header("big", size=(1 << 63) - 1))
    yield _raw("a file of more than 8 EiB, in base 256", _header("big", raw_size=b"\x80" + b"\xff" * 11))
    yield _raw("a file of a negative size", _header("big", raw_size=b"\xff" * 12))
    yield _raw("a file of 1 TB that ends early", _header("big", size=1 << 40))
    # One byte more than the payload allows.
    yield _case("more than is allowed", lambda tar: _add(tar, "big", tarfile.REGTYPE, content=bytes(MOST + 1)))
    sparse = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "big",
        "GNU.sparse.realsize": str(1 << 60),
    }
    # The map of such a file lies before its data: how many parts, and where each begins and how long it is.
    hole = (b"1\n%d\n0\n" % (1 << 60)).ljust(BLOCK, b"\0")
    yield _raw("a hole of 1 EiB", _pax(sparse), _header("s", size=BLOCK), hole)
    empty = b"0\n".ljust(BLOCK, b"\0")
    yield _raw("a size of 1 EiB without any hole", _pax(sparse), _header("s", size=BLOCK), empty, may_pass=True)


def _structure() -> Iterator[Case]:
    broken = bytearray(_header("harmless"))
    broken[0] ^= 1
    yield _raw("wrong checksum of a header", bytes(broken))
    yield _raw("unknown extended type", _header("volume", kind=b"M"))
    yield _raw("directory of an incremental archive", _header("dump", kind=b"D"))
    good = _header("harmless")
    yield Case(
        "a second archive behind the end",
        good + bytes(2 * BLOCK) + _header("second") + bytes(2 * BLOCK),
        must_refuse=True,
    )
    yield Case(
        "one block of zeros, then more", good + bytes(BLOCK) + _header("second") + bytes(2 * BLOCK), must_refuse=True
    )
    yield Case("no end at all", good, must_refuse=True)
    yield Case("nothing at all", b"", must_refuse=True)
    yield Case("a text", b"this is no archive\n" * 100, must_refuse=True)


def _case(name: str, build: Callable[[tarfile.TarFile], None], *, must_refuse: bool = True) -> Case:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        build(tar)
    return Case(name, buffer.getvalue(), must_refuse)


def _add(
    tar: tarfile.TarFile,
    name: str,
    kind: bytes,
    *,
    content: bytes = b"",
    linkname: str = "",
    device: tuple[int, int] = (0, 0),
    mode: int = 0o644,
) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.linkname = kind, mode, linkname
    member.devmajor, member.devminor = device
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _file(tar: tarfile.TarFile, name: str) -> None:
    _add(tar, name, tarfile.REGTYPE, content=b"pwned\n")


def _directory(tar: tarfile.TarFile, name: str) -> None:
    _add(tar, name, tarfile.DIRTYPE, mode=0o755)


def _symlink(tar: tarfile.TarFile, name: str, to: str) -> None:
    _add(tar, name, tarfile.SYMTYPE, linkname=to)


def _hardlink(tar: tarfile.TarFile, name: str, to: str) -> None:
    _add(tar, name, tarfile.LNKTYPE, linkname=to)


def _raw(name: str, *blocks: bytes, may_pass: bool = False) -> Case:
    return Case(name, b"".join(blocks) + bytes(2 * BLOCK), must_refuse=not may_pass)


def _header(
    name: str,
    *,
    size: int = 0,
    kind: bytes = b"0",
    link: str = "",
    prefix: str = "",
    raw_size: bytes | None = None,
) -> bytes:
    field = raw_size or (b"%011o\0" % size if size < 1 << 33 else b"\x80" + size.to_bytes(11, "big"))
    block = bytearray(BLOCK)
    block[0:100] = name.encode()[:100].ljust(100, b"\0")
    block[100:124] = b"%07o\0%07o\0%07o\0" % (0o644, 0, 0)
    block[124:136] = field
    block[136:148] = b"14000000000\0"
    block[148:156] = b" " * 8
    block[156:157] = kind
    block[157:257] = link.encode()[:100].ljust(100, b"\0")
    block[257:265] = b"ustar\x0000"
    block[345:500] = prefix.encode()[:155].ljust(155, b"\0")
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def _pax(records: dict[str, str], kind: bytes = b"x") -> bytes:
    return _pax_raw(b"".join(_record(key, value) for key, value in records.items()), kind)


def _pax_raw(data: bytes, kind: bytes = b"x") -> bytes:
    return _header("pax", size=len(data), kind=kind) + _padded(data)


def _record(key: str, value: str) -> bytes:
    body = f" {key}={value}\n".encode()
    length = len(body) + 1
    while len(str(length)) + len(body) != length:
        length += 1
    return str(length).encode() + body


def _long(text: str, kind: bytes) -> bytes:
    data = text.encode() + b"\0"
    return _header("././@LongLink", size=len(data), kind=kind) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)
