-- Copyright (c) 2026 crm.continuity contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- The database of the Evolution API stand-in, written for the tests, in whatever schema DATABASE_CONNECTION_URI
-- names. Tables, columns, enums and foreign keys are those of Evolution API 2.3; only a part of them is here.

CREATE TYPE "InstanceConnectionStatus" AS ENUM ('open', 'close', 'connecting');
CREATE TYPE "DeviceMessage" AS ENUM ('ios', 'android', 'web', 'unknown', 'desktop');
CREATE TYPE "SessionStatus" AS ENUM ('opened', 'closed', 'paused');
CREATE TYPE "TriggerType" AS ENUM ('all', 'keyword', 'none', 'advanced');
CREATE TYPE "TriggerOperator" AS ENUM ('contains', 'equals', 'startsWith', 'endsWith', 'regex');
CREATE TYPE "OpenaiBotType" AS ENUM ('assistant', 'chatCompletion');

CREATE TABLE "Instance" (
    id text PRIMARY KEY,
    name varchar(255) NOT NULL UNIQUE,
    "connectionStatus" "InstanceConnectionStatus" NOT NULL DEFAULT 'open',
    "ownerJid" varchar(100),
    "profileName" varchar(100),
    "profilePicUrl" varchar(500),
    integration varchar(100),
    number varchar(100),
    "businessId" varchar(100),
    token varchar(255),
    "clientName" varchar(100),
    "disconnectionReasonCode" integer,
    "disconnectionObject" jsonb,
    "disconnectionAt" timestamp,
    "createdAt" timestamp DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp
);

CREATE TABLE "Session" (
    id text PRIMARY KEY,
    "sessionId" text NOT NULL UNIQUE REFERENCES "Instance" (id) ON DELETE CASCADE ON UPDATE CASCADE,
    creds text,
    "createdAt" timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE "Chat" (
    id text PRIMARY KEY,
    "remoteJid" varchar(100) NOT NULL,
    name varchar(100),
    labels jsonb,
    "unreadMessages" integer NOT NULL DEFAULT 0,
    "createdAt" timestamp DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp,
    "instanceId" text NOT NULL REFERENCES "Instance" (id) ON DELETE CASCADE ON UPDATE CASCADE,
    UNIQUE ("instanceId", "remoteJid")
);

CREATE TABLE "Contact" (
    id text PRIMARY KEY,
    "remoteJid" varchar(100) NOT NULL,
    "pushName" varchar(100),
    "profilePicUrl" varchar(500),
    "createdAt" timestamp DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp,
    "instanceId" text NOT NULL REFERENCES "Instance" (id) ON DELETE CASCADE ON UPDATE CASCADE,
    UNIQUE ("remoteJid", "instanceId")
);

CREATE TABLE "IntegrationSession" (
    id text PRIMARY KEY,
    "sessionId" varchar(255) NOT NULL,
    "remoteJid" varchar(100) NOT NULL,
    "pushName" text,
    status "SessionStatus" NOT NULL,
    "awaitUser" boolean NOT NULL DEFAULT false,
    context jsonb,
    type varchar(100),
    parameters jsonb,
    "createdAt" timestamp DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp NOT NULL,
    "instanceId" text NOT NULL REFERENCES "Instance" (id) ON DELETE CASCADE ON UPDATE CASCADE
);

CREATE TABLE "Message" (
    id text PRIMARY KEY,
    key jsonb NOT NULL,
    "pushName" varchar(100),
    participant varchar(100),
    "messageType" varchar(100) NOT NULL,
    message jsonb NOT NULL,
    "contextInfo" jsonb,
    source "DeviceMessage" NOT NULL,
    "messageTimestamp" integer NOT NULL,
    "chatwootMessageId" integer,
    "chatwootInboxId" integer,
    "chatwootConversationId" integer,
    status varchar(30),
    "sessionId" text REFERENCES "IntegrationSession" (id) ON DELETE SET NULL ON UPDATE CASCADE,
    "instanceId" text NOT NULL REFERENCES "Instance" (id) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX "Message_instanceId_idx" ON "Message" ("instanceId");

CREATE TABLE "MessageUpdate" (
    id text PRIMARY KEY,
    "keyId" varchar(100) NOT NULL,
    "remoteJid" varchar(100) NOT NULL,
    "fromMe" boolean NOT NULL,
    status varchar(30) NOT NULL,
    "messageId" text NOT NULL REFERENCES "Message" (id) ON DELETE CASCADE ON UPDATE CASCADE,
    "instanceId" text NOT NULL REFERENCES "Instance" (id) ON DELETE CASCADE ON UPDATE CASCADE
);

CREATE TABLE "Media" (
    id text PRIMARY KEY,
    "fileName" varchar(500) NOT NULL UNIQUE,
    type varchar(100) NOT NULL,
    mimetype varchar(100) NOT NULL,
    "createdAt" date DEFAULT CURRENT_TIMESTAMP,
    "messageId" text NOT NULL UNIQUE REFERENCES "Message" (id) ON DELETE CASCADE ON UPDATE CASCADE,
    "instanceId" text NOT NULL REFERENCES "Instance" (id) ON DELETE CASCADE ON UPDATE CASCADE
);

CREATE TABLE "Setting" (
    id text PRIMARY KEY,
    "rejectCall" boolean NOT NULL DEFAULT false,
    "msgCall" varchar(100),
    "groupsIgnore" boolean NOT NULL DEFAULT false,
    "alwaysOnline" boolean NOT NULL DEFAULT false,
    "readMessages" boolean NOT NULL DEFAULT false,
    "readStatus" boolean NOT NULL DEFAULT false,
    "syncFullHistory" boolean NOT NULL DEFAULT false,
    "createdAt" timestamp DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp NOT NULL,
    "instanceId" text NOT NULL UNIQUE REFERENCES "Instance" (id) ON DELETE CASCADE ON UPDATE CASCADE
);

CREATE TABLE "Webhook" (
    id text PRIMARY KEY,
    url varchar(500) NOT NULL,
    headers jsonb,
    enabled boolean DEFAULT true,
    events jsonb,
    "webhookByEvents" boolean DEFAULT false,
    "webhookBase64" boolean DEFAULT false,
    "createdAt" timestamp DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp NOT NULL,
    "instanceId" text NOT NULL UNIQUE REFERENCES "Instance" (id) ON DELETE CASCADE ON UPDATE CASCADE
);

CREATE TABLE "Chatwoot" (
    id text PRIMARY KEY,
    enabled boolean DEFAULT true,
    "accountId" varchar(100),
    token varchar(100),
    url varchar(500),
    "nameInbox" varchar(100),
    "signMsg" boolean DEFAULT false,
    number varchar(100),
    "reopenConversation" boolean DEFAULT false,
    "ignoreJids" jsonb,
    "createdAt" timestamp DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp NOT NULL,
    "instanceId" text NOT NULL UNIQUE REFERENCES "Instance" (id) ON DELETE CASCADE ON UPDATE CASCADE
);
