# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ansible-builder finds in the installed collection what an execution environment needs, and accepts the example."""

from __future__ import annotations

import yaml

from ansible_collections.crm.continuity.tests.consoles.conftest import ROOT, own_environment, run


def without_comments(path):
    lines = (line.split("  # from collection ")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def test_the_packages_of_the_control_node_are_found(starter, tmp_path):
    command = [
        "ansible-builder",
        "introspect",
        "--write-pip",
        f"{tmp_path}/pip",
        "--write-bindep",
        f"{tmp_path}/bindep",
    ]

    run([*command, str(starter / "collections")], env=own_environment(tmp_path))

    assert [line.split(">=")[0] for line in without_comments(tmp_path / "pip")] == ["apprise"]
    # What hosts need is no matter of the image.
    assert {line.split()[0] for line in without_comments(tmp_path / "bindep")} == {
        "openssh-clients",
        "openssh-client",
        "sshpass",
        "age",
        "gnupg2",
        "gnupg",
    }


def test_each_package_is_for_the_platforms_that_have_it():
    """C(platform:redhat) is not true on all images that use rpm."""
    lines = without_comments(ROOT / "bindep.txt")

    assert all(line.endswith("]") and "platform:" in line for line in lines)
    assert not any("redhat" in line for line in lines)
    for platform in ("rpm", "dpkg"):
        assert sum(f"platform:{platform}" in line for line in lines) == 4


def test_the_example_makes_a_build_context(tmp_path):
    example = ROOT / "examples/execution-environment/execution-environment.yml"
    context = tmp_path / "context"

    run(
        [
            "ansible-builder",
            "create",
            "-v3",
            "-f",
            str(example),
            "-c",
            str(context),
            "--output-filename",
            "Containerfile",
        ],
        env=own_environment(tmp_path),
    )

    recipe = (context / "Containerfile").read_text(encoding="utf-8")
    wanted = yaml.safe_load((context / "_build" / "requirements.yml").read_text(encoding="utf-8"))
    # The Python of its base image is 3.14.
    assert "fedora:43" in recipe
    assert "ansible-core~=2.21" in recipe
    assert recipe.index("install -y git-core") < recipe.index("ansible-galaxy collection install")
    assert wanted["collections"][0]["name"].endswith("/crm.continuity.git")
