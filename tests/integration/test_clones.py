# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clones: a jail like another, and one of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import inodeflags, paths, quota
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import templates
from ansible_collections.cellblock.jails.tests.integration.support import evidence, likeness, richtree
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    actions,
    module,
    refused,
    shell,
)
from ansible_collections.cellblock.jails.tests.integration.support.layer import own_files, stored

Names = Callable[[int], list[str]]


def make(name: str, kind: str = "overlay", **options: Any) -> None:
    """A jail of busybox that does not run."""
    if kind == "image":
        options["size"] = "64M"
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox"], storage=kind, **options)
    module("jail_state", name=[name], command=["sleep", "100000"])


def clone(name: str, source: str, **options: Any) -> dict[str, Any]:
    """Make a clone."""
    return module("jail_rootfs", name=name, method="clone", source=source, **options)


def own(name: str) -> dict[str, dict[str, Any]]:
    """All files that are a jail's own."""
    with own_files(stored(name)) as top:
        return likeness.described(str(top))


def test_a_clone_has_the_files_and_goes_its_own_way(names: Names, storage_kind: str) -> None:
    """It is the same tree, attribute for attribute, of the same template and kind; what one of the two writes the other
    does not see, and each has its own user ids."""
    source, copy = names(2)
    make(source, storage_kind)
    with own_files(stored(source)) as top:
        richtree.furnish(top)
    before = own(source)
    clone(copy, source)
    assert own(copy) == before
    assert (stored(copy).kind, stored(copy).template) == (storage_kind, stored(source).template)
    module("jail_state", name=[source, copy], state="started")
    shell(copy, "echo changed > /rich/links/one; rm /rich/names/plain")
    shell(source, "echo other > /rich/links/one")
    assert shell(source, "cat /rich/links/inner/two /rich/names/plain") == "other\n0"
    assert shell(copy, "cat /rich/links/inner/two; ls /rich/names/plain 2>&1 | wc -l") == "changed\n1\n"
    jails = module("jail_info", name=[source, copy])["jails"]
    assert jails[source]["first_id"] != jails[copy]["first_id"]


def test_it_runs_as_its_source_does_but_for_name_and_network(names: Names) -> None:
    """Limits and state are the source's where nothing was said of the clone; host name and network are not."""
    source, copy, other = names(3)
    make(source, hosts=["192.0.2.7 db"])
    module("jail_limits", name=source, memory_max="64M", pids_max="77")
    module("jail_state", name=[source], hostname="original", stop_timeout=1)
    module("jail_net", name=source, interfaces=[{"name": "e0", "bridge": "br-c", "addresses": ["10.88.0.2/24"]}])
    clone(copy, source)
    found = module("jail_info", name=[copy])["jails"][copy]
    assert (found["limits"]["memory_max"], found["limits"]["pids_max"]) == ("64M", "77")
    assert found["state"]["command"] == ["sleep", "100000"]
    assert found["state"]["stop_timeout"] == 1
    assert found["state"]["hostname"] is None
    assert found["net"]["interfaces"] == []
    assert found["rootfs"]["method"] == "clone"
    assert found["rootfs"]["source"] == source
    assert found["rootfs"]["hosts"] == ["192.0.2.7 db"]
    module("jail_limits", name=other, pids_max="99")
    module("jail_state", name=[other], hostname="chosen")
    clone(other, source)
    found = module("jail_info", name=[other])["jails"][other]
    assert found["limits"]["pids_max"] == "99"
    assert found["limits"]["memory_max"] == "64M"
    assert found["state"]["hostname"] == "chosen"
    module("jail_state", name=[copy], state="started")
    assert shell(copy, "hostname") == f"{copy}\n"


def test_its_identity_is_its_own(names: Names) -> None:
    """Its machine id is another than that of its source, from its first start on, and it keeps that."""
    source, copy = names(2)
    make(source)
    module("jail_state", name=[source], state="started")
    before = shell(source, "cat /etc/machine-id")
    assert len(before.strip()) == 32
    module("jail_state", name=[source], state="stopped")
    clone(copy, source)
    module("jail_state", name=[source, copy], state="started")
    assert shell(source, "cat /etc/machine-id") == before
    own_id = shell(copy, "cat /etc/machine-id")
    assert own_id not in ("", before)
    module("jail_state", name=[copy], state="restarted")
    assert shell(copy, "cat /etc/machine-id") == own_id


def test_once_is_enough(names: Names, storage_kind: str) -> None:
    """A clone is made once, also when its source is gone since; another source or kind of storage is refused. Check
    mode foretells, and touches nothing."""
    source, copy = names(2)
    make(source, storage_kind)
    module("jail_info")
    before = evidence.everything()
    foretold = clone(copy, source, check=True)
    assert evidence.everything() == before
    done = clone(copy, source)
    assert foretold["jails"] == done["jails"]
    assert foretold["diff"] == done["diff"]
    assert ("storage", None, storage_kind, "create") in actions(done, copy)
    assert not clone(copy, source)["changed"]
    assert not clone(copy, source, storage=storage_kind)["changed"]
    other = "directory" if storage_kind == "overlay" else "overlay"
    assert "storage: " in refused("jail_rootfs", name=copy, method="clone", source=source, storage=other)
    assert "source: " in refused("jail_rootfs", name=copy, method="clone", source="another")
    assert "method: " in refused("jail_rootfs", name=copy, method="skeleton", binaries=["busybox"])
    assert "method: " in refused("jail_rootfs", name=source, method="clone", source=copy)
    module("jail_state", name=[source], state="absent")
    assert not clone(copy, source)["changed"]
    module("jail_state", name=[copy], state="started")


def test_a_source_that_runs(names: Names, storage_kind: str) -> None:
    """It is copied where its storage can be at one moment, else refused, in check mode as well; a snapshot of it can be
    copied in any case, and is copied as it was."""
    source, copy, third = names(3)
    make(source, storage_kind)
    module("jail_state", name=[source], state="started")
    shell(source, "echo then > /root/file")
    module("jail_state", name=[source], state="stopped")
    module("jail_limits", name=source, pids_max="77")
    module("jail_snapshot", name=source, snapshot="one")
    module("jail_limits", name=source, pids_max="99")
    module("jail_state", name=[source], state="started")
    shell(source, "echo now > /root/file; sync")
    if stored(source).store.atomic:
        clone(copy, source)
        module("jail_state", name=[copy], state="started")
        assert shell(copy, "cat /root/file") == "now\n"
    else:
        for check in (True, False):
            message = refused("jail_rootfs", check=check, name=copy, method="clone", source=source)
            assert f"jail {source} runs" in message
        assert not os.path.exists(layout.storage(copy))
        assert not os.path.exists(layout.desired(copy))
    clone(third, source, snapshot="one")
    module("jail_state", name=[third], state="started")
    assert shell(third, "cat /root/file") == "then\n"
    found = module("jail_info", name=[third])["jails"][third]
    assert found["limits"]["pids_max"] == "77"
    assert found["rootfs"]["snapshot"] == "one"


def test_a_running_jails_snapshot_is_one_moment(names: Names, lib_on: Callable[..., str]) -> None:
    """With storage btrfs a snapshot and a clone of a jail that writes all the time hold what it had written before they
    were taken."""
    lib_on("btrfs")
    source, copy = names(2)
    make(source, "btrfs")
    module("jail_state", name=[source], state="started")
    shell(source, "(i=0; while :; do i=$((i+1)); echo $i > /root/a; echo $i > /root/b; done) >/dev/null 2>&1 & sync")
    for label in ("one", "two", "three"):
        module("jail_snapshot", name=source, snapshot=label)
        clone(f"{copy}-{label}", source, snapshot=label)
        with own_files(stored(f"{copy}-{label}")) as top:
            first, second = ((top / f"root/{file}").read_text().strip() for file in "ab")
        module("jail_state", name=[f"{copy}-{label}"], state="absent")
        assert int(first or second or 0) - int(second or first or 0) in (0, 1)
    clone(copy, source)


def test_in_one_list(names: Names) -> None:
    """A jail and its clones by one call, in the order of the list; by a check as well, when nothing is there yet."""
    source, copy, third = names(3)
    wish = [
        {"name": source, "method": "skeleton", "binaries": ["busybox"]},
        {"name": copy, "method": "clone", "source": source},
        {"name": third, "method": "clone", "source": copy},
    ]
    assert module("jail_rootfs", check=True, jails=wish)["changed"]
    module("jail_rootfs", jails=wish)
    assert not module("jail_rootfs", jails=wish)["changed"]
    assert stored(third).template == stored(source).template
    with pytest.raises(Exception, match=f"{source}, {copy}, {third}|{third}"):
        templates.remove(stored(source).template)


def test_what_is_no_clone(names: Names) -> None:
    """Bad values are refused with their option, and leave nothing."""
    name, source = names(2)
    make(source)

    def message(**options: Any) -> str:
        return refused("jail_rootfs", name=name, **options)

    assert "source: method clone needs one" in message(method="clone")
    assert "cannot name a jail" in message(method="clone", source="../x")
    assert "a clone of itself" in message(method="clone", source=name)
    assert "has no root file system" in message(method="clone", source="nobody")
    assert "has no snapshot none" in message(method="clone", source=source, snapshot="none")
    assert "cannot name a snapshot" in message(method="clone", source=source, snapshot="../x")
    assert "suite: means nothing to method clone" in message(method="clone", source=source, suite="bookworm")
    assert "source: means nothing to method skeleton" in message(method="skeleton", source=source)
    assert "has the storage of its source, which is overlay" in message(
        method="clone", source=source, storage="directory"
    )
    assert not os.path.exists(layout.storage(name))
    assert not os.path.exists(layout.desired(name))


@pytest.mark.parametrize("kind", ["btrfs", "xfs"])
def test_copies_share_blocks(names: Names, lib_on: Callable[..., str], kind: str) -> None:
    """Where the file system can share blocks, a clone of a jail with 40 MB of its own takes next to nothing, and a
    snapshot as little. (A plain copy takes 40 MB.)"""
    lib_on(kind)
    source, copy = names(2)
    make(source)
    with own_files(stored(source)) as top:
        (top / "blob").write_bytes(os.urandom(40 << 20))
    os.sync()
    free = os.statvfs(layout.LIB).f_bfree
    clone(copy, source)
    module("jail_snapshot", name=source, snapshot="one")
    os.sync()
    taken = (free - os.statvfs(layout.LIB).f_bfree) * os.statvfs(layout.LIB).f_frsize
    assert taken < 8 << 20, taken
    free = os.statvfs(layout.LIB).f_bfree
    subprocess.run(["cp", "--reflink=never", f"{stored(source).writable}/blob", f"{layout.LIB}/plain"], check=True)
    os.sync()
    assert (free - os.statvfs(layout.LIB).f_bfree) * os.statvfs(layout.LIB).f_frsize > 30 << 20


@pytest.mark.parametrize(("kind", "filesystem"), [("btrfs", "btrfs"), ("image", None), ("directory", "ext4-prjquota")])
def test_a_limit_of_size_is_the_clones_own(
    names: Names, lib_on: Callable[..., str], kind: str, filesystem: str | None
) -> None:
    """A clone has the limit of its source for itself, from the moment that it is there; going back to a snapshot gives
    the limit of then."""
    if filesystem is not None:
        lib_on(filesystem)
    source, copy = names(2)
    module("jail_rootfs", name=source, method="skeleton", binaries=["busybox"], storage=kind, size="32M")
    module("jail_state", name=[source], command=["sleep", "100000"])
    module("jail_snapshot", name=source, snapshot="one")
    clone(copy, source)
    assert [limit(each) for each in (source, copy)] == [32 << 20, 32 << 20]
    module("jail_rootfs", name=source, size="64M")
    assert [limit(each) for each in (source, copy)] == [64 << 20, 32 << 20]
    module("jail_snapshot", name=source, snapshot="one", state="rolled_back")
    assert limit(source) == 32 << 20
    assert not module("jail_rootfs", name=source, size="32M")["changed"]
    module("jail_state", name=[source, copy], state="started")
    for each in (source, copy):
        assert shell(each, "dd if=/dev/zero of=/blob bs=1M count=48 2>&1 | grep -ciE 'quota|space'") == "1\n"


def limit(name: str) -> int:
    """The bytes that a jail may have."""
    found = module("jail_info", name=[name], gather=["disk"])["jails"][name]["disk"]["bytes_max"]
    assert isinstance(found, int)
    return found


def test_no_quota_is_left_of_what_was_removed(names: Names, lib_on: Callable[..., str]) -> None:
    """Each copy is a project of its own while it is there; the number of one that was replaced or removed is free."""
    lib_on("ext4-prjquota")
    source, copy = names(2)
    make(source, "directory", size="32M")
    module("jail_snapshot", name=source, snapshot="one")
    clone(copy, source)
    numbers = {project_of(source), project_of(copy)}
    module("jail_snapshot", name=source, snapshot="one", state="rolled_back")
    numbers.add(project_of(source))
    assert len(numbers) == 3
    module("jail_state", name=[source, copy], state="absent")
    with paths.opened(os.open(layout.LIB, os.O_RDONLY | os.O_DIRECTORY)) as directory:
        assert not any(any(quota.usage(directory, number)) for number in numbers)


def project_of(name: str) -> int:
    """The number by which a jail's files are counted."""
    with paths.opened(os.open(layout.storage(name), os.O_RDONLY | os.O_DIRECTORY)) as directory:
        return inodeflags.project(directory)
