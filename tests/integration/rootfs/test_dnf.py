# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Method ``dnf``, on repositories that are built and signed here."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import build
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import paths
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import buildlog, recipes, templates
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.builder import Job
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.methods.confinedrpm import Rpm
from ansible_collections.cellblock.jails.tests.integration.support import faults, openpgp, rpms, web, workshops
from ansible_collections.cellblock.jails.tests.integration.support.layer import log_lines, never

DATABASE = "usr/lib/sysimage/rpm"


class World(NamedTuple):
    """Two keys, packages without signature, and a file of the host that their scriptlets try to write to."""

    good: openpgp.Key
    other: openpgp.Key
    unsigned: list[Path]
    canary: Path


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Built once; nobody changes it."""
    with (
        workshops.opened("rpms", rpms.PROGRAMS) as shop,
        openpgp.key(shop.folder, "good") as good,
        openpgp.key(shop.folder, "other") as other,
    ):
        yield World(good, other, rpms.build(shop.folder, shop.canary), shop.canary)


def repository(folder: Path, world: World, by: openpgp.Key, index_by: openpgp.Key | None = None) -> Path:
    """A new repository of the packages."""
    folder.mkdir()
    copies = [Path(shutil.copy(package, folder)) for package in world.unsigned]
    rpms.sign(copies, by)
    rpms.index(folder, index_by)
    return folder


def wish(url: str, key: Path, **more: Any) -> recipes.Recipe:
    """A recipe for the packages."""
    options = {"method": "dnf", "release": "1", "packages": ["tool"], "repositories": [url], "gpgkeys": [str(key)]}
    return recipes.parse({**options, **more})


def built(folder: Path, key: Path, **more: Any) -> Path:
    """The tree of a template that is built from a repository, which is served on the loopback."""
    with web.serving(web.files(folder)) as url:
        return Path(templates.tree(templates.ensure(wish(url, key, **more), build.confine)))


def test_a_system_of_signed_packages(host: Path, world: World) -> None:
    tree = built(repository(host / "repo", world, world.good), world.good.public)
    holds_what_its_packages_say(tree)
    knows_where_it_came_from(tree, world.good.public)
    has_a_whole_database(tree)
    workshops.was_out_of_reach(tree)
    assert (tree / "var/lib/tool/lua").read_text() == "it ran\n"
    workshops.is_as_it_was(world.canary)
    assert not [name for name in os.listdir(tree) if name.startswith(".")]
    assert sorted(os.listdir(tree.parent)) == ["root", "template.json"]


def test_killed_at_every_step_the_next_build_converges(host: Path, world: World) -> None:
    with web.serving(web.files(repository(host / "repo", world, world.good))) as url:
        recipe = wish(url, world.good.public)
        key = recipes.key(recipe)

        def finish() -> None:
            assert templates.ensure(recipe, build.confine) == key
            assert os.path.exists(f"{templates.tree(key)}/bin/tool")
            templates.remove(key)

        faults.survives_every_kill(lambda: templates.ensure(recipe, build.confine), finish, faults.SLOW)


def holds_what_its_packages_say(tree: Path) -> None:
    tool = os.stat(tree / "bin/tool")
    assert (tool.st_uid, tool.st_gid, stat.S_IMODE(tool.st_mode)) == (71, 71, 0o755)
    assert os.getxattr(tree / "bin/tool", "security.capability")
    assert "tool:x:71:71:" in (tree / "etc/passwd").read_text()
    for name in ("proc", "sys", "dev", "run", "tmp"):
        assert os.listdir(tree / name) == []
    with paths.opened(os.memfd_create("said")) as said:
        assert build.confine(str(tree), Job(["/bin/busybox", "echo", "it runs"], said, said)) == 0
        assert os.pread(said, 100, 0) == b"it runs\n"


def knows_where_it_came_from(tree: Path, key: Path) -> None:
    assert os.listdir(tree / "etc/pki/rpm-gpg") == ["RPM-GPG-KEY-good.asc"]
    assert (tree / "etc/pki/rpm-gpg/RPM-GPG-KEY-good.asc").read_bytes() == key.read_bytes()
    (file,) = (tree / "etc/yum.repos.d").iterdir()
    assert "gpgcheck=1\n" in file.read_text()
    assert "gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-good.asc\n" in file.read_text()


def has_a_whole_database(tree: Path) -> None:
    with buildlog.recording("query") as log:
        rpm = Rpm(str(tree), build.confine, log)
        rpm._run("rpm", f"/{DATABASE}", ["--query", "--all", "--queryformat", "%{NAME} is there\n"], "it fails")
        rpm._run("rpm", f"/{DATABASE}", ["--verify", "--nodeps", "--noconfig", "base", "tool"], "they are changed")
    said = sorted(line.partition("] ")[2] for line in log_lines() if line.endswith(" is there"))
    assert said == ["base is there", "gpg-pubkey is there", "tool is there"]


def test_control_scriptlets_reach_the_host_where_nobody_confines_them(host: Path, world: World) -> None:
    """By rpm on the host, which changes its root for them, the same scriptlets make a device."""
    tree = host / "tree"
    tree.mkdir()
    command = ["rpm", "--root", str(tree), "--dbpath", "/db", "--nosignature", "--force-debian", "--install"]
    subprocess.run([*command, *map(str, world.unsigned)], check=True, capture_output=True)
    assert "made a device" in (tree / "var/lib/tool/post").read_text()
    assert stat.S_ISCHR(os.stat(tree / "var/lib/tool/null").st_mode)


def test_a_signed_index_is_verified(host: Path, world: World) -> None:
    folder = repository(host / "repo", world, world.good, index_by=world.good)
    assert built(folder, world.good.public).is_dir()
    shutil.rmtree(layout.TEMPLATES)
    rpms.index(folder, world.other)
    refused(folder, world.good.public, "repomd.xml GPG signature verification error")
    # And a repository whose index nobody has signed is let pass: its packages are signed.
    shutil.rmtree(folder / "repodata")
    rpms.index(folder)
    assert built(folder, world.good.public).is_dir()


def test_each_repository_may_have_a_key_of_its_own(host: Path, world: World) -> None:
    folder = repository(host / "repo", world, world.good)
    with web.serving(web.files(folder)) as url:
        named = {"name": "own", "baseurl": url, "gpgkey": str(world.good.public)}
        recipe = wish(url, world.other.public, repositories=[named], gpgkeys=None)
        tree = Path(templates.tree(templates.ensure(recipe, build.confine)))
    assert os.listdir(tree / "etc/yum.repos.d") == ["own.repo"]


def refused(folder: Path, key: Path, said: str) -> None:
    """A build from this repository has to fail so, and to leave nothing."""
    with pytest.raises(JailError, match=said):
        built(folder, key)
    assert os.listdir(layout.TEMPLATES) == []
    assert not list(Path(layout.LIB).rglob("*.rpm"))


def test_packages_that_are_signed_by_somebody_else(host: Path, world: World) -> None:
    refused(
        repository(host / "repo", world, world.other), world.good.public, "GPG check FAILED|not correct|not installed"
    )


def test_a_package_that_nobody_has_signed(host: Path, world: World) -> None:
    folder = host / "repo"
    folder.mkdir()
    for package in world.unsigned:
        shutil.copy(package, folder)
    rpms.index(folder)
    refused(folder, world.good.public, r"tool-1-1.*is not signed")


def test_a_package_that_was_changed(host: Path, world: World) -> None:
    folder = repository(host / "repo", world, world.good)
    tamper(folder / "tool-1-1.x86_64.rpm")
    refused(folder, world.good.public, "checksum|Cannot download")
    # Whoever can change the package can change an index that nobody has signed.
    shutil.rmtree(folder / "repodata")
    rpms.index(folder)
    refused(folder, world.good.public, "tool-1-1")


def tamper(package: Path) -> None:
    """Change a byte of the last ones, which are files."""
    content = bytearray(package.read_bytes())
    content[-100] ^= 1
    package.write_bytes(content)


@pytest.mark.parametrize("name", ["repomd.xml", "primary.xml.gz", "tool-1-1.x86_64.rpm"])
def test_a_download_that_is_cut_short(host: Path, world: World, name: str) -> None:
    folder = repository(host / "repo", world, world.good)
    (path,) = folder.rglob(f"*{name}")
    content = path.read_bytes()
    answers = {**web.files(folder), f"/{path.relative_to(folder)}": web.cut_short(content[:-20], len(content))}
    with web.serving(answers) as url, pytest.raises(JailError, match="dnf ended with status 1"):
        templates.ensure(wish(url, world.good.public), never)
    path.write_bytes(content[:-20])
    refused(folder, world.good.public, "dnf ended with status 1")


def test_a_file_that_is_no_key(host: Path, world: World) -> None:
    (host / "key").write_text("no key")
    refused(repository(host / "repo", world, world.good), host / "key", "key")


# What dnf would let pass does not pass our own check.


@pytest.fixture
def rpm(host: Path) -> Iterator[Rpm]:
    """Rpm on an empty tree."""
    tree = host / "tree"
    tree.mkdir()
    with buildlog.recording("rpm") as log:
        yield Rpm(str(tree), build.confine, log)


def laid_in(rpm: Rpm, *files: Path) -> list[str]:
    """Where the files are inside, once they are there."""
    return [f"/{Path(shutil.copy(file, rpm.tree)).name}" for file in files]


@pytest.mark.parametrize("flaw", ["unsigned", "by somebody else", "changed", "cut short", "no package"])
def test_our_own_check(host: Path, world: World, rpm: Rpm, flaw: str) -> None:
    repo = repository(host / "repo", world, world.other if flaw == "by somebody else" else world.good)
    bad, good = repo / "tool-1-1.x86_64.rpm", repo / "base-1-1.x86_64.rpm"
    if flaw == "unsigned":
        shutil.copy(world.unsigned[1], bad)
    elif flaw == "changed":
        tamper(bad)
    elif flaw == "cut short":
        bad.write_bytes(bad.read_bytes()[:-20])
    elif flaw == "no package":
        bad.write_bytes(b"no package")
    keys = laid_in(rpm, world.good.public)
    with pytest.raises(JailError, match="a package is not signed as it must be: rpmkeys ended with status") as caught:
        rpm.check("/checking", keys, laid_in(rpm, good, bad))
    assert "tool-1-1.x86_64.rpm" in str(caught.value)


def test_our_own_check_lets_pass_what_is_right(host: Path, world: World, rpm: Rpm) -> None:
    repo = repository(host / "repo", world, world.good)
    rpm.check("/checking", laid_in(rpm, world.good.public), laid_in(rpm, *repo.glob("*.rpm")))


def test_control_rpm_itself_is_content_with_a_digest(world: World) -> None:
    """So an exit status of rpmkeys without our settings says nothing about who made a package."""
    done = subprocess.run(["rpmkeys", "--checksig", str(world.unsigned[1])], check=True, capture_output=True, text=True)
    assert done.stdout.endswith("digests OK\n")


def test_the_host_has_no_repositories(host: Path) -> None:
    if os.path.isdir("/etc/yum.repos.d"):
        pytest.skip("the host has repositories of its own")
    recipe = recipes.parse({"method": "dnf", "release": "1", "packages": ["bash"]})
    with pytest.raises(JailError, match=r"repositories: the host has no repositories in /etc/yum.repos.d"):
        templates.ensure(recipe, never)
