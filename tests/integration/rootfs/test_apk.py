# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Method ``apk``: what is refused on the host, and with ``JAILS_TEST_ALPINE_ARCHIVE`` an Alpine that is built."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import build
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import paths, process
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import hosttools, prune, recipes, templates
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.builder import Confine, Job
from ansible_collections.cellblock.jails.tests.integration.support import apks, faults, web, workshops
from ansible_collections.cellblock.jails.tests.integration.support.layer import never
from ansible_collections.cellblock.jails.tests.integration.support.processes import (
    in_another_process,
)
from ansible_collections.cellblock.jails.tests.integration.support.trees import facts

ARCH = os.uname().machine
INDEX = f"v3.20/main/{ARCH}/APKINDEX.tar.gz"
STATIC = f"v3.20/main/{ARCH}/apk-tools-static-1-r0.apk"


class ReachedError(Exception):
    """What was to be verified on the host has passed, and the first program would run, confined."""


def reached(tree: str, job: Job) -> int:
    """For tests that end where a program runs."""
    raise ReachedError


class World(NamedTuple):
    """Two who sign, by keys of one name, and the mirror that the first has signed."""

    good: apks.Signer
    other: apks.Signer
    mirror: Path


@pytest.fixture
def world(host: Path) -> World:
    """A mirror of packages whose programs are none: nothing of it is to be run."""
    if hosttools.look_up("openssl") is None:
        pytest.skip("the host has no openssl")
    made = World(apks.signer(host, "good"), apks.signer(host, "other"), host / "mirror")
    apks.publish(apks.stubs(ARCH), made.mirror / "v3.20/main", made.good)
    return made


def wish(url: str, world: World, **more: Any) -> recipes.Recipe:
    """A recipe for ``probe``."""
    options = {"method": "apk", "release": "v3.20", "mirror": url, "repositories": ["main"], "packages": ["probe"]}
    return recipes.parse({**options, "keys": str(world.good.keys), **more})


def ensure(world: World, confine: Confine, **more: Any) -> str:
    """Build from the mirror as it is now; the key of the template."""
    with web.serving(web.files(world.mirror)) as url:
        return templates.ensure(wish(url, world, **more), confine)


def refused(world: World, said: str, **more: Any) -> None:
    """A build has to fail so before any program runs, and to leave nothing."""
    with pytest.raises(JailError, match=said):
        ensure(world, never, **more)
    assert os.listdir(layout.TEMPLATES) == []


def downloads() -> list[str]:
    """What is in the cache."""
    folder = Path(layout.LIB) / "cache/downloads"
    return sorted(os.listdir(folder)) if folder.is_dir() else []


def change(path: Path, position: int) -> None:
    """Change a byte of a file."""
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_control_what_is_right_is_let_pass(world: World) -> None:
    with pytest.raises(ReachedError):
        ensure(world, reached)
    assert len(downloads()) == 1


def test_an_index_by_another_key_of_that_name(world: World) -> None:
    apks.publish(apks.stubs(ARCH), world.mirror / "v3.20/main", world.other)
    refused(world, r"^keys: http.*APKINDEX.tar.gz has a signature of jails-test.rsa.pub that does not fit")
    assert downloads() == []


def test_an_index_by_a_key_that_is_not_trusted(world: World, host: Path) -> None:
    keys = host / "keys"
    keys.mkdir()
    shutil.copy(world.good.keys / "jails-test.rsa.pub", keys / "someone.rsa.pub")
    refused(world, r"is signed by jails-test.rsa.pub, and trusted are someone.rsa.pub; give keys", keys=str(keys))
    refused(world, r"is signed by jails-test.rsa.pub, and trusted are alpine-devel@", keys=None)


def test_an_index_that_nobody_has_signed(world: World) -> None:
    path = world.mirror / INDEX
    path.write_bytes(apks.without_signature(path.read_bytes()))
    refused(world, r"^keys: http.*APKINDEX.tar.gz is signed by nobody, and trusted are jails-test.rsa.pub")
    with pytest.raises(ReachedError):
        ensure(world, reached, allow_untrusted=True)


@pytest.mark.parametrize("position", [-1, -60, -200])
def test_an_index_that_was_changed(world: World, position: int) -> None:
    change(world.mirror / INDEX, position)
    refused(world, "APKINDEX.tar.gz (has a signature of .* that does not fit|is damaged)")


def test_an_index_with_more_than_was_signed(world: World) -> None:
    path = world.mirror / INDEX
    path.write_bytes(path.read_bytes() * 2)
    refused(world, "APKINDEX.tar.gz has more behind what is signed")


@pytest.mark.parametrize("name", [INDEX, STATIC])
@pytest.mark.parametrize("left_out", [1, 20, 300])
def test_a_download_that_is_cut_short(world: World, name: str, left_out: int) -> None:
    content = (world.mirror / name).read_bytes()
    answers = {**web.files(world.mirror), f"/{name}": web.cut_short(content[:-left_out], len(content))}
    with web.serving(answers) as url, pytest.raises(JailError, match="the connection ended after"):
        templates.ensure(wish(url, world), never)
    (world.mirror / name).write_bytes(content[:-left_out])
    refused(world, "is cut short|has a signature of|has files that its own checksum does not fit")
    assert downloads() == []


@pytest.mark.parametrize("position", [-1, -100, 300])
def test_a_package_that_was_changed(world: World, position: int) -> None:
    change(world.mirror / STATIC, position)
    refused(world, "apk-tools-static-1-r0.apk (has files|is not the package|is damaged|is cut short)")
    assert downloads() == []


def test_a_package_in_the_place_of_another(world: World) -> None:
    """It is signed by the same key, as an older one with a hole would be."""
    shutil.copy(world.mirror / f"v3.20/main/{ARCH}/probe-1-r0.apk", world.mirror / STATIC)
    refused(world, "apk-tools-static-1-r0.apk is not the package that the index of its repository means")


def test_a_package_that_is_in_a_signed_index_and_signed_by_another_key(world: World) -> None:
    apks.publish(apks.stubs(ARCH), world.mirror / "v3.20/main", world.good, packages_by=world.other)
    refused(world, r"^keys: apk-tools-static-1-r0.apk has a signature of jails-test.rsa.pub that does not fit")


def test_a_repository_without_apk(world: World) -> None:
    stubs = [package for package in apks.stubs(ARCH) if package.fields["P"] != "apk-tools-static"]
    shutil.rmtree(world.mirror)
    apks.publish(stubs, world.mirror / "v3.20/main", world.good)
    refused(world, r"^repositories: no repository has the package apk-tools-static; add main, or give apk")


def test_a_repository_that_is_not_there(world: World) -> None:
    refused(world, "v3.21/main/.*: the server says 404", release="v3.21")


def test_keys_that_are_not_there(world: World, host: Path) -> None:
    refused(world, r"^keys: the keys in .*/none cannot be read", keys=str(host / "none"))
    refused(world, r"^keys: there is no file NAME.pub in", keys=str(host / "lib"))
    refused(world, r"^keys: no key of Alpine for riscv64 is known here", keys=None, arch="riscv64")


def test_a_host_that_is_no_alpine_has_no_mirror(world: World) -> None:
    if os.path.exists("/etc/apk/repositories"):
        pytest.skip("the host has a mirror of Alpine")
    with pytest.raises(JailError, match=r"^mirror: the host has no /etc/apk/repositories .*; give mirror"):
        templates.ensure(wish("http://x", world, mirror=None), never)


def test_an_apk_that_is_not_there(world: World, host: Path) -> None:
    refused(world, r"^apk: .*/none cannot be read: No such file or directory", apk=str(host / "none"))


def test_untrusted_by_name_only(world: World) -> None:
    apks.publish(apks.stubs(ARCH), world.mirror / "v3.20/main", world.other)
    with pytest.raises(ReachedError):
        ensure(world, reached, allow_untrusted=True)
    log = Path(layout.BUILD_LOG).read_text()
    assert "W: allow_untrusted: nobody checks who has signed http" in log
    # What the index says of a package holds even then.
    shutil.rmtree(Path(layout.LIB) / "cache")
    change(world.mirror / STATIC, -1)
    refused(world, "has files that its own checksum does not fit", allow_untrusted=True)


@pytest.fixture
def whole(world: World, host: Path) -> World:
    """A mirror from which a template can be built, by a program that passes for apk."""
    if hosttools.look_up("gcc") is None:
        pytest.skip("the host has no gcc to make a program with")
    shutil.rmtree(world.mirror)
    apks.publish(apks.stubs(ARCH, apks.likeness(host)), world.mirror / "v3.20/main", world.good)
    return world


def survives_every_kill(url: str, world: World, made: str) -> None:
    """Build and be killed; ``made`` is a path that a whole tree has."""
    recipe = wish(url, world)
    key = recipes.key(recipe)

    def finish() -> None:
        assert templates.ensure(recipe, build.confine) == key
        assert os.path.exists(f"{templates.tree(key)}/{made}")
        templates.remove(key)
        shutil.rmtree(f"{layout.LIB}/cache")  # the next one has to download as well

    faults.survives_every_kill(lambda: templates.ensure(recipe, build.confine), finish, faults.SLOW)


def test_killed_at_every_step_the_next_build_converges(whole: World) -> None:
    with web.serving(web.files(whole.mirror)) as url:
        survives_every_kill(url, whole, "lib/apk/probe")


def test_nobody_prunes_downloads_that_a_build_needs(whole: World, tmp_path: Path) -> None:
    """What was fetched by then is there until the build has come to its end; then it is removed."""
    last = f"/v3.20/main/{ARCH}/probe-1-r0.apk"
    asked, go_on = tmp_path / "asked", tmp_path / "go-on"
    answers = web.files(whole.mirror)

    def answer_late(request: BaseHTTPRequestHandler) -> None:
        asked.touch()
        wait_for(go_on)
        answers[last](request)

    with web.serving({**answers, last: answer_late}) as url:
        builder = in_another_process(lambda: templates.ensure(wish(url, whole), build.confine))
        wait_for(asked)
        pruner = in_another_process(lambda: prune.remove(prune.Wish(False, True, 0, False)))
        time.sleep(0.5)
        fetched = [name for name in downloads() if not name.startswith(".")]
        go_on.touch()
        assert [process.wait(each) for each in (builder, pruner)] == [0, 0]
    assert len(fetched) == 2, "apk itself and the first package"
    assert not set(downloads()) & set(fetched)


def wait_for(path: Path) -> None:
    """Until somebody has made this file."""
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} has not come"
        time.sleep(0.01)


# With an archive of Alpine.


class Alpine(NamedTuple):
    """An unpacked archive of Alpine, a mirror of its packages, and who signed them; ``static`` is an apk."""

    root: Path
    world: World
    canary: Path
    static: Path


@pytest.fixture(scope="module")
def alpine() -> Iterator[Alpine]:
    """Made once; whoever changes the mirror takes a copy."""
    archive = os.environ.get("JAILS_TEST_ALPINE_ARCHIVE")
    if not archive:
        pytest.skip("JAILS_TEST_ALPINE_ARCHIVE names no archive of an Alpine root file system")
    with workshops.opened("apks", ["gcc"]) as shop:
        root = apks.unpack(archive, shop.folder / "root")
        world = World(apks.signer(shop.folder, "good"), apks.signer(shop.folder, "other"), shop.folder / "mirror")
        packages = apks.packages_of(root, shop.folder / "build", shop.canary)
        apks.publish(packages, world.mirror / "v3.20/main", world.good)
        yield Alpine(root, world, shop.canary, shop.folder / "build/static")


def said_inside(tree: Path, *command: str) -> str:
    """What a program of a tree says, confined."""
    with paths.opened(os.memfd_create("said")) as said:
        assert build.confine(str(tree), Job(command, said, said)) == 0
        return os.pread(said, 1 << 16, 0).decode()


def test_alpine_is_what_its_packages_are(alpine: Alpine) -> None:
    tree = Path(templates.tree(ensure(alpine.world, build.confine)))
    assert_as_archived(tree, alpine.root)
    assert (tree / "etc/apk/world").read_text().split() == ["alpine-base", "probe"]
    assert (tree / "etc/apk/repositories").read_text().endswith("/v3.20/main\n")
    assert (tree / "etc/apk/keys/jails-test.rsa.pub").is_file()
    assert (tree / "etc/machine-id").read_bytes() == b""
    assert not [name for name in os.listdir(tree) if name.startswith(".")]
    for name in ("proc", "sys", "dev", "run", "tmp", "var/cache/apk"):
        assert os.listdir(tree / name) == []
    assert "probe-1-r0" in said_inside(tree, "/sbin/apk", "info", "--verbose")
    probe = (tree / "var/lib/probe").read_text()
    first_inside, first_outside, count = probe.splitlines()[1].split()
    assert (probe.splitlines()[0], first_inside, count) == ("0", "0", "65536")
    assert int(first_outside) >= 65536, "it was root of the host"
    assert "made a device" not in probe
    assert "wrote to the host" not in probe


def assert_as_archived(tree: Path, archived: Path) -> None:
    """Programs and libraries are those of the archive, with their owners and modes."""
    ours, theirs = facts(tree), facts(archived)
    compared = 0
    for path, fact in theirs.items():
        if path.startswith(("bin/", "sbin/", "usr/", "lib/")) and not path.startswith("lib/apk/"):
            if stat.S_ISDIR(fact[0]):
                assert ours[path][:3] == fact[:3], path
            elif stat.S_ISLNK(fact[0]):
                assert ours[path][4] == fact[4], path
            else:
                assert ours[path][:3] == fact[:3], path
                assert (tree / path).read_bytes() == (archived / path).read_bytes(), path
                compared += 1
    assert compared > 20


def test_an_apk_of_the_host_by_path(alpine: Alpine) -> None:
    tree = Path(templates.tree(ensure(alpine.world, build.confine, apk=str(alpine.static))))
    assert "probe-1-r0" in said_inside(tree, "/sbin/apk", "info", "--verbose")
    assert "apk-tools-static" not in Path(layout.BUILD_LOG).read_text()


def test_a_package_that_the_repository_does_not_have(alpine: Alpine) -> None:
    with pytest.raises(JailError, match=r"apk ended with status \d+: .*no-such-package \(no such package\)"):
        ensure(alpine.world, build.confine, packages=["no-such-package"])
    assert os.listdir(layout.TEMPLATES) == []


Flaw = Callable[[Path], None]


@pytest.mark.parametrize("flaw", [lambda path: change(path, -1), lambda path: os.truncate(path, 1000), os.unlink])
def test_a_needed_package_that_is_not_as_it_should_be(alpine: Alpine, host: Path, flaw: Flaw) -> None:
    mirror = host / "mirror"
    shutil.copytree(alpine.world.mirror, mirror)
    flaw(next(mirror.rglob("busybox-1*.apk")))
    with pytest.raises(JailError, match=r"busybox-1\S*\.apk(: the server says 404| has files| is cut short)"):
        ensure(alpine.world._replace(mirror=mirror), build.confine)
    assert os.listdir(layout.TEMPLATES) == []


def test_untrusted_alpine(alpine: Alpine, host: Path) -> None:
    """Apk itself has to be told, or it would not look at an index that is not signed by one of the keys."""
    mirror = host / "mirror"
    packages = apks.packages_of(alpine.root, host / "build", alpine.canary)
    apks.publish(packages, mirror / "v3.20/main", alpine.world.other)
    world = alpine.world._replace(mirror=mirror)
    tree = Path(templates.tree(ensure(world, build.confine, allow_untrusted=True)))
    assert (tree / "sbin/apk").is_file()
    index = mirror / INDEX
    index.write_bytes(apks.without_signature(index.read_bytes()))
    other = ensure(world, build.confine, allow_untrusted=True, trust_group="unsigned")
    assert (Path(templates.tree(other)) / "sbin/apk").is_file()


def test_alpine_killed_at_every_step_the_next_build_converges(alpine: Alpine) -> None:
    with web.serving(web.files(alpine.world.mirror)) as url:
        survives_every_kill(url, alpine.world, "var/lib/probe")
