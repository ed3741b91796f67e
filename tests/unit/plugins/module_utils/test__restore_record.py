# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from ansible_collections.crm.continuity.plugins.module_utils._errors import StoreError
from ansible_collections.crm.continuity.plugins.module_utils._exchange import Exchange
from ansible_collections.crm.continuity.plugins.module_utils._restore_record import (
    Record,
    StagedDatabase,
    StagedVolume,
    decode,
    encode,
    records,
    remove,
    stacks,
    write,
)

SCHEMA = Path(__file__).resolve().parents[4] / "docs" / "schemas" / "restore.schema.json"
VOLUME = StagedVolume("crm_storage", "volume", "crm_storage", False, 7, Exchange("/v/_data", "/v/.crm", False, 12))
DATABASE = StagedDatabase("crm", "crm__crm_staged_1", "crm__crm_previous_1", 16400, "postgres", "postgres", 5432, 70)
RECORD = Record(
    stack="crm",
    id="20261121T020000Z",
    backup="20261120T020000Z",
    directory="/var/backups/crm/crm/20261120T020000Z",
    docker_host="unix:///var/run/docker.sock",
    phase="live",
    since="2026-11-21T02:00:00.000+00:00",
    kept_until="2026-11-24T02:00:00+00:00",
    replaces=True,
    volumes=(VOLUME,),
    databases=(DATABASE, replace(DATABASE, name="evolution", previous=None, service=None)),
    policies={"0123": "always"},
)


def test_it_is_what_its_schema_says():
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))

    for record in (RECORD, replace(RECORD, kept_until=None, volumes=(), databases=(), policies={})):
        jsonschema.validate(json.loads(encode(record)), schema)
    properties = {"": schema, **schema["$defs"], "exchange": schema["$defs"]["volume"]["properties"]["exchange"]}
    for part, fields in (("volume", VOLUME), ("database", DATABASE), ("exchange", VOLUME.exchange)):
        assert set(properties[part]["properties"]) == set(vars(fields)) == set(properties[part]["required"])
    assert set(schema["properties"]) == {"format", *vars(RECORD)} == set(schema["required"])


def test_what_is_written_is_read(tmp_path):
    write(str(tmp_path), RECORD)

    assert decode(encode(RECORD)) == RECORD
    assert records(str(tmp_path), "crm") == [RECORD]
    assert stacks(str(tmp_path)) == ["crm"]
    file = tmp_path / "crm" / "20261121T020000Z.json"
    assert (oct(file.stat().st_mode), oct(file.parent.stat().st_mode)) == ("0o100600", "0o40700")


def test_the_oldest_comes_first_and_nothing_else_counts(tmp_path):
    later = replace(RECORD, id="20261121T020000Z-2", since="2026-11-21T02:00:00.500+00:00")
    for record in (later, RECORD):
        write(str(tmp_path), record)
    (tmp_path / "crm" / "20261121T020000Z.config.tar").write_text("x")
    (tmp_path / "crm" / ".20261121T020000Z.json.partial").write_text("x")

    assert records(str(tmp_path), "crm") == [RECORD, later]
    remove(str(tmp_path), RECORD)
    remove(str(tmp_path), RECORD)
    assert records(str(tmp_path), "crm") == [later]


def test_where_nothing_was_restored_there_are_none(tmp_path):
    assert records(str(tmp_path), "crm") == []
    assert stacks(str(tmp_path / "nowhere")) == []


@pytest.mark.parametrize("phase", ["staging", "staged", "live", "reverted", "committing"])
def test_only_an_exchange_is_torn(phase):
    assert not RECORD.at(phase).torn
    assert all(RECORD.at(torn).torn for torn in ("cutting", "reverting"))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: {**data, "format": 2},
        lambda data: {key: value for key, value in data.items() if key != "phase"},
        lambda data: {**data, "volumes": [{"name": "x"}]},
        lambda data: {**data, "unknown": 1},
        lambda data: [data],
    ],
)
def test_a_damaged_one_is_refused_with_what_to_look_for(tmp_path, spoil):
    write(str(tmp_path), RECORD)
    path = tmp_path / "crm" / "20261121T020000Z.json"
    path.write_text(json.dumps(spoil(json.loads(path.read_text()))))

    with pytest.raises(StoreError, match=r"is damaged .*crm-restore-\*"):
        records(str(tmp_path), "crm")


def test_the_name_of_a_stack_cannot_lead_elsewhere(tmp_path):
    for name in ("../crm", "", ".crm"):
        with pytest.raises(StoreError, match="cannot be the name of a stack"):
            write(str(tmp_path), replace(RECORD, stack=name))
    assert os.listdir(tmp_path) == []


def test_a_place_that_cannot_be_written_is_explained(tmp_path):
    (tmp_path / "file").write_text("x")

    with pytest.raises(StoreError, match="Without it nobody would know after a crash"):
        write(str(tmp_path / "file"), RECORD)
