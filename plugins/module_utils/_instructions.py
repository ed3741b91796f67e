# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write RESTORE.md: the commands that restore one backup with stock tools, without this collection.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import posixpath
import shlex
import typing as t

from ._config_bundle import bundle_name
from ._dump_file import PLAIN
from ._encryption import SUFFIXES
from ._manifest import SIGNATURE, SUMS
from ._signature import NAMESPACE
from ._volume_directory import LOCAL

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ._manifest import Artifact, Manifest

NAME = "RESTORE.md"
CONTAINERS = "config/containers.json"
# Inside the container of the database server.
TEMPORARY = "/tmp/restore.dump"

# Later members of a name replace earlier ones in directories that are complete already and keep their times; the links
# among them may lead anywhere.
_EXTRACT = (
    "tar --extract -p --absolute-names --delay-directory-restore --numeric-owner --xattrs --xattrs-include='*' --acls "
    "--sparse"
)
# Before a directory is removed, so is what is in it; those that stay get their times back.
_REMOVE = """remove_deleted() {
    local work
    work=$(mktemp --directory --tmpdir=/dev/shm)
    trap "rm -r $work" EXIT
    READ | LC_ALL=C sort -z >"$work/deleted"
    xargs -0 dirname -z <"$work/deleted" | LC_ALL=C sort -zu | LC_ALL=C comm -z -23 - "$work/deleted" >"$work/around"
    tar --create --format=posix --directory="$2" --no-recursion --null --files-from="$work/around" --file="$work/times"
    (cd "$2" && LC_ALL=C sort -rz "$work/deleted" | xargs -0 rm -d)
    tar --extract -p --numeric-owner --directory="$2" --file="$work/times"
    rm -r "$work"
    trap - EXIT
}"""

_STRICT_PSQL = "psql --no-psqlrc --set=ON_ERROR_STOP=1 --single-transaction --file=-"
_STRICT_RESTORE = "pg_restore --exit-on-error"
_SEARCH_PUBLIC = "sed \"1,99s/^SELECT pg_catalog.set_config('search_path', '', false);/SET search_path = public;/\""

_DECOMPRESS = {"zstd": "zstd -dc", "gzip": "gzip -dc", "none": "cat"}
_DECRYPT = {
    "age": 'age --decrypt --identity "$CRM_KEY" "$1"',
    "aes256": (
        'gpg --quiet --batch --no-symkey-cache --pinentry-mode loopback --passphrase-file "$CRM_KEY" --decrypt "$1"'
    ),
}
_DECRYPTORS = {"age": "age", "aes256": "gpg"}


def render(manifest: Manifest, *, signed: bool = False) -> str:
    """Return the text for a backup whose other artifacts are complete."""
    parts = [
        _introduction(manifest),
        _check(manifest),
        *(_signature(manifest) if signed else ()),
        *_configuration(manifest),
        *_volumes(manifest),
        *_databases(manifest),
        _start(manifest),
    ]
    return "\n".join(parts)


def _introduction(manifest: Manifest) -> str:
    tools = {artifact.compression for artifact in manifest.artifacts} - {"none"}
    method = manifest.encryption["method"]
    tools |= {_DECRYPTORS[method]} if _is_encrypted(manifest) else set()
    if manifest.find("deletions") is not None:
        tools.add("xargs")
    needed = ", ".join(["docker with the compose plugin", "tar", *sorted(tools)])
    taken = f"Taken on {manifest.host}; every part is of {manifest.cut_at}."
    if manifest.origin is not None:
        taken = f"Made on {manifest.host} from files that other means had written ({manifest.cut_at})."
    return f"""# Restore stack {manifest.stack} from backup {manifest.id}

{taken} These commands need only
{needed}. Run them as root, in this directory, on a host where the stack does **not**
run and its volumes are empty or absent. Run them in one bash; it ends at the first error.
{_key(manifest)}"""


def _key(manifest: Manifest) -> str:
    if not _is_encrypted(manifest):
        return ""
    if manifest.encryption["method"] == "age":
        to = "".join(f"\n    {recipient}" for recipient in manifest.encryption["recipients"])
        what = f"Everything is encrypted with age, and the private key of one of these opens it:\n{to}\n"
    else:
        what = "Everything is encrypted with a passphrase (OpenPGP, AES-256).\n"
    return f"""
{what}
First put it into a file of mode 0600 where no disk keeps it, such as `/dev/shm/crm.key`, and name that file:
`export CRM_KEY=/dev/shm/crm.key`. Remove it when you are done.
"""


def _is_encrypted(manifest: Manifest) -> bool:
    return bool(manifest.encryption["method"] != "none")


def _check(manifest: Manifest) -> str:
    return _block(
        "1. Check that the backup is undamaged",
        [
            "set -eu -o pipefail",
            f'compose() {{ {_compose(manifest)} "$@"; }}',
            *_decryptor(manifest),
            "sha256sum --quiet --check SHA256SUMS",
        ],
    )


def _decryptor(manifest: Manifest) -> list[str]:
    if not _is_encrypted(manifest):
        return []
    return [
        ': "${CRM_KEY:?name the file that holds the key}"',
        f"decrypt() {{ {_DECRYPT[manifest.encryption['method']]}; }}",
    ]


def _signature(manifest: Manifest) -> list[str]:
    words = ["ssh-keygen", "-Y", "verify", "-f", "crm_signers", "-I", manifest.host, "-n", NAMESPACE, "-s", SIGNATURE]
    return [
        f"Whether it is of {manifest.host} and nobody has changed it since, its signature tells, with the line of that "
        f"host that the control node keeps, in a file crm_signers: `{shlex.join(words)} <{SUMS}`\n"
    ]


def _configuration(manifest: Manifest) -> list[str]:
    bundle = next(
        (a for a in manifest.artifacts if a.kind == "config" and a.path.startswith("config/project.tar")), None
    )
    directory = manifest.source["project_dir"]
    if bundle is None and manifest.origin is not None:
        return [
            "## 2. Put the compose files back\n\n"
            "This backup has none: the files that it was made of held none. Put those of that time in their place "
            f"first, with their env files; the compose file is {_compose_file(manifest)}.\n"
        ]
    if bundle is None or directory is None:
        return [
            "## 2. Put the compose files back\n\n"
            "This backup has none: they were not on the host. `{_containers(manifest)}` describes every container "
            f"with its environment. Write the compose file from it first, as {_compose_file(manifest)}.\n"
        ]
    place = shlex.quote(directory)
    return [
        _block(
            "2. Put the compose files and env files back",
            [f"mkdir -p {place}", f"{_decompress(bundle)} | tar --extract --numeric-owner -p --directory={place}"],
        )
    ]


def _volumes(manifest: Manifest) -> list[str]:
    commands = []
    by_name = {entry["name"]: entry for entry in manifest.source["volumes"]}
    for artifact in manifest.artifacts:
        if artifact.kind != "archive":
            continue
        entry = by_name[artifact.source]
        if entry["kind"] == "volume":
            labels = [f"--label {shlex.quote(f'{key}={value}')}" for key, value in sorted(entry["labels"].items())]
            options = [f"--opt {shlex.quote(f'{key}={value}')}" for key, value in sorted(entry["options"].items())]
            name = shlex.quote(entry["source"])
            driver = [] if entry["driver"] in (None, LOCAL) else [f"--driver {shlex.quote(entry['driver'])}"]
            commands.append(" ".join(["docker volume create", *driver, *labels, *options, name]))
            if driver:
                commands += _through_container(artifact, entry)
                continue
            place = f"\"$(docker volume inspect --format '{{{{.Mountpoint}}}}' {name})\""
        else:
            place = shlex.quote(entry["source"])
            commands.append(f"mkdir -p {place}")
        commands.append(f"{_decompress(artifact)} | {_EXTRACT} --directory={place}")
        deletions = manifest.find("deletions", artifact.source)
        if deletions is not None:
            commands.append("# What the archive holds from before, and was deleted by then.")
            commands.append(f"remove_deleted {shlex.quote(deletions.path)} {place}")
    if manifest.find("deletions") is not None:
        commands.insert(0, _REMOVE.replace("READ", 'decrypt "$1"' if _is_encrypted(manifest) else 'cat "$1"'))
    for entry in manifest.source["volumes"]:
        if entry["coverage"] == "dump" and entry["kind"] == "volume":
            labels = [f"--label {shlex.quote(f'{key}={value}')}" for key, value in sorted(entry["labels"].items())]
            commands.append(" ".join(["docker volume create", *labels, shlex.quote(entry["source"])]))
    return [_block("3. Create and fill the volumes", commands)] if commands else []


def _through_container(artifact: Artifact, entry: Mapping[str, t.Any]) -> list[str]:
    """Return the commands that fill a volume which no path of the host leads to."""
    mount = entry["mounts"][0]
    service, path = shlex.quote(mount["service"]), shlex.quote(f":{mount['path']}")
    return [
        "# The engine fills it, through a container that mounts it.",
        f"compose create {service} </dev/null",
        f'{_decompress(artifact)} | docker cp - "$(compose ps --all --quiet {service} | head -n 1)"{path}',
    ]


def _databases(manifest: Manifest) -> list[str]:
    parts: list[str] = []
    started: set[str] = set()
    for number, artifact in enumerate((a for a in manifest.artifacts if a.kind == "dump"), 1):
        database = manifest.database(artifact)
        title = f"4.{number}. Restore the database {database['name']}"
        if database["service"] is None:
            restore = _STRICT_PSQL if _is_script(artifact) else f"{_STRICT_RESTORE} --no-owner"
            parts.append(
                f"## {title}\n\nIt lived at {database['host']}:{database['port']}, outside the stack. Create it there, "
                f"then:\n\n    {_decompress(artifact)} | {restore} --dbname=…\n"
            )
            continue
        commands = [] if database["service"] in started else _server_commands(manifest, database)
        started.add(database["service"])
        parts.append(_block(title, [*commands, *_database_commands(artifact, database)]))
    return parts


def _server_commands(manifest: Manifest, database: Mapping[str, t.Any]) -> list[str]:
    commands = [f"compose up --detach --wait {shlex.quote(database['service'])}"]
    roles = manifest.find("globals", database["globals"])
    if roles is not None:
        commands.append("# Roles that exist already are reported and left alone.")
        commands.append(f"{_decompress(roles)} | {_psql(database, 'template1')} --quiet")
    return commands


def _database_commands(artifact: Artifact, database: Mapping[str, t.Any]) -> list[str]:
    name = shlex.quote(database["name"])
    user = f"--username={shlex.quote(database['superuser'])}"
    inside = f"compose exec -T {shlex.quote(database['service'])}"
    exists = f"SELECT 1 FROM pg_database WHERE datname = {_literal(database['name'])}"
    create = (
        f"{inside} createdb {user} --maintenance-db=template1 --template=template0 "
        f"--encoding={shlex.quote(database['encoding'])} --lc-collate={shlex.quote(database['collate'])} "
        f"--lc-ctype={shlex.quote(database['ctype'])} --owner={shlex.quote(database['owner'])} {name}"
    )
    strict = "--set=ON_ERROR_STOP=1"
    # Without a pipe before it, exec would read the rest of what was pasted.
    lines = [
        f"{_psql(database, 'template1')} -tA --command={shlex.quote(exists)} </dev/null | grep 1 >/dev/null ||",
        f"    {create} </dev/null",
    ]
    restore = f"{_STRICT_RESTORE} {user} --dbname={name}"
    if _is_script(artifact):
        # The application finds its functions in this schema too; the first lines of the script forget it.
        found = [_SEARCH_PUBLIC] if database["repair_steps"] else []
        load = f"{inside} {_STRICT_PSQL} --quiet --output=/dev/null {user} --dbname={name}"
        lines.append(" | ".join([_decompress(artifact), *found, load]))
    elif not database["repair"]:
        lines.append(f"{_decompress(artifact)} | {inside} {restore}")
    else:
        # Read three times, so it has to be a file.
        lines.append(f"{_decompress(artifact)} | {inside} tee {TEMPORARY} >/dev/null")
        lines += [f"{inside} {restore} --section={section} {TEMPORARY} </dev/null" for section in ("pre-data", "data")]
        lines += [f"{_psql(database)} {strict} --command={shlex.quote(step)} </dev/null" for step in database["repair"]]
        lines.append(f"{inside} {restore} --section=post-data {TEMPORARY} </dev/null")
        lines.append(f"{inside} rm {TEMPORARY} </dev/null")
    lines.append(f"{_psql(database)} {strict} --quiet --command=ANALYZE </dev/null")
    return lines


def _is_script(artifact: Artifact) -> bool:
    return artifact.facts.get("format") == PLAIN


def _psql(database: Mapping[str, t.Any], name: str | None = None) -> str:
    user = shlex.quote(database["superuser"])
    target = shlex.quote(name or database["name"])
    return f"compose exec -T {shlex.quote(database['service'])} psql --no-psqlrc --username={user} --dbname={target}"


def _containers(manifest: Manifest) -> str:
    """Return the artifact that describes the containers."""
    paths = [artifact.path for artifact in manifest.artifacts if artifact.kind == "config"]
    return next((path for path in paths if path.startswith(CONTAINERS)), CONTAINERS)


def _start(manifest: Manifest) -> str:
    return _block("5. Start the stack", ["compose up --detach --wait"])


def _compose(manifest: Manifest) -> str:
    directory = manifest.source["project_dir"] or "."
    words = ["docker", "compose", "--project-name", manifest.stack, "--project-directory", directory]
    for path in manifest.source["compose_files"]:
        words += ["--file", _extracted(path, manifest)]
    for path in manifest.source["environment_files"]:
        words += ["--env-file", _extracted(path, manifest)]
    return " ".join(shlex.quote(word) for word in words)


def _compose_file(manifest: Manifest) -> str:
    files = manifest.source["compose_files"]
    return f"`{_extracted(files[0], manifest)}`" if files else "`compose.yml` in this directory"


def _extracted(path: str, manifest: Manifest) -> str:
    directory = manifest.source["project_dir"]
    return posixpath.join(directory or ".", bundle_name(path, directory))


def _decompress(artifact: Artifact) -> str:
    path = shlex.quote(artifact.path)
    if not artifact.path.endswith(tuple(suffix for suffix in SUFFIXES.values() if suffix)):
        return f"{_DECOMPRESS[artifact.compression]} {path}"
    unpack = f" | {_DECOMPRESS[artifact.compression]}" if artifact.compression != "none" else ""
    return f"decrypt {path}{unpack}"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _block(title: str, commands: Iterable[str]) -> str:
    return "\n".join([f"## {title}", "", "```sh", *commands, "```", ""])
