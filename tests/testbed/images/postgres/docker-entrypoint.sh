#!/usr/bin/env bash
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# First start and start of PostgreSQL, with the variables, paths and trust rules of the official image.
set -euo pipefail

die() {
    echo "postgres image: $*" >&2
    exit 1
}

# NAME_FILE names a file that holds the value of NAME, as compose secrets do.
for name in POSTGRES_USER POSTGRES_PASSWORD POSTGRES_DB POSTGRES_INITDB_ARGS; do
    file_variable="${name}_FILE"
    if [[ -n "${!file_variable:-}" ]]; then
        [[ -z "${!name:-}" ]] || die "$name and $file_variable are both set; set one of them."
        export "$name=$(<"${!file_variable}")"
        unset "$file_variable"
    fi
done
: "${POSTGRES_USER:=postgres}" "${POSTGRES_PASSWORD:=}" "${POSTGRES_INITDB_ARGS:=}" "${POSTGRES_HOST_AUTH_METHOD:=}"
: "${POSTGRES_DB:=$POSTGRES_USER}"
export POSTGRES_USER POSTGRES_PASSWORD POSTGRES_DB

[[ "${1:-}" != -* ]] || set -- postgres "$@"
[[ "${1:-}" == postgres ]] || exec "$@"
# A question about the program needs no database.
for word; do
    case "$word" in
    --help | -\? | --version | -V | --describe-config) exec "$@" ;;
    esac
done

if [[ $(id -u) == 0 ]]; then
    mkdir -p "$PGDATA"
    chmod 0700 "$PGDATA"
    find "$PGDATA" ! -user postgres -exec chown postgres:postgres {} +
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

psql_local() {
    PGHOST=/var/run/postgresql psql --no-psqlrc --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" "$@"
}

abandon() {
    pg_ctl --pgdata="$PGDATA" --mode=immediate stop || true
    # Half a cluster must not pass for a whole one at the next start.
    find "$PGDATA" -mindepth 1 -delete
    die "the first start failed; the data directory was emptied again."
}

first_start() {
    local script
    # shellcheck disable=SC2206 # POSTGRES_INITDB_ARGS is a list of words
    local -a options=(--pgdata="$PGDATA" --username="$POSTGRES_USER" $POSTGRES_INITDB_ARGS)
    if [[ -n "$POSTGRES_PASSWORD" ]]; then
        initdb "${options[@]}" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD")
    else
        initdb "${options[@]}"
    fi
    printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"

    # No TCP until the database is complete: clients that wait for the port must not see half of it.
    pg_ctl --pgdata="$PGDATA" --wait --options="-c listen_addresses='' -p 5432" start
    if [[ "$POSTGRES_DB" != postgres ]]; then
        psql_local --dbname=postgres --set=name="$POSTGRES_DB" <<<'CREATE DATABASE :"name";'
    fi
    for script in /docker-entrypoint-initdb.d/*; do
        case "$script" in
        *.sh) PGHOST=/var/run/postgresql bash "$script" ;;
        *.sql) psql_local --dbname="$POSTGRES_DB" --file="$script" ;;
        *.sql.gz) gunzip -c "$script" | psql_local --dbname="$POSTGRES_DB" ;;
        esac
    done
    pg_ctl --pgdata="$PGDATA" --wait --mode=fast stop
}

if [[ ! -s "$PGDATA/PG_VERSION" ]]; then
    if [[ -z "$POSTGRES_PASSWORD" && "$POSTGRES_HOST_AUTH_METHOD" != trust ]]; then
        die "the data directory is empty and POSTGRES_PASSWORD is not set."
    fi
    trap abandon EXIT
    first_start
    trap - EXIT
fi
exec "$@"
