# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._config_bundle import (
    MAX_DEPTH,
    MAX_FILE,
    MAX_FILES,
    Bundle,
    bundle_name,
    collect,
    write,
    write_containers,
)
from ansible_collections.crm.continuity.plugins.module_utils._files import file_sha256
from ansible_collections.crm.continuity.plugins.module_utils._stack import Request
from ansible_collections.crm.continuity.plugins.module_utils._stack_find import find_one
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine, container, shipped_profiles


@pytest.fixture
def project(tmp_path):
    directory = tmp_path / "crm"
    directory.mkdir()
    (directory / "compose.yml").write_text("services: {}\n")
    (directory / ".env").write_text("SECRET_KEY_BASE=hunter2\n")
    return directory


def stack_in(directory, *compose_files, env_files=()):
    files = compose_files or (f"{directory}/compose.yml",)
    labels = {
        "com.docker.compose.project.working_dir": str(directory),
        "com.docker.compose.project.config_files": ",".join(map(str, files)),
        "com.docker.compose.project.environment_file": ",".join(map(str, env_files)),
    }
    engine = FakeEngine([container("rails", "chatwoot/chatwoot:v4", labels=labels)])
    return find_one(engine, shipped_profiles(), Request("crm"))


def names(bundle):
    return sorted(name for _path, name in bundle.files)


def test_everything_small_in_the_project_directory_is_kept(project):
    (project / "nginx").mkdir()
    (project / "nginx" / "site.conf").write_text("x")
    (project / "dump.sql").write_bytes(bytes(MAX_FILE + 1))
    os.symlink("compose.yml", project / "link.yml")
    os.mkfifo(project / "fifo")

    bundle = collect(stack_in(project), [])

    assert names(bundle) == [".env", "compose.yml", "link.yml", "nginx/site.conf"]
    assert bundle.warnings == ()


def test_data_and_backups_in_the_project_directory_are_left_out(project):
    for name in ("data", "backups", ".git", "node_modules"):
        (project / name).mkdir()
        (project / name / "x").write_text("x")
    os.symlink(project / "data", project.parent / "elsewhere")

    bundle = collect(stack_in(project), [str(project / "backups"), str(project.parent / "elsewhere")])

    assert names(bundle) == [".env", "compose.yml"]


def test_compose_and_env_files_from_elsewhere_are_kept_apart(project, tmp_path):
    (tmp_path / "shared.yml").write_text("x")
    (tmp_path / "prod.env").write_text("A=b")

    bundle = collect(stack_in(project, f"{tmp_path}/shared.yml", env_files=[f"{tmp_path}/prod.env"]), [])

    assert f".outside{tmp_path}/shared.yml" in names(bundle)
    assert f".outside{tmp_path}/prod.env" in names(bundle)


def test_a_compose_file_is_kept_however_deep_it_lies(project):
    deep = project.joinpath(*"abcdef"[: MAX_DEPTH + 2])
    deep.mkdir(parents=True)
    (deep / "compose.yml").write_text("x")
    (deep / "other.yml").write_text("x")

    bundle = collect(stack_in(project, deep / "compose.yml"), [])

    assert str((deep / "compose.yml").relative_to(project)) in names(bundle)
    assert str((deep / "other.yml").relative_to(project)) not in names(bundle)


def test_a_compose_file_is_kept_among_however_many(project):
    for number in range(MAX_FILES + 5):
        (project / f"a{number}").write_text("")

    bundle = collect(stack_in(project), [])

    assert "compose.yml" in names(bundle)
    assert any(f"more than {MAX_FILES} small files" in warning for warning in bundle.warnings)


def test_a_compose_file_that_is_a_link_is_kept_by_content(project, tmp_path):
    (tmp_path / "real.yml").write_text("services: {}\n")
    os.symlink(tmp_path / "real.yml", project / "linked.yml")

    bundle = collect(stack_in(project, project / "linked.yml"), [])

    assert (str(tmp_path / "real.yml"), "linked.yml") in bundle.files


def test_a_compose_file_that_is_gone_is_a_warning(project):
    bundle = collect(stack_in(project, project / "compose.yml", project / "gone.yml"), [])

    assert [warning for warning in bundle.warnings if f"{project}/gone.yml" in warning and "does not exist" in warning]


def test_a_project_directory_that_is_not_here_is_a_warning(tmp_path):
    bundle = collect(stack_in(tmp_path / "gone"), [])

    assert bundle.files == ()
    assert f"{tmp_path}/gone is not on this host" in bundle.warnings[0]


@pytest.mark.parametrize(
    ("path", "project_dir", "expected"),
    [
        ("/opt/crm/compose.yml", "/opt/crm", "compose.yml"),
        ("/opt/crm/a/../b.yml", "/opt/crm/", "b.yml"),
        ("/opt/crm-shared/x.yml", "/opt/crm", ".outside/opt/crm-shared/x.yml"),
        ("/etc/x.yml", None, ".outside/etc/x.yml"),
    ],
)
def test_where_a_file_lies_in_the_bundle(path, project_dir, expected):
    assert bundle_name(path, project_dir) == expected


# Writing


def members(path):
    raw = subprocess.run(["zstd", "-dc", str(path)], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        return {
            member.name: (member, archive.extractfile(member).read() if member.isreg() else b"") for member in archive
        }


def test_a_bundle_is_a_tar_that_any_tar_reads(project, tmp_path):
    (project / ".env").chmod(0o640)
    os.symlink("compose.yml", project / "link.yml")
    os.link(project / "compose.yml", project / "twin.yml")

    written = write(collect(stack_in(project), []), str(tmp_path / "project.tar.zst"), "zstd")

    assert written.sha256 == written.plain_sha256 == file_sha256(str(tmp_path / "project.tar.zst")).sha256
    found = members(tmp_path / "project.tar.zst")
    assert found[".env"][1] == b"SECRET_KEY_BASE=hunter2\n"
    assert found[".env"][0].mode & 0o777 == 0o640
    assert found["link.yml"][0].linkname == "compose.yml"
    assert found["twin.yml"][0].linkname == "compose.yml"


@pytest.mark.parametrize(("compression", "program"), [("gzip", ["gzip", "-dc"]), ("none", ["cat"])])
def test_a_bundle_is_compressed_as_asked(project, tmp_path, compression, program):
    write(collect(stack_in(project), []), str(tmp_path / "x"), compression)

    raw = subprocess.run([*program, str(tmp_path / "x")], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        assert sorted(archive.getnames()) == [".env", "compose.yml"]


def test_a_bundle_is_readable_by_its_owner_only(project, tmp_path):
    write(collect(stack_in(project), []), str(tmp_path / "x"), "zstd")
    write_containers(
        FakeEngine(), stack_in(project).__class__("s", None, (), (), (), (), (), (), (), (), ()), str(tmp_path / "y")
    )

    assert [oct((tmp_path / name).stat().st_mode & 0o777) for name in "xy"] == ["0o600", "0o600"]


def test_a_file_that_vanishes_or_turns_into_something_else_is_left_out(project, tmp_path):
    os.mkfifo(project / "fifo")
    files = ((f"{project}/gone", "gone"), (f"{project}/fifo", "fifo"), (f"{project}/.env", ".env"))

    write(Bundle(files, ()), str(tmp_path / "x"), "zstd")

    assert list(members(tmp_path / "x")) == [".env"]


def test_containers_are_described_as_the_engine_does(project, tmp_path):
    stack = stack_in(project)
    engine = FakeEngine([service.container for service in stack.services])

    write_containers(engine, stack, str(tmp_path / "containers.json"))

    assert json.loads((tmp_path / "containers.json").read_text())[0]["Name"] == "/crm-rails-1"
