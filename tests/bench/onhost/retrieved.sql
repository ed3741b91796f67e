-- Copyright (c) 2026 crm.continuity contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- Rows for the tables of Ticketz: :messages messages, a tenth as many tickets, and half as many contacts as tickets.
-- 600000 make about 300 MB of CSV.

INSERT INTO "Plans" (name, "createdAt", "updatedAt") VALUES ('Plano', now(), now());
INSERT INTO "Companies" (name, "planId", "createdAt", "updatedAt")
SELECT 'Companhia ' || n, 1, now(), now() FROM generate_series(1, 5) AS n;
INSERT INTO "Users" (name, email, "passwordHash", "companyId", "createdAt", "updatedAt")
SELECT 'Pessoa ' || n, n || '@example.com', md5(n::text), 1 + n % 5, now(), now() FROM generate_series(1, 50) AS n;
INSERT INTO "Whatsapps" (name, "companyId", "createdAt", "updatedAt")
SELECT 'Número ' || n, 1 + n % 5, now(), now() FROM generate_series(1, 10) AS n;
INSERT INTO "Queues" (name, color, "companyId", "createdAt", "updatedAt")
SELECT 'Fila ' || n, '#' || n, 1 + n % 5, now(), now() FROM generate_series(1, 20) AS n;
INSERT INTO "QueueOptions" (title, "queueId", "parentId", "createdAt", "updatedAt")
SELECT 'Opção ' || n, 1 + n % 20, nullif(n / 2, 0), now(), now() FROM generate_series(1, 60) AS n;
INSERT INTO "Contacts" (name, number, "companyId", "createdAt", "updatedAt")
SELECT md5(n::text) || ' ' || n, (5500000000000 + n)::text, 1 + n % 5, now(), now()
FROM generate_series(1, :messages / 20) AS n;
INSERT INTO "Tickets" (
    status, "lastMessage", "contactId", "userId", "whatsappId", "queueId", "companyId", "createdAt", "updatedAt"
)
SELECT
    CASE n % 4 WHEN 0 THEN 'open' ELSE 'closed' END, repeat(md5(n::text), 2), 1 + n % (:messages / 20), 1 + n % 50,
    1 + n % 10, 1 + n % 20, 1 + n % 5, now(), now()
FROM generate_series(1, :messages / 10) AS n;
INSERT INTO "Messages" (
    id, "ticketId", body, ack, "mediaType", "remoteJid", "dataJson", "contactId", "companyId", "createdAt", "updatedAt"
)
SELECT
    upper(md5(n::text)), 1 + n % (:messages / 10), repeat(md5(n::text) || E' é, "x"\n', 1 + n % 4), 3, 'conversation',
    '5511@s.whatsapp.net',
    jsonb_build_object('key', jsonb_build_object('id', md5(n::text)), 'message', repeat(md5((n * 3)::text), 4))::text,
    1 + n % (:messages / 20), 1 + n % 5, now(), now()
FROM generate_series(1, :messages) AS n;
INSERT INTO "Tags" (name, "companyId", "createdAt", "updatedAt")
SELECT 'Etiqueta ' || n, 1 + n % 5, now(), now() FROM generate_series(1, 50) AS n;
INSERT INTO "TicketTags" ("ticketId", "tagId", "createdAt", "updatedAt")
SELECT n, 1 + n % 50, now(), now() FROM generate_series(1, :messages / 10) AS n;
INSERT INTO "Settings" (key, value, "companyId", "createdAt", "updatedAt")
SELECT 'chave' || n, 'valor', 1 + n % 5, now(), now() FROM generate_series(1, 100) AS n;
