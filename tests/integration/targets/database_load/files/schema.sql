-- Tables as an application has created them: what makes loading them hard, and nothing in them but what it makes itself.
-- Copyright (c) 2026 crm.continuity contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
\set ON_ERROR_STOP 1

CREATE TABLE "Meta" (name text PRIMARY KEY);
INSERT INTO "Meta" VALUES ('20260101-first.js');
CREATE TABLE "Words" (key text, value text);
INSERT INTO "Words" VALUES ('hello', 'olá'), ('bye', 'tchau');

-- Each refers to the other, and people to themselves.
CREATE TABLE "Companies" (id serial PRIMARY KEY, name text NOT NULL UNIQUE, "ownerId" int);
CREATE TABLE "People" (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  "companyId" int NOT NULL REFERENCES "Companies" ON DELETE CASCADE,
  "bossId" int REFERENCES "People",
  "full ""name""" text NOT NULL,
  nick text DEFAULT 'none',
  born date
);
ALTER TABLE "Companies" ADD CONSTRAINT owner FOREIGN KEY ("ownerId") REFERENCES "People" DEFERRABLE;
INSERT INTO "Companies" (name) VALUES ('Empresa 1');
CREATE TABLE "Sessions" (id text PRIMARY KEY, "personId" int REFERENCES "People" ON DELETE CASCADE);

-- A trigger that renumbers, by a sequence that no table owns.
CREATE SEQUENCE ticket_no_1;
CREATE TABLE "Tickets" (
  id serial PRIMARY KEY,
  "personId" int NOT NULL REFERENCES "People",
  number int NOT NULL,
  "openedAt" timestamptz NOT NULL,
  "closedAt" timestamptz,
  took interval GENERATED ALWAYS AS ("closedAt" - "openedAt") STORED
);
CREATE FUNCTION renumber() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.number := nextval('ticket_no_1');
  RETURN NEW;
END $$;
CREATE TRIGGER renumber BEFORE INSERT ON "Tickets" FOR EACH ROW EXECUTE FUNCTION renumber();
ALTER TABLE "Tickets" ENABLE ALWAYS TRIGGER renumber;

-- Big enough for its indexes to be built anew; what is said of some of them keeps those in place.
CREATE TABLE "Messages" (
  id text,
  "ticketId" int REFERENCES "Tickets",
  body text,
  data jsonb,
  PRIMARY KEY (id, "ticketId")
);
CREATE INDEX messages_ticket ON "Messages" ("ticketId") WITH (fillfactor = 80);
CREATE INDEX messages_body ON "Messages" (md5(body));
CREATE UNIQUE INDEX messages_id ON "Messages" (id DESC);
COMMENT ON INDEX messages_id IS 'somebody said something about it';
CREATE INDEX messages_open ON "Messages" (id) WHERE body IS NULL;
CREATE TABLE "Replies" ("messageId" text, "ticketId" int, FOREIGN KEY ("messageId", "ticketId") REFERENCES "Messages" MATCH FULL);
COMMENT ON CONSTRAINT "Tickets_personId_fkey" ON "Tickets" IS 'kept in place';

CREATE TABLE "Events" (happened date NOT NULL, "personId" int REFERENCES "People") PARTITION BY RANGE (happened);
CREATE TABLE events_2026 PARTITION OF "Events" FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE "Accounts" (id int PRIMARY KEY, session text NOT NULL);
