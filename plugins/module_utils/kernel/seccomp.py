# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seccomp filters: compiled by libseccomp, loaded by seccomp(2).

Compiling takes milliseconds, so it happens apart from loading: :func:`compile_filter` gives the BPF program as
bytes, which a caller may keep, and :func:`load` takes only bytes.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import NamedTuple

from .syscalls import syscall

ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_LIBRARY = "libseccomp.so.2"
_ATTRIBUTE_OPTIMIZE = 8  # enum scmp_filter_attr, SCMP_FLTATR_CTL_OPTIMIZE, libseccomp 2.5
_BINARY_TREE = 2
_SET_MODE_FILTER = 1

COMPARISONS = {"!=": 1, "<": 2, "<=": 3, "==": 4, ">=": 5, ">": 6, "masked==": 7}
"""``enum scmp_compare`` of ``seccomp.h``."""


def answer(number: int) -> int:
    """The action that refuses a call with this error number."""
    return _ERRNO | number


class Argument(NamedTuple):
    """A condition on a system call's argument; for ``masked==`` the mask is ``first`` and the value ``second``."""

    position: int
    comparison: str
    first: int
    second: int = 0


class Rule(NamedTuple):
    """What to answer to a system call whose arguments meet all conditions."""

    call: str
    action: int
    arguments: tuple[Argument, ...] = ()


class Filter(NamedTuple):
    """A whole filter for the native architecture: calls by any other are answered by killing the process.

    :param default: the action for what no rule names.
    :param known: the action for every call that libseccomp knows by name and no rule names.
    """

    default: int
    known: int
    rules: tuple[Rule, ...]


class _Comparison(ctypes.Structure):
    """``struct scmp_arg_cmp`` of ``seccomp.h``."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise OSError(
            errno.ENOENT, f"{_LIBRARY} cannot be loaded; on Debian it is in the package libseccomp2"
        ) from error
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    library.seccomp_attr_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(_Comparison)
    ]  # fmt: skip
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    library.seccomp_syscall_resolve_num_arch.argtypes = [ctypes.c_uint32, ctypes.c_int]
    library.seccomp_syscall_resolve_num_arch.restype = ctypes.c_void_p
    return library


def _known_numbers(library: ctypes.CDLL) -> list[int]:
    native = library.seccomp_arch_native()
    free = ctypes.CDLL(None).free
    free.argtypes = [ctypes.c_void_p]
    numbers = []
    for number in range(1024):
        name = library.seccomp_syscall_resolve_num_arch(native, number)
        if name:
            numbers.append(number)
            free(name)
    return numbers


def _check(result: int, what: str) -> None:
    if result < 0:
        raise OSError(-result, f"{what}: {os.strerror(-result)}")


def _add(library: ctypes.CDLL, context: int, number: int, rule: Rule) -> None:
    array = (_Comparison * max(1, len(rule.arguments)))(
        *(_Comparison(a.position, COMPARISONS[a.comparison], a.first, a.second) for a in rule.arguments)
    )
    result = library.seccomp_rule_add_array(context, rule.action, number, len(rule.arguments), array)
    _check(result, f"seccomp_rule_add({rule.call})")


def compile_filter(policy: Filter) -> bytes:
    """The BPF program of a policy (an array of ``struct sock_filter``). Calls that libseccomp does not know are
    passed over: an older library leaves them to the default."""
    library = _library()
    context = library.seccomp_init(policy.default)
    if not context:
        raise OSError(errno.EINVAL, "seccomp_init: refused the default action")
    try:
        library.seccomp_attr_set(context, _ATTRIBUTE_OPTIMIZE, _BINARY_TREE)  # libseccomp before 2.5: the linear order
        named = set()
        for rule in policy.rules:
            number = library.seccomp_syscall_resolve_name(rule.call.encode())
            if number >= 0:
                named.add(number)
                if rule.action != policy.default:  # libseccomp refuses a rule that repeats the default
                    _add(library, context, number, rule)
        if policy.known != policy.default:
            for number in _known_numbers(library):
                if number not in named:
                    _add(library, context, number, Rule(str(number), policy.known))
        with os.fdopen(os.memfd_create("bpf"), "r+b") as file:
            _check(library.seccomp_export_bpf(context, file.fileno()), "seccomp_export_bpf")
            file.seek(0)
            return file.read()
    finally:
        library.seccomp_release(context)


def version() -> str:
    """The version of the libseccomp in use, such as ``2.5.4``: part of the key under which a program is kept."""

    class Version(ctypes.Structure):
        _fields_ = (("major", ctypes.c_uint), ("minor", ctypes.c_uint), ("micro", ctypes.c_uint))

    library = _library()
    library.seccomp_version.restype = ctypes.POINTER(Version)
    found = library.seccomp_version().contents
    return f"{found.major}.{found.minor}.{found.micro}"


def load(program: bytes) -> None:
    """Put a compiled filter on this thread for ever. Needs no_new_privs or CAP_SYS_ADMIN in the own user
    namespace."""
    size = 8  # sizeof(struct sock_filter)
    buffer = ctypes.create_string_buffer(program, len(program))
    fprog = struct.pack("HxxxxxxP", len(program) // size, ctypes.addressof(buffer))
    syscall("seccomp", _SET_MODE_FILTER, 0, fprog)
