# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manager follows what the guest controls: trees, archives and configuration that lead out of a jail.

More of the same is in ``tests/integration/hostile_trees/``.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import build, ids, live
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import mounts
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import storage
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.builder import Job
from ansible_collections.cellblock.jails.tests.breakout.support.outside import Chroot
from ansible_collections.cellblock.jails.tests.breakout.support.table import Record
from ansible_collections.cellblock.jails.tests.integration.support import evidence
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    attempt,
    inside,
    jail,
    module,
    pid_of,
    shell,
)
from ansible_collections.cellblock.jails.tests.integration.support.swaps import swapping
from ansible_collections.cellblock.jails.tests.integration.support.terminals import on_terminal


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Path]:
    """A directory of the host that everything hostile leads to; it has to stay as it is."""
    folder = tmp_path / "host"
    folder.mkdir()
    for name in ("passwd", "max_user_namespaces", "console", "file"):
        (folder / name).write_text("the host's\n", encoding="ascii")
    before = evidence.files(str(folder))
    yield folder
    assert evidence.files(str(folder)) == before
    assert not [mount for mount in mounts.mount_table() if mount.target.startswith(str(folder))]


@pytest.fixture
def tree(name: str) -> tuple[str, Path]:
    """A stopped jail with a tree of its own, and the directory on the host in which it can be changed as its root
    could."""
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox"], storage="directory")
    module("jail_state", name=[name], command=["sleep", "1000"])
    stored = storage.describe(name)
    assert stored is not None
    assert stored.writable is not None
    return name, Path(stored.writable)


def _on_host(script: str, *words: object) -> str:
    """What a script of the host says, in a mount namespace of its own."""
    command = ["unshare", "--mount", "sh", "-c", script, *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.row(2)
def test_terminals_of_the_tree_are_links(tree: tuple[str, Path], host: Path) -> None:
    """/dev/console and /dev/pts that lead to the host are hidden by a /dev of the jail's own, and what its root puts
    there while it runs is not what who enters on a terminal gets. (Mounted by name, the host's file is covered.)"""
    name, top = tree
    (top / "dev/console").symlink_to(host / "console")
    (top / "dev/pts").symlink_to(host)
    (top / "dev/ptmx").symlink_to(host / "file")
    covered = _on_host('mount --bind /dev/null "$0" && stat -c %F "$1"', top / "dev/console", host / "console")
    assert covered == "character special file\n"
    module("jail_state", name=[name], state="started")
    shell(name, f"rm /dev/ptmx; ln -s {host}/file /dev/ptmx; ln -s {host}/console /dev/console; ! rm -r /dev/pts")
    assert _on_terminal("exec", name, "--", "sh", "-c", "tty; stat -f -c %T /dev/pts").split() == [
        "/dev/pts/0",
        "devpts",
    ]


def _on_terminal(*words: str) -> str:
    """What the ``jail`` command shows on a terminal."""
    with on_terminal(*words) as terminal:
        assert terminal.end() == 0
        return terminal.shown.decode()


@pytest.mark.row(3)
def test_procfs_of_the_tree_is_a_fake(tree: tuple[str, Path], host: Path) -> None:
    """What a start writes to procfs (here the bound on user namespaces) goes to a procfs that nobody else has touched,
    whatever the tree has in its place. (Written by name, below the tree, it lands in the host's file.)"""
    name, top = tree
    for folder in ("sys/user", "self", "1"):
        (top / "proc" / folder).mkdir(parents=True)
    fakes = ("sys/user/max_user_namespaces", "self/uid_map", "self/oom_score_adj", "1/uid_map")
    for fake in fakes:
        (top / "proc" / fake).symlink_to(host / "max_user_namespaces")
    victim = host.parent / "victim"
    (top / "control").symlink_to(victim)
    _on_host('echo 0 > "$0"', top / "control")
    assert victim.read_text(encoding="ascii") == "0\n"
    module("jail_state", name=[name], state="started")
    assert inside(name, "stat", "-f", "-c", "%T", "/proc") == "proc\n"
    assert inside(name, "cat", "/proc/sys/user/max_user_namespaces") == "0\n"


@pytest.mark.row(5)
@pytest.mark.parametrize("place", ["proc", "dev", "etc"])
def test_a_link_is_swapped_in(tree: tuple[str, Path], host: Path, place: str) -> None:
    """While a directory of the tree and a link to the host change places all the time, a jail starts with what belongs
    there or does not start, and the host keeps its own. (Who looks first and mounts by name afterwards loses, sooner or
    later.)"""
    name, top = tree
    link = top / "link"
    link.symlink_to(host)
    (top / place).mkdir(exist_ok=True)
    started = 0
    with swapping(top / place, link):
        for _time in range(4):
            result = attempt("jail_state", name=[name], state="restarted")
            if not result.get("failed"):
                started += 1
                assert "proc" in {mount.fstype for mount in mounts.mount_table(str(pid_of(name)))}
        if place == "proc":
            _look_then_mount(top / place, host)
    print(f"{started} of 4 starts went well")


def _look_then_mount(place: Path, host: Path) -> None:
    """Until the host's directory is what was mounted on."""
    script = """
import ctypes, os, sys, time
place, host = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
end = time.monotonic() + 100
while time.monotonic() < end:
    if not os.path.islink(place) and libc.mount(b"none", place.encode(), b"tmpfs", 0, None) == 0:
        if not os.listdir(host):
            print("lost")
            break
        libc.umount2(place.encode(), 2)
"""
    command = ["unshare", "--mount", sys.executable, "-c", script, str(place), str(host)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "lost\n"


def _member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", **facts: Any) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    member.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    for fact, value in facts.items():
        setattr(member, fact, value)
    return member


def _hostile(host: Path) -> dict[str, list[tarfile.TarInfo]]:
    """Archives whose files are to land in the host's directory."""
    climbing = "../" * 20 + str(host).lstrip("/")
    return {
        "climbing": [_member(f"{climbing}/file")],
        "climbing-later": [_member(f"etc/{climbing}/file")],
        "absolute": [_member(f"{host}/file")],
        "link-then-file": [_member("out", tarfile.SYMTYPE, str(host)), _member("out/file")],
        "link-then-folder": [
            _member("out", tarfile.SYMTYPE, str(host)),
            _member("out", tarfile.DIRTYPE),
            _member("out/file"),
        ],
        "two-links": [
            _member("a", tarfile.SYMTYPE, climbing.rpartition("/")[0]),
            _member("b", tarfile.SYMTYPE, f"a/{host.name}"),
            _member("b/file"),
        ],
        "hard-link": [_member("hard", tarfile.LNKTYPE, f"{host}/file"), _member("hard")],
        "hard-link-climbing": [_member("hard", tarfile.LNKTYPE, f"{climbing}/file"), _member("hard")],
        "root-twice": [
            _member(".", tarfile.DIRTYPE),
            _member(".", tarfile.SYMTYPE, str(host)),
            _member("./file"),
        ],
        "root-is-link": [_member("top", tarfile.SYMTYPE, str(host)), _member("top/file"), _member("top/passwd")],
    }


def _pack(path: Path, members: list[tarfile.TarInfo]) -> None:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for folder in ("bin", "etc", "usr"):
            archive.addfile(_member(folder, tarfile.DIRTYPE))
        for member in members:
            content = b"overwritten\n" if member.isreg() else b""
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.mark.row(6)
@pytest.mark.parametrize("which", list(_hostile(Path("/host"))))
def test_archives_that_lead_out(name: str, host: Path, which: str, tmp_path: Path, record_property: Record) -> None:
    """An archive is refused, or unpacked to what is inside; nothing lands on the host. (Python's own unpacking, told to
    trust it, puts a file there.)"""
    archive = tmp_path / "archive.tar"
    _pack(archive, _hostile(host)[which])
    attempt("jail_rootfs", name=name, method="archive", path=str(archive))
    assert (host / "file").read_text(encoding="ascii") == "the host's\n"
    victim = tmp_path / "victim" / "host"
    victim.mkdir(parents=True)
    (victim / "file").write_text("the host's\n", encoding="ascii")
    _pack(archive, _hostile(victim)[which])
    with contextlib.suppress(OSError), tarfile.open(archive) as opened:
        opened.extractall(tmp_path / "naive", filter="fully_trusted")
    if (victim / "file").read_text(encoding="ascii") != "overwritten\n":
        record_property("control", f"{which}: a trusting tarfile is not led out by it either")


@pytest.mark.row(6)
def test_archives_with_nodes_and_setuid_programs(name: str, tmp_path: Path) -> None:
    """Of an archive with nodes of memory and disks, a FIFO in place of a file, and programs that would be root's: no
    node of it is there that could be opened, and what is set-user-ID is where no user of the host gets."""
    archive = tmp_path / "archive.tar"
    members = [
        _member("etc/mem", tarfile.CHRTYPE, devmajor=1, devminor=1),
        _member("usr/disk", tarfile.BLKTYPE, devmajor=7, devminor=0),
        _member("etc/hostname", tarfile.FIFOTYPE),
        _member("usr/evil", mode=0o4755),
    ]
    _pack(archive, members)
    module("jail_rootfs", name=name, method="archive", path=str(archive))
    stored = storage.describe(name)
    assert stored is not None
    assert stored.lower is not None
    found = [path for path in Path(stored.lower).rglob("*") if path.is_char_device() or path.is_block_device()]
    assert found == []
    assert Path(stored.lower, "usr/evil").stat().st_mode & 0o4000
    assert Path(layout.TEMPLATES).stat().st_mode & 0o077 == 0
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path / "naive", filter="fully_trusted")
    assert (tmp_path / "naive/etc/mem").is_char_device()


_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHRoaXMgaXMgbm8ga2V5IHRoYXQgYW55Ym9keSBoYXM nobody"
_IDENTITY: dict[str, Any] = {
    "hosts": ["192.0.2.7 db.example"],
    "fstab": ["tmpfs /tmp tmpfs size=64m 0 0"],
    "locale": "C.UTF-8",
    "authorized_keys": [_KEY],
}


@pytest.mark.row(7)
@pytest.mark.parametrize("running", [False, True], ids=["at-start", "live"])
def test_identity_is_written_in_the_tree(tree: tuple[str, Path], host: Path, running: bool) -> None:
    """machine-id, hosts, fstab, locale and the directory of root's keys, that are links to the host's: what is written
    there stays inside or is refused, at a start and live. (Written by name, it lands in the host's directory.)"""
    name, top = tree
    if running:
        module("jail_state", name=[name], state="started")
    for path in ("etc/machine-id", "etc/hosts", "etc/fstab", "etc/locale.conf"):
        (top / path).unlink(missing_ok=True)
        (top / path).symlink_to(host / "file")
    (top / "root/.ssh").symlink_to(host)
    attempt("jail_rootfs", name=name, **_IDENTITY)
    attempt("jail_state", name=[name], state="restarted")
    assert not (host / "authorized_keys").exists()
    assert (host / "file").read_text(encoding="ascii") == "the host's\n"
    victim = host.parent / "victim"
    victim.mkdir()
    (top / "control").symlink_to(victim)
    (top / "control/authorized_keys").write_text(_KEY, encoding="ascii")
    assert (victim / "authorized_keys").exists()


@pytest.mark.row(9)
def test_configuration_in_the_tree(box: str) -> None:
    """Files in a jail that look like the manager's own are files like any: after a restart nothing of the jail is
    otherwise. (The same file at the manager's own place does change it.)"""
    before = module("jail_info", name=[box])["jails"][box]
    evil = '{"command": ["/evil"], "userns": "host", "memory_max": 1}'
    places = (layout.desired(box), layout.running(box), layout.storage(box), "", "/etc")
    files = [f"{place}/{file}.json" for place in places for file in ("state", "limits", "live", "storage", "config")]
    shell(box, f"for f in {' '.join(files)}; do mkdir -p ${{f%/*}}/; echo '{evil}' > $f; done")
    module("jail_state", name=[box], state="restarted")
    after = module("jail_info", name=[box])["jails"][box]
    for part in ("status", "limits", "state", "rootfs", "net"):
        assert after[part] == before[part], part
    module("jail_state", name=[box], state="stopped")
    Path(layout.desired(box), "state.json").write_text(evil, encoding="ascii")
    assert module("jail_info", name=[box], gather=["state"])["jails"][box]["state"] != before["state"]


_PYTHON_TRAP = "import os; open('/root/ran', 'a').write(__name__ + '\\n')\n"


@pytest.mark.row(10)
def test_modules_of_the_tree_are_not_imported(box: str) -> None:
    """Where the host's Python looks for its modules, a jail has others: none of them is run by a manager that works in
    the jail or on its behalf. (A process that goes into the tree and then imports one runs it.)"""
    folders = sorted({path for path in sys.path if path.startswith("/")} | set(_paths_of_the_command()))
    modules = ("encodings/idna", "json/__init__", "sitecustomize", "stringprep", "codecs", "socket", "ansible/__init__")
    script = "".join(
        f'mkdir -p {folder}/{name.rpartition("/")[0]}; printf %s "$TRAP" > {folder}/{name}.py;'
        for folder in folders
        for name in modules
    )
    shell(box, "touch /root/ran; chmod 666 /root/ran")
    done = jail("exec", "-e", f"TRAP={_PYTHON_TRAP}", box, "--", "sh", "-c", script)
    assert done.returncode == 0, done
    module("jail_state", name=[box], hostname="other", state="restarted")
    module("jail_net", name=box, dns=["192.0.2.1"], search=["example.org"])
    module("jail_info", name=[box])
    inside(box, "true")
    _on_terminal("exec", box, "--", "true")
    assert shell(box, "cat /root/ran") == ""
    importer = f"import os, sys; os.chroot({_root_of(box)!r}); os.chdir('/'); import stringprep"
    subprocess.run([sys.executable, "-c", importer], check=True)
    assert shell(box, "cat /root/ran") == "stringprep\n"


def _paths_of_the_command() -> list[str]:
    """Where the Python of the ``jail`` command looks."""
    python = Path(layout.COMMAND).read_text(encoding="utf-8").splitlines()[0].removeprefix("#!").split()[0]
    said = subprocess.run(
        [python, "-I", "-c", "import sys; print(*sys.path, sep='\\n')"], check=True, capture_output=True
    )
    return [path for path in said.stdout.decode().split("\n") if path.startswith("/")]


def _root_of(name: str) -> str:
    running = live.find(name)
    assert running is not None
    return f"/proc/{running.pid}/root"


@pytest.mark.row(12)
@pytest.mark.parametrize(
    "words",
    [
        ("leave_chroot",),
        ("proc",),
        ("mount", "proc", "/tmp/mounted"),
        ("device", "c", "/tmp/node", "1", "1"),
    ],
    ids=["chroot", "proc", "mount", "node"],
)
def test_what_builds_a_tree_runs_in_it(chroot: Chroot, host: Path, words: tuple[str, ...]) -> None:
    """A package manager that is hostile, or was made so by the database it reads, runs in the confinement of a jail
    and not on the host: it gets none of the host's files. (In a chroot, as with ``--root``, it does.)"""
    words = {
        "leave_chroot": ("leave_chroot", str(host / "file")),
        "proc": ("read", f"/proc/{os.getpid()}/root{host}/file"),
    }.get(words[0], words)
    with (host.parent / "said").open("w+b") as said:
        status = build.confine(str(chroot.root), Job([chroot.program, *words], said.fileno(), said.fileno()))
        said.seek(0)
        assert (status, said.read().decode().strip()) in {(0, "EPERM"), (0, "ENOENT"), (0, "EACCES")}
    assert chroot.says(*words) == "ok"
    assert not [name for name in ids.names() if name.startswith(".build")]
