# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._config_bundle import Bundle, write
from ansible_collections.crm.continuity.plugins.module_utils._restore_preflight_compose import (
    Composed,
    Mounted,
    Port,
    Unknown,
    composed,
    variables_to_hide,
)
from ansible_collections.crm.continuity.tests.unit.fakes import artifact, manifest, source

# Stands in for docker: "compose config" prints the files that it was given, in order, as an image's name.
DOCKER = """#!/bin/sh
[ "$2" = version ] && exit {version}
for word; do
  case $previous in --file) files="$files$(tr -d '\\n\\"' <"$word");" ;; --project-directory) directory=$word ;; esac
  previous=$word
done
case $files in *broken*) echo "$files: no good $directory" >&2; exit 15 ;; esac
printf '{{"services": {{"web": {{"image": "%s", "command": "%s"}}}}}}' "$files" "$directory/x"
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A project directory, and a backup whose bundle holds a compose file and an env file."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    project, backup = tmp_path / "opt", tmp_path / "backup"
    (backup / "config").mkdir(parents=True)
    project.mkdir()
    (project / "compose.yml").write_text("saved")
    (project / ".env").write_text("COMPOSE_PROJECT_NAME=crm\n")
    (project / "link").symlink_to("/etc/passwd")
    files = tuple((str(project / name), name) for name in ("compose.yml", ".env", "link"))
    path = backup / "config" / "project.tar.zst"
    written = write(Bundle(files, ()), str(path), "zstd")
    install(programs)
    bundle = artifact("config/project.tar.zst", "config", compression="zstd", sha256=written.sha256)
    wanted = manifest(
        artifacts=(bundle,), source=source(project_dir=str(project), compose_files=[str(project / "compose.yml")])
    )
    return project, str(backup), wanted


def install(programs, version=0):
    docker = Path(programs) / "docker"
    docker.write_text(DOCKER.format(version=version))
    docker.chmod(stat.S_IRWXU)


def image(found):
    return found.image("web").rstrip(";")


def empty(project):
    for path in project.iterdir():
        path.unlink()


def test_on_an_empty_host_the_files_are_those_of_the_backup(place):
    project, backup, wanted = place
    empty(project)

    found = composed(wanted, backup, "missing", (), ())

    assert (image(found), found.origin) == ("saved", "the files of the backup")
    # Paths are those of the project, and not of the place where the files were looked at.
    assert found.service("web")["command"] == f"{project}/x"
    assert found.names == {f"{project}/.env": "crm"}
    assert list(project.iterdir()) == []


@pytest.mark.parametrize(
    ("policy", "expected", "origin"),
    [
        ("missing", "edited", "the files of the project directory"),
        ("replace", "saved", "the files of the backup"),
        ("never", "edited", "the files of the project directory"),
    ],
)
def test_the_policy_says_which_files_win(place, policy, expected, origin):
    project, backup, wanted = place
    (project / "compose.yml").write_text("edited")

    found = composed(wanted, backup, policy, (), ())

    assert (image(found), found.origin) == (expected, origin)


def test_a_missing_file_comes_from_the_backup(place):
    project, backup, wanted = place
    (project / "compose.yml").write_text("edited")
    (project / ".env").unlink()

    found = composed(wanted, backup, "missing", (), ())

    assert image(found) == "edited"
    assert "those of the backup that are missing there" in found.origin


def test_further_compose_files_come_last(place, tmp_path):
    _project, backup, wanted = place
    (tmp_path / "ports.yml").write_text("ports")

    assert image(composed(wanted, backup, "missing", (str(tmp_path / "ports.yml"),), ())) == "saved;ports"


def test_what_compose_does_not_understand_is_told_without_secrets(place):
    project, backup, wanted = place
    (project / "compose.yml").write_text("broken correct-horse")

    found = composed(wanted, backup, "missing", (), ["correct-horse"])

    assert isinstance(found, Unknown)
    assert found.broken
    assert "broken ***" in found.reason
    assert str(project) in found.reason


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        pytest.param(lambda wanted: replace(wanted, source=source(compose_files=[])), "no compose file", id="no file"),
        pytest.param(
            lambda wanted: replace(wanted, artifacts=(replace(wanted.artifacts[0], sha256="0" * 64),)),
            "is damaged",
            id="damaged",
        ),
        pytest.param(
            lambda wanted: replace(wanted, artifacts=(replace(wanted.artifacts[0], path="config/project.tar.gone"),)),
            "No such file",
            id="gone",
        ),
    ],
)
def test_without_readable_files_it_is_not_known_and_not_broken(place, wanted, reason):
    _project, backup, given = place

    found = composed(wanted(given), backup, "missing", (), ())

    assert isinstance(found, Unknown)
    assert (reason in found.reason, found.broken) == (True, False)


def test_without_compose_it_is_not_known(place, tmp_path):
    _project, backup, wanted = place
    install(tmp_path / "bin", version=1)

    assert composed(wanted, backup, "missing", (), ()) == Unknown("docker compose is not installed on this host")


def test_a_project_that_is_not_there_is_not_known(place):
    project, backup, wanted = place
    empty(project)

    found = composed(wanted, backup, "never", (), ())

    assert found == Unknown(f"there is no {project}/compose.yml")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (".env", 'export COMPOSE_PROJECT_NAME="crm" # x\n', "crm"),
        (".env", "X=1\n#COMPOSE_PROJECT_NAME=crm\n", None),
        ("compose.yml", "name: crm\nservices: {}\n", "crm"),
        ("compose.yml", "services:\n  web:\n    name: crm\n", None),
    ],
)
def test_the_project_names_that_files_hold_are_found(place, name, text, expected):
    project, backup, wanted = place
    (project / ".env").write_text("")
    (project / name).write_text(text)

    assert composed(wanted, backup, "never", (), ()).names.get(f"{project}/{name}") == expected


MODEL = {
    "services": {
        "web": {
            "image": "a:1",
            "environment": {"PRICE": "5$$", "EMPTY": None},
            "volumes": [
                {"type": "volume", "source": "data", "target": "/data/"},
                {"type": "volume", "source": "media", "target": "/media"},
                {"type": "bind", "source": "/srv", "target": "/srv"},
                {"type": "tmpfs", "target": "/tmp"},
                {"type": "volume", "target": "/anonymous"},
            ],
            "ports": [
                {"host_ip": "127.0.0.1", "published": "3000", "protocol": "tcp"},
                {"published": "5000-5001", "protocol": "udp"},
                {"target": 80},
            ],
        }
    },
    "volumes": {"data": {"name": "crm_data"}, "media": {"name": "shared", "external": True}},
    "networks": {"default": {"name": "crm_default"}, "proxy": {"name": "proxy", "external": True}},
}


def test_the_words_of_compose_are_read():
    found = Composed("x", json.loads(json.dumps(MODEL)))

    assert found.services() == ["web"]
    assert found.environment("web") == {"PRICE": "5$"}
    assert found.mounts("web") == [
        Mounted("volume", "crm_data", "/data"),
        Mounted("volume", "shared", "/media", external=True),
        Mounted("bind", "/srv", "/srv"),
    ]
    assert found.ports("web") == [Port("127.0.0.1", 3000, "tcp"), Port("", 5000, "udp"), Port("", 5001, "udp")]
    assert found.networks() == {"crm_default": False, "proxy": True}
    assert (found.image("web"), found.image("other"), found.mounts("other")) == ("a:1", None, [])


def test_the_values_are_not_part_of_the_representation():
    assert "5$" not in repr(Composed("x", MODEL))


def test_secrets_are_known_by_the_names_of_their_variables():
    assert variables_to_hide([{"SECRET_KEY_BASE": "a", "RAILS_ENV": "b"}, {"DB_PASSWORD": "c"}]) == ["a", "c"]
