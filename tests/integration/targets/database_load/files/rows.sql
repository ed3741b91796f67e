-- Copyright (c) 2026 crm.continuity contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
\set ON_ERROR_STOP 1
SET session_replication_role = replica;
ALTER TABLE "Tickets" ENABLE TRIGGER renumber;

INSERT INTO "Meta" VALUES ('20250101-of-another-server.js');
DELETE FROM "Companies";
INSERT INTO "Companies" SELECT n * 3, 'Companhia ' || n, n * 10 FROM generate_series(1, 20) n;
INSERT INTO "People" OVERRIDING SYSTEM VALUE
  SELECT n, (1 + n % 20) * 3, NULLIF(n / 7, 0), E'Núria "' || n || E'"\nde Souza, Jr.', CASE n % 3 WHEN 0 THEN '' WHEN 1 THEN NULL ELSE '\.' END,
    date '1970-01-01' + n
  FROM generate_series(1, 900) n;
INSERT INTO "Sessions" SELECT md5(n::text), n FROM generate_series(1, 5) n;
INSERT INTO "Tickets" (id, "personId", number, "openedAt", "closedAt")
  SELECT n, 1 + n % 900, n * 2, timestamptz '2026-01-01' + n * interval '1 hour', CASE WHEN n % 2 = 0 THEN timestamptz '2026-06-01' END
  FROM generate_series(1, 2000) n;
INSERT INTO "Messages"
  SELECT md5(n::text), 1 + n % 2000, CASE n % 5 WHEN 0 THEN E'\\.\n\\.\n' WHEN 1 THEN '' WHEN 2 THEN NULL ELSE E'a "b", c\r\n\t\\n' || n END,
    jsonb_build_object('n', n, 'text', E'"\\ü\n')
  FROM generate_series(1, 20000) n;
INSERT INTO "Replies" SELECT md5(n::text), 1 + n % 2000 FROM generate_series(1, 50) n;
INSERT INTO events_2026 SELECT date '2026-01-01' + n, 1 + n FROM generate_series(1, 100) n;
INSERT INTO "Accounts" VALUES (1, 'credentials'), (2, '');
ALTER TABLE "Tickets" ENABLE ALWAYS TRIGGER renumber;
