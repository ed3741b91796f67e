# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._csv_text import CsvText
from ansible_collections.crm.continuity.plugins.module_utils._errors import ArchiveError


def text(content, encoding="utf-8"):
    return CsvText(io.BytesIO(content.encode(encoding)), "012-Messages.csv")


def read(found, size=1 << 16):
    return b"".join(iter(lambda: found.read(size), b""))


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        pytest.param("id,createdAt\n", ("id", "createdAt"), id="plain"),
        pytest.param("id,createdAt\r\n", ("id", "createdAt"), id="CRLF"),
        pytest.param('"id","a ""quoted"" name"\n', ("id", 'a "quoted" name'), id="quoted"),
        pytest.param('"id","two\nlines"\r\n', ("id", "two\nlines"), id="line break in a name"),
        pytest.param("\ufeffid,name\r\n", ("id", "name"), id="byte order mark"),
        pytest.param('\ufeff"id",name\n1,2\n', ("id", "name"), id="byte order mark before a quote"),
        pytest.param("ação\n", ("ação",), id="letters"),
    ],
)
def test_columns_are_what_the_first_line_says(content, columns):
    assert text(content).columns == columns


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1 << 16])
@pytest.mark.parametrize(
    ("rows", "count"),
    [
        pytest.param("", 0, id="none"),
        pytest.param("1,a\n2,b\n", 2, id="plain"),
        pytest.param("1,a\r\n2,b\r\n", 2, id="CRLF"),
        pytest.param('1,"line\nbreak\r\nand more"\n2,""\n', 2, id="line breaks in a value"),
        pytest.param('1,"a ""quote"""\n2,""""\n3,"\n"\n', 3, id="quotes in a value"),
        pytest.param('1,"\n\\.\n"\n2,x\n', 2, id="what psql takes for the end"),
        pytest.param("1,ação 🙂\n", 1, id="letters"),
    ],
)
def test_rows_are_counted_as_copy_counts_them_and_passed_on_as_they_are(rows, count, size):
    found = text("id,v\n" + rows)

    assert read(found, size).decode() == "id,v\n" + rows
    assert found.rows == count


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param("", "is empty", id="nothing"),
        pytest.param("\ufeff\n", "is empty", id="no names"),
        pytest.param("id,id\n", "each column once", id="twice"),
        pytest.param("id,,name\n", "each column once", id="nameless"),
        pytest.param("x" * (2 << 20), "no line break in its first MiB", id="no line"),
    ],
)
def test_a_file_without_a_usable_first_line_is_refused(content, words):
    with pytest.raises(ArchiveError, match=f"012-Messages.csv.*{words}"):
        text(content)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param("id\n1\n2", "without a line break after 1 complete rows", id="in a row"),
        pytest.param('id\n1\n"2\n', "within a quoted value after 1 complete rows", id="in a value"),
    ],
)
def test_a_file_that_was_cut_off_is_refused_at_its_end(content, words):
    with pytest.raises(ArchiveError, match=words):
        read(text(content))
