# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the directory of this host that holds the content of a volume, and what is mounted there.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import os
import re
import typing as t

from ._errors import EngineError, StackError

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ._engine import Container, Engine, Volume

# The one driver whose volumes are directories of this host.
LOCAL = "local"
MOUNTS = "/proc/self/mountinfo"
ESCAPE = re.compile(rb"\\([0-7]{3})")


def volume_directory(volume: Volume) -> str:
    """Return the directory that holds a volume's content; raise EngineError when it can't be read at this moment."""
    if volume.driver != LOCAL:
        raise EngineError(
            f"Volume {volume.name} uses the driver {volume.driver}, whose content is not a directory of this host. "
            "Only the driver local is supported: copy the data to a local volume, or leave this volume out and use "
            "the means of its driver.",
            volume=volume.name,
        )
    directory = volume.mountpoint
    if _is_bind(volume.options):
        # The engine mounts it at the mountpoint only while a container runs; the data are here all the time.
        directory = os.path.realpath(volume.options["device"])
    elif _is_mounted_when_used(volume.options) and not is_mount_point(directory):
        raise EngineError(
            f"Volume {volume.name} is of type {volume.options.get('type', 'device')} "
            f"({volume.options.get('device', '')}) and mounted only while a container uses it; at this moment it is "
            f"not. Start a container that uses it, or mount it at {directory}.",
            volume=volume.name,
        )
    try:
        with os.scandir(directory):
            return directory
    except PermissionError as exc:
        raise EngineError(
            f"Volume {volume.name} cannot be read: {directory} is not accessible to user {os.geteuid()}. Run the task "
            "as root (become).",
            volume=volume.name,
        ) from exc
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise EngineError(
            f"Volume {volume.name} cannot be read: there is no directory {directory} on this host. Run the task on the "
            "host of the Docker daemon.",
            volume=volume.name,
        ) from exc


def data_directory(engine: Engine, kind: str, source: str) -> str:
    """Return the directory of a volume or of a bound directory; raise ContinuityError when it can't be read."""
    if kind == "volume":
        volume = engine.volume(source)
        if volume is None:
            raise StackError(f"Volume {source} does not exist.", volume=source)
        return volume_directory(volume)
    if not os.path.isdir(source):
        raise StackError(f"{source} is not a directory of this host. Run the task on the host of the Docker daemon.")
    if not os.access(source, os.R_OK | os.X_OK):
        raise StackError(f"{source} can't be read by user {os.geteuid()}. Run the task as root (become).")
    return source


def has_quota(volume: Volume) -> bool:
    """Return whether the engine limits the size of a volume, by a property of its very directory."""
    return "size" in volume.options and not _is_bind(volume.options)


def no_exchange(name: str, options: Mapping[str, str]) -> str | None:
    """Return why the content of a volume can't be exchanged while nobody uses it; None where it can."""
    if not _is_mounted_when_used(options):
        return None
    return (
        f"Volume {name} is of type {options.get('type', 'device')} ({options.get('device', '')}): "
        "the engine unmounts it as soon as no container uses it, so its content cannot be exchanged while the stack is "
        "stopped. Mount it on the host (/etc/fstab) and let the volume bind that directory (type: none, o: bind)."
    )


def refuse_users(engine: Engine, target: str, volume: str, directory: str) -> None:
    """Raise StackError when a running container mounts a volume, or binds a directory or a part of it.

    ``target`` is how the message calls it; ``volume`` is empty for a directory that is no volume.
    """
    names = sorted(container.name for container in engine.containers() if _uses(container, volume, directory))
    if names:
        one = len(names) == 1
        raise StackError(
            f"{target} is in use by the running container{'' if one else 's'} {', '.join(names)}. Stop "
            f"{'it' if one else 'them'} first: {'it' if one else 'they'} would go on with the old content.",
            target=volume or directory,
            containers=names,
        )


def is_mount_point(path: str) -> bool:
    """Return whether a file system is mounted at a path, bind mounts included."""
    return os.path.realpath(path) in _mount_points()


def mounts_below(directory: str) -> list[str]:
    """Return the mount points below a directory, itself not included."""
    start = os.path.join(os.path.realpath(directory), "")
    return sorted(path for path in _mount_points() if path.startswith(start))


def file_system(path: str) -> str:
    """Return the type of the file system that a path is on, such as ``ext4`` or ``fuse.sshfs``."""
    real = os.path.realpath(path)
    # Of two at the same point, the later one hides the other.
    above = [entry for entry in _mounts() if is_inside(real, entry[0])]
    return max(enumerate(above), key=lambda pair: (len(pair[1][0]), pair[0]))[1][1]


def is_inside(path: str, directory: str) -> bool:
    """Return whether a path is a directory or lies below it, symbolic links followed."""
    inner, outer = os.path.realpath(path), os.path.realpath(directory)
    return os.path.commonpath([inner, outer]) == outer


def _is_mounted_when_used(options: Mapping[str, str]) -> bool:
    return bool(options.get("type") or options.get("device")) and not _is_bind(options)


def _is_bind(options: Mapping[str, str]) -> bool:
    return "bind" in re.split("[, ]", options.get("o", "")) and bool(options.get("device"))


def _uses(container: Container, volume: str, directory: str) -> bool:
    if not container.running:
        return False
    for mount in container.mounts:
        if mount.kind == "volume" and mount.source == volume:
            return True
        # One that binds a parent of it, such as a monitor of the host, sees whatever is there.
        if mount.kind == "bind" and is_inside(mount.source, directory):
            return True
    return False


def _mount_points() -> set[str]:
    return {path for path, _type in _mounts()}


def _mounts() -> list[tuple[str, str]]:
    """Return where file systems are mounted, each with its type."""
    with open(MOUNTS, "rb") as lines:
        return [_mount(line) for line in lines]


def _mount(line: bytes) -> tuple[str, str]:
    place, _dash, system = line.partition(b" - ")
    # Blanks and a few more characters of a path are written as \040 and the like.
    path = ESCAPE.sub(lambda found: bytes([int(found[1], 8)]), place.split(b" ")[4])
    return os.fsdecode(path), os.fsdecode(system.split(b" ")[0])
