-- Copyright (c) 2026 crm.continuity contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- The second migration of the stand-in: tables that came later, one enum and the one RESTRICT foreign key.

CREATE TYPE "DifyBotType" AS ENUM ('chatBot', 'textGenerator', 'agent', 'workflow');

CREATE TABLE "Label" (
    id text PRIMARY KEY,
    "labelId" varchar(100),
    name varchar(100) NOT NULL,
    color varchar(100) NOT NULL,
    "predefinedId" varchar(100),
    "createdAt" timestamp DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp NOT NULL,
    "instanceId" text NOT NULL REFERENCES "Instance" (id) ON DELETE CASCADE ON UPDATE CASCADE,
    UNIQUE ("labelId", "instanceId")
);

CREATE TABLE "Proxy" (
    id text PRIMARY KEY,
    enabled boolean NOT NULL DEFAULT false,
    host varchar(100) NOT NULL,
    port varchar(100) NOT NULL,
    protocol varchar(100) NOT NULL,
    username varchar(100),
    password varchar(100),
    "createdAt" timestamp DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp NOT NULL,
    "instanceId" text NOT NULL UNIQUE REFERENCES "Instance" (id) ON DELETE CASCADE ON UPDATE CASCADE
);

CREATE TABLE "IsOnWhatsapp" (
    id text PRIMARY KEY,
    "remoteJid" text NOT NULL UNIQUE,
    "jidOptions" text NOT NULL,
    lid varchar(100),
    "createdAt" timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp NOT NULL
);

CREATE TABLE "OpenaiCreds" (
    id text PRIMARY KEY,
    name varchar(255) UNIQUE,
    "apiKey" varchar(255) UNIQUE,
    "createdAt" timestamp DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp NOT NULL,
    "instanceId" text NOT NULL REFERENCES "Instance" (id) ON DELETE CASCADE ON UPDATE CASCADE
);

CREATE TABLE "OpenaiBot" (
    id text PRIMARY KEY,
    enabled boolean NOT NULL DEFAULT true,
    "botType" "OpenaiBotType" NOT NULL,
    model varchar(100),
    "systemMessages" jsonb,
    "triggerType" "TriggerType",
    "triggerOperator" "TriggerOperator",
    "triggerValue" text,
    "createdAt" timestamp DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp NOT NULL,
    "openaiCredsId" text NOT NULL REFERENCES "OpenaiCreds" (id) ON DELETE CASCADE ON UPDATE CASCADE,
    "instanceId" text NOT NULL REFERENCES "Instance" (id) ON DELETE CASCADE ON UPDATE CASCADE
);

CREATE TABLE "OpenaiSetting" (
    id text PRIMARY KEY,
    expire integer DEFAULT 0,
    "keywordFinish" varchar(100),
    "openaiCredsId" text NOT NULL UNIQUE REFERENCES "OpenaiCreds" (id) ON DELETE RESTRICT ON UPDATE CASCADE,
    "openaiIdFallback" varchar(100) REFERENCES "OpenaiBot" (id) ON DELETE SET NULL ON UPDATE CASCADE,
    "createdAt" timestamp DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp NOT NULL,
    "instanceId" text NOT NULL UNIQUE REFERENCES "Instance" (id) ON DELETE CASCADE ON UPDATE CASCADE
);
