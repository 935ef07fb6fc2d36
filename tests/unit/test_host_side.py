# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nobody but ``kernel/paths`` looks up a path below a jail's root by its name; and what the lint finds that says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.tests.unit import hostside

_CODE = Path(__file__).parents[2] / "plugins" / "module_utils"

_ROOT_ITSELF = "the root of a tree, which lies in a directory of ours: no name that the tree decides is looked up"
_DESCRIPTOR = "a descriptor, no path"
_NEW = "made in a directory of ours that is empty, and that no jail has seen"

_ARGUED = {
    ("rootfs/backing/btrfs.py", "_make", "os.open(tree, _READ)"): _ROOT_ITSELF,
    ("rootfs/backing/overlay.py", "make_upper", "os.stat(tree)"): _ROOT_ITSELF,
    ("rootfs/backing/overlay.py", "make_upper", "os.mkdir(upper, 448)"): _NEW,
    ("rootfs/backing/overlay.py", "make_upper", "os.chown(upper, like.st_uid, like.st_gid)"): _NEW,
    ("rootfs/backing/overlay.py", "make_upper", "os.chmod(upper, like.st_mode & 4095)"): _NEW,
    ("rootfs/methods/archive.py", "_move_up", "os.listdir(place.tree)"): _ROOT_ITSELF,
    ("rootfs/records.py", "mark_moved", "os.setxattr(upper, _MOVED, f'{old} {new}'.encode())"): _DESCRIPTOR,
    ("rootfs/storage.py", "Storage.layers", "os.path.isdir(self.lower)"): _ROOT_ITSELF,
}
"""What is as it has to be, by file, function and call."""


def test_host_side_code_keeps_to_the_rules() -> None:
    """All findings are argued, and all that is argued is still there."""
    findings = hostside.check_all(_CODE)
    assert hostside.unknown(findings, _ARGUED) == []
    assert {each[:3] for each in findings} == set(_ARGUED)


@pytest.mark.parametrize(
    "code",
    [
        "open(os.path.join(tree, 'etc/passwd'))",
        "open(f'{tree}/etc/passwd')",
        "open(templates.tree(key) + '/etc/passwd')",
        "os.stat(stored.writable)",
        "shutil.rmtree(stored.lower)",
        "x = stored.lower\ny = os.path.join(x, 'etc')\nos.listdir(y)",
        "for place in (tree, other): os.path.exists(place)",
        "top: str = tree\ntop += '/etc'\nPath(top).read_text()",
        "if os.path.islink(path := f'{tree}/dev'): pass",
        "a, b = os.path.join(tree, 'a'), 1\nos.rename(a, b)",
        "os.chmod(name, 0o755, dir_fd=parent)",
        "os.chown(name, 0, 0, dir_fd=parent)",
        "os.chown(name, 0, 0, dir_fd=parent, follow_symlinks=True)",
        "os.stat(name, dir_fd=parent)",
        "os.open(name, os.O_RDONLY, dir_fd=parent)",
        "flags = os.O_WRONLY | os.O_CREAT\nos.open(name, flags, 0o644, dir_fd=parent)",
        "os.mkdir('etc/ssh', dir_fd=root)",
        "open(f'/proc/{pid}/root/etc/passwd')",
        "os.listdir(f'/proc/{running.pid}/cwd')",
        "open('/proc/' + str(pid) + '/root')",
        "os.stat(f'/proc/self/fd/{root}/etc/passwd')",
        "class C:\n    def f(self):\n        os.walk(self.tree)",
        "def f(tree):\n    def g():\n        os.scandir(tree)",
        "lambda: os.unlink(os.path.join(tree, 'x'))",
        "with open(tree if other else path) as file: pass",
    ],
)
def test_planted_violations_are_found(code: str) -> None:
    """Each of them, in whatever function it stands."""
    assert len(hostside.check(code, "planted.py")) == 1
    indented = "\n".join(f"    {line}" for line in code.splitlines())
    assert [each.function for each in hostside.check(f"def somewhere(pid):\n{indented}", "planted.py")] != []


@pytest.mark.parametrize(
    "code",
    [
        "open(os.path.join(layout.LIB, 'ids.json'))",
        "paths.read_file(root, 'etc/passwd')",
        "paths.opened(paths.open_directory(tree))",
        "hosttools.run(['cp', '-a', tree, target], log)",
        "os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=parent)",
        "_NEW = os.O_CREAT | os.O_EXCL\ndef f():\n    how = os.O_RDWR | _NEW\n    os.open(name, how, dir_fd=parent)",
        "os.stat(name, dir_fd=parent, follow_symlinks=False)",
        "os.mkdir(name, dir_fd=parent)",
        "os.rename(one, other, src_dir_fd=parent, dst_dir_fd=parent)",
        "os.open('.', os.O_RDONLY, dir_fd=mount)",
        "open(f'/proc/{pid}/status')",
        "os.readlink(f'/proc/self/fd/{descriptor}')",
        "name = tree\nlog.note(name)",
    ],
)
def test_what_is_right_is_no_finding(code: str) -> None:
    """Paths of the host's own, descriptors of which no link leads away, and ``kernel/paths``."""
    assert hostside.check(code, "right.py") == []
