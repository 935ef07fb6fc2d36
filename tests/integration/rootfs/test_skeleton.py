# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Method ``skeleton``."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import build
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import paths
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import recipes, storage, templates
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.builder import Job
from ansible_collections.cellblock.jails.tests.integration.support.layer import (
    SKELETON,
    description,
    dot_names,
    never,
    writable,
)


def test_a_skeleton_runs_confined() -> None:
    key = templates.ensure(SKELETON, never)
    script = "id -u; ls /; echo $((6*7)) | tee /tmp/x; hostname >/dev/null; bash -c 'echo $BASH_VERSION' | cut -c1"
    with paths.opened(os.memfd_create("said")) as said:
        assert build.confine(templates.tree(key), Job(["/bin/sh", "-c", script], said, said)) == 0
        text = os.pread(said, 1 << 16, 0).decode()
    assert text.split() == ["0", *sorted(os.listdir(templates.tree(key))), "42", "5"]
    assert os.stat(f"{templates.tree(key)}/tmp/x").st_uid == 0, "owners on disk begin at 0"


def test_what_a_skeleton_holds() -> None:
    key = templates.ensure(SKELETON, never)
    root = Path(templates.tree(key))
    for name, mode in {"": 0o755, "dev": 0o755, "proc": 0o555, "sys": 0o555, "tmp": 0o1777, "root": 0o700}.items():
        found = os.lstat(root / name)
        assert stat.S_ISDIR(found.st_mode)
        assert stat.S_IMODE(found.st_mode) == mode, name
    assert os.readlink(root / "bin") == "usr/bin"
    assert os.readlink(root / "usr/bin/ls").endswith("/busybox")
    assert not os.path.islink(root / "usr/bin/bash"), "an applet's link must not replace a program that was asked for"
    assert not os.listdir(root / "dev")
    assert (root / "etc/machine-id").read_bytes() == b""
    assert stat.S_IMODE(os.stat(layout.template(key)).st_mode) == 0o700
    assert description(key)["recipe"] == SKELETON
    assert description(key)["key"] == key
    used = int(subprocess.run(["du", "-s", "-B1", str(root)], check=True, capture_output=True).stdout.split()[0])
    assert description(key)["bytes"] == used


def test_a_program_that_the_host_lacks_is_named() -> None:
    recipe = recipes.parse({"method": "skeleton", "binaries": ["no-such-program"]})
    with pytest.raises(JailError, match=r"binaries: the host has no program no-such-program"):
        templates.ensure(recipe, never)
    assert templates.names() == dot_names(layout.TEMPLATES) == []


def test_umask_of_the_caller_does_not_show() -> None:
    before = os.umask(0o077)
    try:
        key = templates.ensure(SKELETON, never)
        storage.create("one", "directory", key)
    finally:
        os.umask(before)
    for root in (Path(templates.tree(key)), writable("one")):
        for name in ("", "usr", "usr/bin", "usr/lib", "var/log"):
            assert stat.S_IMODE(os.stat(root / name).st_mode) == 0o755
