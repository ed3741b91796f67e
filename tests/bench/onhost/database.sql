-- Copyright (c) 2026 crm.continuity contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- A database as a CRM has it: short rows, texts in the words of a language, JSON, and indexes on all of them.
-- :rows is the number of contacts; 125000 make about 300 MB.

-- A text of so many words, of a vocabulary of 4096: it compresses like prose, and is the same every time.
CREATE FUNCTION prose(seed integer, words integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT string_agg(substr(md5((hashint4(seed * 31 + n) & 4095)::text), 1, 2 + (hashint4(seed + n * 17) & 7)), ' ')
    FROM generate_series(1, words) AS n
$$;

CREATE TABLE contacts (
    id bigserial PRIMARY KEY,
    account_id integer NOT NULL,
    name text NOT NULL,
    phone text NOT NULL,
    balance integer NOT NULL,
    address text NOT NULL
);
INSERT INTO contacts (account_id, name, phone, balance, address)
SELECT n % 40, prose(n, 3), '+55' || (10000000000 + n), hashint4(n) & 16383, prose(-n, 9)
FROM generate_series(1, :rows) AS n;

CREATE TABLE messages (
    id bigserial PRIMARY KEY,
    contact_id bigint NOT NULL REFERENCES contacts,
    created_at timestamptz NOT NULL,
    content text NOT NULL,
    content_attributes jsonb NOT NULL
);
INSERT INTO messages (contact_id, created_at, content, content_attributes)
SELECT
    1 + n % :rows,
    timestamptz '2026-01-01 00:00:00+00' + n * interval '7 seconds',
    prose(n, 10 + (hashint4(n) & 31)),
    jsonb_build_object('source_id', md5((n * 7)::text), 'external', n % 3 = 0, 'items', jsonb_build_array(n % 1000, 'x'))
FROM generate_series(1, :rows * 2) AS n;
CREATE INDEX ON messages (contact_id, created_at);
CREATE INDEX ON messages USING gin (content_attributes);
CREATE INDEX ON contacts (phone);

CREATE TABLE conversations (
    id bigserial PRIMARY KEY,
    contact_id bigint NOT NULL REFERENCES contacts,
    uuid uuid NOT NULL UNIQUE,
    last_activity_at timestamptz NOT NULL,
    additional_attributes jsonb NOT NULL,
    cached_label_list text
);
INSERT INTO conversations (contact_id, uuid, last_activity_at, additional_attributes, cached_label_list)
SELECT
    n,
    md5(n::text)::uuid,
    timestamptz '2026-01-01 00:00:00+00' + n * interval '60 seconds',
    jsonb_build_object('referer', prose(n, 6), 'browser', jsonb_build_object('name', 'x', 'version', n % 90)),
    prose(n % 500, 2)
FROM generate_series(1, :rows) AS n;
CREATE INDEX ON conversations (contact_id, last_activity_at);
CREATE INDEX ON conversations USING gin (additional_attributes);

CREATE TABLE notifications (
    id bigserial PRIMARY KEY,
    account_id integer NOT NULL,
    primary_actor_id bigint NOT NULL,
    read_at timestamptz,
    meta jsonb NOT NULL
);
INSERT INTO notifications (account_id, primary_actor_id, read_at, meta)
SELECT
    n % 40,
    1 + n % :rows,
    CASE WHEN n % 3 = 0 THEN timestamptz '2026-01-01 00:00:00+00' + n * interval '9 seconds' END,
    jsonb_build_object('push_event_data', prose(n * 3, 14), 'token', md5(n::text))
FROM generate_series(1, :rows * 2) AS n;
CREATE INDEX ON notifications (account_id, primary_actor_id);

CREATE TABLE reporting_events (
    account_id integer NOT NULL,
    name text NOT NULL,
    value double precision NOT NULL,
    created_at timestamptz NOT NULL
);
INSERT INTO reporting_events
SELECT n % 40, 'reply_time', hashint4(n) & 65535, timestamptz '2026-01-01 00:00:00+00' + n * interval '5 seconds'
FROM generate_series(1, :rows * 3) AS n;
CREATE INDEX ON reporting_events (account_id, name, created_at);

DROP FUNCTION prose;
ANALYZE;
