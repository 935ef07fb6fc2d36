# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What many jails of one large tree take on disk after each was upgraded by itself, and after they share again.

The tree is busybox and files of this host; the upgrade replaces every so many of them, from inside each running jail.
Space is what the file system says is used, after a sync, without what it used when it was empty. The old template is in
it, and from the sharing on, for overlays, the new one; the last figures are without the old one. It measures, it never
asserts. Needs root; the host is as it was afterwards.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import platform
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / ".collections"))

from ansible_collections.cellblock.jails.benchmarks import host, report
from ansible_collections.cellblock.jails.plugins.module_utils import files, layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import (
    converge,
    dedupe,
    enter,
    live,
    policy,
    state,
)
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import paths, process
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import (
    hosttools,
    space,
    staging,
    storage,
    templates,
)

_SOURCES = ("/usr/share", "/usr/lib")
_PLACE = "usr/lib/tree"
_IMAGE_BYTES = 32 << 30
_MIB = 1 << 20
_CASES = (
    ("overlay", "ext4"),
    ("overlay", "xfs"),
    ("overlay", "btrfs"),
    ("directory", "xfs"),
    ("directory", "btrfs"),
)
_TITLES = (
    *("", "full copies", "made", "upgraded", "shared again", "old template off"),
    *("/ full copies", "share s", "again s", "dropped", "shared"),
)


class Archives(NamedTuple):
    """Tar archives: the tree, the tree after the upgrade, and the files that the upgrade replaces."""

    old: str
    new: str
    upgrade: str


def main() -> int:
    parser = argparse.ArgumentParser(description="Space that upgraded jails give back when they share again.")
    parser.add_argument("--jails", type=int, default=20, help="how many (default %(default)s)")
    parser.add_argument("--mebibytes", type=int, default=200, help="size of the tree (default %(default)s)")
    parser.add_argument("--every", type=int, default=2, help="every so many files are replaced (default %(default)s)")
    parser.add_argument("--directory", default="/var/tmp", help="where to work (default %(default)s)")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("making jails needs root")
    if min(options.jails, options.mebibytes, options.every) < 1:
        parser.error("--jails, --mebibytes and --every must be 1 or more")
    return host.run_apart(options.directory, lambda folder: _measure(folder, options))


def _measure(folder: str, options: argparse.Namespace) -> None:
    archives = _make_archives(folder, options.mebibytes << 20, options.every)
    print(f"kernel {platform.release()}, cpus {os.cpu_count()}, python {platform.python_version()}")
    print(f"{options.jails} jails; every {options.every}. file of the tree is replaced in each; MiB\n")
    rows, missing = [list(_TITLES)], []
    for kind, filesystem in _CASES:
        try:
            with host.file_system(folder, filesystem, _IMAGE_BYTES):
                rows.append([f"{kind} on {filesystem}", *_case(kind, archives, options.jails)])
        except JailError as error:
            missing.append(f"not measured: {kind} on {filesystem}: {error}")
    print(report.columns(rows))
    print("\n".join(["", *missing]))


def _case(kind: str, archives: Archives, jails: int) -> list[str]:
    names = [f"{host.PREFIX}{number}" for number in range(jails)]
    empty = _used_bytes()
    old = _make_template("bench-old", archives.old)
    for name in names:
        storage.create(name, kind, old)
    made = _used_bytes() - empty
    _converged(state.FACET, [{"name": name, "command": ["sleep", "100000"], "state": "started"} for name in names])
    for name in names:
        _upgrade(name, archives.upgrade)
    _converged(state.FACET, [{"name": name, "state": "stopped"} for name in names])
    host.reap()
    upgraded = _settled_bytes() - empty
    # Copies share with each other; only overlays need a template to share with.
    new = _make_template("bench-new", archives.new) if kind == "overlay" else None
    stored = storage.describe(names[0])
    whole = space.bytes_below(templates.tree(new) if new else (stored and stored.writable) or "") * jails

    seconds, outcomes = _shared(names, new)
    shared = _settled_bytes() - empty
    again, _outcomes = _shared(names, new)
    templates.remove(old)
    least = _settled_bytes() - empty
    _converged(state.FACET, [{"name": name, "state": "absent"} for name in names])
    host.reap()
    return [
        *(f"{size / _MIB:.0f}" for size in (whole, made, upgraded, shared, least)),
        *(f"{least / whole:.3f}", f"{seconds:.1f}", f"{again:.1f}"),
        str(sum(outcome.dropped for outcome in outcomes)),
        str(sum(outcome.deduplicated for outcome in outcomes)),
    ]


def _shared(names: list[str], template: str | None) -> tuple[float, list[dedupe.Outcome]]:
    before = time.monotonic()
    outcomes = dedupe.share_again(names, template, False)
    seconds = time.monotonic() - before
    for name, outcome in outcomes.items():
        if outcome.error:
            raise JailError(f"{name}: {outcome.error}")
        if outcome.skipped:
            raise JailError(f"{name}: {outcome.skipped}")
    return seconds, list(outcomes.values())


def _make_template(key: str, archive: str) -> str:
    """A template of a tar archive of ours; its key."""
    with staging.made_whole(layout.TEMPLATES, key, f"template {key} cannot be made") as folder:
        root = os.path.join(folder, "root")
        os.mkdir(root, 0o755)
        subprocess.run(["tar", "-x", "-p", "--numeric-owner", "-f", archive, "-C", root], check=True)
        described = {"recipe": {"method": "bench", "trust_group": "default"}, "key": key, "generation": 1}
        built = datetime.now(timezone.utc).isoformat(timespec="seconds")
        files.write_json(os.path.join(folder, "template.json"), {**described, "built": built, "bytes": 0})
    return key


def _upgrade(name: str, archive: str) -> None:
    """Unpack the archive in a jail, as its root and with its own tar."""
    command = enter.Command(["tar", "-x", "-f", "-", "-C", "/"], policy.ENVIRONMENT, "/")

    def child() -> None:
        with paths.opened(os.open(archive, os.O_RDONLY)) as file:
            os.dup2(file, 0)
        os._exit(enter.execute(live.expect(name), command))

    status = process.wait(process.fork(child))
    if status:
        raise JailError(f"tar ended with status {status} in {name}")


def _converged(facet: converge.Facet, wishes: list[dict[str, object]]) -> None:
    """What the module does for these jails."""
    for name, outcome in converge.converge(facet, wishes, False).items():
        if outcome.error:
            raise JailError(f"{name}: {outcome.error}")


def _used_bytes() -> int:
    staging.sync_filesystem(layout.LIB)
    facts = os.statvfs(layout.LIB)
    return (facts.f_blocks - facts.f_bfree) * facts.f_frsize


def _settled_bytes() -> int:
    """What is used when the file system has come to free what was removed, which some do later."""
    used = _used_bytes()
    while True:
        time.sleep(1)
        now = _used_bytes()
        if now == used:
            return used
        used = now


# The trees.


def _make_archives(folder: str, size: int, every: int) -> Archives:
    busybox = hosttools.look_up("busybox")
    if busybox is None:
        raise JailError("the host has no busybox", advice="Debian's package is busybox-static")
    found = Archives(*(os.path.join(folder, f"{name}.tar") for name in Archives._fields))
    with contextlib.ExitStack() as stack:
        old, new, upgrade = (stack.enter_context(tarfile.open(path, "w")) for path in found)
        for archive in (old, new):
            _add_busybox(archive, busybox)
        for number, path in enumerate(_files(size)):
            name = f"{_PLACE}{path}"
            old.add(path, name, recursive=False)
            if number % every:
                new.add(path, name, recursive=False)
            else:
                for archive in (new, upgrade):
                    _add_newer(archive, path, name)
    return found


def _add_busybox(archive: tarfile.TarFile, busybox: str) -> None:
    archive.add(busybox, "bin/busybox")
    applets = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split()
    for applet in applets:
        if applet != "busybox":
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
    for name in ("dev", "etc", "proc", "root", "run", "sys", "tmp", "usr", "var"):
        directory = tarfile.TarInfo(name)
        directory.type, directory.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(directory)


def _add_newer(archive: tarfile.TarFile, path: str, name: str) -> None:
    """The file as the next version of it may be: a line longer, and of another day."""
    member = archive.gettarinfo(path, name)
    with open(path, "rb") as file:
        content = b"next version\n" + file.read()
    member.size, member.mtime = len(content), 1_700_000_000
    archive.addfile(member, io.BytesIO(content))


def _files(size: int) -> Iterator[str]:
    """Files of this host, until they are so many bytes."""
    for source in _SOURCES:
        for folder, folders, names in os.walk(source):
            folders.sort()
            for name in sorted(names):
                path = os.path.join(folder, name)
                if os.path.isfile(path) and not os.path.islink(path) and os.lstat(path).st_nlink == 1:
                    size -= os.path.getsize(path)
                    yield path
                    if size <= 0:
                        return


if __name__ == "__main__":
    sys.exit(main())
