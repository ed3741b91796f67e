# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Dumps that are SQL scripts, as pg_dump writes them."""

from __future__ import annotations

START = """--
-- PostgreSQL database dump
--

\\restrict Zm9v

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 16.9

SET statement_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);

"""
END = """
--
-- PostgreSQL database dump complete
--

\\unrestrict Zm9v

"""
# Of pg_dump --create.
DATABASE = """CREATE DATABASE crm WITH ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'pt_BR.utf8';
ALTER DATABASE crm OWNER TO ticketz;
\\unrestrict Zm9v
\\connect crm
\\restrict Zm9v
ALTER DATABASE crm SET search_path TO 'public';
CREATE TABLE public.created (
);
COPY public.created  FROM stdin;
\\.
"""
_BODY = """CREATE SCHEMA other;

ALTER SCHEMA other OWNER TO ticketz;

CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA public;

--
-- Name: immutable_unaccent(text); Type: FUNCTION; Schema: public; Owner: ticketz
--

CREATE FUNCTION public.immutable_unaccent(text) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $_$SELECT unaccent($1)$_$;

ALTER FUNCTION public.immutable_unaccent(text) OWNER TO ticketz;

CREATE TABLE public."Tags" (
    id integer NOT NULL,
    name text DEFAULT 'a; \\'::text
);

ALTER TABLE public."Tags" OWNER TO ticketz;

CREATE TABLE public."Whatsapps" (
    session text
);

CREATE TABLE other.empty (
);

--
-- Data for Name: Tags; Type: TABLE DATA; Schema: public; Owner: ticketz
--

COPY public."Tags" (id, name) FROM stdin;
1\tcom "aspas"
2\tconta
\\.

COPY public."Whatsapps" (session) FROM stdin;
{"creds":{"noiseKey":"s3cret"}}
\\.

COPY other.empty  FROM stdin;
\\.

SELECT pg_catalog.setval('public."Tags_id_seq"', 2, true);
SELECT pg_catalog.setval('other.unused', 1, false);

ALTER TABLE ONLY public."Tags"
    ADD CONSTRAINT "Tags_pkey" PRIMARY KEY (id);

CREATE INDEX tags_name ON public."Tags" USING btree (public.immutable_unaccent(lower(name)));

GRANT SELECT ON TABLE public."Tags" TO report;
"""


def script(*parts: str) -> str:
    """Return a whole script of these parts."""
    return START + "".join(parts) + END


SCRIPT = script(_BODY)
