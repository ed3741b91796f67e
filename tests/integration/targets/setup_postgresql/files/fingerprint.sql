-- Print one line for everything that a restore has to bring back exactly: rows, sequences, large objects, definitions.
-- Copyright (c) 2026 crm.continuity contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
\set ON_ERROR_STOP 1
\pset format unaligned
\pset tuples_only on

SELECT format('SELECT %L, count(*), md5(coalesce(string_agg(x::text, E''\n'' ORDER BY x::text COLLATE "C"), '''')) FROM ONLY %I.%I x', n.nspname || '.' || c.relname, n.nspname, c.relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  ORDER BY n.nspname, c.relname \gexec
SELECT format('SELECT %L, last_value, is_called FROM %I.%I', schemaname || '.' || sequencename, schemaname, sequencename)
  FROM pg_sequences ORDER BY schemaname, sequencename \gexec
SELECT 'large object', l.oid, md5(lo_get(l.oid)) FROM pg_largeobject_metadata l ORDER BY l.oid;
SELECT 'index', schemaname, indexname, indexdef FROM pg_indexes WHERE schemaname !~ '^pg_' ORDER BY 2, 3;
SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
  WHERE conrelid <> 0 AND connamespace IN (SELECT oid FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema') ORDER BY 2, 3;
SELECT 'trigger', tgrelid::regclass::text, tgname, tgenabled, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 2, 3;
SELECT 'column', table_schema, table_name, ordinal_position, column_name, data_type, column_default, is_nullable, is_generated, generation_expression
  FROM information_schema.columns WHERE table_schema !~ '^pg_' AND table_schema <> 'information_schema' ORDER BY 2, 3, 4;
SELECT 'function', p.oid::regprocedure, p.prosrc FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
  WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND p.prokind = 'f'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e') ORDER BY p.oid::regprocedure::text;
SELECT 'comment', objoid::regclass::text, objsubid, description FROM pg_description WHERE classoid = 'pg_class'::regclass
  AND objoid IN (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema') ORDER BY 2, 3;
SELECT 'extension', extname, extversion FROM pg_extension ORDER BY 2;
