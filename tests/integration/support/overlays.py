# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look into a jail's overlay and change it as the jail's root does, without starting the jail: a process in a user
namespace of its own mounts it as the launcher's does, and works on it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import traceback
from collections.abc import Callable
from typing import Any

from ansible_collections.cellblock.jails.plugins.module_utils import files, layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import assemble, confinement, ids
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import (
    idmap,
    mounts,
    namespaces,
    paths,
    process,
    xattrs,
)
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import storage, templates

Work = Callable[[int], Any]
"""Gets a descriptor of the root; what it returns must be good for JSON."""

View = dict[str, list[Any]]

_FIRST_ID = ids.first_id(5000)


def inside(name: str, work: Work) -> Any:
    """Do some work as root in the overlay of a jail that does not run; what it returned."""
    told, telling = os.pipe()
    go, going = os.pipe()
    answer = os.memfd_create("answer")
    with storage.layers(name) as layers:
        assert layers.lower is not None
        tree = assemble.Tree(-1, layers.upper, layers.lower)
        pid = process.fork(lambda: _work(tree, work, (telling, go), answer))
        os.close(telling)
        try:
            assert os.read(told, 1) == b"u"
            idmap.map_ids(pid, _FIRST_ID, ids.COUNT)
            with paths.opened(namespaces.open_namespace(pid, "user")) as userns:
                idmap.map_mount(layers.upper, userns, mounts.NODEV)
                idmap.map_mount(layers.lower, userns, mounts.NODEV | mounts.RDONLY)
            os.write(going, b"g")
        finally:
            os.close(going)
            status = process.wait(pid)
            for each in (told, go):
                os.close(each)
    with os.fdopen(answer, "rb") as file:
        file.seek(0)
        said = file.read().decode()
    assert status == 0, said
    return json.loads(said)


def _work(tree: assemble.Tree, work: Work, pipes: tuple[int, int], answer: int) -> None:
    try:
        namespaces.unshare(namespaces.CLONE_NEWUSER | namespaces.CLONE_NEWNS)
        os.write(pipes[0], b"u")
        assert os.read(pipes[1], 1) == b"g"
        confinement.become_root()
        mounts.make_private()
        root = assemble.root_of(tree)
        os.umask(0)
        with paths.opened(os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=root)) as top:
            os.write(answer, json.dumps(work(top)).encode())
    except BaseException:
        os.write(answer, traceback.format_exc().encode())
        raise


def view(name: str) -> View:
    """All that the jail sees of its tree."""
    found: View = inside(name, view_of)
    return found


def view_of(root: int) -> View:
    """What there is in a tree, by path: kind and mode, owner, time, attributes, and what is in it; of a file with
    several names the first as well."""
    seen: View = {"": _facts(root, os.fstat(root))}
    first: dict[tuple[int, int], str] = {}
    for folder, folders, names, descriptor in os.fwalk(".", dir_fd=root, follow_symlinks=False):
        for name in [*folders, *names]:
            path = os.path.normpath(os.path.join(folder, name))
            status = os.lstat(name, dir_fd=descriptor)
            with paths.opened(os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=descriptor)) as entry:
                seen[path] = _facts(entry, status)
            if not stat.S_ISDIR(status.st_mode):
                seen[path].append(first.setdefault((status.st_dev, status.st_ino), path))
    # Which of the names comes first is chance.
    groups: dict[str, list[str]] = {}
    for path, facts in seen.items():
        if stat.S_IFMT(facts[0]) != stat.S_IFDIR:
            groups.setdefault(facts[-1], []).append(path)
    for members in groups.values():
        for path in members:
            seen[path][-1] = sorted(members)
    return seen


def _facts(entry: int, status: os.stat_result) -> list[Any]:
    content: Any = None
    if stat.S_ISLNK(status.st_mode):
        content = os.readlink("", dir_fd=entry)
    elif stat.S_ISREG(status.st_mode):
        with open(f"/proc/self/fd/{entry}", "rb") as file:
            content = hashlib.sha256(file.read()).hexdigest()
    attributes = {key: value.hex() for key, value in sorted(xattrs.read(entry).items())}
    return [status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_rdev, attributes, content]


def make_template(key: str, fill: Callable[[str], object], built: str, recipe: dict[str, Any] | None = None) -> None:
    """A template that no builder made; one of this name that is there is replaced. No jail may use it."""
    shutil.rmtree(layout.template(key), ignore_errors=True)
    os.makedirs(templates.tree(key), 0o755)
    fill(templates.tree(key))
    description = {"recipe": recipe or {"method": "skeleton", "trust_group": "default"}, "key": key, "built": built}
    files.write_json(os.path.join(layout.template(key), "template.json"), {**description, "bytes": 0})
