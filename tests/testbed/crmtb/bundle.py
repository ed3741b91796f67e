# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring the CRM images into the servers, under the names that the real ones carry.

The images come in two parts. The foundation is large and seldom changes: databases, and what the stand-ins are built
on. The applications are a few files each and change often, so they travel without the layers of the foundation.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import subprocess
import tarfile
import typing as t

from .builder import images, parse
from .console import TestbedError, say
from .engine import docker, docker_command
from .process import attempt
from .state import STATE, locked

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from .recipes import Recipe

# Other indexes of the same content, with the names that are being replaced.
_OTHER_INDEXES = {"repositories", "index.json", "oci-layout"}


def foundation(recipes: Sequence[Recipe]) -> list[Recipe]:
    """Return the images that go into servers and stand on nothing that does."""
    return [recipe for recipe in recipes if recipe.tags and not (recipe.parent and recipe.parent.tags)]


def applications(recipes: Sequence[Recipe]) -> list[Recipe]:
    """Return the images that go into servers and stand on one of the foundation."""
    return [recipe for recipe in recipes if recipe.tags and recipe.parent and recipe.parent.tags]


def load(container: str, recipes: Sequence[Recipe]) -> bool:
    """Load what a server lacks of these images. Return False when it had them all."""
    loaded = [_load(container, part) for part in (foundation(recipes), applications(recipes)) if part]
    return any(loaded)


def key(recipes: Sequence[Recipe]) -> str:
    """Return a digest of images, as they were built, and their names."""
    built = images([recipe.image for recipe in recipes])
    content = sorted((str(built[recipe.image].build), recipe.tags) for recipe in recipes)
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _load(container: str, recipes: Sequence[Recipe]) -> bool:
    built = images([recipe.image for recipe in recipes])
    wanted = {tag: built[recipe.image].build for recipe in recipes for tag in recipe.tags}
    if _loaded(container, list(wanted)) == wanted:
        return False
    path = _bundle(recipes)
    with path.open("rb") as stream:
        docker("exec", "--interactive", container, "docker", "load", "--quiet", stdin=stream)
    missing = wanted.keys() - _loaded(container, list(wanted)).keys()
    if missing:
        raise TestbedError(f"{container} lacks {', '.join(sorted(missing))} although they were loaded. Remove {path}.")
    # What the new images have replaced.
    docker("exec", container, "docker", "image", "prune", "--force")
    return True


def _loaded(container: str, tags: Sequence[str]) -> dict[str, str | None]:
    """Return which build of every wanted image a server has."""
    done = attempt([*docker_command(), "exec", container, "docker", "image", "inspect", *tags])
    return {tag: image.build for tag, image in parse(json.loads(done.stdout or b"[]"), tags).items()}


def _bundle(recipes: Sequence[Recipe]) -> Path:
    """Return a tar of the images for ``docker load``, made when they have changed since the last one."""
    parents = {recipe.parent.image for recipe in recipes if recipe.parent and recipe.parent.tags}
    kind = "applications" if parents else "foundation"
    path = STATE / f"{kind}-{key(recipes)}.tar"
    with locked("bundle"):
        if not path.exists():
            say(f"collecting the CRM images ({kind}) for the servers")
            for old in STATE.glob(f"{kind}-*.tar*"):
                old.unlink()
            partial = path.with_name(path.name + ".partial")
            with _saved(recipes) as saved, tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as bundle:
                _copy(saved, bundle, recipes, _common_layers(parents))
            partial.rename(path)
    return path


@contextlib.contextmanager
def _saved(recipes: Sequence[Recipe]) -> Iterator[tarfile.TarFile]:
    """Open what ``docker image save`` writes for these images."""
    path = STATE / "saved.tar"
    try:
        with path.open("wb") as stream:
            argv = [*docker_command(), "image", "save", *(recipe.image for recipe in recipes)]
            done = subprocess.run(argv, stdout=stream, stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise TestbedError(f"docker image save exited with {done.returncode}: {done.stderr.decode().strip()}")
        with tarfile.open(path) as archive:
            yield archive
    finally:
        path.unlink(missing_ok=True)


def _common_layers(parents: set[str]) -> int:
    """Return how many layers at the bottom of the images the servers have already."""
    counts = [len(json.loads(docker("image", "inspect", image))[0]["RootFS"]["Layers"]) for image in parents]
    return min(counts, default=0)


def _copy(saved: tarfile.TarFile, bundle: tarfile.TarFile, recipes: Sequence[Recipe], common_layers: int) -> None:
    """Copy saved images without the common layers, and with the production names instead of ours."""
    named = {recipe.image: recipe.tags for recipe in recipes}
    index = saved.extractfile("manifest.json")
    if index is None:
        raise TestbedError("docker image save wrote no manifest.json. Is this engine Docker's?")
    entries = json.load(index)
    for entry in entries:
        entry["RepoTags"] = [tag for name in entry["RepoTags"] for tag in named.get(name, ())]
    # An engine that has a layer does not open its file, so the file need not be there.
    left_out = {path for entry in entries for path in entry["Layers"][:common_layers]}
    for member in saved:
        if member.name in left_out or member.name in _OTHER_INDEXES:
            continue
        content: t.IO[bytes] | None = saved.extractfile(member) if member.isreg() else None
        if member.name == "manifest.json":
            text = json.dumps(entries).encode()
            member.size = len(text)
            content = io.BytesIO(text)
        bundle.addfile(member, content)
