# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lint of code that runs on the host: nobody but ``kernel/paths`` looks up a path below a jail's root by its name.

It reads source code and goes by three rules.

1. A path is *of a tree* when it comes from :data:`TREES` (a name, an attribute or a function whose value is by
   convention the host's path of a tree), from ``/proc/PID/root`` or ``cwd``, or from joining anything to such a path;
   a variable is when it is ever given one. Such a path is no argument of a function of :data:`BY_NAME`.
2. A call by a descriptor (``dir_fd``) follows no link: ``os.open`` has O_NOFOLLOW, or O_CREAT with O_EXCL, among its
   flags; those of :data:`FOLLOWING` have ``follow_symlinks=False``; a constant name has no slash.
3. What lies below a descriptor is not looked up by ``/proc/self/fd/N/...``.

What it cannot see: a path that is handed to a function of ours as a parameter of another name, or kept in a container;
a name with a slash in a variable beside ``dir_fd``; what programs of the host do that are given a tree (cp, du, tar,
which is said where they are run); and whether a descriptor is of a tree. It holds for the calls of Python's library
that take names.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

TREES = {"tree", "trees", "writable", "lower", "upper"}
"""Parameters, variables, attributes and functions with these names are, or give, paths of trees."""

BY_NAME = {
    "open", "io.open", "Path", "pathlib.Path", "glob.glob", "glob.iglob", "tarfile.open", "zipfile.ZipFile",
    *(f"os.{name}" for name in (
        "access", "chdir", "chflags", "chmod", "chown", "chroot", "getxattr", "lchown", "link", "listdir", "listxattr",
        "lstat", "makedirs", "mkdir", "mkfifo", "mknod", "open", "readlink", "remove", "removedirs", "removexattr",
        "rename", "renames", "replace", "rmdir", "scandir", "setxattr", "stat", "statvfs", "symlink", "truncate",
        "unlink", "utime", "walk", "fwalk", "pathconf",
    )),
    *(f"os.path.{name}" for name in (
        "exists", "getatime", "getctime", "getmtime", "getsize", "isdir", "isfile", "islink", "ismount", "lexists",
        "realpath", "samefile",
    )),
    *(f"shutil.{name}" for name in (
        "chown", "copy", "copy2", "copyfile", "copymode", "copystat", "copytree", "disk_usage", "make_archive", "move",
        "rmtree", "unpack_archive",
    )),
}  # fmt: skip
"""Functions that look a path up."""

FOLLOWING = {"os.access", "os.chmod", "os.chown", "os.link", "os.stat", "os.utime"}
"""Those with ``dir_fd`` that follow a link unless they are told not to."""

_JOINING = {"os.path.join", "os.fspath", "os.fsencode", "os.path.normpath", "os.path.dirname", "str"}
_OF_PROCESSES = ("/root", "/cwd")


class Finding(NamedTuple):
    """A call that breaks a rule: in which function of which file, and the call as it is written."""

    file: str
    function: str
    call: str
    why: str


def check(source: str, file: str) -> list[Finding]:
    """The findings in a source file."""
    module = ast.parse(source)
    return [
        Finding(file, name, ast.unparse(call), why)
        for name, scope in _scopes(module, "")
        for call, why in _Scope(scope, module).findings()
    ]


def check_all(folder: Path) -> list[Finding]:
    """The findings in all of a package but its ``kernel``."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        name = str(path.relative_to(folder))
        if not name.startswith("kernel/"):
            found += check(path.read_text(encoding="utf-8"), name)
    return found


def _scopes(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.AST]]:
    """Each function, and what is outside of all, with its name."""
    yield prefix or "<module>", node
    for child in _inner(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield from _scopes(child, f"{prefix}.{child.name}".lstrip("."))


def _inner(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below, but not those of functions and classes within."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield from _inner(child)


def _name(node: ast.AST) -> str:
    return ast.unparse(node) if isinstance(node, (ast.Name, ast.Attribute)) else ""


class _Scope:
    """One function: which of its variables hold paths of trees, and what it does with them."""

    def __init__(self, scope: ast.AST, module: ast.Module) -> None:
        self._nodes = list(_inner(scope))
        self._constants = _assigned(list(_inner(module))) | _assigned(self._nodes)
        self._tainted: set[str] = set()
        before = -1
        while before != len(self._tainted):  # until nothing is added
            before = len(self._tainted)
            for name, value in self._assignments():
                if self._of_a_tree(value):
                    self._tainted.add(name)

    def _assignments(self) -> Iterator[tuple[str, ast.AST]]:
        for node in self._nodes:
            targets: list[ast.expr] = []
            value: ast.AST | None = None
            if isinstance(node, ast.Assign):
                targets, value = node.targets, node.value
            elif isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.NamedExpr)):
                targets, value = [node.target], node.value
            elif isinstance(node, (ast.For, ast.comprehension)):
                targets, value = [node.target], node.iter
            elif isinstance(node, ast.withitem) and node.optional_vars is not None:
                targets, value = [node.optional_vars], node.context_expr
            for target in targets:
                for each in ast.walk(target):
                    if isinstance(each, ast.Name) and value is not None:
                        yield each.id, value

    def _of_a_tree(self, node: ast.AST) -> bool:
        """Whether an expression is a path of a tree, or joined to one."""
        if isinstance(node, ast.Name) and node.id in self._tainted:
            return True
        return _names_a_tree(node) or any(map(self._of_a_tree, _parts(node)))

    def findings(self) -> Iterator[tuple[ast.Call, str]]:
        """The calls of this function that break a rule."""
        for node in self._nodes:
            if isinstance(node, ast.Call) and _name(node.func) in BY_NAME:
                why = self._by_descriptor(node) if _descriptor(node) else self._by_path(node)
                if why:
                    yield node, why

    def _by_path(self, call: ast.Call) -> str:
        arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
        if any(map(self._of_a_tree, arguments)):
            return "a path of a tree is looked up by name"
        if any("/proc/self/fd/" in ast.unparse(each) and ast.unparse(each).count("/") > 4 for each in arguments):
            return "a path below a descriptor is looked up by name"
        return ""

    def _by_descriptor(self, call: ast.Call) -> str:
        name = _name(call.func)
        first = call.args[0] if call.args else None
        if isinstance(first, ast.Constant) and "/" in str(first.value):
            return "a path of several parts is looked up below a descriptor"
        if isinstance(first, ast.Constant) and first.value in ("", "."):
            return ""
        if name == "os.open" and not self._flags_keep_from_following(call):
            return "a link is followed below a descriptor"
        if name in FOLLOWING and not _is_false(call, "follow_symlinks"):
            return "a link is followed below a descriptor"
        return ""

    def _flags_keep_from_following(self, call: ast.Call) -> bool:
        flags = " ".join(self._spelled(each) for each in call.args[1:2])
        return "O_NOFOLLOW" in flags or ("O_CREAT" in flags and "O_EXCL" in flags)

    def _spelled(self, node: ast.AST, depth: int = 5) -> str:
        """An expression with what its names were given."""
        text = ast.unparse(node)
        names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        for name in names & self._constants.keys() if depth else ():
            text += " " + " ".join(self._spelled(value, depth - 1) for value in self._constants[name])
        return text


def _names_a_tree(node: ast.AST) -> bool:
    if isinstance(node, ast.Name):
        return node.id in TREES
    if isinstance(node, ast.Attribute):
        return node.attr in TREES
    if isinstance(node, ast.Call):
        return _name(node.func).rpartition(".")[2] in TREES
    if isinstance(node, (ast.JoinedStr, ast.BinOp)):
        return _is_of_a_process(ast.unparse(node))
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and _is_of_a_process(node.value)


def _parts(node: ast.AST) -> list[Any]:
    """The expressions that a path is put together of, or is one of."""
    if isinstance(node, ast.Call):
        return list(node.args) if _name(node.func) in _JOINING else []
    fields = {
        ast.JoinedStr: ("values",),
        ast.FormattedValue: ("value",),
        ast.BinOp: ("left", "right"),
        ast.Tuple: ("elts",),
        ast.List: ("elts",),
        ast.Set: ("elts",),
        ast.IfExp: ("body", "orelse"),
        ast.BoolOp: ("values",),
        ast.NamedExpr: ("value",),
        ast.Starred: ("value",),
        ast.Subscript: ("value",),
    }
    found = [getattr(node, field) for field in fields.get(type(node), ())]
    return [part for each in found for part in (each if isinstance(each, list) else [each])]


def _assigned(nodes: list[ast.AST]) -> dict[str, list[ast.AST]]:
    found: dict[str, list[ast.AST]] = {}
    for node in nodes:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, []).append(node.value)
    return found


def _is_of_a_process(text: str) -> bool:
    return "/proc/" in text and any(part in text for part in _OF_PROCESSES)


def _descriptor(call: ast.Call) -> bool:
    return any(keyword.arg in ("dir_fd", "src_dir_fd", "dst_dir_fd") for keyword in call.keywords)


def _is_false(call: ast.Call, name: str) -> bool:
    values = {keyword.arg: keyword.value for keyword in call.keywords}
    value = values.get(name)
    return isinstance(value, ast.Constant) and value.value is False


def unknown(findings: list[Finding], argued: Mapping[tuple[str, str, str], str]) -> list[Finding]:
    """The findings for which nobody has argued, by file, function and call."""
    return [each for each in findings if each[:3] not in argued]
