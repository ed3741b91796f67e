-- Copyright (c) 2026 crm.continuity contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- The database of the Ticketz stand-in, written for the tests. Tables, columns and the things that make a restore
-- hard are those of Ticketz: mixed-case names, stored generated columns, tables without primary key, a reference of
-- QueueOptions to itself, composite keys, and an index over a function that finds unaccent() by the search path.

CREATE EXTENSION IF NOT EXISTS "uuid-ossp";
CREATE EXTENSION IF NOT EXISTS unaccent;

-- Unqualified on purpose: pg_restore, which empties the search path, can't build the index on "Tags" as it stands.
CREATE FUNCTION immutable_unaccent(text) RETURNS text LANGUAGE sql IMMUTABLE AS $body$SELECT unaccent($1)$body$;

CREATE TABLE "SequelizeMeta" (
    name varchar(255) PRIMARY KEY
);

CREATE TABLE "SequelizeData" (
    name varchar(255) PRIMARY KEY
);

CREATE TABLE "Translations" (
    language text NOT NULL,
    namespace text NOT NULL,
    key text NOT NULL,
    value text,
    UNIQUE (language, namespace, key)
);

CREATE TABLE "Plans" (
    id serial PRIMARY KEY,
    name varchar(255),
    users integer DEFAULT 0,
    connections integer DEFAULT 0,
    queues integer DEFAULT 0,
    value double precision,
    currency varchar(255),
    "isPublic" boolean DEFAULT true,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "Companies" (
    id serial PRIMARY KEY,
    name varchar(255) NOT NULL UNIQUE,
    phone varchar(255),
    email varchar(255),
    "planId" integer REFERENCES "Plans" (id) ON UPDATE CASCADE ON DELETE SET NULL,
    status boolean DEFAULT true,
    schedules jsonb DEFAULT '[]',
    "dueDate" timestamptz,
    recurrence varchar(255) DEFAULT '',
    language varchar(255),
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "Users" (
    id serial PRIMARY KEY,
    name varchar(255) NOT NULL,
    email varchar(255) NOT NULL UNIQUE,
    "passwordHash" varchar(255) NOT NULL,
    profile varchar(255) NOT NULL DEFAULT 'admin',
    "tokenVersion" integer NOT NULL DEFAULT 0,
    super boolean DEFAULT false,
    "companyId" integer REFERENCES "Companies" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "Whatsapps" (
    id serial PRIMARY KEY,
    name text NOT NULL,
    session text,
    qrcode text,
    status varchar(255),
    battery varchar(255),
    plugged boolean,
    retries integer NOT NULL DEFAULT 0,
    "greetingMessage" text,
    "farewellMessage" text,
    "complationMessage" text,
    "outOfHoursMessage" text,
    "ratingMessage" text,
    "transferMessage" text,
    provider text DEFAULT 'stable',
    token text,
    "isDefault" boolean NOT NULL DEFAULT false,
    language varchar(255),
    channel text DEFAULT 'whatsapp',
    "companyId" integer REFERENCES "Companies" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL,
    UNIQUE (name, "companyId")
);

CREATE TABLE "Queues" (
    id serial PRIMARY KEY,
    name varchar(255) NOT NULL,
    color varchar(255) NOT NULL,
    "greetingMessage" text,
    "outOfHoursMessage" text,
    schedules jsonb DEFAULT '[]',
    "mediaPath" text,
    "mediaName" text,
    "companyId" integer REFERENCES "Companies" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL,
    UNIQUE (name, "companyId"),
    UNIQUE (color, "companyId")
);

CREATE TABLE "QueueOptions" (
    id serial PRIMARY KEY,
    title varchar(255) NOT NULL,
    message text,
    option text,
    "queueId" integer REFERENCES "Queues" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "parentId" integer REFERENCES "QueueOptions" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "mediaPath" text,
    "mediaName" text,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "UserQueues" (
    "userId" integer NOT NULL REFERENCES "Users" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "queueId" integer NOT NULL REFERENCES "Queues" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL,
    PRIMARY KEY ("userId", "queueId")
);

CREATE TABLE "WhatsappQueues" (
    "whatsappId" integer NOT NULL REFERENCES "Whatsapps" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "queueId" integer NOT NULL REFERENCES "Queues" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL,
    PRIMARY KEY ("whatsappId", "queueId")
);

CREATE TABLE "Baileys" (
    id serial,
    "whatsappId" integer NOT NULL REFERENCES "Whatsapps" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    contacts text,
    chats text,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL,
    PRIMARY KEY (id, "whatsappId")
);

CREATE TABLE "BaileysKeys" (
    "whatsappId" integer NOT NULL REFERENCES "Whatsapps" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    type text NOT NULL,
    key text NOT NULL,
    value text,
    PRIMARY KEY ("whatsappId", type, key)
);

CREATE TABLE "BaileysContacts" (
    "whatsappId" integer NOT NULL REFERENCES "Whatsapps" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "contactId" text NOT NULL,
    payload jsonb,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL,
    PRIMARY KEY ("whatsappId", "contactId")
);

CREATE TABLE "Wavoips" (
    id serial PRIMARY KEY,
    "whatsappId" integer REFERENCES "Whatsapps" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    token text,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "Contacts" (
    id serial PRIMARY KEY,
    name text NOT NULL,
    number text NOT NULL,
    "profilePicUrl" text,
    email text NOT NULL DEFAULT '',
    "isGroup" boolean NOT NULL DEFAULT false,
    channel text DEFAULT 'whatsapp',
    presence text,
    language varchar(255),
    "companyId" integer REFERENCES "Companies" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL,
    UNIQUE (number, "companyId")
);

CREATE TABLE "ContactCustomFields" (
    id serial PRIMARY KEY,
    name text NOT NULL,
    value text NOT NULL,
    "contactId" integer NOT NULL REFERENCES "Contacts" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "WhatsappLidMaps" (
    id serial PRIMARY KEY,
    lid text NOT NULL,
    "companyId" integer REFERENCES "Companies" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "contactId" integer REFERENCES "Contacts" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "Tickets" (
    id serial PRIMARY KEY,
    status text NOT NULL DEFAULT 'pending',
    channel text DEFAULT 'whatsapp',
    "unreadMessages" integer,
    "lastMessage" text DEFAULT '',
    "isGroup" boolean NOT NULL DEFAULT false,
    uuid uuid DEFAULT uuid_generate_v4(),
    chatbot boolean DEFAULT false,
    "contactId" integer REFERENCES "Contacts" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "userId" integer REFERENCES "Users" (id) ON UPDATE CASCADE ON DELETE SET NULL,
    "whatsappId" integer REFERENCES "Whatsapps" (id) ON UPDATE CASCADE ON DELETE SET NULL,
    "queueId" integer REFERENCES "Queues" (id) ON UPDATE CASCADE ON DELETE SET NULL,
    "queueOptionId" integer REFERENCES "QueueOptions" (id) ON UPDATE CASCADE ON DELETE SET NULL,
    "companyId" integer REFERENCES "Companies" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "Messages" (
    id text NOT NULL,
    "ticketId" integer NOT NULL REFERENCES "Tickets" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    body text NOT NULL,
    ack integer NOT NULL DEFAULT 0,
    read boolean NOT NULL DEFAULT false,
    "mediaType" text,
    "mediaUrl" text,
    "thumbnailUrl" text,
    "fromMe" boolean NOT NULL DEFAULT false,
    "isDeleted" boolean NOT NULL DEFAULT false,
    "isEdited" boolean NOT NULL DEFAULT false,
    "remoteJid" text,
    participant text,
    "dataJson" text,
    "quotedMsgId" text,
    channel text DEFAULT 'whatsapp',
    error jsonb,
    "contactId" integer REFERENCES "Contacts" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "queueId" integer REFERENCES "Queues" (id) ON UPDATE CASCADE ON DELETE SET NULL,
    "companyId" integer REFERENCES "Companies" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL,
    PRIMARY KEY (id, "ticketId")
);

CREATE TABLE "OldMessages" (
    id serial PRIMARY KEY,
    body text NOT NULL,
    "messageId" text,
    "ticketId" integer REFERENCES "Tickets" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "OutOfTicketMessages" (
    id text PRIMARY KEY,
    "dataJson" text,
    "whatsappId" integer REFERENCES "Whatsapps" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "TicketTraking" (
    id serial PRIMARY KEY,
    "ticketId" integer REFERENCES "Tickets" (id) ON UPDATE CASCADE ON DELETE SET NULL,
    "companyId" integer REFERENCES "Companies" (id) ON UPDATE CASCADE ON DELETE SET NULL,
    "whatsappId" integer REFERENCES "Whatsapps" (id) ON UPDATE CASCADE ON DELETE SET NULL,
    "userId" integer REFERENCES "Users" (id) ON UPDATE CASCADE ON DELETE SET NULL,
    rated boolean DEFAULT false,
    expired boolean DEFAULT false,
    "queuedAt" timestamptz,
    "chatbotendAt" timestamptz,
    "startedAt" timestamptz,
    "finishedAt" timestamptz,
    "ratingAt" timestamptz,
    "waitTime" integer GENERATED ALWAYS AS (EXTRACT(EPOCH FROM "startedAt" - "queuedAt")::integer) STORED,
    "serviceTime" integer GENERATED ALWAYS AS (EXTRACT(EPOCH FROM "finishedAt" - "startedAt")::integer) STORED,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "UserRatings" (
    id serial PRIMARY KEY,
    "ticketId" integer REFERENCES "Tickets" (id) ON UPDATE CASCADE ON DELETE SET NULL,
    "companyId" integer REFERENCES "Companies" (id) ON UPDATE CASCADE ON DELETE SET NULL,
    "userId" integer REFERENCES "Users" (id) ON UPDATE CASCADE ON DELETE SET NULL,
    rate integer DEFAULT 0,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "TicketNotes" (
    id serial PRIMARY KEY,
    note text NOT NULL,
    "userId" integer REFERENCES "Users" (id) ON UPDATE CASCADE ON DELETE SET NULL,
    "contactId" integer REFERENCES "Contacts" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "ticketId" integer REFERENCES "Tickets" (id) ON UPDATE CASCADE ON DELETE SET NULL,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "Tags" (
    id serial PRIMARY KEY,
    name text NOT NULL,
    color text,
    kanban integer,
    "companyId" integer REFERENCES "Companies" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "TicketTags" (
    "ticketId" integer NOT NULL REFERENCES "Tickets" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "tagId" integer NOT NULL REFERENCES "Tags" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "ContactTags" (
    "contactId" integer NOT NULL REFERENCES "Contacts" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "tagId" integer NOT NULL REFERENCES "Tags" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "Schedules" (
    id serial PRIMARY KEY,
    body text NOT NULL,
    "sendAt" timestamptz,
    "sentAt" timestamptz,
    status text,
    "contactId" integer REFERENCES "Contacts" (id) ON UPDATE CASCADE ON DELETE SET NULL,
    "ticketId" integer REFERENCES "Tickets" (id) ON UPDATE CASCADE ON DELETE SET NULL,
    "userId" integer REFERENCES "Users" (id) ON UPDATE CASCADE ON DELETE SET NULL,
    "companyId" integer REFERENCES "Companies" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "Chats" (
    id serial PRIMARY KEY,
    title text NOT NULL DEFAULT '',
    "lastMessage" text,
    uuid text DEFAULT '',
    "ownerId" integer REFERENCES "Users" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "companyId" integer REFERENCES "Companies" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "ChatUsers" (
    id serial PRIMARY KEY,
    "chatId" integer REFERENCES "Chats" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "userId" integer REFERENCES "Users" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    unreads integer DEFAULT 0,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "ChatMessages" (
    id serial PRIMARY KEY,
    "chatId" integer REFERENCES "Chats" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "senderId" integer REFERENCES "Users" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    message text DEFAULT '',
    "mediaPath" text,
    "mediaName" text,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "QuickMessages" (
    id serial PRIMARY KEY,
    shortcode text NOT NULL,
    message text,
    "companyId" integer REFERENCES "Companies" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "userId" integer REFERENCES "Users" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "Announcements" (
    id serial PRIMARY KEY,
    priority integer,
    title text NOT NULL,
    text text NOT NULL,
    "mediaPath" text,
    "mediaName" text,
    status boolean DEFAULT true,
    "companyId" integer REFERENCES "Companies" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "Helps" (
    id serial PRIMARY KEY,
    title text NOT NULL,
    description text,
    video text,
    link text,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "ContactLists" (
    id serial PRIMARY KEY,
    name text NOT NULL,
    "companyId" integer REFERENCES "Companies" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "ContactListItems" (
    id serial PRIMARY KEY,
    name text NOT NULL,
    number text NOT NULL,
    email text,
    "isWhatsappValid" boolean DEFAULT false,
    "contactListId" integer REFERENCES "ContactLists" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "companyId" integer REFERENCES "Companies" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "Campaigns" (
    id serial PRIMARY KEY,
    name text NOT NULL,
    message1 text,
    message2 text,
    message3 text,
    message4 text,
    message5 text,
    status text,
    confirmation boolean DEFAULT false,
    "mediaPath" text,
    "mediaName" text,
    "scheduledAt" timestamptz,
    "completedAt" timestamptz,
    "companyId" integer REFERENCES "Companies" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "contactListId" integer REFERENCES "ContactLists" (id) ON UPDATE CASCADE ON DELETE SET NULL,
    "whatsappId" integer REFERENCES "Whatsapps" (id) ON UPDATE CASCADE ON DELETE SET NULL,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "CampaignSettings" (
    id serial PRIMARY KEY,
    key text NOT NULL,
    value text,
    "companyId" integer REFERENCES "Companies" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "CampaignShipping" (
    id serial PRIMARY KEY,
    "jobId" text,
    number text NOT NULL,
    message text NOT NULL,
    confirmation boolean,
    "deliveredAt" timestamptz,
    "contactId" integer REFERENCES "ContactListItems" (id) ON UPDATE CASCADE ON DELETE SET NULL,
    "campaignId" integer NOT NULL REFERENCES "Campaigns" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "Invoices" (
    id serial PRIMARY KEY,
    detail text,
    status text,
    value double precision,
    "dueDate" text,
    "companyId" integer REFERENCES "Companies" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "Subscriptions" (
    id serial PRIMARY KEY,
    "isActive" boolean DEFAULT false,
    "expiresAt" timestamptz NOT NULL,
    "userPriceCents" integer,
    "whatsPriceCents" integer,
    "lastInvoiceUrl" text,
    "lastPlanChange" timestamptz,
    "providerSubscriptionId" text,
    "companyId" integer REFERENCES "Companies" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "UserSocketSessions" (
    id varchar(255) PRIMARY KEY,
    "userId" integer REFERENCES "Users" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    active boolean,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL
);

CREATE TABLE "Settings" (
    id serial NOT NULL,
    key text NOT NULL,
    value text NOT NULL,
    "companyId" integer REFERENCES "Companies" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL,
    "updatedAt" timestamptz NOT NULL,
    UNIQUE (key, "companyId")
);

CREATE TABLE "Counters" (
    "companyId" integer NOT NULL REFERENCES "Companies" (id) ON UPDATE CASCADE ON DELETE CASCADE,
    serie varchar(255) NOT NULL,
    "timestamp" timestamp NOT NULL,
    value integer NOT NULL,
    day date GENERATED ALWAYS AS ("timestamp"::date) STORED,
    twelve_hours timestamp GENERATED ALWAYS AS (date_bin('12 hours', "timestamp", timestamp '2001-01-01')) STORED,
    six_hours timestamp GENERATED ALWAYS AS (date_bin('6 hours', "timestamp", timestamp '2001-01-01')) STORED,
    three_hours timestamp GENERATED ALWAYS AS (date_bin('3 hours', "timestamp", timestamp '2001-01-01')) STORED,
    hour timestamp GENERATED ALWAYS AS (date_trunc('hour', "timestamp")) STORED,
    PRIMARY KEY ("companyId", serie, "timestamp")
);

CREATE INDEX tags_name_unaccent_lower_index ON "Tags" (immutable_unaccent(lower(name)));
CREATE INDEX contacts_lower_name_index ON "Contacts" (lower(name));
CREATE INDEX tickets_open_index ON "Tickets" ("companyId", "updatedAt") WHERE status <> 'closed';
CREATE INDEX messages_ticket_index ON "Messages" ("ticketId");
CREATE INDEX messages_quoted_index ON "Messages" ("quotedMsgId");
CREATE INDEX tickets_contact_index ON "Tickets" ("contactId");
CREATE INDEX ticket_traking_company_index ON "TicketTraking" ("companyId", "createdAt");
CREATE INDEX counters_day_index ON "Counters" (day);
CREATE INDEX counters_hour_index ON "Counters" (hour);

-- The history that Sequelize keeps. One name really has a space before its suffix.
INSERT INTO "SequelizeMeta" (name)
    SELECT format('%s-stand-in-step-%s.js', 20200717133438 + step * 10000000, step) FROM generate_series(1, 39) AS step;
INSERT INTO "SequelizeMeta" (name) VALUES ('20210109192526-add-column-outOfHoursMessage-to-whatsapp .js');

-- Rows that exist before anybody has logged in: a database of Ticketz is never empty after its migrations.
INSERT INTO "Translations" (language, namespace, key, value)
    SELECT language, 'standin', format('label.%s', number), format('%s %s', language, number)
      FROM unnest(ARRAY['en', 'pt', 'es']) AS language, generate_series(1, 20) AS number;
