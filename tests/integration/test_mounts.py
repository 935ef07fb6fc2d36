# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts of a jail beside its root: what they show, what they let be written and as whom, how they change in a running
jail, and what no jail is given."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import live
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import mounts, pidfd
from ansible_collections.cellblock.jails.tests.integration.support import evidence
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    inside,
    jail,
    module,
    options_changed,
    pid_of,
    refused,
    shell,
)

_COMMAND = ["sh", "-c", "cat /srv/in/file; exec sleep 100000"]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory of the host, on a file system with idmapped mounts, that only root comes to, with a file in it."""
    place = Path(tempfile.mkdtemp(prefix="jails-mounts-", dir="/var/tmp"))
    (place / "in").mkdir()
    (place / "in/file").write_text("host\n", encoding="utf-8")
    yield place
    shutil.rmtree(place)


@pytest.fixture
def stopped(name: str) -> str:
    """A jail that does not run, whose first process prints what it finds."""
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox"])
    module("jail_state", name=[name], command=_COMMAND)
    return name


def bind(folder: Path, **more: Any) -> dict[str, Any]:
    """A bind mount of the directory."""
    return {"source": str(folder / "in"), "target": "/srv/in", **more}


def mounted(name: str, target: str) -> mounts.Mounted:
    """The jail's mount on a place."""
    return next(mount for mount in reversed(mounts.mount_table(str(pid_of(name)))) if mount.target == target)


def test_a_bind_mount_is_there_before_the_first_instruction_and_read_only(stopped: str, folder: Path) -> None:
    """The first process and one that enters read the host's file and can write nothing, set no user by it and find no
    device in it; the host can (the control)."""
    setuid = folder / "in/raised"
    shutil.copy("/bin/busybox", setuid)
    setuid.chmod(0o4755)
    os.mknod(folder / "in/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    module("jail_state", name=[stopped], mounts=[bind(folder)], state="started")
    assert jail("log", stopped).stdout == b"host\n"
    assert inside(stopped, "cat", "/srv/in/file") == "host\n"
    for script in ("echo x > /srv/in/file", "touch /srv/in/new", "rm /srv/in/file", "chmod 777 /srv/in"):
        assert b"Read-only" in jail("exec", stopped, "--", "sh", "-c", script).stderr, script
    assert b"denied" in jail("exec", stopped, "--", "sh", "-c", "echo > /srv/in/null").stderr
    flags = mounted(stopped, "/srv/in").flags.split(",")
    assert {"ro", "nosuid", "nodev"} <= set(flags)
    assert "noexec" not in flags
    (folder / "in/null").write_text("x", encoding="ascii")
    (folder / "in/file").write_text("changed\n", encoding="utf-8")
    assert inside(stopped, "cat", "/srv/in/file") == "changed\n"


def test_files_belong_to_the_same_users_on_both_sides(stopped: str, folder: Path) -> None:
    """With mapped ids root and user 33 of the jail are 0 and 33 on disk; without, they are the ids of the jail's range,
    and files of the host's are nobody's."""
    os.chown(folder / "in/file", 33, 33)
    volume = bind(folder, read_only=False)
    module("jail_state", name=[stopped], mounts=[volume], state="started")
    assert inside(stopped, "stat", "-c", "%u:%g", "/srv/in/file", "/srv/in") == "33:33\n0:0\n"
    shell(stopped, "echo x > /srv/in/new; chown 7:8 /srv/in/new")
    assert ((folder / "in/new").stat().st_uid, (folder / "in/new").stat().st_gid) == (7, 8)
    module("jail_state", name=[stopped], mounts=[{**volume, "idmapped": False}])
    assert inside(stopped, "stat", "-c", "%u", "/srv/in/file") == "65534\n"
    assert jail("exec", stopped, "--", "sh", "-c", "echo x > /srv/in/file").returncode != 0
    first = module("jail_info", name=[stopped], gather=[])["jails"][stopped]["first_id"]
    os.chown(folder / "in", first, first)
    shell(stopped, "echo x > /srv/in/own")
    assert (folder / "in/own").stat().st_uid == first


def test_each_flag_does_what_it_says(stopped: str, folder: Path) -> None:
    """noexec, nosuid and nodev, each with its control."""
    program = folder / "in/busybox"
    shutil.copy("/bin/busybox", program)
    command = ("exec", stopped, "--", "/srv/in/busybox", "true")
    module("jail_state", name=[stopped], mounts=[bind(folder, noexec=True)], state="started")
    assert jail(*command).returncode == 126
    module("jail_state", name=[stopped], mounts=[bind(folder, nosuid=False)])
    assert jail(*command).returncode == 0
    assert "nosuid" not in mounted(stopped, "/srv/in").flags
    os.mknod(folder / "in/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    module("jail_state", name=[stopped], mounts=[bind(folder, nodev=False)])
    shell(stopped, "echo > /srv/in/null")


def test_of_a_jail_whose_init_has_control_groups(name: str, tmp_path: Path, folder: Path) -> None:
    """What is mounted for its init is no reason not to change its mounts while it runs."""
    program = tmp_path / "systemd"
    shutil.copy("/bin/sleep", program)
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox", str(program)])
    module("jail_state", name=[name], command=[str(program), "100000"], state="started")
    on = [mount.target for mount in mounts.mount_table(str(pid_of(name)))]
    if "/sys/fs/cgroup" not in on:
        pytest.skip("this host hands no control groups over to a jail's init")
    assert options_changed(module("jail_state", name=[name], mounts=[bind(folder)]), name) == [("mounts", "live")]
    assert inside(name, "cat", "/srv/in/file") == "host\n"
    assert options_changed(module("jail_state", name=[name], mounts=[]), name) == [("mounts", "live")]


def test_a_single_file(stopped: str, folder: Path) -> None:
    """A file is mounted on a file, which is made where it is missing."""
    volume = {"source": str(folder / "in/file"), "target": "/opt/a/b/file"}
    module("jail_state", name=[stopped], mounts=[volume], state="started")
    assert inside(stopped, "cat", "/opt/a/b/file") == "host\n"


def test_tmpfs(stopped: str) -> None:
    """It has its size and mode, is the jail's own, and is empty at the next start."""
    volume = {"type": "tmpfs", "target": "/var/scratch", "size": "1M", "mode": "1777"}
    module("jail_state", name=[stopped], mounts=[volume], state="started")
    assert inside(stopped, "stat", "-c", "%a %u", "/var/scratch") == "1777 0\n"
    assert jail("exec", stopped, "--", "sh", "-c", "head -c 2000000 /dev/zero > /var/scratch/x").returncode != 0
    assert int(inside(stopped, "stat", "-c", "%s", "/var/scratch/x")) <= 1 << 20
    module("jail_state", name=[stopped], state="restarted")
    assert inside(stopped, "ls", "-A", "/var/scratch") == ""


@pytest.mark.parametrize("way", ["at a start", "live"])
def test_overlay(stopped: str, folder: Path, way: str) -> None:
    """Layers of the host lie over each other; what the jail writes goes to the upper one alone, and the table shows no
    path of the host."""
    for layer in ("one", "two"):
        (folder / layer).mkdir()
        (folder / layer / layer).write_text(layer, encoding="ascii")
        (folder / layer / "both").write_text(layer, encoding="ascii")
    (folder / "changes").mkdir()
    volume = {
        "type": "overlay",
        "target": "/srv/merged",
        "lower": [str(folder / "one"), str(folder / "two")],
        "upper": str(folder / "changes"),
    }
    if way == "at a start":
        module("jail_state", name=[stopped], mounts=[volume], state="started")
    else:
        module("jail_state", name=[stopped], state="started")
        result = module("jail_state", name=[stopped], mounts=[volume])
        assert options_changed(result, stopped) == [("mounts", "live")]
    assert shell(stopped, "cd /srv/merged; cat one two both; echo mine > both; rm two; cat both") == "onetwoonemine\n"
    assert (folder / "one/both").read_text(encoding="ascii") == "one"
    assert (folder / "two/two").exists()
    assert (folder / "changes/upper/both").read_text(encoding="ascii") == "mine\n"
    assert str(folder) not in inside(stopped, "cat", "/proc/self/mountinfo")
    assert len(inside(stopped, "cat", "/proc/self/mountinfo").splitlines()) == len(
        mounts.mount_table(str(pid_of(stopped)))
    )
    read_only = {**volume, "upper": None, "target": "/srv/ro"}
    module("jail_state", name=[stopped], mounts=[read_only])
    assert inside(stopped, "cat", "/srv/ro/both") == "one"
    assert b"Read-only" in jail("exec", stopped, "--", "touch", "/srv/ro/x").stderr
    assert not module("jail_state", name=[stopped], mounts=[read_only])["changed"]


def test_mounts_change_under_the_same_first_process(stopped: str, folder: Path) -> None:
    """One is added, changed and taken away in the running jail; a second run changes nothing; after a restart it is as
    it was last."""
    (folder / "other").mkdir()
    module("jail_state", name=[stopped], state="started")
    pid, started = pid_of(stopped), pidfd.start_time(pid_of(stopped))
    assert jail("exec", stopped, "--", "cat", "/srv/in/file").returncode != 0
    first, second = bind(folder), {"source": str(folder / "other"), "target": "/srv/in/deeper/other"}
    for wish in ([bind(folder, read_only=False)], [bind(folder, read_only=False), second], [first], [], [first]):
        result = module("jail_state", name=[stopped], mounts=wish)
        assert options_changed(result, stopped) == [("mounts", "live")]
        assert result["jails"][stopped]["restart_required"] == []
        assert not module("jail_state", name=[stopped], mounts=wish)["changed"]
        on = [mount.target for mount in mounts.mount_table(str(pid)) if mount.target.startswith("/srv")]
        assert on == [volume["target"] for volume in wish]
    assert (pid_of(stopped), pidfd.start_time(pid)) == (pid, started)
    shown = module("jail_info", name=[stopped], gather=["state"])["jails"][stopped]["state"]["mounts"]
    assert [(each["source"], each["target"], each["read_only"]) for each in shown] == [
        (first["source"], first["target"], True)
    ]
    module("jail_state", name=[stopped], state="restarted")
    assert inside(stopped, "cat", "/srv/in/file") == "host\n"


def test_one_that_is_in_use_is_not_pulled_away(stopped: str, folder: Path) -> None:
    """The error names it; it stays, and can be taken away when nobody uses it any more."""
    module("jail_state", name=[stopped], mounts=[bind(folder)], state="started")
    with subprocess.Popen(
        [layout.COMMAND, "exec", "-w", "/srv/in", stopped, "--", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as user:
        assert user.stdin
        assert user.stdout
        user.stdin.write(b"x\n")
        user.stdin.flush()
        assert user.stdout.readline() == b"x\n"
        message = refused("jail_state", name=[stopped], mounts=[])
        assert "mounts: /srv/in is in use in the jail" in message
        assert inside(stopped, "cat", "/srv/in/file") == "host\n"
        user.stdin.close()
        user.wait(20)
    assert module("jail_state", name=[stopped], mounts=[])["changed"]


def test_one_that_is_gone_is_put_back(stopped: str, folder: Path) -> None:
    """What is changed is found in the kernel, not in a file: a mount that somebody of the host's took away is missed,
    in check mode too."""
    module("jail_state", name=[stopped], mounts=[bind(folder)], state="started")
    subprocess.run(["nsenter", "-m", "-t", str(pid_of(stopped)), "umount", "/srv/in"], check=True)
    assert module("jail_state", check=True, name=[stopped], mounts=[bind(folder)])["changed"]
    assert options_changed(module("jail_state", name=[stopped], mounts=[bind(folder)]), stopped) == [("mounts", "live")]
    assert inside(stopped, "cat", "/srv/in/file") == "host\n"


def test_a_hostile_tree_leads_no_mount_elsewhere(stopped: str, folder: Path) -> None:
    """With the target, or a directory above it, a link to a directory of the host or of the tree, the mount is refused
    and nothing is made there, at a start and live. (By name the same link does lead there.)"""
    canary = folder / "canary"
    canary.mkdir()
    before = evidence.files(str(folder))
    module("jail_state", name=[stopped], state="started")
    for target, link in (("/srv/in", "/srv/in"), ("/opt/x/in", "/opt/x"), ("/opt/x/in/y", "/opt/x/in")):
        shell(stopped, f"rm -rf /srv/in /opt/x; mkdir -p $(dirname {link}); ln -s {canary} {link}")
        message = refused("jail_state", name=[stopped], mounts=[bind(folder, target=target)])
        assert "symbolic link" in message
        message = refused("jail_state", name=[stopped], state="restarted")
        assert "symbolic link" in message
        assert live.find(stopped) is None
        module("jail_state", name=[stopped], mounts=[], state="started")
        assert evidence.files(str(folder)) == before


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("/nowhere", "/nowhere: No such file"),
        ("/", "holds or is part of"),
        ("/var", "holds or is part of"),
        ("/proc", "belongs to the host's kernel"),
        ("/sys/kernel", "belongs to the host's kernel"),
        ("/dev/null", "neither a directory nor a regular file"),
        (layout.LIB, "holds or is part of"),
        (layout.ETC, "holds or is part of"),
        (f"{layout.RUN}/.locks", "holds or is part of"),
    ],
)
def test_what_no_jail_is_given(stopped: str, source: str, said: str) -> None:
    """What is not there, the host's kernel, and anything of the collection's own, or above it."""
    for check in (True, False):
        assert said in refused("jail_state", check=check, name=[stopped], mounts=[{"source": source, "target": "/mnt"}])


def test_another_name_for_storage_is_no_way_round(stopped: str, folder: Path) -> None:
    """A bind mount of the host's on the directory of all jails, and a link to it, are seen through."""
    alias, link = folder / "alias", folder / "link"
    alias.mkdir()
    link.symlink_to(layout.STORAGE)
    subprocess.run(["mount", "--bind", layout.STORAGE, str(alias)], check=True)
    try:
        for source in (alias, alias / stopped):
            wish = {"source": str(source), "target": "/mnt"}
            assert "holds or is part of" in refused("jail_state", name=[stopped], mounts=[wish])
        assert "without symbolic links" in refused(
            "jail_state", name=[stopped], mounts=[{"source": str(link), "target": "/mnt"}]
        )
    finally:
        subprocess.run(["umount", str(alias)], check=True)


def test_no_setuid_program_of_roots_comes_to_users_of_the_host(stopped: str, folder: Path) -> None:
    """A directory that others can come to is not given to be written as root. (Control: behind a private directory it
    is given, and the jail's root does put a setuid program of root's there.)"""
    volume = bind(folder, read_only=False)
    folder.chmod(0o755)
    assert "could run a setuid program" in refused("jail_state", name=[stopped], mounts=[volume])
    for harmless in ({**volume, "read_only": True}, {**volume, "idmapped": False}):
        module("jail_state", name=[stopped], mounts=[harmless])
    assert "could run a setuid program" in refused("jail_state", name=[stopped], userns="host")
    folder.chmod(0o700)
    module("jail_state", name=[stopped], mounts=[volume], state="started")
    shell(stopped, "cp /bin/busybox /srv/in/raised; chmod 4755 /srv/in/raised")
    status = (folder / "in/raised").stat()
    assert (status.st_uid, status.st_mode & 0o7777) == (0, 0o4755)


@pytest.mark.parametrize(
    ("volume", "said"),
    [
        ({"target": "/mnt"}, "/mnt: a bind mount needs a source"),
        ({"target": "mnt", "source": "/a"}, "'mnt' is not an absolute path inside the jail"),
        ({"target": "/", "source": "/a"}, "'/' is not an absolute path inside the jail"),
        ({"target": "/a/../b", "source": "/a"}, "is not an absolute path inside the jail"),
        ({"target": "/proc/x", "source": "/a"}, "which are the jail's own"),
        ({"target": "/dev", "type": "tmpfs"}, "which are the jail's own"),
        ({"target": "/mnt", "source": "a"}, "is not an absolute path of the host"),
        ({"target": "/mnt", "source": "/a/../b"}, "is not an absolute path of the host"),
        ({"target": "/mnt", "source": "/a", "size": "1M"}, "/mnt: size means nothing to type bind"),
        ({"target": "/mnt", "type": "tmpfs", "source": "/a"}, "/mnt: source means nothing to type tmpfs"),
        ({"target": "/mnt", "type": "tmpfs", "size": "unlimited"}, "/mnt: a tmpfs needs a size"),
        ({"target": "/mnt", "type": "tmpfs", "mode": "rwx"}, "/mnt: mode 'rwx' is not one"),
        ({"target": "/mnt", "type": "overlay"}, "/mnt: an overlay needs lower"),
        ({"target": "/mnt", "type": "overlay", "lower": ["/a"]}, "is a bind mount"),
        ({"target": "/mnt", "type": "overlay", "lower": ["/a", "/b"], "read_only": False}, "can only be read"),
    ],
)
def test_wrong_words(stopped: str, volume: dict[str, Any], said: str) -> None:
    """Are refused by the target and the key."""
    assert said in refused("jail_state", name=[stopped], mounts=[volume])


def test_two_on_one_target(stopped: str, folder: Path) -> None:
    """Are one too many."""
    assert "/srv/in is mounted twice" in refused("jail_state", name=[stopped], mounts=[bind(folder), bind(folder)])
