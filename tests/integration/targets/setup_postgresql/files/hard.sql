-- A small database with every feature of the real schemas that has broken a dump or a restore somewhere.
-- Copyright (c) 2026 crm.continuity contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
\set ON_ERROR_STOP 1

CREATE EXTENSION unaccent;
CREATE EXTENSION "uuid-ossp";
CREATE EXTENSION pg_trgm;
CREATE SCHEMA evolution_api;
CREATE SCHEMA "Odd schema";

-- Its body names unaccent() without a schema: a strict restore cannot make the index that uses it.
CREATE FUNCTION public.immutable_unaccent(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS 'SELECT unaccent($1)';

CREATE TYPE "Status" AS ENUM ('open', 'close', 'connecting');

CREATE TABLE "Companies" (id serial PRIMARY KEY, name text NOT NULL, schedules jsonb DEFAULT '[]');
CREATE TABLE "Tags" (id serial PRIMARY KEY, name text);
CREATE INDEX tags_name_unaccent_lower_index ON "Tags" (immutable_unaccent(lower(name)));

-- Generated columns, and dates that they derive from.
CREATE TABLE "TicketTraking" (
  id serial PRIMARY KEY,
  "createdAt" timestamptz NOT NULL,
  "startedAt" timestamptz,
  "waitTime" numeric GENERATED ALWAYS AS (EXTRACT(epoch FROM "startedAt" - "createdAt")) STORED
);

-- Refers to itself.
CREATE TABLE "QueueOptions" (id serial PRIMARY KEY, title text, "parentId" int REFERENCES "QueueOptions" ON DELETE CASCADE);

-- No primary key, and equal rows.
CREATE TABLE "Settings" (key text, value text);

-- A trigger that renumbers what is inserted, from sequences that no table owns.
CREATE SEQUENCE conv_dpid_seq_1;
CREATE SEQUENCE conv_dpid_seq_2;
CREATE TABLE conversations (id bigserial PRIMARY KEY, account_id int NOT NULL, display_id int NOT NULL, uuid uuid DEFAULT uuid_generate_v4());
CREATE FUNCTION conversations_before_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.display_id := nextval('conv_dpid_seq_' || NEW.account_id);
  RETURN NEW;
END $$;
CREATE TRIGGER conversations_before_insert BEFORE INSERT ON conversations FOR EACH ROW EXECUTE FUNCTION conversations_before_insert();

CREATE TABLE evolution_api."Instance" (id text PRIMARY KEY, name text UNIQUE, status "Status" NOT NULL DEFAULT 'open', token text);
CREATE TABLE evolution_api."Session" (id text PRIMARY KEY, "sessionId" text REFERENCES evolution_api."Instance" ON DELETE CASCADE, creds text);
CREATE TABLE "Odd schema"."Mixed ""quoted"" table" ("a column" int, "select" text, "percent%s" text);

CREATE TABLE messages (
  id bigserial PRIMARY KEY,
  conversation_id bigint NOT NULL REFERENCES conversations,
  content text,
  payload jsonb,
  raw bytea,
  tags text[],
  created_at timestamp NOT NULL
);
CREATE INDEX messages_content_trgm ON messages USING gin (content gin_trgm_ops);
CREATE INDEX messages_conversation ON messages (conversation_id, created_at);

CREATE TABLE reporting_events (id bigint, happened date NOT NULL, value int) PARTITION BY RANGE (happened);
CREATE TABLE reporting_events_2025 PARTITION OF reporting_events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE reporting_events_2026 PARTITION OF reporting_events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE ancestors (id int, name text);
CREATE TABLE descendants (extra text) INHERITS (ancestors);
CREATE UNLOGGED TABLE scratchpad (id int);
CREATE TABLE no_columns ();

INSERT INTO "Companies" (name) SELECT 'Companhia ' || n FROM generate_series(1, 20) n;
INSERT INTO "Tags" (name) SELECT 'Ação ' || n FROM generate_series(1, 50) n;
INSERT INTO "TicketTraking" ("createdAt", "startedAt")
  SELECT timestamptz '2026-01-01 00:00+00' + n * interval '1 hour', timestamptz '2026-01-01 00:00+00' + n * interval '1 hour' + interval '90 seconds'
  FROM generate_series(1, 200) n;
INSERT INTO "QueueOptions" (title, "parentId") SELECT 'Opção ' || n, NULLIF((n - 1) / 3, 0) FROM generate_series(1, 60) n;
INSERT INTO "Settings" SELECT 'key' || n % 5, E'a value\nwith a line break, "quotes" and \\' FROM generate_series(1, 15) n;
INSERT INTO conversations (account_id, display_id) SELECT 1 + n % 2, 0 FROM generate_series(1, 500) n;
-- Gaps, as deletions leave them: numbering anew would show.
DELETE FROM conversations WHERE id % 7 = 0;
INSERT INTO evolution_api."Instance" SELECT 'i' || n, 'instance ' || n, CASE n % 2 WHEN 0 THEN 'open' ELSE 'close' END::"Status", md5(n::text) FROM generate_series(1, 8) n;
INSERT INTO evolution_api."Session" SELECT 's' || n, 'i' || n, to_jsonb('{"noiseKey":"x","n":' || n || '}')::text FROM generate_series(1, 8) n;
INSERT INTO "Odd schema"."Mixed ""quoted"" table" SELECT n, 'line one' || chr(10) || 'line two', '100%' FROM generate_series(1, 5) n;
INSERT INTO messages (conversation_id, content, payload, raw, tags, created_at)
  SELECT c.id, E'Olá, tudo bem? \\. ' || n || E'\n\\.\n' || md5(n::text), jsonb_build_object('n', n, 'text', E'"\\ü'),
    decode(md5(n::text) || '00ff', 'hex'), ARRAY['a', NULL, 'b,c', '"'], timestamp '2026-01-01' + n * interval '1 minute'
  FROM generate_series(1, 4000) n JOIN LATERAL (SELECT id FROM conversations ORDER BY id OFFSET n % 400 LIMIT 1) c ON true;
INSERT INTO reporting_events SELECT n, date '2025-06-01' + n, n FROM generate_series(1, 400) n;
INSERT INTO ancestors VALUES (1, 'parent only');
INSERT INTO descendants VALUES (2, 'child', 'more'), (3, 'child', 'more');
INSERT INTO scratchpad VALUES (1), (2);
INSERT INTO no_columns DEFAULT VALUES;
SELECT lo_from_bytea(0, decode(repeat('00ff10', 5000), 'hex'));
SELECT lo_from_bytea(0, '\x');

CREATE MATERIALIZED VIEW per_conversation AS SELECT conversation_id, count(*) AS messages FROM messages GROUP BY 1;
CREATE UNIQUE INDEX ON per_conversation (conversation_id);
CREATE VIEW open_instances AS SELECT * FROM evolution_api."Instance" WHERE status = 'open';
COMMENT ON TABLE messages IS 'What people wrote; it''s a lot';
