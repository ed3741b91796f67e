# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command line of the testbed."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import typing as t

from . import builder, engine, servers, store
from .console import TestbedError
from .recipes import DEFAULT_FLAVOUR, FLAVOURS
from .state import INVENTORY, SSH_CONFIG, STATE

if t.TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except TestbedError as exc:
        print(f"testbed: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("testbed: interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="testbed", description="Real Docker hosts for tests, as containers.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("engine", help="make sure that a Docker Engine answers on this machine")
    command.set_defaults(run=_engine)

    command = commands.add_parser("build", help="build the images that are missing or out of date")
    _add_flavour(command)
    command.set_defaults(run=_build)

    command = commands.add_parser("up", help="create and start servers, with the CRM images in them")
    _add_flavour(command)
    command.add_argument("--memory", metavar="SIZE", help="memory that a server may use, for example 512m")
    command.add_argument(
        "--tmpfs-backup", metavar="SIZE", help=f"mount a small file system at {servers.BACKUP_ROOT}, for example 64m"
    )
    command.add_argument("names", nargs="+", metavar="NAME")
    command.set_defaults(run=_up)

    command = commands.add_parser("load", help="bring the current CRM images into running servers")
    command.add_argument("names", nargs="+", metavar="NAME")
    command.set_defaults(run=_load)

    command = commands.add_parser("down", help="remove servers with all that is in them")
    command.add_argument("--all", action="store_true", help="all servers of this checkout")
    command.add_argument("names", nargs="*", metavar="NAME")
    command.set_defaults(run=_down, parser=command)

    command = commands.add_parser("clean", help="remove servers, images and state, and stop a dockerd started here")
    command.set_defaults(run=_clean)

    command = commands.add_parser("status", help="list the servers")
    command.set_defaults(run=_status)

    command = commands.add_parser("ssh", help="log in to a server, or run a command there")
    command.add_argument("name", metavar="NAME")
    command.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    command.set_defaults(run=_ssh)
    return parser


def _add_flavour(command: argparse.ArgumentParser) -> None:
    command.add_argument("--flavour", choices=sorted(FLAVOURS), default=DEFAULT_FLAVOUR, help="Debian of the servers")


def _engine(_options: argparse.Namespace) -> None:
    engine.ensure()


def _build(options: argparse.Namespace) -> None:
    engine.ensure()
    recipes = builder.build([options.flavour])
    store.ensure(servers.server_recipe(recipes, options.flavour), recipes)


def _up(options: argparse.Namespace) -> None:
    engine.ensure()
    recipes = builder.build([options.flavour])
    wanted = servers.Options(options.flavour, options.memory, options.tmpfs_backup)
    servers.up(list(dict.fromkeys(options.names)), wanted, recipes)
    print(f"Inventory: {INVENTORY}")


def _load(options: argparse.Namespace) -> None:
    engine.ensure()
    servers.reload(options.names, builder.build([]))


def _down(options: argparse.Namespace) -> None:
    if options.all == bool(options.names):
        options.parser.error("give either the names of servers or --all")
    if engine.version() is None:
        raise TestbedError("No Docker Engine answers, so no server runs. Run: tests/testbed/testbed engine")
    servers.down(servers.present(options.names))


def _clean(_options: argparse.Namespace) -> None:
    if engine.version() is not None:
        servers.down(servers.present([]))
        store.remove_all()
        builder.remove_all(in_use=bool(servers.everything()))
    engine.stop_what_was_started()
    shutil.rmtree(STATE, ignore_errors=True)


def _status(_options: argparse.Namespace) -> None:
    found = servers.everything() if engine.version() is not None else []
    if not found:
        print("No servers.")
        return
    rows = [("NAME", "STATE", "SSH", "OPTIONS", "CHECKOUT")]
    for server in found:
        checkout = "this" if server.ours else server.checkout
        rows.append((server.name, server.state, f"127.0.0.1:{server.port}", server.options, checkout))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _ssh(options: argparse.Namespace) -> None:
    servers.chosen([options.name])
    os.execvp("ssh", ["ssh", "-F", str(SSH_CONFIG), options.name, *options.command])
