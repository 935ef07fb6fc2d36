# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of the host that read what nobody has verified: what they can reach."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import paths
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import hosttools
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.methods import dnf, lowly

TRY = f"""
id -u
read -r line <{{shadow}} && echo reads what is not its own
echo changed >{{canary}} && echo writes what is not its own
ls {{folder}} && echo sees its directory by another name
chown 1 {lowly.PLACE}/given && echo can be who it likes
echo made >{lowly.PLACE}/made && cat {lowly.PLACE}/made
exit 3
"""


@pytest.fixture
def script(host: Path) -> list[str]:
    """A shell that tries what a program should not be able to."""
    folder, shadow, canary = host / "private/work", host / "shadow", host / "canary"
    folder.mkdir(parents=True)
    (host / "private").chmod(0o700)
    (folder / "given").write_text("x")
    shadow.write_text("secret\n")
    shadow.chmod(0o600)
    canary.write_text("as it was")
    host.chmod(0o755)
    text = TRY.format(shadow=shadow, canary=canary, folder=folder)
    return ["/bin/sh", "-c", text]


def test_it_reaches_only_its_directory(host: Path, script: list[str]) -> None:
    folder = str(host / "private/work")
    with paths.opened(os.memfd_create("said")) as said:
        assert lowly.run(script, folder, said) == 3
        text = os.pread(said, 1 << 16, 0).decode()
    lines = [line for line in text.splitlines() if ": " not in line]
    assert lines == ["0", "made"], text
    assert (host / "canary").read_text() == "as it was"
    assert os.stat(f"{folder}/made").st_uid == 65534
    assert not os.path.exists(f"{lowly.PLACE}/made"), "its mount is seen by others"


def test_control_a_program_of_hosttools_reaches_all_of_it(host: Path, script: list[str]) -> None:
    os.makedirs(lowly.PLACE, exist_ok=True)
    script[2] = script[2].replace(lowly.PLACE, str(host / "private/work"))
    status, text = hosttools.output_of(script)
    assert status == 3
    for said in (
        "reads what is not its own",
        "writes what is not its own",
        "sees its directory by another name",
        "can be who it likes",
        "made",
    ):
        assert said in text.splitlines()
    assert (host / "canary").read_text() == "changed\n"


@pytest.mark.parametrize("kind", ["link", "fifo", "directory", "device"])
def test_what_it_leaves_is_not_trusted(host: Path, kind: str) -> None:
    """Dnf that was taken over by an index leaves something else than packages: none of it gets into a tree."""
    packages, tree = host / "work/packages", host / "tree"
    packages.mkdir(parents=True)
    (tree / dnf._SUPPLIES).mkdir(parents=True)
    made = packages / "made-1-1.noarch.rpm"
    if kind == "link":
        made.symlink_to("/etc/passwd")
    elif kind == "fifo":
        os.mkfifo(made)
    elif kind == "directory":
        made.mkdir()
    else:
        os.mknod(made, 0o600 | 0o020000, os.makedev(1, 5))
    with paths.opened(paths.open_directory(str(tree))) as root, pytest.raises(OSError, match="made-1-1"):
        dnf._take_over(root, str(host / "work"))
    assert os.listdir(tree / dnf._SUPPLIES) == []


@pytest.mark.parametrize("name", ["--root=x.rpm", ".rpm", "a b.rpm", "a.rpm\n", "a\n.rpm", "a.exe", "\udcff.rpm"])
def test_names_that_no_package_has(host: Path, name: str) -> None:
    packages, tree = host / "work/packages", host / "tree"
    packages.mkdir(parents=True)
    (tree / dnf._SUPPLIES).mkdir(parents=True)
    (packages / name).write_text("x")
    said = "repositories: a repository offers a package file of the name"
    with paths.opened(paths.open_directory(str(tree))) as root, pytest.raises(JailError, match=said):
        dnf._take_over(root, str(host / "work"))
