#!/bin/sh
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Start Redis as its own user, reachable from other containers like the official image.
set -eu

case "${1:-}" in
-* | *.conf) set -- redis-server "$@" ;;
esac
[ "${1:-}" = redis-server ] || exec "$@"

if [ "$(id -u)" = 0 ]; then
    find /data ! -user redis -exec chown redis:redis {} +
    exec setpriv --reuid=redis --regid=redis --init-groups "$0" "$@"
fi
umask 0077
shift
case "${1:-}" in
# A configuration file says itself whom to let in.
*.conf) exec redis-server "$@" ;;
*) exec redis-server --protected-mode no "$@" ;;
esac
