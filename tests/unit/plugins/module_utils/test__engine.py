# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import functools
import gc

import docker.errors
import pytest
import requests

from ansible_collections.crm.continuity.plugins.module_utils import _engine
from ansible_collections.crm.continuity.plugins.module_utils._engine import DockerEngine, Image, Mount, Network, connect
from ansible_collections.crm.continuity.plugins.module_utils._errors import EngineError, ProcessError

RAW = {
    "Id": "c0ffee00c0ffee",
    "Name": "/crm-rails-1",
    "Image": "sha256:abc",
    "RestartCount": 3,
    "Config": {
        "Image": "chatwoot/chatwoot:v4.15.1",
        "Labels": {"com.docker.compose.project": "crm"},
        "Env": ["REDIS_URL=redis://redis:6379", "EMPTY=", "EQUALS=a=b=c", "ALONE"],
        "Entrypoint": ["docker/entrypoints/rails.sh"],
        "Cmd": ["bundle", "exec", "rails"],
    },
    "State": {
        "Status": "running",
        "Paused": False,
        "Health": {"Status": "healthy"},
        "StartedAt": "2026-11-21T01:00:00Z",
        "Pid": 598,
    },
    "Mounts": [
        {
            "Type": "volume",
            "Name": "crm_storage",
            "Source": "/var/lib/docker/x",
            "Destination": "/app/storage",
            "RW": True,
        },
        {"Type": "bind", "Source": "/etc/localtime", "Destination": "/etc/localtime", "RW": False},
        {"Type": "tmpfs", "Source": "", "Destination": "/run", "RW": True},
    ],
    "NetworkSettings": {
        "Networks": {
            "web": {"IPAddress": "172.21.0.3", "Aliases": None},
            "crm_default": {"IPAddress": "172.20.0.3", "Aliases": ["rails", "c0ffee00"]},
        }
    },
}


class FakeApi:
    """The low-level client of the Docker SDK, as far as the engine uses it; an answer that is an error is raised."""

    def __init__(self, **answers):
        self.answers = answers
        self.calls = []

    def __getattr__(self, name):
        def call(*args, **more):
            self.calls.append((name, args, more))
            answer = self.answers.get(name)
            answer = answer(*args) if callable(answer) else answer
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


class FakeClient:
    def __init__(self, api):
        self.api = api

    def info(self):
        return self.api.info()


def engine_of(**answers):
    return DockerEngine(FakeClient(FakeApi(**answers)), "unix:///run/test.sock")


NOT_FOUND = docker.errors.NotFound("404 Client Error", explanation="No such thing")
REFUSED = docker.errors.APIError("500 Server Error", explanation="the daemon says no")
BROKEN = requests.ConnectionError("connection reset")


def test_a_container_is_read_as_the_engine_describes_it():
    found = engine_of(inspect_container=RAW).container("c0ffee00")

    assert (found.id, found.name, found.image, found.image_id) == (
        "c0ffee00c0ffee",
        "crm-rails-1",
        "chatwoot/chatwoot:v4.15.1",
        "sha256:abc",
    )
    assert (found.state, found.health, found.restart_count, found.pid) == ("running", "healthy", 3, 598)
    assert found.env == {"REDIS_URL": "redis://redis:6379", "EMPTY": "", "EQUALS": "a=b=c", "ALONE": ""}
    assert found.command == ("docker/entrypoints/rails.sh", "bundle", "exec", "rails")
    assert found.mounts == (
        Mount("volume", "crm_storage", "/app/storage"),
        Mount("bind", "/etc/localtime", "/etc/localtime", read_only=True),
        Mount("tmpfs", "", "/run"),
    )
    assert found.networks == (
        Network("crm_default", "172.20.0.3", ("rails", "c0ffee00")),
        Network("web", "172.21.0.3"),
    )


def test_a_container_without_anything_optional_is_read_too():
    bare = {
        "Id": "1",
        "Name": "/x",
        "Config": {"Labels": None, "Env": None, "Cmd": None},
        "State": {"Status": "created"},
    }

    found = engine_of(inspect_container=bare).container("1")

    assert (found.labels, found.env, found.command, found.mounts, found.networks) == ({}, {}, (), (), ())
    assert found.health is None
    assert found.pid == 0
    assert not found.running


@pytest.mark.parametrize(
    ("state", "expected", "running"),
    [
        ({"Status": "running", "Paused": True}, "paused", True),
        ({"Status": "paused", "Paused": True}, "paused", True),
        ({"Status": "restarting"}, "restarting", True),
        ({"Status": "exited"}, "exited", False),
    ],
)
def test_a_paused_container_is_told_from_a_running_one(state, expected, running):
    found = engine_of(inspect_container={**RAW, "State": state}).container("x")

    assert (found.state, found.running) == (expected, running)


def test_containers_are_listed_by_name_also_those_that_do_not_run():
    engine = engine_of(
        containers=[{"Id": "b"}, {"Id": "gone"}, {"Id": "a"}],
        inspect_container=lambda id_: NOT_FOUND if id_ == "gone" else {**RAW, "Id": id_, "Name": f"/{id_}"},
    )

    assert [found.name for found in engine.containers()] == ["a", "b"]
    assert engine._client.api.calls[0] == ("containers", (), {"all": True})


@pytest.mark.parametrize("method", ["container", "volume"])
def test_what_does_not_exist_is_none(method):
    assert getattr(engine_of(inspect_container=NOT_FOUND, inspect_volume=NOT_FOUND), method)("x") is None


def test_an_image_that_was_removed_has_no_digests():
    assert engine_of(inspect_image=NOT_FOUND).image_digests("sha256:x") == ()
    assert engine_of(inspect_image={"RepoDigests": None}).image_digests("sha256:x") == ()
    assert engine_of(inspect_image={"RepoDigests": ["a@sha256:1"]}).image_digests("sha256:x") == ("a@sha256:1",)


def test_an_image_is_described_and_may_be_missing():
    raw = {"Id": "sha256:x", "RepoDigests": ["a@sha256:1"], "Config": {"Env": ["A=b=c"]}}

    assert engine_of(inspect_image=raw).image("a:1") == Image("sha256:x", ("a@sha256:1",), {"A": "b=c"})
    assert engine_of(inspect_image={"Id": "sha256:x", "RepoDigests": None}).image("a:1") == Image("sha256:x")
    assert engine_of(inspect_image=NOT_FOUND).image("a:1") is None


def test_a_volume_is_created_with_labels_and_options():
    raw = {"Name": "v", "Driver": "local", "Mountpoint": "/m", "Labels": {"a": "b"}, "Options": None}
    engine = engine_of(create_volume=raw)

    created = engine.create_volume("v", labels={"a": "b"}, options={"type": "tmpfs"})

    assert (created.name, created.mountpoint, created.labels, created.options) == ("v", "/m", {"a": "b"}, {})
    assert engine._client.api.calls == [
        ("create_volume", ("v",), {"driver": "local", "driver_opts": {"type": "tmpfs"}, "labels": {"a": "b"}})
    ]


def apart(**answers):
    engine = engine_of(
        **{
            "create_container": {"Id": "new"},
            "create_host_config": {"host": "config"},
            "inspect_container": RAW,
            **answers,
        }
    )
    run = functools.partial(
        engine.run_apart,
        "redis:7",
        ["sh", "-c", "x"],
        name="apart",
        directory="/staged",
        target="/data",
        user="999:999",
    )
    return run, engine._client.api


def test_a_program_that_runs_apart_has_no_network_no_rights_and_one_directory():
    run, api = apart()

    assert run().id == RAW["Id"]

    calls = {name: (args, more) for name, args, more in api.calls}
    host = calls["create_host_config"][1]
    assert [(mount["Source"], mount["Target"], mount["Type"]) for mount in host["mounts"]] == [
        ("/staged", "/data", "bind")
    ]
    assert (host["network_mode"], host["cap_drop"]) == ("none", ["ALL"])
    assert "no-new-privileges" in host["security_opt"]
    created = calls["create_container"]
    assert (created[0], created[1]["entrypoint"], created[1]["command"]) == (("redis:7",), ["sh"], ["-c", "x"])
    assert (created[1]["user"], created[1]["host_config"]) == ("999:999", {"host": "config"})
    assert next(name for name, _args, _more in api.calls) == "remove_container"
    assert calls["start"] == (("new",), {})


def test_one_that_cannot_be_started_is_removed_again():
    run, api = apart(start=REFUSED)

    with pytest.raises(EngineError, match="the daemon says no"):
        run()

    assert [args for name, args, _more in api.calls if name == "remove_container"] == [("apart",), ("new",)]


def test_an_image_that_is_not_there_is_said():
    run, _api = apart(create_container=NOT_FOUND)

    with pytest.raises(EngineError, match="Image redis:7 cannot be run: No such thing"):
        run()


def test_a_container_that_is_gone_needs_no_removal():
    engine = engine_of(remove_container=NOT_FOUND)

    engine.remove("x")

    assert engine._client.api.calls == [("remove_container", ("x",), {"v": True, "force": True})]
    with pytest.raises(EngineError, match="Container x cannot be removed: the daemon says no"):
        engine_of(remove_container=REFUSED).remove("x")


def test_a_log_that_is_no_text_is_read_nevertheless():
    assert engine_of(logs=b"caf\xc3\xa9 \xff\n").logs("x", 10) == "café \\xff\n"


CALLS = [
    *("info", "containers", "inspect_container", "inspect_volume", "create_volume", "remove_volume", "inspect_image"),
    *("pause", "unpause", "stop", "start", "logs"),
]


@pytest.mark.parametrize("failure", [REFUSED, BROKEN], ids=["refused", "broken"])
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda engine: engine.info(), "The Docker daemon cannot be asked about itself"),
        (lambda engine: engine.containers(), "The containers cannot be listed"),
        (lambda engine: engine.container("web"), "Container web cannot be inspected"),
        (lambda engine: engine.inspect("web"), "Container web cannot be inspected"),
        (lambda engine: engine.volume("v"), "Volume v cannot be inspected"),
        (lambda engine: engine.create_volume("v", labels={}, options={}), "Volume v cannot be created"),
        (lambda engine: engine.remove_volume("v"), "Volume v cannot be removed"),
        (lambda engine: engine.image_digests("i"), "Image i cannot be inspected"),
        (lambda engine: engine.image("i"), "Image i cannot be inspected"),
        (lambda engine: engine.pause("web"), "Container web cannot be paused"),
        (lambda engine: engine.unpause("web"), "Container web cannot be unpaused"),
        (lambda engine: engine.stop("web", 30), "Container web cannot be stopped"),
        (lambda engine: engine.start("web"), "Container web cannot be started"),
        (lambda engine: engine.logs("web", 5), "The log of container web cannot be read"),
    ],
)
def test_what_the_engine_refuses_is_an_error_that_names_the_object(call, words, failure):
    answers = dict.fromkeys(CALLS, failure)

    with pytest.raises(EngineError) as caught:
        call(engine_of(**answers))

    assert str(caught.value).startswith(words + ": ")
    assert ("the daemon says no" if failure is REFUSED else "connection reset") in str(caught.value)


# Streams


def test_a_program_in_a_container_gets_its_secrets_by_name_only(monkeypatch, tmp_path):
    (tmp_path / "docker").write_text("#!/bin/sh\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    stage = engine_of().exec_stage(
        "c0ffee", "dump it", ["pg_dump", "--x"], env={"PGPASSWORD": "hunter2"}, user="postgres"
    )

    assert stage.argv == [
        str(tmp_path / "docker"),
        "--host",
        "unix:///run/test.sock",
        "exec",
        "--interactive",
        "--env",
        "PGPASSWORD",
        "--user",
        "postgres",
        "c0ffee",
        "pg_dump",
        "--x",
    ]
    assert stage.env == {"PGPASSWORD": "hunter2"}
    assert stage.accept == {0}


def test_a_missing_docker_command_is_an_error_with_its_package(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name, path=None: None)

    with pytest.raises(ProcessError, match=r"docker is not installed\. Install the package docker-cli"):
        engine_of().exec_stage("c0ffee", "dump it", ["pg_dump"])


# Connecting


# The SDK does not close a socket that it cannot connect.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_no_engine_at_the_socket_is_an_error_with_the_place_and_the_remedy(tmp_path):
    with pytest.raises(EngineError) as caught:
        connect(f"unix://{tmp_path}/docker.sock", timeout=1)

    assert f"No Docker daemon answers at unix://{tmp_path}/docker.sock" in str(caught.value)
    assert "systemctl start docker" in str(caught.value)
    del caught
    gc.collect()


def test_a_socket_that_may_not_be_used_asks_for_become(monkeypatch):
    def refuse(**_more):
        raise docker.errors.DockerException("Error while fetching server API version: [Errno 13] Permission denied")

    monkeypatch.setattr(docker, "DockerClient", refuse)

    with pytest.raises(EngineError, match=r"Run the task as root \(become\)"):
        connect()


def test_a_missing_sdk_is_an_error_with_its_package(monkeypatch):
    monkeypatch.setattr(_engine, "SDK_IMPORT_ERROR", "Traceback: No module named docker")

    with pytest.raises(EngineError, match="Install the package python3-docker") as caught:
        connect()

    assert caught.value.details == {"import_error": "Traceback: No module named docker"}
