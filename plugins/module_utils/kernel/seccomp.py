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
LOG = 0x7FFC0000
TRAP = 0x00030000
KILL_THREAD = 0x00000000
KILL_PROCESS = 0x80000000
"""Actions (``SECCOMP_RET_*`` of ``linux/seccomp.h``); see :func:`answer` and :func:`trace` for the others."""
_ERRNO = 0x00050000
_TRACE = 0x7FF00000
_DATA = 0xFFFF
_LIBRARY = "libseccomp.so.2"
_ATTRIBUTE_OPTIMIZE = 8  # enum scmp_filter_attr, SCMP_FLTATR_CTL_OPTIMIZE, libseccomp 2.5
_BINARY_TREE = 2
_SET_MODE_FILTER = 1
_NO_CALL = -1  # __NR_SCMP_ERROR
_X32_BIT = 0x40000000
_OFFSET_NUMBER, _OFFSET_ARCHITECTURE = 0, 4  # struct seccomp_data
_LOAD_WORD, _RETURN, _JUMP = 0x20, 0x06, 0x05  # linux/bpf_common.h: BPF_LD|BPF_W|BPF_ABS, BPF_RET|BPF_K, BPF_JMP|BPF_JA
_JUMP_IF_EQUAL, _JUMP_IF_GREATER, _JUMP_IF_GREATER_OR_EQUAL = 0x15, 0x25, 0x35
_INSTRUCTION = "HBBI"  # struct sock_filter of linux/filter.h
_INSTRUCTION_BYTES = struct.calcsize(_INSTRUCTION)

COMPARISONS = {"!=": 1, "<": 2, "<=": 3, "==": 4, ">=": 5, ">": 6, "masked==": 7}
"""``enum scmp_compare`` of ``seccomp.h``."""


def answer(number: int) -> int:
    """The action that refuses a call with this error number."""
    return _ERRNO | number


def trace(number: int) -> int:
    """The action that asks a tracer, with this message; ``ENOSYS`` for the call when there is none."""
    return _TRACE | number


def answers(action: int) -> bool:
    """Whether an action is one of :func:`answer`."""
    return action & ~_DATA == _ERRNO


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
    :param architectures: further ones that are filtered alike, by libseccomp's names (``x86``, ``arm``).
    """

    default: int
    known: int
    rules: tuple[Rule, ...]
    architectures: tuple[str, ...] = ()


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
    library.seccomp_arch_native.restype = ctypes.c_uint32
    library.seccomp_arch_resolve_name.argtypes = [ctypes.c_char_p]
    library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    library.seccomp_arch_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
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
        for name in policy.architectures:
            _add_architecture(library, context, name)
        named = set()
        for rule in policy.rules:
            number = library.seccomp_syscall_resolve_name(rule.call.encode())
            # Negative numbers but -1 are calls of other architectures than the native one.
            if number >= 0 or (policy.architectures and number != _NO_CALL):
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


def _add_architecture(library: ctypes.CDLL, context: int, name: str) -> None:
    token = library.seccomp_arch_resolve_name(name.encode())
    if token == 0:
        raise OSError(errno.EINVAL, f"libseccomp knows no architecture {name}")
    if token != library.seccomp_arch_native():
        _check(library.seccomp_arch_add(context, token), f"seccomp_arch_add({name})")


def newer_calls_missing() -> bytes:
    """A program that answers ``ENOSYS`` to every call of the native architecture above the last one that libseccomp
    knows, and lets all else pass.

    For policies whose default is another error: to a program, that one means "no" and ``ENOSYS`` "try the older call".
    """
    library = _library()
    last = max(_known_numbers(library))
    instructions = (
        (_LOAD_WORD, 0, 0, _OFFSET_ARCHITECTURE),
        (_JUMP_IF_EQUAL, 0, 4, library.seccomp_arch_native()),
        (_LOAD_WORD, 0, 0, _OFFSET_NUMBER),
        (_JUMP_IF_GREATER_OR_EQUAL, 2, 0, _X32_BIT),  # numbers of another architecture with the same token
        (_JUMP_IF_GREATER, 0, 1, last),
        (_RETURN, 0, 0, answer(errno.ENOSYS)),
        (_RETURN, 0, 0, ALLOW),
    )
    return b"".join(struct.pack(_INSTRUCTION, *instruction) for instruction in instructions)


def chain(first: bytes, second: bytes) -> bytes:
    """One program of two: what the first allows, the second decides.

    The same as both loaded, where the kernel takes the stricter answer, for one start of a program instead of two in
    each call whose arguments are looked at. (Of calls that are allowed whatever their arguments are the kernel keeps a
    list, and starts none.)
    """
    allow = struct.pack(_INSTRUCTION, _RETURN, 0, 0, ALLOW)
    after = len(first)
    parts = []
    for place in range(0, after, _INSTRUCTION_BYTES):
        instruction = first[place : place + _INSTRUCTION_BYTES]
        if instruction == allow:
            distance = (after - place) // _INSTRUCTION_BYTES - 1
            instruction = struct.pack(_INSTRUCTION, _JUMP, 0, 0, distance)
        parts.append(instruction)
    return b"".join(parts) + second


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
    buffer = ctypes.create_string_buffer(program, len(program))
    fprog = struct.pack("HxxxxxxP", len(program) // _INSTRUCTION_BYTES, ctypes.addressof(buffer))
    syscall("seccomp", _SET_MODE_FILTER, 0, fprog)
