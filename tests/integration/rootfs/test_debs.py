# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Method ``debootstrap`` by both of its tools, on an archive that is built and signed here."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import build
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import paths
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import hosttools, recipes, templates
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.builder import Job
from ansible_collections.cellblock.jails.tests.integration.support import debs, faults, openpgp, web, workshops
from ansible_collections.cellblock.jails.tests.integration.support.layer import never
from ansible_collections.cellblock.jails.tests.integration.support.trees import owners_on_disk

PACKAGE = "pool/tool_1_{}.deb"


class World(NamedTuple):
    """Two keys, the packages, an archive of them that the first has signed, and a file of the host that a script tries
    to write to."""

    good: openpgp.Key
    other: openpgp.Key
    packages: list[Path]
    archive: Path
    canary: Path


class ReachedError(Exception):
    """What was to be verified on the host has passed, and the first program of the tree would run, confined."""


def reached(tree: str, job: Job) -> int:
    """For tests that end where a program runs."""
    raise ReachedError


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Made once; whoever changes the archive takes a copy."""
    with (
        workshops.opened("debs", debs.PROGRAMS) as shop,
        openpgp.key(shop.folder, "good") as good,
        openpgp.key(shop.folder, "other") as other,
    ):
        packages = debs.build(debs.packages(shop.canary), shop.folder / "packages")
        debs.publish(packages, shop.folder / "archive", good)
        yield World(good, other, packages, shop.folder / "archive", shop.canary)


@pytest.fixture(params=recipes.TOOLS)
def tool(request: pytest.FixtureRequest) -> str:
    """Each tool."""
    if hosttools.look_up(request.param) is None:
        pytest.skip(f"the host has no {request.param}")
    return str(request.param)


@pytest.fixture
def archive(world: World, host: Path) -> Path:
    """A copy of the archive."""
    return Path(shutil.copytree(world.archive, host / "archive"))


@pytest.fixture
def index(archive: Path) -> Path:
    """The list of packages in the copy, which has no other."""
    path = archive / (debs.INDEX % debs.architecture())
    path.with_suffix(".gz").unlink()
    return path


def wish(url: str, world: World, tool: str) -> recipes.Recipe:
    """A recipe for the packages."""
    keyring = str(world.good.keyring)
    options = {"method": "debootstrap", "suite": debs.SUITE, "tool": tool, "variant": "minbase", "packages": ["tool"]}
    return recipes.parse({**options, "mirror": url, "keyring": keyring})


def test_a_system_of_small_packages(world: World, tool: str) -> None:
    with web.serving(web.files(world.archive)) as url:
        tree = Path(templates.tree(templates.ensure(wish(url, world, tool), build.confine)))
    assert owners_on_disk(tree) <= set(range(65536))
    assert (tree / "etc/apt/sources.list").read_text() == f"deb {url} {debs.SUITE} main\n"
    assert os.readlink(tree / "bin") == "usr/bin"
    for name in ("proc", "sys", "dev", "run", "tmp", "var/cache/apt/archives", "var/lib/apt/lists"):
        assert os.listdir(tree / name) == [], name
    assert not any(os.path.lexists(tree / name) for name in ("debootstrap", "usr/sbin/policy-rc.d"))
    status = (tree / "var/lib/dpkg/status").read_text()
    assert set(re.findall("^Package: (.*)$", status, re.MULTILINE)) == {
        path.name.split("_")[0] for path in world.packages
    }
    assert set(re.findall("^Status: (.*)$", status, re.MULTILINE)) == {"install ok installed"}
    assert said_inside(tree, "dpkg", "--audit") == ""
    workshops.was_out_of_reach(tree)


def said_inside(tree: Path, *command: str) -> str:
    """What a program of a tree says, confined."""
    with paths.opened(os.memfd_create("said")) as said:
        assert build.confine(str(tree), Job(command, said, said)) == 0
        return os.pread(said, 1 << 16, 0).decode()


def test_control_the_script_makes_a_device_where_nobody_confines_it(host: Path, world: World) -> None:
    """By a changed root alone, as the tools do it by themselves."""
    tree = host / "tree"
    tree.mkdir()
    for package in world.packages:
        subprocess.run(["dpkg-deb", "--extract", str(package), str(tree)], check=True)
    subprocess.run(["dpkg-deb", "--control", str(package), str(tree / "control")], check=True)
    subprocess.run(["chroot", str(tree), "/control/postinst"], check=True)
    assert "made a device" in (tree / "var/lib/tool/post").read_text()
    assert stat.S_ISCHR(os.stat(tree / "var/lib/tool/null").st_mode)


# What is not as it was signed is refused before any program of it runs.


def refused(answers: dict[str, web.Answer], world: World, tool: str, said: str) -> None:
    """A build has to fail so and to leave nothing, and what it has put into a cache is in nobody's way."""
    with web.serving(answers) as url, pytest.raises(JailError, match=said):
        templates.ensure(wish(url, world, tool), never)
    assert os.listdir(layout.TEMPLATES) == []
    with web.serving(web.files(world.archive)) as url, pytest.raises(ReachedError):
        templates.ensure(wish(url, world, tool), reached)
    cached = Path(layout.LIB).rglob("*.deb")
    assert {path.read_bytes() for path in cached} <= {path.read_bytes() for path in world.packages}


def change(path: Path, position: int) -> None:
    """Change a byte of a file."""
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_an_archive_that_somebody_else_has_signed(archive: Path, world: World, tool: str) -> None:
    debs.sign(archive, world.other)
    said = {"debootstrap": "E: Release signed by unknown key", "mmdebstrap": "E: .*(is not signed|not available)"}
    refused(web.files(archive), world, tool, said[tool])


def test_an_archive_that_nobody_has_signed(archive: Path, world: World, tool: str) -> None:
    suite = archive / "dists" / debs.SUITE
    signed = (suite / "InRelease").read_text()
    (suite / "InRelease").unlink()
    (suite / "Release").write_text(signed.partition("\n\n")[2].partition("-----BEGIN")[0])
    said = {"debootstrap": "E: Failed getting release signature file", "mmdebstrap": "E: .*is not signed"}
    refused(web.files(archive), world, tool, said[tool])


def test_a_release_that_was_changed(archive: Path, world: World, tool: str) -> None:
    path = archive / "dists" / debs.SUITE / "InRelease"
    path.write_text(path.read_text().replace("Components: main", "Components: main other"))
    said = {"debootstrap": "E: Invalid Release signature", "mmdebstrap": "E: .*(is not signed|signatures were invalid)"}
    refused(web.files(archive), world, tool, said[tool])


def test_an_index_that_was_changed(archive: Path, index: Path, world: World, tool: str) -> None:
    change(index, -10)
    said = {"debootstrap": "E: Couldn't download .*/Packages", "mmdebstrap": "E: .*(Hash Sum mismatch|unexpected size)"}
    refused(web.files(archive), world, tool, said[tool])


def test_a_package_that_was_changed(archive: Path, world: World, tool: str) -> None:
    change(archive / PACKAGE.format(debs.architecture()), -10)
    said = {"debootstrap": "E: Couldn't download packages: tool", "mmdebstrap": "E: .*Hash Sum mismatch"}
    refused(web.files(archive), world, tool, said[tool])


def test_a_package_in_the_place_of_another(archive: Path, world: World, tool: str) -> None:
    """It is signed by the same key, as an older one with a hole would be."""
    path = archive / PACKAGE.format(debs.architecture())
    shutil.copy(path.with_name(path.name.replace("tool", "mawk")), path)
    said = {"debootstrap": "E: Couldn't download packages: tool", "mmdebstrap": "E: .*(Hash Sum|unexpected size)"}
    refused(web.files(archive), world, tool, said[tool])


@pytest.fixture(params=["index", "package"])
def download(request: pytest.FixtureRequest, archive: Path, index: Path, world: World) -> Path:
    """The one list of packages in the copy, or a package."""
    debs.sign(archive, world.good)
    return index if request.param == "index" else archive / PACKAGE.format(debs.architecture())


def test_a_file_that_is_cut_short(archive: Path, download: Path, world: World, tool: str) -> None:
    os.truncate(download, download.stat().st_size - 20)
    refused(web.files(archive), world, tool, f"E: .*({download.name}|packages: tool)")


@pytest.mark.parametrize("tool", ["mmdebstrap"], indirect=True)
def test_a_connection_that_ends_early(archive: Path, download: Path, world: World, tool: str) -> None:
    """Not by debootstrap, whose wget(1) would ask again and again for minutes."""
    content = download.read_bytes()
    answers = {**web.files(archive), f"/{download.relative_to(archive)}": web.cut_short(content[:-20], len(content))}
    refused(answers, world, tool, f"E: .*{download.name}")


class Work(NamedTuple):
    """A build, and what makes sure that it can be done."""

    begin: Callable[[], object]
    finish: Callable[[], object]


@pytest.fixture
def work(world: World, tool: str) -> Iterator[Work]:
    """By each tool."""
    with web.serving(web.files(world.archive)) as url:
        recipe = wish(url, world, tool)
        key = recipes.key(recipe)

        def finish() -> None:
            assert templates.ensure(recipe, build.confine) == key
            assert os.path.exists(f"{templates.tree(key)}/var/lib/tool/post")
            templates.remove(key)

        yield Work(lambda: templates.ensure(recipe, build.confine), finish)


def test_killed_at_every_step_the_next_build_converges(work: Work) -> None:
    faults.survives_every_kill(*work, faults.SLOW)


def test_killed_while_its_programs_are_at_work_the_next_build_converges(work: Work) -> None:
    faults.survives_a_kill_at_every_line(*work, faults.SLOW and 2)
