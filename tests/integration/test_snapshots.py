# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots: kept whole, given back whole, and nobody's when their jail is gone."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import info
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import snapshots, storage, templates
from ansible_collections.cellblock.jails.tests.integration.support import evidence, likeness, richtree, sandbox
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    actions,
    attempt,
    jail,
    module,
    refused,
    shell,
)
from ansible_collections.cellblock.jails.tests.integration.support.layer import own_files, stored

SLEEP = ["sleep", "100000"]
Names = Callable[[int], list[str]]


def make(name: str, kind: str = "overlay", **options: Any) -> None:
    """A jail of busybox that does not run."""
    if kind == "image":
        options["size"] = "64M"
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox"], storage=kind, **options)
    module("jail_state", name=[name], command=SLEEP)


def start(name: str) -> None:
    """Start it."""
    module("jail_state", name=[name], state="started")


def stop(name: str) -> None:
    """Stop it."""
    module("jail_state", name=[name], state="stopped")


def take(name: str, label: str = "one", **options: Any) -> dict[str, Any]:
    """Take a snapshot."""
    return module("jail_snapshot", name=name, snapshot=label, **options)


def roll_back(name: str, label: str = "one", **options: Any) -> dict[str, Any]:
    """Go back to one."""
    return module("jail_snapshot", name=name, snapshot=label, state="rolled_back", **options)


def snapshot(name: str, label: str = "one") -> storage.Storage:
    """The storage of a snapshot."""
    found = snapshots.describe(name, label)
    assert found
    return found.storage


def own(found: storage.Storage) -> dict[str, dict[str, Any]]:
    """All files that are a jail's own, as they are on disk."""
    with own_files(found) as top:
        return likeness.described(str(top))


def masqueraded() -> str:
    """The packet filter of the host."""
    return subprocess.run(["nft", "list", "ruleset"], check=True, capture_output=True, text=True).stdout


def test_a_jail_that_runs_before_and_after_has_its_files_back(name: str, storage_kind: str) -> None:
    """What was changed, removed and made since is as it was; the jail runs on it, and its range of ids stays."""
    make(name, storage_kind)
    start(name)
    shell(name, "echo one > /root/f; ln /root/f /root/g; rm /etc/nsswitch.conf; rm -rf /srv; mkdir /srv; chown 7 /srv")
    before = shell(name, "ls -lan /root /srv /etc; cat /root/g")
    stop(name)
    ids = module("jail_info", name=[name])["jails"][name]["first_id"]
    take(name)
    start(name)
    shell(name, "echo two > /root/f; rm /root/g; rm -rf /srv /opt; echo x > /etc/nsswitch.conf; touch /new; rm /bin/ls")
    stop(name)
    roll_back(name)
    start(name)
    assert shell(name, "ls -lan /root /srv /etc; cat /root/g") == before
    assert shell(name, "echo /new* /opt") == "/new* /opt\n"
    assert module("jail_info", name=[name])["jails"][name]["first_id"] == ids


def test_nothing_is_lost_on_the_way(name: str, storage_kind: str) -> None:
    """A tree with one of everything is the same, attribute for attribute, in the snapshot and after going back: also
    what the overlay notes in its upper directory, whiteouts and all."""
    make(name, storage_kind)
    start(name)
    shell(name, "rm /etc/nsswitch.conf; rm -rf /srv; mkdir /srv; echo x >> /etc/hosts; chmod 700 /opt")
    stop(name)
    with own_files(stored(name)) as top:
        richtree.furnish(top)
    before = own(stored(name))
    take(name)
    assert own(snapshot(name)) == before
    with own_files(stored(name)) as top:
        (top / "rich/links/one").write_text("changed")
    assert own(stored(name)) != before
    assert own(snapshot(name)) == before
    roll_back(name)
    assert own(stored(name)) == before
    assert {os.stat(folder).st_mode & 0o077 for folder in (layout.SNAPSHOTS, layout.snapshots(name))} == {0}


def test_desired_state_comes_back(name: str) -> None:
    """The options of all modules are what they were, each is told, and what only the newer ones used on the host goes
    away."""
    make(name)
    net = {"name": "e0", "bridge": "br-snap", "addresses": ["10.83.0.2/24"], "gateway": "10.83.0.1", "masquerade": True}
    module("jail_net", name=name, interfaces=[net], dns=["192.0.2.1"])
    module("jail_limits", name=name, memory_max="64M")
    before = module("jail_info", name=[name])["jails"][name]
    take(name)
    start(name)
    stop(name)
    used = sandbox.devices(), masqueraded()
    module("jail_limits", name=name, memory_max="32M", cpus="0.5")
    module("jail_net", name=name, interfaces=[net, {"name": "e1", "bridge": "br-new", "addresses": ["10.84.0.2/24"]}])
    module("jail_state", name=[name], hostname="other", state="started")
    stop(name)
    foretold = roll_back(name, check=True)
    done = roll_back(name)
    assert foretold["jails"] == done["jails"]
    changed = {option: (then, now) for option, then, now, how in actions(done, name) if how == "rollback"}
    assert changed["snapshot"] == (None, "one")
    assert changed["memory_max"] == ("32M", "64M")
    assert changed["cpus"] == ("0.5", None)
    assert changed["hostname"] == ("other", None)
    assert [each["name"] for each in changed["interfaces"][0]] == ["e0", "e1"]
    assert [each["name"] for each in changed["interfaces"][1]] == ["e0"]
    after = module("jail_info", name=[name])["jails"][name]
    assert {part: after[part] for part in ("net", "limits", "state", "rootfs")} == {
        part: before[part] for part in ("net", "limits", "state", "rootfs")
    }
    devices, lines = sandbox.devices(), masqueraded().splitlines()
    assert devices == used[0]
    # Chains at the jail's ends are cleared up by the rollback as well.
    assert "10.83.0.2" in " ".join(lines)
    assert not set(lines) - set(used[1].splitlines())
    start(name)
    assert "10.83.0.2 accept" in masqueraded()


def test_once_is_enough(name: str, storage_kind: str) -> None:
    """A snapshot that is there is not taken again; a jail that is what it was is not rolled back again, until it has
    been started or its desired state changed."""
    make(name, storage_kind)
    assert take(name)["changed"]
    assert not take(name)["changed"]
    assert roll_back(name)["changed"]
    assert not roll_back(name)["changed"]
    assert not roll_back(name, check=True)["changed"]
    module("jail_limits", name=name, memory_max="64M")
    assert roll_back(name)["changed"]
    start(name)
    stop(name)
    assert roll_back(name)["changed"]
    assert not roll_back(name)["changed"]
    take(name, "two")
    assert roll_back(name, "two")["changed"]
    assert roll_back(name, "one")["changed"]
    take(name, "one", state="absent")
    assert not take(name, "one", state="absent")["changed"]
    take(name, "one")
    assert roll_back(name, "one")["changed"], "another snapshot of the same label"


def test_check_mode_foretells_and_touches_nothing(name: str, storage_kind: str) -> None:
    """Taking, going back and removing: as foretold, and only then."""
    make(name, storage_kind)
    module("jail_info")
    for state in ("present", "rolled_back", "absent"):
        wish: dict[str, Any] = {"name": name, "snapshot": "one", "state": state}
        before = evidence.everything()
        foretold = module("jail_snapshot", check=True, **wish)
        assert evidence.everything() == before, state
        done = module("jail_snapshot", **wish)
        assert foretold["changed"], state
        assert foretold["jails"] == done["jails"], state
        assert foretold["diff"] == done["diff"], state
        assert evidence.everything() != before, state


def test_a_jail_that_runs_is_not_copied(name: str, storage_kind: str) -> None:
    """Where storage cannot be copied at one moment, a snapshot of a jail that runs is refused with what would do; going
    back is refused for every kind. Both in check mode too. A snapshot that is there already is no reason to stop."""
    make(name, storage_kind)
    take(name)
    start(name)
    before = evidence.files(layout.LIB)
    if not stored(name).store.atomic:
        for check in (True, False):
            message = refused("jail_snapshot", check=check, name=name, snapshot="two")
            assert "the jail runs" in message
            assert "state=stopped" in message
            assert "btrfs" in message
    for check in (True, False):
        message = refused("jail_snapshot", check=check, name=name, snapshot="one", state="rolled_back")
        assert "the jail runs" in message
    assert not take(name)["changed"]
    assert evidence.files(layout.LIB) == before


def test_many_jails_in_one_run(names: Names) -> None:
    """One list, one label; one jail's failure is its own."""
    jails = names(3)
    for each in jails[:2]:
        make(each)
    result = attempt("jail_snapshot", snapshot="one", jails=[{"name": each} for each in jails])
    assert result["failed"]
    assert [result["jails"][each].get("failed", False) for each in jails] == [False, False, True]
    assert "has no root file system" in result["jails"][jails[2]]["msg"]
    assert [found.label for each in jails[:2] for found in snapshots.of(each)] == ["one", "one"]
    assert not snapshots.names() or set(snapshots.names()) <= set(jails[:2])


def test_snapshots_of_a_jail_are_listed_and_go_with_it(name: str, storage_kind: str) -> None:
    """By the module and by the command, oldest first; removing the jail removes them, its root file system alone does
    not, and going back to one makes it anew."""
    make(name, storage_kind)
    take(name, "z-first")
    take(name, "second.2")
    found = module("jail_info", name=[name])["jails"][name]["snapshots"]
    assert [each["snapshot"] for each in found] in (["z-first", "second.2"], ["second.2", "z-first"])  # by the second
    assert {each["storage"] for each in found} == {storage_kind}
    lines = jail("snapshot", "ls", name).stdout.decode().splitlines()
    assert lines[0].split() == ["NAME", "SNAPSHOT", "CREATED", "STORAGE", "TEMPLATE"]
    assert {tuple(line.split()[:2]) for line in lines[1:]} == {(name, "z-first"), (name, "second.2")}
    start(name)
    shell(name, "echo mine > /root/f")
    stop(name)
    take(name, "third")
    module("jail_rootfs", name=name, state="absent")
    assert storage.describe(name) is None
    assert name in info.names()
    assert len(snapshots.of(name)) == 3
    roll_back(name, "third")
    start(name)
    assert shell(name, "cat /root/f") == "mine\n"
    module("jail_state", name=[name], state="absent")
    assert not os.path.exists(layout.snapshots(name))
    assert name not in info.names()


def test_a_template_is_in_use_by_a_snapshot(name: str) -> None:
    """It stays while an overlay's snapshot needs it, even when the jail does not any more."""
    make(name, trust_group="snapshots")
    take(name)
    key = stored(name).template
    module("jail_rootfs", name=name, state="absent")
    with pytest.raises(JailError, match=f"in use by {name}@one"):
        templates.remove(key)
    take(name, state="absent")
    templates.remove(key)


def test_a_copy_needs_no_template(name: str) -> None:
    """A snapshot of a full copy is one."""
    make(name, "directory", trust_group="copies")
    take(name)
    templates.remove(stored(name).template)
    roll_back(name)
    start(name)


def test_an_address_that_is_another_jails_by_now(names: Names) -> None:
    """Going back to a network that would clash is refused, in check mode too, and changes nothing."""
    one, other = names(2)
    make(one)
    make(other)
    net = {"name": "e0", "bridge": "br-snap", "addresses": ["10.83.0.2/24"]}
    module("jail_net", name=one, interfaces=[net])
    take(one)
    module("jail_net", name=one, interfaces=[])
    module("jail_net", name=other, interfaces=[net])
    before = evidence.files(layout.ETC, layout.LIB)
    for check in (True, False):
        message = refused("jail_snapshot", check=check, name=one, snapshot="one", state="rolled_back")
        assert f"jails {one} and {other} both have the address 10.83.0.2" in message
    assert evidence.files(layout.ETC, layout.LIB) == before
    module("jail_net", name=other, interfaces=[])
    roll_back(one)


def test_labels_are_names_of_directories_and_no_paths(name: str) -> None:
    """Whatever leads anywhere is refused, by the module and by the command."""
    make(name)
    before = evidence.files(layout.LIB)
    for label in ("", ".", "..", ".new-x", "../up", "a/b", "a\nb", "a b", "-x", "x" * 65):
        assert "cannot name a snapshot" in refused("jail_snapshot", name=name, snapshot=label)
        done = jail("snapshot", "take", name, "--", label)
        assert done.returncode
        assert b"cannot name a snapshot" in done.stderr
    assert "snapshot" in refused("jail_snapshot", name=name)
    assert evidence.files(layout.LIB) == before


def test_a_label_that_is_not_there(name: str) -> None:
    """The message says which are."""
    make(name)
    take(name, "one")
    take(name, "two")
    message = refused("jail_snapshot", name=name, snapshot="three", state="rolled_back")
    assert "it has no snapshot three; it has: one, two" in message


def test_by_hand(name: str) -> None:
    """``jail snapshot take``, ``rollback`` and ``rm`` do what the module does."""
    make(name)
    assert not jail("snapshot", "take", name, "one").returncode
    assert not take(name)["changed"]
    start(name)
    shell(name, "touch /new")
    done = jail("snapshot", "rollback", name, "one")
    assert done.returncode
    assert b"the jail runs" in done.stderr
    stop(name)
    assert not jail("snapshot", "rollback", name, "one").returncode
    assert not roll_back(name)["changed"]
    assert "new" not in own(stored(name))
    assert not jail("snapshot", "rm", name, "one").returncode
    assert jail("snapshot", "ls").stdout.decode().splitlines()[1:] == []
    assert jail("snapshot", "rollback", name, "one").returncode


def test_links_out_of_the_tree_are_copied_as_links(name: str, storage_kind: str, tmp_path: Path) -> None:
    """Nothing that a hostile tree points to is read, written or removed: links, and links in the place of directories.
    (A copy that follows them does reach it.)"""
    canary = tmp_path / "canary"
    canary.mkdir()
    (canary / "secret").write_text("the host's")
    make(name, storage_kind)
    with own_files(stored(name)) as top:
        for number, target in enumerate((canary, "/", "..", "../../../../../../..", layout.LIB, f"{canary}/secret")):
            (top / f"link{number}").symlink_to(str(target))
        assert (top / "link0/secret").read_text() == "the host's"
    before = evidence.files(str(canary))
    take(name)
    roll_back(name)
    assert own(snapshot(name))["link0"]["content"] == str(canary)
    take(name, state="absent")
    assert evidence.files(str(canary)) == before


@pytest.mark.parametrize("storage_kind", ["overlay", "directory"], indirect=True)
def test_a_tree_that_is_too_deep_to_copy_is_refused(name: str, storage_kind: str) -> None:
    """Paths of more than 4,096 bytes cannot be copied by name: the snapshot fails, says so, and nothing is left. The
    jail itself can have them. (Snapshots of btrfs and copies of images can.)"""
    make(name, storage_kind)
    start(name)
    shell(name, f"for i in $(seq 30); do mkdir {'d' * 200}; cd {'d' * 200}; done; pwd | wc -c")
    stop(name)
    message = refused("jail_snapshot", name=name, snapshot="one")
    assert "no path in the tree may be much longer than 4,000 bytes" in message
    assert not os.path.exists(layout.snapshots(name))
    start(name)
