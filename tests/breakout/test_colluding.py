# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two jails of one owner, with a directory that both are given."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import assemble, converge, devices, policy, state
from ansible_collections.cellblock.jails.plugins.module_utils.jail.isolation import covers, options, settled
from ansible_collections.cellblock.jails.plugins.module_utils.jail.isolation.record import Isolation
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import mounts, namespaces, paths, process
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import storage, treecopy
from ansible_collections.cellblock.jails.tests.breakout.support import cells
from ansible_collections.cellblock.jails.tests.breakout.support.programs import Programs
from ansible_collections.cellblock.jails.tests.integration.support.calls import module, pid_of, shell

_ROUNDS = 25
_SWAP = 'cd "$1"; mv proc moved; mkdir proc'
_SWAP_BACK = 'cd "$1"; rmdir proc; mv moved proc'
_SECRET = b"the host's\n"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory of the host that only root comes to, with one that is given to jails and one that is not."""
    place = Path(tempfile.mkdtemp(prefix="jails-given-", dir="/var/tmp"))
    (place / "given").mkdir()
    (place / "secret").mkdir()
    (place / "secret/file").write_bytes(_SECRET)
    yield place
    shutil.rmtree(place)


@pytest.mark.row(61)
def test_the_mount_points_of_a_jail_that_is_started_are_renamed(tmp_path: Path) -> None:
    """Between the mounts and what covers parts of them somebody who is in another mount namespace renames /proc and
    puts an empty directory in its place, which he takes away afterwards: everything is covered and read-only all the
    same. (Looked up by name there is nothing to cover, which passes for a kernel that does not have it.)"""
    isolation = settled.settle(options.desired({"securelevel": 3}))

    def cover(by_name: bool) -> None:
        namespaces.unshare(namespaces.CLONE_NEWNS | namespaces.CLONE_NEWIPC)
        mounts.make_private()
        with paths.opened(paths.open_directory(str(tmp_path))) as root:
            tree = assemble.Tree(devices.create(0))
            kernels_own = assemble.furnish(root, tree, policy.PTYS_MAX)
            _do_elsewhere(_SWAP, tmp_path)
            covers.put_on({"/": root, **({} if by_name else kernels_own)}, tree.devices, isolation)
            _do_elsewhere(_SWAP_BACK, tmp_path)
            bare = covers.uncovered(root, isolation.masked_paths), covers.writable(root, isolation.readonly_paths)
            assert any(map(any, bare)) == by_name

    for by_name in (False, True):
        assert process.wait(process.fork(functools.partial(cover, by_name))) == 0


@pytest.mark.row(61)
def test_a_start_covers_what_it_has_mounted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in a start as it is, while something else bears the names of /proc and /sys: by the kernel's word all is
    covered."""
    furnish, put_on, kernels_own = assemble.furnish, covers.put_on, ("proc", "sys")

    def furnish_and_hide(root: int, tree: assemble.Tree, ptys: int) -> Mapping[str, int]:
        found = furnish(root, tree, ptys)
        for place in kernels_own:
            with paths.opened(mounts.create("tmpfs", {})) as other:
                mounts.attach(other, root, place)
        return found

    def cover_and_show(places: Mapping[str, int], null: int, isolation: Isolation) -> None:
        put_on(places, null, isolation)
        for place in kernels_own:
            mounts.detach(places["/"], place)

    monkeypatch.setattr(assemble, "furnish", furnish_and_hide)
    monkeypatch.setattr(covers, "put_on", cover_and_show)
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox"])
    wish = {"name": name, "command": ["sleep", "100"], "state": "started"}
    assert converge.converge(state.FACET, [wish], False)[name].error is None
    pid = pid_of(name)
    try:
        told = module("jail_info", name=[name], gather=["isolation"])["jails"][name]["isolation"]
        assert told["drift"] == []
    finally:
        module("jail_state", name=[name], state="stopped")
        process.wait(pid)


def _do_elsewhere(script: str, place: Path) -> None:
    """Run a script in the mount namespace of our parent."""
    command = ["nsenter", f"--mount=/proc/{os.getppid()}/ns/mnt", "sh", "-ec", script, "sh", str(place)]
    subprocess.run(command, check=True)


@contextlib.contextmanager
def _swapping(taker: str, programs: Programs) -> Iterator[None]:
    command = [layout.COMMAND, "exec", taker, "--", programs.attack, "swap_in_directory", "/vol/socket"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as swapping:
        assert swapping.stdout
        try:
            assert swapping.stdout.readline() == b"swapping\n"
            yield
            assert swapping.poll() is None
        finally:
            swapping.terminate()


def _leaked(copy: Path) -> bool:
    """Whether a copy of the tree holds the host's file: not a link to it."""
    for place, _folders, files in os.walk(copy):
        for file in (Path(place, name) for name in files):
            if not file.is_symlink() and file.read_bytes() == _SECRET:
                return True
    return False


@pytest.mark.row(61)
@pytest.mark.parametrize("kind", ["overlay", "directory"])
def test_a_directory_of_a_stopped_jail_is_swapped_for_a_link_while_it_is_copied(
    compiled: Programs, names: Callable[[int], list[str]], folder: Path, kind: str
) -> None:
    """A jail passes a neighbour a descriptor of a directory of its own and is stopped. The neighbour lets directories
    and links to a directory of the host's change places there, as fast as it can, while the host copies the tree, as it
    does for snapshots and clones. No copy holds a file of the host. (One that cp(1) makes by itself does.)"""
    giver, taker = names(2)
    given = [{"source": str(folder / "given"), "target": "/vol", "read_only": False}]
    cells.made(giver, compiled, {"storage": kind}, mounts=given)
    cells.made(taker, compiled, mounts=given)
    link = f"ln -s {folder}/secret link$i"
    make = f"mkdir folder$i; echo mine > folder$i/file; {link}; i=$((i+1))"
    shell(giver, f"mkdir -m 777 /srv/tree; cd /srv/tree; i=0; while [ $i -lt 20 ]; do {make}; done")
    give = [layout.COMMAND, "exec", giver, "--", compiled.attack, "give_directory", "/vol/socket", "/srv/tree"]
    stored = storage.describe(giver)
    assert stored is not None
    assert stored.writable is not None
    copy = Path(layout.LIB, "copy")
    with subprocess.Popen(give) as giving:
        while not (folder / "given/socket").exists():
            assert giving.poll() is None
        with _swapping(taker, compiled):
            module("jail_state", name=[giver], state="stopped")
            for _round in range(_ROUNDS):
                with contextlib.suppress(JailError):  # most of the time cp(1) does see that something changes
                    treecopy.copy(stored.writable, str(copy), "copy")
                leaked = _leaked(copy)
                shutil.rmtree(copy)
                assert not leaked
            for _round in range(_ROUNDS):
                subprocess.run(["cp", "-a", "--", stored.writable, copy], capture_output=True, check=False)
                leaked = _leaked(copy)
                shutil.rmtree(copy)
                if leaked:
                    break
            assert leaked
