#!/usr/bin/env bash
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# load-retrieved.sh DIRECTORY: what the loader of Ticketz does, step by step, written anew for comparison: psql for
# every file, each in a transaction of its own. As there, 1 means that everything was loaded, 0 that there was nothing
# to load, and 100 that it failed.
set -u

cd "$1" || exit 100
export PGPASSWORD=$DB_PASS
connection=(--host="$DB_HOST" --username="$DB_USER" --dbname="$DB_NAME")

[ -f retrieved_data.tar.gz ] || exit 0
tar -xzf retrieved_data.tar.gz || exit 100

for file in *.csv; do
  table=${file#*-}
  table=${table%.csv}
  if [ -n "$(psql "${connection[@]}" --tuples-only --command="SELECT 1 FROM \"$table\" LIMIT 1")" ]; then
    echo "$table is not empty"
    exit 100
  fi
done

for file in *.csv; do
  table=${file#*-}
  table=${table%.csv}
  columns=$(head -n 1 "$file" | sed 's/[^,]*/"&"/g')
  psql "${connection[@]}" --command="\\COPY \"$table\"($columns) FROM '$file' WITH CSV HEADER" >"$file.log" 2>&1 || exit 100
done

psql "${connection[@]}" --command="UPDATE \"Whatsapps\" SET session='', status='DISCONNECTED'"
psql "${connection[@]}" </scripts/fix-sequence.sql
exit 1
