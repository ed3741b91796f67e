-- Copyright (c) 2026 crm.continuity contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- What the loader of Ticketz does about sequences, written anew: the table of each is guessed from its name.
DO $$
DECLARE
    found text;
    highest bigint;
BEGIN
    FOR found IN SELECT sequence_name FROM information_schema.sequences WHERE sequence_schema = 'public' LOOP
        EXECUTE format('SELECT coalesce(max(id), 0) FROM %I', replace(found, '_id_seq', '')) INTO highest;
        PERFORM setval(format('%I', found), greatest(highest, 1));
    END LOOP;
END $$;
