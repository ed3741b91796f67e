# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._engine import Network
from ansible_collections.crm.continuity.plugins.module_utils._errors import StackError
from ansible_collections.crm.continuity.plugins.module_utils._stack import Request
from ansible_collections.crm.continuity.plugins.module_utils._stack_find import find, find_one
from ansible_collections.crm.continuity.plugins.module_utils._stack_services import find_host, image_matches, repository
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine, container, shipped_profiles, volume

CHATWOOT = "chatwoot/chatwoot:v4.15.1"
EVOLUTION = "evoapicloud/evolution-api:v2.3.6"
TICKETZ = "ghcr.io/ticketz-oss/ticketz-backend:latest"


def stack_of(*containers, volumes=(), own=(), **request):
    """Resolve the stack crm of a host that runs these containers."""
    engine = FakeEngine(containers, volumes)
    return find_one(engine, shipped_profiles(*own), Request(request.pop("name", "crm"), **request))


def roles(stack):
    return {service.name: (service.profile, service.rule.name if service.rule else None) for service in stack.services}


def warned(stack, words):
    return [warning for warning in stack.warnings if words in warning]


# Services


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("chatwoot/chatwoot", "chatwoot/chatwoot"),
        ("chatwoot/chatwoot:v4", "chatwoot/chatwoot"),
        ("docker.io/chatwoot/chatwoot:v4", "docker.io/chatwoot/chatwoot"),
        ("localhost:5000/chatwoot/chatwoot", "localhost:5000/chatwoot/chatwoot"),
        ("localhost:5000/chatwoot/chatwoot:v4", "localhost:5000/chatwoot/chatwoot"),
        ("chatwoot/chatwoot@sha256:" + "a" * 64, "chatwoot/chatwoot"),
        ("chatwoot/chatwoot:v4@sha256:" + "a" * 64, "chatwoot/chatwoot"),
        ("redis", "redis"),
    ],
)
def test_the_repository_of_an_image_has_no_tag_and_no_digest(image, expected):
    assert repository(image) == expected


@pytest.mark.parametrize(
    ("image", "pattern", "matches"),
    [
        pytest.param("chatwoot/chatwoot:v4.15.1", "chatwoot/chatwoot", True, id="plain"),
        pytest.param("registry.example:5000/mirror/chatwoot/chatwoot:v4", "chatwoot/chatwoot", True, id="mirror"),
        pytest.param("chatwoot/chatwoot@sha256:" + "b" * 64, "chatwoot/chatwoot", True, id="digest"),
        pytest.param("notchatwoot/chatwoot", "chatwoot/chatwoot", False, id="other owner"),
        pytest.param("chatwoot/chatwoot-extra", "chatwoot/chatwoot", False, id="other image"),
        pytest.param("example/chatwoot-fork:1", "example/chatwoot-*", True, id="pattern"),
    ],
)
def test_an_image_is_recognised_whichever_registry_it_came_from(image, pattern, matches):
    assert image_matches(image, pattern) is matches


def test_a_stack_is_found_by_the_images_of_its_services():
    engine = FakeEngine(
        [
            container("rails", CHATWOOT, command=("bundle", "exec", "rails", "s")),
            container("sidekiq", CHATWOOT, command=("bundle", "exec", "sidekiq", "-C", "config/sidekiq.yml")),
            container("evolution", EVOLUTION),
            container("redis", "redis:7-alpine"),
            container("blog", "blog", project="blog"),
        ]
    )

    (stack,) = find(engine, shipped_profiles())

    assert stack.name == "crm"
    assert [profile.name for profile in stack.profiles] == ["chatwoot", "evolution"]
    assert roles(stack) == {
        "rails": ("chatwoot", "web"),
        "sidekiq": ("chatwoot", "worker"),
        "evolution": ("evolution", "api"),
        "redis": (None, None),
    }


def test_the_project_directory_and_the_compose_files_come_from_the_labels():
    labels = {
        "com.docker.compose.project.config_files": "/opt/crm/compose.yml,override.yml",
        "com.docker.compose.project.environment_file": "/opt/crm/prod.env",
    }

    stack = stack_of(container("rails", CHATWOOT, labels=labels))

    assert stack.project_dir == "/opt/crm"
    assert stack.compose_files == ("/opt/crm/compose.yml", "/opt/crm/override.yml")
    assert stack.environment_files == ("/opt/crm/prod.env",)


def test_the_project_directory_of_a_request_wins():
    stack = stack_of(container("rails", CHATWOOT), project_dir="/srv/chat")

    assert stack.project_dir == "/srv/chat"


def test_a_one_off_container_is_no_service():
    run = container("rails", CHATWOOT, id="run", name="crm-rails-run-1", labels={"com.docker.compose.oneoff": "True"})

    stack = stack_of(container("rails", CHATWOOT), run)

    assert [service.container.id for service in stack.services] == ["rails"]


def test_a_container_without_a_compose_project_belongs_to_no_stack():
    engine = FakeEngine([container("rails", CHATWOOT, project=None)])

    assert find(engine, shipped_profiles()) == []


def test_a_label_names_the_profile_of_an_image_of_ones_own():
    label = {"crm.continuity.profile": "chatwoot"}

    stack = stack_of(
        container("rails", "example/support:7", labels=label),
        container("sidekiq", "example/support:7", labels=label, command=("sidekiq",)),
    )

    assert roles(stack) == {"rails": ("chatwoot", "web"), "sidekiq": ("chatwoot", "worker")}


def test_a_label_keeps_other_profiles_away():
    twin = {"name": "twin", "extends": "chatwoot"}

    stack = stack_of(container("rails", CHATWOOT, labels={"crm.continuity.profile": "twin"}), own=[twin])

    assert [profile.name for profile in stack.profiles] == ["twin"]


@pytest.mark.parametrize(
    ("label", "service", "words"),
    [
        pytest.param("chatwot", "rails", "there is no such profile", id="misspelt"),
        pytest.param("chatwoot", "frontdesk", "nor its name is one of that profile", id="unknown part"),
    ],
)
def test_a_label_that_leads_nowhere_is_an_error(label, service, words):
    engine = FakeEngine([container(service, "example/support:7", labels={"crm.continuity.profile": label})])

    with pytest.raises(StackError, match=words) as caught:
        find(engine, shipped_profiles())

    assert f"crm-{service}-1" in str(caught.value)


def test_the_name_of_a_service_counts_only_for_a_profile_that_was_asked_for():
    backend = container("backend", "example/desk:3", env={"DB_HOST": "postgres"})

    assert find(FakeEngine([backend]), shipped_profiles()) == []
    assert roles(stack_of(backend, profiles=("ticketz",))) == {"backend": ("ticketz", "backend")}


def test_a_profile_that_was_asked_for_is_the_only_one_considered():
    stack = stack_of(container("rails", CHATWOOT), container("evolution", EVOLUTION), profiles=("evolution",))

    assert [profile.name for profile in stack.profiles] == ["evolution"]


def test_a_command_within_an_entrypoint_tells_the_worker_from_the_web():
    stack = stack_of(container("jobs", CHATWOOT, command=("docker/entrypoints/rails.sh", "bundle", "exec", "sidekiq")))

    assert roles(stack) == {"jobs": ("chatwoot", "worker")}


def test_the_order_of_start_is_read_from_compose():
    stack = stack_of(container("rails", CHATWOOT, depends_on=("postgres", "redis")))

    assert stack.services[0].depends_on == ("postgres", "redis")


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        pytest.param(Request("shop"), "There is no stack shop on this host. This host runs crm.", id="unknown stack"),
        pytest.param(
            Request("crm", ("chatwood",)),
            "there is no profile chatwood. Known are chatwoot, evolution, ticketz",
            id="unknown profile",
        ),
        pytest.param(
            Request("crm", ("ticketz",)),
            "no service matches the profile ticketz; its images are " + CHATWOOT,
            id="profile does not match",
        ),
    ],
)
def test_a_request_that_cannot_be_met_says_what_there_is(request_, words):
    engine = FakeEngine([container("rails", CHATWOOT)])

    with pytest.raises(StackError) as caught:
        find(engine, shipped_profiles(), [request_])

    assert words in str(caught.value)


def test_a_host_without_any_compose_project_says_so():
    with pytest.raises(StackError, match="This host runs no compose project"):
        find_one(FakeEngine(), shipped_profiles(), Request("crm"))


# Databases


POSTGRES = container("postgres", "postgres:16", volumes={"/var/lib/postgresql/data": "crm_postgres_data"})


def database_of(env, *others, own=()):
    stack = stack_of(container("rails", CHATWOOT, env=env), *(others or (POSTGRES,)), own=own)
    assert len(stack.databases) == 1, stack.warnings
    return stack.databases[0]


def test_a_database_is_found_by_its_url():
    found = database_of(
        {"DATABASE_URL": "postgresql://woot:p%40ss%2Fw%3Ard@postgres:5433/crm_production?sslmode=disable"}
    )

    assert (found.name, found.host, found.port) == ("crm_production", "postgres", 5433)
    assert (found.user, found.password) == ("woot", "p@ss/w:rd")
    assert found.container.id == "postgres"
    assert found.schema is None


def test_a_database_is_found_by_separate_variables():
    found = database_of(
        {
            "POSTGRES_HOST": "postgres",
            "POSTGRES_PORT": "6432",
            "POSTGRES_USERNAME": "woot",
            "POSTGRES_PASSWORD": "plain@word",
            "POSTGRES_DATABASE": "desk",
        }
    )

    assert (found.name, found.port, found.user, found.password) == ("desk", 6432, "woot", "plain@word")


def test_what_the_environment_does_not_say_is_what_the_application_assumes():
    found = database_of({"POSTGRES_HOST": "postgres"})

    assert (found.name, found.port, found.user, found.password) == ("chatwoot_production", 5432, "postgres", None)


def test_an_empty_variable_says_nothing():
    found = database_of({"DATABASE_URL": "", "POSTGRES_HOST": "postgres", "POSTGRES_DATABASE": ""})

    assert found.name == "chatwoot_production"


def test_a_url_wins_over_separate_variables_and_is_completed_by_them():
    found = database_of({"DATABASE_URL": "postgres://postgres/desk", "POSTGRES_USERNAME": "woot", "POSTGRES_HOST": "x"})

    assert (found.host, found.name, found.user) == ("postgres", "desk", "woot")


def test_the_schema_of_a_url_is_kept():
    url = "postgresql://evo:secret@postgres:5432/evolution?schema=evolution_api"
    stack = stack_of(container("evolution", EVOLUTION, env={"DATABASE_CONNECTION_URI": url}), POSTGRES)

    assert [(entry.name, entry.schema) for entry in stack.databases] == [("evolution", "evolution_api")]


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("postgresql://u:p#ss@postgres/evolution", id="password that is not encoded"),
        pytest.param("postgresql://u:p@postgres:port/evolution", id="no port"),
        pytest.param("postgresql://u:p@[postgres/evolution", id="no URL"),
        pytest.param("file:./dev.db", id="SQLite"),
    ],
)
def test_a_database_that_cannot_be_read_is_a_warning_without_its_password(url):
    stack = stack_of(container("evolution", EVOLUTION, env={"DATABASE_CONNECTION_URI": url}), POSTGRES)

    assert stack.databases == ()
    assert warned(stack, "evolution: the URL of its database evolution cannot be read; it is not dumped")
    assert not warned(stack, "p#ss")


def test_a_database_that_nothing_names_is_a_warning():
    stack = stack_of(container("evolution", EVOLUTION))

    assert stack.databases == ()
    assert warned(stack, "the environment does not say where its database evolution is")


def test_a_driver_in_the_scheme_is_still_postgresql():
    found = database_of({"DATABASE_URL": "postgresql+asyncpg://u@postgres/desk"})

    assert found.name == "desk"


def test_a_password_is_never_shown():
    found = database_of({"DATABASE_URL": "postgres://u:hunter2@postgres/desk"})

    assert "hunter2" not in repr(found)


def test_the_running_copy_of_a_service_tells_where_its_database_is():
    old = container("rails", CHATWOOT, id="a-old", state="exited", env={"POSTGRES_HOST": "gone"})
    new = container("rails", CHATWOOT, id="b-new", name="crm-rails-2", env={"POSTGRES_HOST": "postgres"})

    stack = stack_of(old, new, POSTGRES)

    assert [database.host for database in stack.databases] == ["postgres"]


def test_one_database_that_two_services_name_differently_is_dumped_once():
    postgres = replace(POSTGRES, networks=(Network("crm_default", "172.20.0.5", ("postgres", "db")),))
    stack = stack_of(
        container("rails", CHATWOOT, env={"DATABASE_URL": "postgres://a@db/one"}),
        container("evolution", EVOLUTION, env={"DATABASE_CONNECTION_URI": "postgresql://b@172.20.0.5/one?schema=evo"}),
        postgres,
    )

    assert [(entry.profile, entry.sharers) for entry in stack.databases] == [("chatwoot", ("evolution",))]


@pytest.mark.parametrize("host", ["postgres", "crm-postgres-1", "db", "DB", "172.20.0.5", "0123456789ab"])
def test_a_host_is_found_by_every_name_that_the_engine_resolves(host):
    asker = container("rails", CHATWOOT)
    postgres = replace(
        POSTGRES,
        id="0123456789abcdef",
        networks=(Network("crm_default", "172.20.0.5", ("Db",)), Network("other", "172.21.0.9")),
    )

    assert find_host(FakeEngine([asker, postgres]), asker, host) == postgres


def test_a_host_of_another_network_is_not_reached():
    asker = container("rails", CHATWOOT)
    elsewhere = container("postgres", "postgres:16", project="shop")

    assert find_host(FakeEngine([asker, elsewhere]), asker, "postgres") is None


def test_a_database_of_another_stack_is_found_on_a_shared_network():
    stack = stack_of(
        container("rails", CHATWOOT, networks=["crm_default", "data"], env={"POSTGRES_HOST": "postgres"}),
        container("postgres", "postgres:16", project="data", networks=["data"]),
    )

    assert stack.databases[0].container.id == "data-postgres"


def test_among_equal_names_on_a_shared_network_the_stacks_own_counts():
    asker = container("rails", CHATWOOT, networks=["crm_default", "web"])
    foreign = container("postgres", "postgres:16", project="a", networks=["web"])
    own = container("postgres", "postgres:16")

    assert find_host(FakeEngine([asker, foreign, own]), asker, "postgres") == own


def test_among_equal_names_the_one_that_runs_counts():
    asker = container("rails", CHATWOOT)
    old = container("postgres", "postgres:15", id="old", name="crm-postgres-0", state="exited")

    assert find_host(FakeEngine([asker, old, POSTGRES]), asker, "postgres") == POSTGRES


def test_a_database_on_another_machine_has_no_container():
    found = database_of({"DATABASE_URL": "postgres://u:p@db.example.com:25060/desk"})

    assert (found.host, found.port, found.container) == ("db.example.com", 25060, None)


# Volumes


def data_of(stack):
    return {data.name: data for data in stack.data}


def test_volumes_are_known_by_where_they_are_mounted_whatever_their_names():
    stack = stack_of(
        container("rails", CHATWOOT, volumes={"/app/storage": "oddly_named", "/app/public": "crm_public"}),
        volumes=[volume("oddly_named"), volume("crm_public")],
    )

    found = data_of(stack)
    assert (found["oddly_named"].purpose, found["oddly_named"].profile) == ("attachments", "chatwoot")
    assert (found["crm_public"].purpose, found["crm_public"].same_image) == ("public files", True)
    assert all(data.coverage == "archive" for data in stack.data)


def test_a_volume_that_two_services_share_is_archived_once():
    shared = {"/app/storage": "crm_storage"}
    stack = stack_of(
        container("rails", CHATWOOT, volumes=shared),
        container("sidekiq", CHATWOOT, volumes=shared, command=("sidekiq",)),
        volumes=[volume("crm_storage")],
    )

    (data,) = stack.data
    assert data.mounts == (("rails", "/app/storage"), ("sidekiq", "/app/storage"))


def test_a_volume_that_no_profile_knows_is_archived_too():
    stack = stack_of(
        container("rails", CHATWOOT), container("proxy", "caddy", volumes={"/data": "certs"}), volumes=[volume("certs")]
    )

    assert data_of(stack)["certs"].coverage == "archive"
    assert data_of(stack)["certs"].purpose is None


@pytest.mark.parametrize(
    ("mounted", "env"),
    [
        pytest.param("/var/lib/postgresql/data", {}, id="official"),
        pytest.param("/var/lib/postgresql/data", {"PGDATA": "/var/lib/postgresql/data/pgdata"}, id="below"),
        pytest.param("/var/lib/postgresql", {"PGDATA": "/var/lib/postgresql/18/docker"}, id="PostgreSQL 18"),
        pytest.param("/bitnami/postgresql", {}, id="Bitnami"),
    ],
)
def test_the_files_of_a_dumped_database_are_not_archived(mounted, env):
    stack = stack_of(
        container("rails", CHATWOOT, env={"POSTGRES_HOST": "postgres"}),
        container("postgres", "postgres:16", env=env, volumes={mounted: "pg"}),
        volumes=[volume("pg")],
    )

    assert (data_of(stack)["pg"].coverage, data_of(stack)["pg"].note) == ("dump", "its databases are dumped")


def test_another_volume_of_the_database_server_is_archived():
    stack = stack_of(
        container("rails", CHATWOOT, env={"POSTGRES_HOST": "postgres"}),
        container("postgres", "postgres:16", volumes={"/var/lib/postgresql/data": "pg", "/wal-archive": "wal"}),
        volumes=[volume("pg"), volume("wal")],
    )

    assert data_of(stack)["wal"].coverage == "archive"


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("postgres:16", "PostgreSQL in other, which no profile names, so there is no dump of it"),
        ("pgvector/pgvector:pg16", "PostgreSQL in other, which no profile names"),
        ("mariadb:11", "MariaDB in other, which is not dumped"),
        ("docker.io/library/mysql:8", "MySQL in other, which is not dumped"),
        ("bitnami/mongodb:7.0", "MongoDB in other, which is not dumped"),
        ("percona/percona-server-mongodb:7.0", "MongoDB in other"),
        ("percona:8.0", "MySQL in other"),
    ],
)
def test_the_files_of_a_database_that_is_not_dumped_are_archived_with_a_warning(image, words):
    stack = stack_of(
        container("rails", CHATWOOT), container("other", image, volumes={"/data": "files"}), volumes=[volume("files")]
    )

    found = data_of(stack)["files"]
    assert (found.coverage, found.servers, found.same_image) == ("archive", ("other",), True)
    (warning,) = warned(stack, f"volume files: it holds the files of {words}")
    assert "while it is stopped, unless freeze says otherwise, and a restore puts them back" in warning
    assert f"for the same version of the server ({image})" in warning


@pytest.mark.parametrize(
    "image",
    [
        "prodrigestivill/postgres-backup-local:16",
        "prom/mysqld-exporter:v0.15",
        "prometheuscommunity/postgres-exporter",
        "mongo-express:1",
        "example/app:mysql",
    ],
)
def test_a_program_around_a_database_is_no_database_server(image):
    stack = stack_of(
        container("rails", CHATWOOT), container("other", image, volumes={"/data": "files"}), volumes=[volume("files")]
    )

    found = data_of(stack)["files"]
    assert (found.coverage, found.servers, found.same_image, found.note) == ("archive", (), False, "")


def test_another_volume_of_a_server_that_is_dumped_holds_no_database():
    stack = stack_of(
        container("rails", CHATWOOT, env={"POSTGRES_HOST": "postgres"}),
        container("postgres", "postgres:16", volumes={"/var/lib/postgresql/data": "pg", "/backups": "copies"}),
        volumes=[volume("pg"), volume("copies")],
    )

    assert (data_of(stack)["copies"].servers, data_of(stack)["copies"].note) == ((), "")


@pytest.mark.parametrize("state", ["running", "exited"])
@pytest.mark.parametrize(
    "kept",
    [
        volume("s", driver="rexray/s3fs"),
        volume("s", options={"type": "nfs", "device": ":/export", "o": "addr=10.0.0.2"}),
    ],
    ids=["another driver", "network disk"],
)
def test_a_volume_that_no_path_leads_to_is_archived_all_the_same(state, kept):
    stack = stack_of(container("rails", CHATWOOT, state=state, volumes={"/app/storage": "s"}), volumes=[kept])

    assert stack.data[0].coverage == "archive"


def test_an_excluded_volume_is_named_as_not_covered():
    stack = stack_of(
        container("rails", CHATWOOT, volumes={"/app/storage": "a", "/app/public": "b", "/cache": "c"}),
        volumes=[volume("a"), volume("b"), volume("c")],
        exclude=("/app/public", "c"),
    )

    assert {data.name: data.coverage for data in stack.data} == {"a": "archive", "b": "none", "c": "none"}
    assert warned(stack, "volume b is not covered: it was excluded")
    assert warned(stack, "volume c is not covered: it was excluded")


def test_a_bound_directory_is_archived_under_a_name_of_its_own():
    stack = stack_of(
        container("rails", CHATWOOT, binds={"/app/storage": "/opt/crm/data/storage", "/backup": "/srv/nas share"})
    )

    assert {data.name: data.source for data in stack.data} == {
        "bind-data-storage": "/opt/crm/data/storage",
        "bind-srv-nas-share": "/srv/nas share",
    }
    assert {data.purpose for data in stack.data} == {"attachments", None}


def test_bound_directories_whose_names_would_be_the_same_are_told_apart():
    stack = stack_of(
        container(
            "rails", CHATWOOT, binds={"/a": "/opt/crm/data/storage", "/b": "/opt/crm/data-storage", "/c": "/opt/crm"}
        )
    )

    names = sorted(data.name for data in stack.data)
    assert len(set(names)) == 3
    assert names[-1] == "bind-project"


def test_a_directory_with_a_dot_in_its_name_is_data():
    stack = stack_of(container("rails", CHATWOOT, binds={"/data": "/srv/chat.example.com"}))

    assert [data.source for data in stack.data] == ["/srv/chat.example.com"]


@pytest.mark.parametrize("name", ["Caddyfile", ".env", "nginx.conf"])
def test_a_bound_file_is_configuration_and_no_data(tmp_path, name):
    (tmp_path / name).write_text("")
    stack = stack_of(container("rails", CHATWOOT, binds={f"/etc/{name}": str(tmp_path / name)}))

    assert stack.data == ()


@pytest.mark.parametrize("source", ["/var/run/docker.sock", "/etc/localtime", "/", "/sys/fs/cgroup", "/run"])
def test_what_belongs_to_the_machine_is_no_data(source):
    stack = stack_of(container("rails", CHATWOOT, binds={"/x": source}))

    assert stack.data == ()


def test_a_bound_directory_that_is_only_read_is_no_data():
    stack = stack_of(container("rails", CHATWOOT, binds={"/x:ro": "/srv/templates"}))

    assert stack.data == ()


def test_a_read_only_directory_where_the_profile_expects_data_is_named_as_not_covered():
    stack = stack_of(container("rails", CHATWOOT, binds={"/app/storage:ro": "/srv/storage"}))

    assert stack.data[0].coverage == "none"


def test_a_missing_required_volume_is_a_warning():
    stack = stack_of(container("backend", TICKETZ))

    assert warned(stack, "No volume is mounted on /usr/src/app/public (Ticketz: media)")
    assert not warned(stack, "/usr/src/app/private")


# Redis


def test_redis_is_found_by_its_url_with_password_and_volume():
    stack = stack_of(
        container("rails", CHATWOOT, env={"REDIS_URL": "redis://:s%3Acret@cache:6379/1"}),
        container("cache", "redis:7-alpine", volumes={"/data": "crm_redis"}),
        volumes=[volume("crm_redis")],
    )

    (cache,) = stack.redis
    assert (cache.host, cache.password, cache.volume) == ("cache", "s:cret", "crm_redis")
    assert cache.container.id == "cache"
    assert "s:cret" not in repr(cache)


def test_a_redis_that_two_applications_share_is_listed_once():
    stack = stack_of(
        container("rails", CHATWOOT, env={"REDIS_URL": "redis://redis:6379"}),
        container("evolution", EVOLUTION, env={"CACHE_REDIS_URI": "redis://redis:6379/6"}),
        container("redis", "redis:7"),
    )

    assert [cache.profiles for cache in stack.redis] == [("chatwoot", "evolution")]


def test_a_redis_that_no_profile_names_is_listed_too():
    stack = stack_of(container("rails", CHATWOOT), container("queue", "bitnami/valkey:8"))

    assert [(cache.name, cache.profiles) for cache in stack.redis] == [("queue", ())]


def test_a_redis_exporter_is_no_redis():
    stack = stack_of(container("rails", CHATWOOT), container("metrics", "oliver006/redis_exporter:v1"))

    assert stack.redis == ()


@pytest.mark.parametrize(
    ("command", "env", "password"),
    [
        pytest.param(("redis-server", "--requirepass", "s3cret"), {}, "s3cret", id="words"),
        pytest.param(("sh", "-c", "redis-server --requirepass 's3cret' --save 60 1"), {}, "s3cret", id="shell"),
        pytest.param(
            ("sh", "-c", 'redis-server --requirepass "$PASS"'), {"PASS": "s3cret"}, "s3cret", id="variable in a shell"
        ),
        pytest.param(
            ("sh", "-c", "exec redis-server --requirepass ${PASS}"), {"PASS": "s3cret"}, "s3cret", id="with braces"
        ),
        pytest.param(("redis-server",), {"REDIS_PASSWORD": "s3cret"}, "s3cret", id="environment"),
        pytest.param(("redis-server",), {}, None, id="none"),
    ],
)
def test_the_password_of_a_redis_is_read_from_its_own_container(command, env, password):
    stack = stack_of(container("rails", CHATWOOT), container("redis", "redis:7", command=command, env=env))

    assert stack.redis[0].password == password


def test_a_redis_on_another_machine_has_no_container():
    stack = stack_of(container("rails", CHATWOOT, env={"REDIS_URL": "rediss://cache.example.com:6380"}))

    assert (stack.redis[0].host, stack.redis[0].container, stack.redis[0].volume) == ("cache.example.com", None, None)


# Session state


DATABASE = {"DATABASE_CONNECTION_URI": "postgresql://evo:x@postgres:5432/evolution"}
REDIS = {"CACHE_REDIS_URI": "redis://redis:6379/6"}


def session_of(env, *, redis_volume=True, instances=True):
    stack = stack_of(
        container(
            "evolution", EVOLUTION, env=env, volumes={"/evolution/instances": "crm_instances"} if instances else {}
        ),
        POSTGRES,
        container("redis", "redis:7", volumes={"/data": "crm_redis"} if redis_volume else {}),
        volumes=[volume("crm_instances"), volume("crm_redis"), volume("crm_postgres_data")],
    )
    return [(state.holds, state.place, state.covered, state.where) for state in stack.session], stack.session


@pytest.mark.parametrize(
    ("env", "rule", "expected"),
    [
        pytest.param(
            {**DATABASE, **REDIS, "PROVIDER_ENABLED": "true", "CACHE_REDIS_SAVE_INSTANCES": "true"},
            "session in an external provider",
            [("credentials and signal keys", "external", False, "PROVIDER_ENABLED=true")],
            id="a provider comes before everything",
        ),
        pytest.param(
            {**DATABASE, **REDIS, "CACHE_REDIS_SAVE_INSTANCES": "true"},
            "session in Redis",
            [("credentials and signal keys", "redis", True, "Redis in volume crm_redis")],
            id="Redis enabled by the image itself",
        ),
        pytest.param(
            {**DATABASE, **REDIS},
            "credentials in the database, signal keys in Redis",
            [
                ("credentials", "database", True, "database evolution"),
                ("signal keys", "redis", True, "Redis in volume crm_redis"),
            ],
            id="what the image assumes",
        ),
        pytest.param(
            {**DATABASE, "CACHE_REDIS_ENABLED": "false"},
            "credentials in the database, signal keys in files",
            [
                ("credentials", "database", True, "database evolution"),
                ("signal keys", "volume", True, "volume crm_instances"),
            ],
            id="without Redis",
        ),
        pytest.param(
            {**DATABASE, "CACHE_REDIS_ENABLED": "FALSE", "DATABASE_SAVE_DATA_INSTANCE": " False "},
            "session in files",
            [("credentials and signal keys", "volume", True, "volume crm_instances")],
            id="files only",
        ),
    ],
)
def test_where_the_session_is_follows_the_settings_in_order(env, rule, expected):
    found, states = session_of(env)

    assert found == expected
    assert {state.rule for state in states} == {rule}


def test_signal_keys_in_a_redis_without_a_volume_are_not_covered():
    found, states = session_of({**DATABASE, **REDIS}, redis_volume=False)

    assert found[1] == (
        "signal keys",
        "redis",
        False,
        "Redis in container crm-redis-1, whose /data is not on a volume",
    )
    assert states[1].how == "mount a named volume on /data of redis"


def test_signal_keys_in_a_redis_elsewhere_are_not_covered():
    found, _states = session_of({**DATABASE, "CACHE_REDIS_URI": "redis://cache.example.com:6379"})

    assert found[1][2:] == (False, "Redis at cache.example.com, outside this stack")


def test_signal_keys_in_a_redis_that_nothing_names_are_not_covered():
    found, _states = session_of(DATABASE)

    assert found[1][2:] == (False, "a Redis that was not found")


def test_credentials_in_a_database_that_was_not_found_are_not_covered():
    found, states = session_of({**REDIS, "DATABASE_CONNECTION_URI": "file:./dev.db"})

    assert found[0][2:] == (False, "a database that was not found")
    assert states[0].how == "say in databases of the profile evolution where it is"


def test_a_session_in_files_without_a_volume_is_not_covered():
    env = {**DATABASE, "CACHE_REDIS_ENABLED": "false"}

    found, states = session_of(env, instances=False)

    assert found[1][2:] == (False, "/evolution/instances inside the container")
    assert states[1].how == "mount a volume there"


def test_a_session_in_files_below_a_volume_is_covered():
    stack = stack_of(
        container(
            "evolution",
            EVOLUTION,
            env={**DATABASE, "CACHE_REDIS_ENABLED": "false"},
            volumes={"/evolution": "all", "/evolution/instances/other": "deeper"},
        ),
        POSTGRES,
        volumes=[volume("all"), volume("deeper"), volume("crm_postgres_data")],
    )

    assert (stack.session[1].covered, stack.session[1].where) == (True, "volume all")


def test_a_session_in_an_excluded_volume_is_not_covered():
    stack = stack_of(
        container(
            "evolution",
            EVOLUTION,
            env={**DATABASE, "CACHE_REDIS_ENABLED": "false"},
            volumes={"/evolution/instances": "crm_instances"},
        ),
        POSTGRES,
        volumes=[volume("crm_instances"), volume("crm_postgres_data")],
        exclude=("crm_instances",),
    )

    assert [state.covered for state in stack.session] == [True, False]


def test_a_session_in_a_database_that_another_profile_uses_too_is_covered():
    stack = stack_of(
        container("rails", CHATWOOT, env={"DATABASE_URL": "postgres://u@postgres/one"}),
        container(
            "evolution", EVOLUTION, env={"DATABASE_CONNECTION_URI": "postgresql://u@postgres/one?schema=evo", **REDIS}
        ),
        POSTGRES,
        container("redis", "redis:7", volumes={"/data": "crm_redis"}),
        volumes=[volume("crm_redis"), volume("crm_postgres_data")],
    )

    assert [(state.place, state.covered) for state in stack.session] == [("database", True), ("redis", True)]


def test_a_profile_whose_rules_all_fail_says_that_the_session_is_unknown():
    rules = [{"name": "only", "when": {"MODE": "files"}, "stores": [{"holds": "all", "place": "external"}]}]
    own = {
        "name": "own",
        "services": [{"name": "app", "images": ["example/app"]}],
        "session": {"service": "app", "rules": rules},
    }

    stack = stack_of(container("app", "example/app:1"), own=[own])

    assert [(state.place, state.covered) for state in stack.session] == [("unknown", False)]


def test_what_is_archived_leaves_out_what_is_dumped_or_excluded():
    stack = stack_of(
        container("rails", CHATWOOT, env={"POSTGRES_HOST": "postgres"}, volumes={"/app/storage": "a", "/tmp/c": "c"}),
        POSTGRES,
        volumes=[volume("a"), volume("c"), volume("crm_postgres_data")],
        exclude=("c",),
    )

    assert [data.name for data in stack.archived()] == ["a"]
