# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._errors import ProfileError
from ansible_collections.crm.continuity.plugins.module_utils._module import validate
from ansible_collections.crm.continuity.plugins.module_utils._profile import FIELDS, load, merge
from ansible_collections.crm.continuity.tests.unit.fakes import shipped, shipped_profiles


def minimal(**more):
    return {"name": "desk", "services": [{"name": "app", "images": ["example/desk"]}], **more}


def parsed(**more):
    return load([], [minimal(**more)], validate)["desk"]


# What the collection ships


def test_the_shipped_profiles_are_sound():
    assert set(shipped_profiles()) == {"chatwoot", "evolution", "ticketz"}


@pytest.mark.parametrize("name", ["chatwoot", "evolution", "ticketz"])
def test_a_shipped_profile_says_all_that_a_backup_needs(name):
    profile = shipped_profiles()[name]

    assert profile.title != profile.name
    assert profile.databases
    assert profile.volumes
    assert profile.secrets
    assert profile.logs
    assert any(service.http for service in profile.services)


def test_the_session_of_whatsapp_systems_is_located():
    profiles = shipped_profiles()

    assert [bool(profiles[name].session_rules) for name in ("chatwoot", "evolution", "ticketz")] == [False, True, True]


# Defaults and words


def test_what_a_profile_leaves_out_is_filled_in():
    profile = parsed(
        services=[{"name": "app", "images": ["example/desk"], "http": [{"name": "up", "port": 80}]}],
        volumes=[{"path": "/data/", "purpose": "data"}],
        databases=[{"name": "main", "service": "app"}],
    )

    assert profile.title == "desk"
    assert profile.services[0].freeze == "pause"
    assert (profile.services[0].http[0].path, profile.services[0].http[0].status) == ("/", (200,))
    assert (profile.volumes[0].path, profile.volumes[0].required) == ("/data", True)
    assert profile.databases[0].default_port == 5432


def test_words_that_yaml_reads_as_something_else_are_words_again():
    profile = parsed(
        environment={"ENABLED": True, "PORT": 6379, "NAME": "x", "OFF": False},
        session={
            "service": "app",
            "rules": [
                {
                    "name": "r",
                    "when": {"ENABLED": True, "MODE": ["", 1, "x"]},
                    "stores": [{"holds": "all", "place": "external"}],
                }
            ],
        },
    )

    assert profile.environment == {"ENABLED": "true", "PORT": "6379", "NAME": "x", "OFF": "false"}
    assert profile.session_rules[0].condition.when == {"ENABLED": ("true",), "MODE": ("", "1", "x")}


def test_a_key_without_a_value_is_one_that_was_not_given():
    profile = parsed(volumes=None, session=None, environment={"UNSET": None}, title=None)

    assert (profile.volumes, profile.session_rules, profile.environment, profile.title) == ((), (), {}, "desk")


def test_null_is_a_value_in_an_expected_answer():
    check = {"name": "up", "port": 80, "json": {"error": None}}

    profile = parsed(services=[{"name": "app", "images": ["example/desk"], "http": [check]}])

    assert profile.services[0].http[0].json == {"error": None}


def test_the_path_of_a_session_store_is_compared_without_a_trailing_slash():
    rules = [{"name": "r", "stores": [{"holds": "all", "place": "volume", "path": "/data/session/"}]}]

    profile = parsed(session={"service": "app", "rules": rules})

    assert profile.session_rules[0].stores[0].path == "/data/session"


# Overriding


def test_an_override_says_only_what_differs():
    profile = shipped_profiles(
        {"name": "chatwoot", "services": [{"name": "web", "images": ["example/chat", "chatwoot/chatwoot"]}]}
    )["chatwoot"]
    before = shipped_profiles()["chatwoot"]

    web, old = (next(s for s in p.services if s.name == "web") for p in (profile, before))
    assert web.images == ("example/chat", "chatwoot/chatwoot")
    assert (web.compose_services, web.http) == (old.compose_services, old.http)
    assert [s.name for s in profile.services] == [s.name for s in before.services]
    assert (profile.volumes, profile.databases, profile.logs) == (before.volumes, before.databases, before.logs)


def test_one_field_of_one_volume_is_overridden_by_its_path():
    profile = shipped_profiles({"name": "chatwoot", "volumes": [{"path": "/app/storage", "required": True}]})[
        "chatwoot"
    ]

    storage = next(rule for rule in profile.volumes if rule.path == "/app/storage")
    assert (storage.required, storage.purpose) == (True, "attachments")


def test_a_profile_that_extends_another_leaves_that_one_as_it_was():
    own = {"name": "support", "extends": "chatwoot", "title": "Support", "environment": {"A": "b"}}

    profiles = shipped_profiles(own)

    assert profiles["chatwoot"] == shipped_profiles()["chatwoot"]
    assert (profiles["support"].title, profiles["support"].environment) == ("Support", {"A": "b"})
    assert profiles["support"].services == profiles["chatwoot"].services


def test_a_profile_may_extend_one_of_the_users_own_that_stands_before_it():
    profiles = load([], [minimal(), {"name": "twin", "extends": "desk"}], validate)

    assert profiles["twin"].services == profiles["desk"].services


def test_loading_changes_nothing_that_it_was_given():
    data = shipped()

    load(data, [{"name": "chatwoot", "services": [{"name": "web", "freeze": "stop"}]}], validate)

    assert data == shipped()


@pytest.mark.parametrize(
    ("base", "over", "expected"),
    [
        pytest.param({"a": 1, "b": 2}, {"b": 3}, {"a": 1, "b": 3}, id="words"),
        pytest.param({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}}, {"a": {"x": 1, "y": 3}}, id="dictionaries"),
        pytest.param({"a": ["x", "y"]}, {"a": ["z"]}, {"a": ["z"]}, id="lists of words are replaced"),
        pytest.param(
            {"a": [{"name": "x", "v": 1}, {"name": "y", "v": 2}]},
            {"a": [{"name": "y", "v": 3}]},
            {"a": [{"name": "x", "v": 1}, {"name": "y", "v": 3}]},
            id="named entries merge",
        ),
        pytest.param(
            {"a": [{"name": "x"}]},
            {"a": [{"name": "new"}]},
            {"a": [{"name": "new"}, {"name": "x"}]},
            id="new ones first",
        ),
        pytest.param(
            {"a": [{"path": "/x", "v": 1}]},
            {"a": [{"path": "/x", "v": 2}]},
            {"a": [{"path": "/x", "v": 2}]},
            id="paths",
        ),
        pytest.param({"a": [{"name": "x"}]}, {"a": []}, {"a": []}, id="an empty list empties"),
        pytest.param({"a": [{"name": "x"}]}, {"a": None}, {"a": None}, id="null goes back to the default"),
        pytest.param(
            {"a": [{"pattern": "x"}]},
            {"a": [{"pattern": "y"}]},
            {"a": [{"pattern": "y"}]},
            id="without names: replaced",
        ),
        pytest.param(
            {"a": [{"path": "/x", "v": 1}, {"path": "/x", "v": 2}]},
            {"a": [{"path": "/x", "v": 3}]},
            {"a": [{"path": "/x", "v": 3}]},
            id="paths that are not unique: replaced",
        ),
    ],
)
def test_how_an_override_is_laid_over(base, over, expected):
    assert merge(base, over) == expected


def test_a_session_rule_of_ones_own_is_tried_first():
    own = {
        "name": "evolution",
        "session": {
            "rules": [
                {"name": "mine", "when": {"MODE": "x"}, "stores": [{"holds": "all", "place": "database"}]},
            ]
        },
    }

    rules = shipped_profiles(own)["evolution"].session_rules

    assert rules[0].name == "mine"
    assert rules[1:] == shipped_profiles()["evolution"].session_rules


# What is refused


HTTP = {"name": "up", "port": 80}


def service(**more):
    return [{"name": "app", "images": ["example/desk"], **more}]


def session(**rule):
    return {"service": "app", "rules": [{"name": "r", "stores": [{"holds": "all", "place": "external"}], **rule}]}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param({"services": None}, "missing required arguments: services", id="no services"),
        pytest.param({"services": []}, "services is empty", id="empty services"),
        pytest.param({"services": "web"}, "services", id="services no list"),
        pytest.param(
            {"services": [{"images": ["x"]}]}, "missing required arguments: name found in services", id="nameless"
        ),
        pytest.param({"services": [{"name": "app"}]}, "service app needs images or compose_services", id="unknowable"),
        pytest.param(
            {"colour": 1}, "unknown field colour. Supported parameters include: databases", id="unknown field"
        ),
        pytest.param({"services": service(colour=1)}, "unknown field services.colour", id="unknown field below"),
        pytest.param(
            {"services": service(freeze="melt")}, "freeze must be one of: pause, stop, none, got: melt", id="freeze"
        ),
        pytest.param({"services": service(command="(")}, "services (app) command: '(' is not a regular", id="command"),
        pytest.param({"services": service() + service()}, "services has app twice", id="twice"),
        pytest.param(
            {"services": service(images=["example/desk:7"])},
            "services (app) images: example/desk:7 names a version",
            id="tag",
        ),
        pytest.param(
            {"services": service(images=["example/desk@sha256:00"])},
            "images: example/desk@sha256:00 names a version",
            id="digest",
        ),
        pytest.param({"services": service(http=[{"name": "up"}])}, "port found in services -> http", id="no port"),
        pytest.param(
            {"services": service(http=[{**HTTP, "port": "web"}])}, "'port' is of type str", id="port no number"
        ),
        pytest.param({"services": service(http=[{**HTTP, "port": 0}])}, "http (up) port 0 is not a port", id="port 0"),
        pytest.param(
            {"services": service(http=[{**HTTP, "port": 70000}])},
            "services (app) http (up) port 70000",
            id="port too high",
        ),
        pytest.param(
            {"services": service(http=[{**HTTP, "path": "x"}])}, "path x must start with a slash", id="http path"
        ),
        pytest.param(
            {"services": service(http=[{**HTTP, "path": "/{value}"}])}, "{value} in path and each", id="no each"
        ),
        pytest.param(
            {"services": service(http=[{**HTTP, "each": {"path": "/x", "field": "y"}}])},
            "{value} in path and each",
            id="no value",
        ),
        pytest.param(
            {"services": service(http=[{**HTTP, "each": {"path": "/x"}}])},
            "field found in services -> http -> each",
            id="each",
        ),
        pytest.param({"services": service(http=[HTTP, HTTP])}, "services (app) http has up twice", id="checks twice"),
        pytest.param({"services": service(http=[{**HTTP, "status": ["ok"]}])}, "status", id="status no number"),
        pytest.param(
            {"volumes": [{"path": "/x"}]}, "missing required arguments: purpose found in volumes", id="purpose"
        ),
        pytest.param(
            {"volumes": [{"path": "x", "purpose": "y"}]}, "volumes path x must be absolute", id="relative volume"
        ),
        pytest.param(
            {"volumes": [{"path": "/x", "purpose": "y", "services": ["web"]}]},
            "volumes names the service web, but services has only app",
            id="volume of an unknown service",
        ),
        pytest.param(
            {"volumes": [{"path": "/x", "purpose": "y", "required": "maybe"}]},
            "'required' is of type str",
            id="no boolean",
        ),
        pytest.param(
            {"databases": [{"name": "d"}]}, "missing required arguments: service found in databases", id="database"
        ),
        pytest.param(
            {"databases": [{"name": "d", "service": "web"}]},
            "databases names the service web",
            id="database of nothing",
        ),
        pytest.param(
            {"databases": [{"name": "d", "service": "app", "default_port": -1}]},
            "databases (d) default_port -1 is not a port",
            id="default port",
        ),
        pytest.param(
            {"databases": [{"name": "d", "service": "app", "repair": [{"name": "r"}]}]},
            "sql found in databases -> repair",
            id="repair",
        ),
        pytest.param(
            {"databases": [{"name": "d", "service": "app"}] * 2}, "databases has d twice", id="databases twice"
        ),
        pytest.param(
            {"redis": [{"name": "r", "service": "web"}]}, "redis names the service web", id="Redis of nothing"
        ),
        pytest.param({"environment": {"A": ["b"]}}, "environment A must be one word or number", id="environment"),
        pytest.param({"environment": ["A=b"]}, "environment", id="environment no dictionary"),
        pytest.param({"session": {"rules": []}}, "service found in session", id="session of nothing"),
        pytest.param(
            {"session": {"service": "app", "rules": []}}, "session rules is empty", id="session without rules"
        ),
        pytest.param(
            {"session": {**session(), "service": "web"}}, "session names the service web", id="session elsewhere"
        ),
        pytest.param({"session": session(stores=[])}, "session rules (r) stores is empty", id="rule without stores"),
        pytest.param(
            {"session": session(stores=[{"holds": "x", "place": "cloud"}])},
            "place must be one of: database, redis",
            id="place",
        ),
        pytest.param(
            {"session": session(stores=[{"holds": "x", "place": "volume"}])},
            "a store in a volume needs its path",
            id="no path",
        ),
        pytest.param(
            {"session": session(stores=[{"holds": "x", "place": "volume", "path": "data"}])},
            "session rules (r): a store in a volume needs its path, absolute",
            id="relative path",
        ),
        pytest.param(
            {"session": session(stores=[{"holds": "x", "place": "redis"}])},
            "but the profile names no redis",
            id="no Redis",
        ),
        pytest.param(
            {"session": session(stores=[{"holds": "x", "place": "database"}])},
            "the profile names no database",
            id="no database",
        ),
        pytest.param(
            {"session": session(when={"A": {"b": "c"}})}, "session rules (r) when A must be one word", id="when"
        ),
        pytest.param({"session": session(when={"A": [["b"]]})}, "when A must be one word", id="lists of lists"),
        pytest.param(
            {"session": session(when={"A": []})}, "when A must be one word or number, or a list", id="no word"
        ),
        pytest.param({"session": session(image="(")}, "session rules (r) image: '(' is not a regular", id="image"),
        pytest.param(
            {"databases": [{"name": "d", "service": "app", "image": "["}]}, "databases (d) image: '['", id="its image"
        ),
        pytest.param(
            {"session": session(stores=[{"holds": "x", "place": "external", "outside": "cloud"}])},
            "session rules (r): a store is in cloud, which outside does not have",
            id="nowhere",
        ),
        pytest.param({"outside": [{"name": "o", "service": "web"}]}, "outside names the service web", id="outside"),
        pytest.param(
            {"outside": [{"name": "o", "service": "app"}, {"name": "o", "service": "app"}]},
            "outside has o twice",
            id="outside twice",
        ),
        *(
            pytest.param(
                {"outside": [{"name": "o", "service": "app", "show": [name]}]},
                f"outside (o) would show {name}, which is the name of a secret",
                id=name,
            )
            for name in ("AWS_SECRET_ACCESS_KEY", "S3_ACCESS_KEY", "DB_PASS", "DB_PASSWORD", "API_TOKEN", "KEY")
        ),
        pytest.param(
            {"outside": [{"name": "o", "service": "app", "when": {"TOKEN": "x"}}]}, "would show TOKEN", id="secret when"
        ),
        pytest.param(
            {"services": service(env_file=".env")}, "services (app) env_file .env must be absolute", id="env_file"
        ),
        pytest.param({"logs": [{"pattern": "["}]}, "meaning found in logs", id="pattern without meaning"),
        pytest.param(
            {"logs": [{"pattern": "[", "meaning": "x"}]}, "logs: '[' is not a regular expression", id="pattern"
        ),
        pytest.param(
            {"logs": [{"pattern": "x", "meaning": "y", "severity": "fatal"}]},
            "severity must be one of: error",
            id="severity",
        ),
    ],
)
def test_a_bad_profile_is_refused_with_its_name_the_field_and_the_reason(data, words):
    with pytest.raises(ProfileError) as caught:
        parsed(**data)

    assert str(caught.value).startswith("Profile desk: ")
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["Desk", "my desk", "../desk", "-desk", "désk"])
def test_a_name_that_could_be_no_file_is_refused(name):
    with pytest.raises(ProfileError, match="name must be lower-case letters"):
        load([], [minimal(name=name)], validate)


@pytest.mark.parametrize(
    ("own", "words"),
    [
        pytest.param({"title": "x"}, "Profile number 1 of crm_profiles has no name", id="nameless"),
        pytest.param({"name": 7}, "Profile number 1 of crm_profiles has no name", id="number"),
        pytest.param("desk.yml", "Profile number 1 of crm_profiles is 'desk.yml'. It must be a dictionary", id="word"),
        pytest.param(None, "Profile number 1 of crm_profiles is None", id="null"),
        pytest.param(
            {"name": "x", "extends": "chatwood"},
            "Profile x: extends names chatwood, but there is no such profile before it. Known here are chatwoot",
            id="extends nothing",
        ),
        pytest.param({"name": "evolution", "services": [{"name": []}]}, "Profile evolution: ", id="name no word"),
        pytest.param({"name": "evolution", "session": "none"}, "Profile evolution: ", id="session no dictionary"),
    ],
)
def test_an_own_profile_that_cannot_be_laid_over_is_refused(own, words):
    with pytest.raises(ProfileError) as caught:
        shipped_profiles(own)

    assert words in str(caught.value)


def test_every_field_of_the_model_is_one_that_the_validator_knows():
    def types(fields):
        for options in fields.values():
            yield options["type"]
            yield from types(options.get("options", {}))

    assert set(types(FIELDS)) <= {"str", "int", "bool", "list", "dict"}


# How a session is cleared


def with_reset(place, *steps):
    store = {"holds": "all", "place": place, "reset": list(steps), **({"path": "/data"} if place == "volume" else {})}
    return {
        "session": {"service": "app", "rules": [{"name": "r", "stores": [store]}]},
        "databases": [{"name": "d", "service": "app"}],
        "redis": [{"name": "c", "service": "app"}],
    }


ROWS = {"name": "rows", "count": "SELECT 1", "sql": "DELETE"}


@pytest.mark.parametrize(
    ("place", "step"),
    [
        ("database", ROWS),
        ("database", {**ROWS, "when": "SELECT true"}),
        ("redis", {"name": "hashes", "keys": ["{PREFIX}:*"]}),
        ("volume", {"name": "files", "files": ["*/*.json"]}),
    ],
)
def test_a_session_has_steps_that_clear_it(place, step):
    (found,) = parsed(**with_reset(place, step)).session_rules[0].stores[0].reset

    assert {name: value for name, value in vars(found).items() if value} == {
        name: tuple(value) if isinstance(value, list) else value for name, value in step.items()
    }


@pytest.mark.parametrize(
    ("place", "steps", "words"),
    [
        ("database", [{"name": "x", "sql": "DELETE"}], "in a database, a step has count and sql, and here are sql"),
        ("database", [{"name": "x", "files": ["*"]}], "a step has count and sql, and here are files"),
        ("redis", [{"name": "x"}], "in a redis, a step has keys, and here are none"),
        ("redis", [{"name": "x", "keys": ["a"], "when": "SELECT"}], "a step has keys, and here are keys, when"),
        ("volume", [{"name": "x", "keys": ["a"]}], "in a volume, a step has files, and here are keys"),
        ("volume", [{"name": "x", "files": ["/etc/*"]}], "/etc/\\* must be a path below that of the store"),
        ("volume", [{"name": "x", "files": ["a/../../b"]}], "must be a path below that of the store"),
        ("external", [{"name": "x", "keys": ["a"]}], "external place cannot be reset from here"),
        ("database", [ROWS, ROWS], "reset has rows twice"),
    ],
)
def test_steps_that_do_not_fit_their_place_are_refused(place, steps, words):
    with pytest.raises(ProfileError, match=words):
        parsed(**with_reset(place, *steps))


def test_every_session_that_the_collection_knows_of_can_be_cleared_but_for_two_places():
    without = [
        (profile.name, rule.name, store.place)
        for profile in shipped_profiles().values()
        for rule in profile.session_rules
        for store in rule.stores
        if not store.reset
    ]

    assert without == [
        ("evolution", "session in an external provider", "external"),
        ("evolution", "version 1, credentials in the database, signal keys in files", "database"),
    ]


def test_what_breaks_with_another_secret_is_part_of_the_profile():
    own = {"name": "ticketz", "secrets": [{"name": "JWT_SECRET", "severity": "refuse"}, "MORE"]}

    (found, more, *_rest) = shipped_profiles(own)["ticketz"].secrets

    assert (found.name, found.severity) == ("JWT_SECRET", "refuse")
    assert (more.name, more.breaks, more.severity) == ("MORE", None, "refuse")


def test_an_entry_that_says_one_thing_of_a_secret_keeps_the_others():
    own = {"name": "ticketz", "secrets": [{"name": "JWT_SECRET", "severity": "refuse"}]}

    found = {secret.name: secret for secret in shipped_profiles(own)["ticketz"].secrets}

    assert found["JWT_SECRET"].severity == "refuse"
    assert found["JWT_SECRET"].breaks == "everyone has to log in again"
    assert found["JWT_REFRESH_SECRET"].severity == "warn"
