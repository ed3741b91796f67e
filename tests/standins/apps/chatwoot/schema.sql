-- Copyright (c) 2026 crm.continuity contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- The database of the Chatwoot stand-in, written for the tests. Tables, columns and the things that make
-- a restore hard are those of Chatwoot 4.15: sequences that no table owns, triggers that number
-- conversations, a table without primary key, trigram and vector indexes, json beside jsonb, arrays.
-- Only a part of the real tables is here. "standin_payloads" does not exist in Chatwoot.

CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS pgcrypto;

DO $extensions$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['pg_stat_statements', 'vector'] LOOP
        IF EXISTS (SELECT FROM pg_available_extensions WHERE name = wanted) THEN
            EXECUTE format('CREATE EXTENSION IF NOT EXISTS %I', wanted);
        END IF;
    END LOOP;
END
$extensions$;

CREATE TABLE schema_migrations (version varchar PRIMARY KEY);
CREATE TABLE ar_internal_metadata (
    key varchar PRIMARY KEY,
    value varchar,
    created_at timestamp(6) NOT NULL,
    updated_at timestamp(6) NOT NULL
);

CREATE TABLE installation_configs (
    id bigserial PRIMARY KEY,
    name varchar NOT NULL,
    serialized_value jsonb NOT NULL DEFAULT '{}',
    locked boolean NOT NULL DEFAULT true,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE UNIQUE INDEX index_installation_configs_on_name ON installation_configs (name);

CREATE TABLE accounts (
    id serial PRIMARY KEY,
    name varchar NOT NULL,
    locale integer DEFAULT 0,
    domain varchar(100),
    support_email varchar(100),
    feature_flags bigint NOT NULL DEFAULT 0,
    auto_resolve_duration integer,
    limits jsonb DEFAULT '{}',
    custom_attributes jsonb DEFAULT '{}',
    settings jsonb DEFAULT '{}',
    status integer DEFAULT 0,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);

CREATE TABLE users (
    id serial PRIMARY KEY,
    provider varchar NOT NULL DEFAULT 'email',
    uid varchar NOT NULL DEFAULT '',
    encrypted_password varchar NOT NULL DEFAULT '',
    sign_in_count integer NOT NULL DEFAULT 0,
    name varchar NOT NULL,
    display_name varchar,
    email varchar,
    tokens json,
    pubsub_token varchar,
    availability integer DEFAULT 0,
    ui_settings jsonb DEFAULT '{}',
    custom_attributes jsonb DEFAULT '{}',
    type varchar,
    message_signature text,
    otp_secret varchar,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE INDEX index_users_on_email ON users (email);
CREATE UNIQUE INDEX index_users_on_pubsub_token ON users (pubsub_token);
CREATE UNIQUE INDEX index_users_on_uid_and_provider ON users (uid, provider);

CREATE TABLE user_sessions (
    id bigserial PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users (id),
    client_id varchar NOT NULL,
    user_agent text,
    last_activity_at timestamp,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);

CREATE TABLE account_users (
    id bigserial PRIMARY KEY,
    account_id bigint,
    user_id bigint,
    role integer DEFAULT 0,
    active_at timestamp,
    availability integer NOT NULL DEFAULT 0,
    auto_offline boolean NOT NULL DEFAULT true,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE UNIQUE INDEX uniq_user_id_per_account_id ON account_users (account_id, user_id);

CREATE TABLE access_tokens (
    id bigserial PRIMARY KEY,
    owner_type varchar,
    owner_id bigint,
    token varchar,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE UNIQUE INDEX index_access_tokens_on_token ON access_tokens (token);

CREATE TABLE teams (
    id bigserial PRIMARY KEY,
    name varchar NOT NULL,
    description text,
    allow_auto_assign boolean DEFAULT true,
    account_id bigint NOT NULL,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE UNIQUE INDEX index_teams_on_name_and_account_id ON teams (name, account_id);

CREATE TABLE labels (
    id bigserial PRIMARY KEY,
    title varchar,
    description text,
    color varchar NOT NULL DEFAULT '#1f93ff',
    show_on_sidebar boolean,
    account_id bigint,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);

CREATE TABLE tags (id serial PRIMARY KEY, name varchar, taggings_count integer DEFAULT 0);
CREATE INDEX index_tags_on_lower_name ON tags (lower(name));

CREATE TABLE taggings (
    id serial PRIMARY KEY,
    tag_id integer,
    taggable_type varchar,
    taggable_id integer,
    tagger_type varchar,
    tagger_id integer,
    context varchar(128),
    created_at timestamp
);
CREATE INDEX index_taggings_on_taggable ON taggings (taggable_id, taggable_type, context);

CREATE TABLE portals (
    id bigserial PRIMARY KEY,
    account_id integer NOT NULL,
    name varchar NOT NULL,
    slug varchar NOT NULL,
    custom_domain varchar,
    color varchar,
    homepage_link varchar,
    page_title varchar,
    header_text text,
    archived boolean DEFAULT false,
    config jsonb DEFAULT '{"allowed_locales": ["en"]}',
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE UNIQUE INDEX index_portals_on_slug ON portals (slug);

-- No primary key here, as in the real schema.
CREATE TABLE portals_members (portal_id bigint NOT NULL, user_id bigint NOT NULL);
CREATE UNIQUE INDEX index_portals_members_on_portal_id_and_user_id ON portals_members (portal_id, user_id);

CREATE TABLE articles (
    id bigserial PRIMARY KEY,
    account_id integer NOT NULL,
    portal_id integer NOT NULL,
    title varchar,
    description text,
    content text,
    status integer,
    views integer,
    position integer,
    locale varchar NOT NULL DEFAULT 'en',
    slug varchar NOT NULL,
    meta jsonb DEFAULT '{}',
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE UNIQUE INDEX index_articles_on_slug ON articles (slug);

CREATE TABLE article_embeddings (
    id bigserial PRIMARY KEY,
    article_id bigint NOT NULL,
    term text NOT NULL,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
DO $vector$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'vector') THEN
        ALTER TABLE article_embeddings ADD COLUMN embedding vector(1536);
        CREATE INDEX index_article_embeddings_on_embedding ON article_embeddings
            USING ivfflat (embedding) WITH (lists = 10);
    END IF;
END
$vector$;

CREATE TABLE inboxes (
    id serial PRIMARY KEY,
    channel_id integer NOT NULL,
    channel_type varchar,
    account_id integer NOT NULL,
    name varchar NOT NULL,
    enable_auto_assignment boolean DEFAULT true,
    greeting_enabled boolean DEFAULT false,
    greeting_message varchar,
    timezone varchar DEFAULT 'UTC',
    auto_assignment_config jsonb DEFAULT '{}',
    portal_id bigint REFERENCES portals (id),
    business_name varchar,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE INDEX index_inboxes_on_account_id ON inboxes (account_id);

CREATE TABLE inbox_members (
    id serial PRIMARY KEY,
    user_id integer NOT NULL,
    inbox_id integer NOT NULL,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);

CREATE TABLE channel_api (
    id bigserial PRIMARY KEY,
    account_id integer NOT NULL,
    webhook_url varchar,
    identifier varchar,
    hmac_token varchar,
    hmac_mandatory boolean DEFAULT false,
    additional_attributes jsonb DEFAULT '{}',
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE UNIQUE INDEX index_channel_api_on_identifier ON channel_api (identifier);

CREATE TABLE channel_email (
    id bigserial PRIMARY KEY,
    account_id integer NOT NULL,
    email varchar NOT NULL,
    forward_to_email varchar NOT NULL,
    imap_enabled boolean DEFAULT false,
    imap_address varchar DEFAULT '',
    imap_login varchar DEFAULT '',
    imap_password varchar DEFAULT '',
    smtp_enabled boolean DEFAULT false,
    smtp_login varchar DEFAULT '',
    smtp_password varchar DEFAULT '',
    provider_config jsonb DEFAULT '{}',
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE UNIQUE INDEX index_channel_email_on_email ON channel_email (email);

CREATE TABLE working_hours (
    id bigserial PRIMARY KEY,
    inbox_id bigint,
    account_id bigint,
    day_of_week integer NOT NULL,
    closed_all_day boolean DEFAULT false,
    open_hour integer,
    open_minutes integer,
    close_hour integer,
    close_minutes integer,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);

CREATE TABLE contacts (
    id serial PRIMARY KEY,
    name varchar DEFAULT '',
    middle_name varchar DEFAULT '',
    last_name varchar DEFAULT '',
    email varchar,
    phone_number varchar,
    account_id integer NOT NULL,
    identifier varchar,
    additional_attributes jsonb DEFAULT '{}',
    custom_attributes jsonb DEFAULT '{}',
    last_activity_at timestamp,
    contact_type integer DEFAULT 0,
    blocked boolean NOT NULL DEFAULT false,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE UNIQUE INDEX uniq_email_per_account_contact ON contacts (email, account_id);
CREATE INDEX index_contacts_on_lower_email_account_id ON contacts (lower(email), account_id);
CREATE INDEX index_contacts_on_name_email_phone_number_identifier ON contacts
    USING gin (name gin_trgm_ops, email gin_trgm_ops, phone_number gin_trgm_ops, identifier gin_trgm_ops);
CREATE INDEX index_contacts_on_nonempty_fields ON contacts (account_id, email, phone_number, identifier)
    WHERE email <> '' OR phone_number <> '' OR identifier <> '';

CREATE TABLE contact_inboxes (
    id bigserial PRIMARY KEY,
    contact_id bigint,
    inbox_id bigint,
    source_id text NOT NULL,
    hmac_verified boolean DEFAULT false,
    pubsub_token varchar,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE UNIQUE INDEX index_contact_inboxes_on_inbox_id_and_source_id ON contact_inboxes (inbox_id, source_id);

CREATE TABLE conversations (
    id serial PRIMARY KEY,
    account_id integer NOT NULL,
    inbox_id integer NOT NULL,
    status integer NOT NULL DEFAULT 0,
    assignee_id integer,
    contact_id bigint,
    display_id integer NOT NULL,
    contact_last_seen_at timestamp,
    agent_last_seen_at timestamp,
    additional_attributes jsonb DEFAULT '{}',
    custom_attributes jsonb DEFAULT '{}',
    contact_inbox_id bigint,
    uuid uuid NOT NULL DEFAULT gen_random_uuid(),
    identifier varchar,
    last_activity_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    team_id bigint,
    campaign_id bigint,
    snoozed_until timestamp,
    priority integer,
    cached_label_list text,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE UNIQUE INDEX index_conversations_on_account_id_and_display_id ON conversations (account_id, display_id);
CREATE UNIQUE INDEX index_conversations_on_uuid ON conversations (uuid);
CREATE INDEX conv_acid_inbid_stat_asgnid_idx ON conversations (account_id, inbox_id, status, assignee_id);

CREATE TABLE messages (
    id serial PRIMARY KEY,
    content text,
    account_id integer NOT NULL,
    inbox_id integer NOT NULL,
    conversation_id integer NOT NULL,
    message_type integer NOT NULL,
    private boolean NOT NULL DEFAULT false,
    status integer DEFAULT 0,
    source_id text,
    content_type integer NOT NULL DEFAULT 0,
    content_attributes json DEFAULT '{}',
    sender_type varchar,
    sender_id bigint,
    external_source_ids jsonb DEFAULT '{}',
    additional_attributes jsonb DEFAULT '{}',
    processed_message_content text,
    sentiment jsonb DEFAULT '{}',
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE INDEX index_messages_on_content ON messages USING gin (content gin_trgm_ops);
CREATE INDEX index_messages_on_conversation_account_type_created
    ON messages (conversation_id, account_id, message_type, created_at);
CREATE INDEX index_messages_on_source_id ON messages (source_id);

CREATE TABLE attachments (
    id serial PRIMARY KEY,
    file_type integer DEFAULT 0,
    external_url varchar,
    coordinates_lat double precision DEFAULT 0.0,
    coordinates_long double precision DEFAULT 0.0,
    message_id integer NOT NULL,
    account_id integer NOT NULL,
    fallback_title varchar,
    extension varchar,
    meta jsonb DEFAULT '{}',
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE INDEX index_attachments_on_message_id ON attachments (message_id);

CREATE TABLE active_storage_blobs (
    id bigserial PRIMARY KEY,
    key varchar NOT NULL,
    filename varchar NOT NULL,
    content_type varchar,
    metadata text,
    byte_size bigint NOT NULL,
    checksum varchar,
    service_name varchar NOT NULL,
    created_at timestamp NOT NULL
);
CREATE UNIQUE INDEX index_active_storage_blobs_on_key ON active_storage_blobs (key);

CREATE TABLE active_storage_attachments (
    id bigserial PRIMARY KEY,
    name varchar NOT NULL,
    record_type varchar NOT NULL,
    record_id bigint NOT NULL,
    blob_id bigint NOT NULL REFERENCES active_storage_blobs (id),
    created_at timestamp NOT NULL
);
CREATE UNIQUE INDEX index_active_storage_attachments_uniqueness
    ON active_storage_attachments (record_type, record_id, name, blob_id);

CREATE TABLE active_storage_variant_records (
    id bigserial PRIMARY KEY,
    blob_id bigint NOT NULL REFERENCES active_storage_blobs (id),
    variation_digest varchar NOT NULL
);
CREATE UNIQUE INDEX index_active_storage_variant_records_uniqueness
    ON active_storage_variant_records (blob_id, variation_digest);

CREATE TABLE campaigns (
    id bigserial PRIMARY KEY,
    display_id integer NOT NULL,
    title varchar NOT NULL,
    description text,
    message text NOT NULL,
    sender_id integer,
    enabled boolean DEFAULT true,
    account_id bigint NOT NULL,
    inbox_id bigint NOT NULL,
    trigger_rules jsonb DEFAULT '{}',
    campaign_type integer NOT NULL DEFAULT 0,
    campaign_status integer NOT NULL DEFAULT 0,
    audience jsonb DEFAULT '[]',
    scheduled_at timestamp,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);

CREATE TABLE canned_responses (
    id serial PRIMARY KEY,
    account_id integer NOT NULL,
    short_code varchar,
    content text,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);

CREATE TABLE custom_attribute_definitions (
    id bigserial PRIMARY KEY,
    attribute_display_name varchar,
    attribute_key varchar,
    attribute_display_type integer DEFAULT 0,
    default_value integer,
    attribute_model integer DEFAULT 0,
    account_id bigint,
    attribute_values jsonb DEFAULT '[]',
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);

CREATE TABLE webhooks (
    id bigserial PRIMARY KEY,
    account_id integer,
    inbox_id integer,
    url varchar,
    webhook_type integer DEFAULT 0,
    subscriptions jsonb DEFAULT '["conversation_created", "message_created"]',
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);

CREATE TABLE automation_rules (
    id bigserial PRIMARY KEY,
    account_id bigint NOT NULL,
    name varchar NOT NULL,
    description text,
    event_name varchar NOT NULL,
    conditions jsonb NOT NULL DEFAULT '{}',
    actions jsonb NOT NULL DEFAULT '{}',
    active boolean NOT NULL DEFAULT true,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);

CREATE TABLE notifications (
    id bigserial PRIMARY KEY,
    account_id bigint NOT NULL,
    user_id bigint NOT NULL,
    notification_type integer NOT NULL,
    primary_actor_type varchar NOT NULL,
    primary_actor_id bigint NOT NULL,
    read_at timestamp,
    meta jsonb DEFAULT '{}',
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);

CREATE TABLE reporting_events (
    id bigserial PRIMARY KEY,
    name varchar,
    value double precision,
    account_id integer,
    inbox_id integer,
    user_id integer,
    conversation_id integer,
    event_start_time timestamp,
    event_end_time timestamp,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE INDEX reporting_events__account_id__name__created_at ON reporting_events (account_id, name, created_at);

CREATE TABLE captain_scenarios (
    id bigserial PRIMARY KEY,
    title varchar,
    instruction text,
    tools jsonb DEFAULT '[]',
    keywords text[] DEFAULT '{}',
    account_id bigint NOT NULL,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);

-- Not in Chatwoot: column types that other applications use, so that one dump meets them all.
CREATE TABLE standin_payloads (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    raw bytea,
    ratio numeric(30, 12),
    seen timestamptz,
    "Mixed ""Case"" name" text,
    digest text GENERATED ALWAYS AS (md5(raw)) STORED
);

-- Each account numbers its conversations and campaigns from 1. The sequences belong to no table.
CREATE FUNCTION accounts_after_insert_row_tr() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    EXECUTE format('CREATE SEQUENCE IF NOT EXISTS conv_dpid_seq_%s', NEW.id);
    RETURN NULL;
END
$body$;
CREATE TRIGGER accounts_after_insert_row_tr AFTER INSERT ON accounts
    FOR EACH ROW EXECUTE FUNCTION accounts_after_insert_row_tr();

CREATE FUNCTION camp_dpid_before_insert() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    EXECUTE format('CREATE SEQUENCE IF NOT EXISTS camp_dpid_seq_%s', NEW.id);
    RETURN NULL;
END
$body$;
CREATE TRIGGER camp_dpid_before_insert AFTER INSERT ON accounts
    FOR EACH ROW EXECUTE FUNCTION camp_dpid_before_insert();

CREATE FUNCTION conversations_before_insert_row_tr() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    NEW.display_id := nextval('conv_dpid_seq_' || NEW.account_id);
    RETURN NEW;
END
$body$;
CREATE TRIGGER conversations_before_insert_row_tr BEFORE INSERT ON conversations
    FOR EACH ROW EXECUTE FUNCTION conversations_before_insert_row_tr();

CREATE FUNCTION campaigns_before_insert_row_tr() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    NEW.display_id := nextval('camp_dpid_seq_' || NEW.account_id);
    RETURN NEW;
END
$body$;
CREATE TRIGGER campaigns_before_insert_row_tr BEFORE INSERT ON campaigns
    FOR EACH ROW EXECUTE FUNCTION campaigns_before_insert_row_tr();

INSERT INTO schema_migrations (version)
    SELECT (20240101000000 + step * 10101)::text FROM generate_series(1, 40) AS step;
INSERT INTO ar_internal_metadata VALUES
    ('environment', 'production', timestamp '2026-01-05 08:00:00', timestamp '2026-01-05 08:00:00'),
    ('schema_sha1', 'stand-in', timestamp '2026-01-05 08:00:00', timestamp '2026-01-05 08:00:00');
INSERT INTO installation_configs (name, serialized_value, created_at, updated_at) VALUES
    ('INSTALLATION_NAME', '{"value": "Chatwoot"}', timestamp '2026-01-05 08:00:00', timestamp '2026-01-05 08:00:00'),
    ('BRAND_NAME', '{"value": "Chatwoot"}', timestamp '2026-01-05 08:00:00', timestamp '2026-01-05 08:00:00'),
    ('DISPLAY_MANIFEST', '{"value": true}', timestamp '2026-01-05 08:00:00', timestamp '2026-01-05 08:00:00');
