# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Method ``debootstrap``. What downloads packages says so and is skipped where no mirror can be reached."""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import build
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import paths, process
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import recipes, templates
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.builder import Job
from ansible_collections.cellblock.jails.tests.integration.support.layer import log_lines, never, wait_for_line
from ansible_collections.cellblock.jails.tests.integration.support.processes import (
    in_another_process,
    kill_at_random,
    wait_for_no_children,
)
from ansible_collections.cellblock.jails.tests.integration.support.trees import owners_on_disk

needs_debootstrap = pytest.mark.skipif(not shutil.which("debootstrap"), reason="debootstrap is not installed")


@needs_debootstrap
def test_an_unknown_suite_names_similar_ones() -> None:
    recipe = recipes.parse({"method": "debootstrap", "suite": "bokworm", "mirror": "http://127.0.0.1:9/debian"})
    with pytest.raises(JailError, match=r"suite: .* does not know bokworm; .*bookworm"):
        templates.ensure(recipe, never)


@needs_debootstrap
def test_a_suite_whose_archive_nobody_would_verify_is_refused() -> None:
    recipe = recipes.parse({"method": "debootstrap", "suite": "hoary", "mirror": "http://127.0.0.1:9/ubuntu"})
    with pytest.raises(JailError, match=r"keyring: debootstrap names no keyring for hoary"):
        templates.ensure(recipe, never)


@needs_debootstrap
def test_a_dead_mirror_is_told_with_the_reason() -> None:
    recipe = recipes.parse({"method": "debootstrap", "suite": "bookworm", "mirror": "http://127.0.0.1:9/debian"})
    with pytest.raises(JailError) as caught:
        templates.ensure(recipe, never)
    message = str(caught.value)
    assert "E: Failed getting release file http://127.0.0.1:9/debian/dists/bookworm/Release" in message
    assert "Connection refused" in message
    assert layout.BUILD_LOG in message
    assert os.listdir(layout.TEMPLATES) == []


@needs_debootstrap
@pytest.mark.usefixtures("mirror")
def test_a_signature_by_another_key_is_refused(host: Path) -> None:
    (host / "empty.gpg").write_bytes(b"")
    recipe = recipes.parse({"method": "debootstrap", "suite": "bookworm", "keyring": str(host / "empty.gpg")})
    with pytest.raises(JailError, match="E: Release signed by unknown key"):
        templates.ensure(recipe, never)


@needs_debootstrap
@pytest.mark.usefixtures("mirror")
def test_a_killed_first_stage_leaves_no_process() -> None:
    recipe = recipes.parse({"method": "debootstrap", "suite": "bookworm"})
    for _time in range(4):
        assert kill_at_random(lambda: templates.ensure(recipe, never), 5)
        wait_for_no_children()
    assert templates.sweep() in ([], [recipes.key(recipe)])
    assert os.listdir(layout.TEMPLATES) == []


@needs_debootstrap
def test_debian_is_built_without_mknod_mount_and_network(mirror: str) -> None:
    packages = ["iputils-ping", "nginx-light", "openssh-server"]
    options = {"method": "debootstrap", "suite": "bookworm", "packages": packages}
    key = templates.ensure(recipes.parse(options), build.confine)
    root = Path(templates.tree(key))
    assert owners_on_disk(root) <= set(range(65536))
    for name in ("proc", "sys", "dev", "run", "tmp", "var/cache/apt/archives", "var/lib/apt/lists"):
        assert stat.S_ISDIR(os.lstat(root / name).st_mode)
        assert os.listdir(root / name) == [], name
    assert not any(os.path.lexists(root / name) for name in ("debootstrap", "etc/hostname", "etc/resolv.conf"))
    assert not list((root / "etc/ssh").glob("ssh_host_*"))
    assert (root / "etc/machine-id").read_bytes() == b""
    assert (root / "etc/apt/sources.list").read_text().startswith(f"deb {mirror} bookworm main\n")
    assert os.getxattr(root / "usr/bin/ping", "security.capability")
    # dpkg finds nothing half configured, and the programs run
    with paths.opened(os.memfd_create("said")) as said:
        script = "dpkg --audit; dpkg-query -W -f '${db:Status-Abbrev}\\n' | sort -u; nginx -v"
        assert build.confine(str(root), Job(["/bin/sh", "-c", script], said, said)) == 0
        text = os.pread(said, 1 << 16, 0).decode()
    assert re.fullmatch(r"ii \nnginx version: .*\n", text)

    second = recipes.parse({**options, "trust_group": "other"})
    other = recipes.key(second)
    pid = in_another_process(lambda: templates.ensure(second, build.confine))
    wait_for_line(rf"\[{re.escape(other)}\] I: Configuring", 120)
    os.kill(pid, signal.SIGKILL)
    assert process.wait(pid) == 128 + signal.SIGKILL
    wait_for_no_children()

    lines = len(log_lines())
    with pytest.raises(JailError, match="the second stage of debootstrap ended with status 3"):
        templates.ensure(second, lambda _tree, _job: 3)
    fetched = [line for line in log_lines()[lines:] if "Retrieving" in line]
    assert len(fetched) < 5, "the release and its index: packages come from the cache"
    assert templates.names() == os.listdir(layout.TEMPLATES) == [key]
