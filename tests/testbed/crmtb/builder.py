# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build the images that are missing or out of date, several at a time."""

from __future__ import annotations

import concurrent.futures
import json
import os
import shlex
import subprocess
import typing as t
import uuid
from dataclasses import dataclass

from .console import TestbedError, elapsed, say
from .engine import docker, docker_command
from .process import as_root, attempt, failure, proxies, run_logged
from .recipes import Recipe, all_recipes
from .state import IMAGES, LOGS, locked

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

OURS = "crm.continuity.testbed"
RECIPE = "crm.continuity.recipe"
# Differs for each time an image is built: the same recipe gives other layers another day.
BUILD = "crm.continuity.build"


@dataclass(frozen=True)
class Image:
    """An image as the engine knows it; ``fingerprint`` and ``build`` are None when it is not one of ours."""

    id: str
    fingerprint: str | None
    build: str | None


def build(flavours: Iterable[str]) -> list[Recipe]:
    """Build what is not current and give the CRM images the names of the real ones. Return all recipes."""
    recipes = all_recipes(flavours)
    with locked("build"):
        before = images(_names(recipes))
        stale: list[Recipe] = []
        for recipe in recipes:
            if recipe.parent in stale or not _current(recipe, before):
                stale.append(recipe)
        if stale:
            say(f"building {len(stale)} of {len(recipes)} images from Debian packages; logs are in {LOGS}")
            _build_all(stale)
        _name(recipes)
        if stale:
            # What new images have replaced, and stages that were only a means. The label is inherited from the bases.
            docker("image", "prune", "--force", "--filter", f"label={OURS}")
    say(f"{len(recipes)} images are current")
    return recipes


def images(names: Sequence[str]) -> dict[str, Image]:
    """Look up images by name; names that do not exist are left out."""
    # The client prints what it found and complains about the rest.
    found = json.loads(attempt([*docker_command(), "image", "inspect", *names]).stdout or b"[]")
    return parse(found, names)


def parse(found: list[dict[str, t.Any]], names: Iterable[str]) -> dict[str, Image]:
    """Return what the client found out about the named images."""
    result = {}
    for entry in found:
        labels = (entry.get("Config") or {}).get("Labels") or {}
        image = Image(entry["Id"], labels.get(RECIPE), labels.get(BUILD))
        result.update({tag: image for tag in entry["RepoTags"] or () if tag in names})
    return result


def remove_all(in_use: bool) -> None:
    """Remove every image of the testbed, unless servers of another checkout are made of them."""
    if in_use:
        say("the images stay: servers of another checkout use them")
        return
    # By ID and with force, an image goes with all of its names; parents follow in a later round.
    while ids := sorted(set(docker("image", "ls", "--quiet", "--no-trunc", "--filter", f"label={OURS}").split())):
        codes = [attempt([*docker_command(), "image", "rm", "--force", image]).returncode for image in ids]
        if all(codes):
            raise TestbedError(f"{len(ids)} images are in use by containers. Remove those first; see: docker ps --all")


def _names(recipes: Sequence[Recipe]) -> list[str]:
    return [name for recipe in recipes for name in (recipe.image, *recipe.tags)]


def _current(recipe: Recipe, existing: Mapping[str, Image]) -> bool:
    image = existing.get(recipe.image)
    return image is not None and image.build is not None and image.fingerprint == recipe.fingerprint


def _build_all(recipes: Sequence[Recipe]) -> None:
    """Build recipes side by side, each after its parent."""
    LOGS.mkdir(parents=True, exist_ok=True)
    jobs: dict[str, concurrent.futures.Future[None]] = {}
    # Downloads and unpacking overlap, so one more than there are processors. Parents come first in the list,
    # so a job that waits for its parent waits for one that has a worker already.
    with concurrent.futures.ThreadPoolExecutor(max_workers=(os.cpu_count() or 1) + 1) as pool:
        for recipe in recipes:
            parent = jobs.get(recipe.parent.name) if recipe.parent else None
            jobs[recipe.name] = pool.submit(_build_after, parent, recipe)
    for job in jobs.values():
        # A child of a failed parent fails with its parent's error, which comes first and is enough.
        job.result()


def _build_after(parent: concurrent.futures.Future[None] | None, recipe: Recipe) -> None:
    if parent is not None:
        parent.result()
    began = elapsed()
    log = LOGS / f"{recipe.name.replace(':', '-')}.log"
    log.unlink(missing_ok=True)
    if recipe.parent is None:
        _bootstrap(recipe)
    else:
        options = [word for name, value in recipe.arguments.items() for word in ("--build-arg", f"{name}={value}")]
        options += [word for name in proxies() for word in ("--build-arg", name)]
        # The classic builder: it is in every engine, the newer one is a plugin that Debian does not always have.
        # The host's network, because its resolver and its route to the mirror are known to work.
        argv = [*docker_command(), "build", "--network", "host", "--force-rm", "--tag", recipe.image, *options]
        argv += [word for label in _labels(recipe) for word in ("--label", label)]
        run_logged(["env", "DOCKER_BUILDKIT=0", *argv, "-"], log, recipe.context())
    say(f"built {recipe.name} in {elapsed() - began:.0f} s")


def _labels(recipe: Recipe) -> tuple[str, ...]:
    return (f"{OURS}=1", f"{RECIPE}={recipe.fingerprint}", f"{BUILD}={uuid.uuid4()}")


def _bootstrap(recipe: Recipe) -> None:
    """Make a base image of a Debian suite, straight from mmdebstrap into the engine."""
    helper = "/usr/local/sbin/install-packages"
    hooks = [f"--customize-hook=upload {IMAGES}/base/install-packages {helper}"]
    hooks += [f'--customize-hook=chmod 0755 "$1{helper}"']
    suite = recipe.arguments["SUITE"]
    argv = as_root(["mmdebstrap", *shlex.split(recipe.arguments["OPTIONS"]), *hooks, suite, "-"], proxies())
    changes = [*(f"LABEL {label}" for label in _labels(recipe)), 'CMD ["/bin/bash"]']
    import_argv = [*docker_command(), "import", *(word for change in changes for word in ("--change", change))]
    partial = f"{recipe.image}-partial"
    log = LOGS / f"base-{suite}.log"
    with log.open("ab") as stream:
        producer = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stream)
        consumer = subprocess.Popen([*import_argv, "-", partial], stdin=producer.stdout, stdout=stream, stderr=stream)
        if producer.stdout is not None:
            producer.stdout.close()
        codes = (producer.wait(), consumer.wait())
    if any(codes):
        raise TestbedError(failure(argv, codes[0] or codes[1], log))
    # docker import names whatever arrived, even half a file system: the real name is given afterwards.
    docker("tag", partial, recipe.image)
    docker("image", "rm", partial)


def _name(recipes: Sequence[Recipe]) -> None:
    """Give the CRM images their production names on this machine too, unless other images have them."""
    now = images(_names(recipes))
    for recipe in recipes:
        for tag in recipe.tags:
            if tag not in now or (now[tag].fingerprint is not None and now[tag].id != now[recipe.image].id):
                docker("tag", recipe.image, tag)
            elif now[tag].fingerprint is None:
                say(f"{tag} is another image on this machine and stays so; the servers get ours")
