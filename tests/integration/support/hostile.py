# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How each hostile archive is tried: first on an extractor that believes it, then on the modules, with a canary beside.

A case is an archive, what it does to who believes it (the control), and what is to become of it here: a template of
which a jail starts, or a refusal. In either case the host is as it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, NamedTuple

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import mounts, paths
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import storage, templates

from . import evidence, sandbox
from .archives import Archive, Naive, extract_naively
from .calls import attempt, inside, module

_CANARY = (
    *("file", "hostname", "resolv.conf", "machine-id", "null", "passwd", "status"),
    *("ssh/ssh_host_rsa_key", "lib/dbus/machine-id"),
)
_HOST_FILES = ("/etc/passwd", "/etc/shadow", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/etc/machine-id")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Canary:
    """Files of the host that hostile members lead to."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def put(self) -> None:
        """Have them as they should be."""
        if self.place.exists():
            shutil.rmtree(self.place)
        for name in _CANARY:
            path = self.place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("canary\n")
            path.chmod(0o640)

    def state(self) -> dict[str, tuple[Any, ...]]:
        """Content, owner, mode, time and number of links of each."""
        links = {path: (os.lstat(path).st_nlink,) for path in evidence.files(str(self.place))}
        return {path: (*facts, *links[path]) for path, facts in evidence.files(str(self.place)).items()}

    def up(self, name: str = "file") -> str:
        """The way to one of them from anywhere, relative."""
        return "../" * 30 + str(self.place / name).lstrip("/")

    def __truediv__(self, name: str) -> Path:
        """The way to one of them, absolute."""
        return self.place / name

    def hit(self, name: str = "file") -> bool:
        """Whether one of them is gone or is not what it was."""
        path = self.place / name
        return not path.is_file() or path.read_text(errors="replace") != "canary\n" or path.stat().st_nlink > 1


Fill = Callable[[Archive, Canary], None]
Effect = Callable[[Naive, Canary], object]
Look = Callable[[str, Path], None]


class Case(NamedTuple):
    """One hostile archive.

    :param fill: adds the hostile members.
    :param effect: true when they did their harm to who believed them.
    :param refused: a pattern in the message; ``None`` when a jail is to start of it.
    :param look: looks at the running jail and at the template's tree.
    :param first: whether the hostile members come before those of an ordinary root.
    :param alone: whether there is no ordinary root beside them.
    :param packed: makes the file of the whole archive.
    """

    name: str
    fill: Fill
    effect: Effect
    refused: str | None = None
    look: Look = lambda _name, _tree: None
    first: bool = False
    alone: bool = False
    packed: Callable[[bytes], bytes] = bytes


def parametrized(cases: Sequence[Case]) -> pytest.MarkDecorator:
    """A test for each case."""
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


def run(case: Case, name: str) -> None:
    """Try a case, as the module says, with a jail of this name."""
    with _place() as place:
        canary = Canary(place / "canary")
        canary.put()
        path = place / "archive"
        path.write_bytes(_pack(case, canary))
        assert case.effect(extract_naively(path, place / "naive"), canary), "the control does no harm"
        canary.put()
        before = {**canary.state(), **_host()}
        _try(case, name, path)
        after = {**canary.state(), **_host()}
        changed = {
            key: (before.get(key), after.get(key)) for key in {*before, *after} if before.get(key) != after.get(key)
        }
        assert not changed, changed
        assert not _loops(place)


def _pack(case: Case, canary: Canary) -> bytes:
    archive = Archive()
    if not case.first and not case.alone:
        archive.base()
    case.fill(archive, canary)
    if case.first:
        archive.base()
    return case.packed(archive.finish())


def _try(case: Case, name: str, path: Path) -> None:
    result = attempt("jail_rootfs", name=name, method="archive", path=str(path))
    message = str(result.get("msg", ""))
    said = message + Path(layout.BUILD_LOG).read_text(errors="replace").replace("\n", "")
    assert not _CONTROL.search(said), "a terminal would obey the log or the message"
    if case.refused is not None:
        assert re.search(case.refused, message), message or "it was built"
        assert message.startswith(f"{name}: ")
    else:
        assert not result.get("failed"), message
        module("jail_net", name=name, dns=["192.0.2.1"])
        module("jail_state", name=[name], command=["/bin/sleep", "1000"], state="started")
        shown = inside(name, "/bin/cat", "/etc/resolv.conf")
        assert shown == "nameserver 192.0.2.1\n", shown
        stored = storage.describe(name)
        assert stored is not None
        case.look(name, Path(templates.tree(stored.template)))
    module("jail_state", name=[name], state="absent")
    for key in templates.names():
        if key.startswith("archive-"):
            templates.remove(key)
    left = [entry for folder in (layout.TEMPLATES, layout.STORAGE) for entry in _entries(folder)]
    assert not left, left
    assert name not in sandbox.groups(), "its control group is left"


def _entries(folder: str) -> list[str]:
    """Templates of archives, and what is half made."""
    found = os.listdir(folder) if os.path.isdir(folder) else []
    return [entry for entry in found if entry.startswith((".", "archive-"))]


@contextlib.contextmanager
def _place() -> Iterator[Path]:
    """A directory on disk that is removed however deep and odd what is in it has become."""
    place = tempfile.mkdtemp(prefix="jails-test-", dir="/var/tmp")
    try:
        yield Path(place)
    finally:
        with paths.opened(paths.open_directory("/var/tmp")) as folder:
            paths.remove_tree(folder, os.path.basename(place))


def _host() -> dict[str, object]:
    """What no archive may touch."""
    null = os.stat("/dev/null")
    return {
        "null": (null.st_mode, null.st_rdev, null.st_uid),
        "files": {path: _digest(path) for path in _HOST_FILES},
        "top": sorted(os.listdir("/")),
        "mounts": [(mount.target, mount.fstype) for mount in mounts.mount_table()],
        "children": Path(f"/proc/self/task/{os.getpid()}/children").read_text().split(),
    }


def _digest(path: str) -> str:
    try:
        status = os.stat(path)
        content = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""
    return f"{status.st_mode} {status.st_uid} {status.st_gid} {content}"


def _loops(place: Path) -> list[str]:
    """Loop devices of files below a place."""
    backing = Path("/sys/block").glob("loop*/loop/backing_file")
    return [text for text in (file.read_text() for file in backing) if str(place) in text]
