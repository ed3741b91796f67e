-- Copyright (c) 2026 crm.continuity contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- What `sequelize db:seed:all` leaves behind: one plan, one company, one user and its settings. %(password_hash)s is
-- filled in by the application.

INSERT INTO "Plans" (name, users, connections, queues, value, currency, "createdAt", "updatedAt")
    VALUES ('Plano 1', 10, 10, 10, 30, 'BRL', now(), now());
INSERT INTO "Companies" (name, "planId", "dueDate", "createdAt", "updatedAt")
    VALUES ('Empresa 1', 1, timestamptz '2093-03-14 04:00:00+01', now(), now());
INSERT INTO "Users" (name, email, "passwordHash", profile, super, "companyId", "createdAt", "updatedAt")
    VALUES ('Admin', 'admin@ticketz.host', %(password_hash)s, 'admin', true, 1, now(), now());
INSERT INTO "Settings" (key, value, "companyId", "createdAt", "updatedAt")
    SELECT key, value, 1, now(), now()
      FROM (VALUES
        ('userRating', 'disabled'), ('scheduleType', 'queue'), ('userCreation', 'disabled'),
        ('CheckMsgIsGroup', 'enabled'), ('call', 'disabled'), ('sideMenu', 'disabled'), ('closeTicketApi', 'disabled'),
        ('chatBotType', 'text'), ('appName', 'Ticketz'), ('primaryColorLight', ''), ('logoLight', '')
      ) AS initial (key, value);
INSERT INTO "SequelizeData" (name) VALUES
    ('20200904070001-default-plan.js'), ('20200904070004-default-company.js'), ('20200904070006-default-user.js');
