# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which devices the processes of a version 2 cgroup may open: a BPF program on its directory (the kernel's
admin-guide/cgroup-v2, "Device controller"; bpf(2)).

The program is made here, instruction by instruction: for each rule one comparison of type, number and access, then a
"yes"; after the last rule a "no".
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence
from typing import NamedTuple

from .syscalls import syscall

_PROG_LOAD, _PROG_ATTACH, _PROG_GET_FD_BY_ID, _OBJ_GET_INFO_BY_FD, _PROG_QUERY = 5, 8, 13, 15, 16
_TYPE_CGROUP_DEVICE = 15
_ATTACH_CGROUP_DEVICE = 6
_LICENSE = b"GPL\0"
_ATTRIBUTES = 128  # union bpf_attr; what is beyond the fields of a command must be zero
_KINDS = {"b": 1, "c": 2}  # BPF_DEVCG_DEV_*
_ACCESS = {"m": 1, "r": 2, "w": 4}  # BPF_DEVCG_ACC_*
_TYPE_MASK, _ACCESS_SHIFT = 0xFFFF, 16  # of access_type in struct bpf_cgroup_dev_ctx
_OFFSETS = {"access_type": 0, "major": 4, "minor": 8}

# Opcodes of linux/bpf.h: BPF_LDX|BPF_MEM|BPF_W, BPF_ALU64|BPF_MOV|BPF_K, BPF_ALU|BPF_MOV|BPF_X, ...
_LOAD, _SET, _COPY, _AND, _SHIFT_RIGHT, _JUMP_UNLESS_EQUAL, _EXIT = 0x61, 0xB7, 0xBC, 0x54, 0x74, 0x55, 0x95
_RESULT, _CONTEXT, _TYPE, _WANTED, _MAJOR, _MINOR = range(6)  # registers


class Rule(NamedTuple):
    """Devices that may be used.

    :param kind: ``c`` or ``b``.
    :param minor: ``None`` for all of the major number.
    :param access: ``r`` (read), ``w`` (write), ``m`` (make a node), in this order.
    """

    kind: str
    major: int
    minor: int | None
    access: str

    def __str__(self) -> str:
        """As version 1's ``devices.allow`` has it."""
        return f"{self.kind} {self.major}:{'*' if self.minor is None else self.minor} {self.access}"


def attach(directory: int, rules: Sequence[Rule]) -> None:
    """Let the processes of a cgroup, and of all below it, open what the rules say and nothing else. Takes the place of
    what was said before."""
    program = _load(rules)
    try:
        # Without a flag: nobody below may attach one of his own, and this one replaces an earlier one.
        _bpf(_PROG_ATTACH, struct.pack("=IIII", directory, program, _ATTACH_CGROUP_DEVICE, 0))
    finally:
        os.close(program)


def holds(directory: int, rules: Sequence[Rule]) -> bool:
    """Whether exactly this is what the kernel has on the cgroup, by the digest of the program."""
    identifiers = (ctypes.c_uint32 * 8)()
    query = struct.pack("=IIIIQI", directory, _ATTACH_CGROUP_DEVICE, 0, 0, ctypes.addressof(identifiers), 8)
    count = struct.unpack_from("=I", _bpf(_PROG_QUERY, query)[1], 24)[0]
    if count != 1:
        return False
    found = _bpf(_PROG_GET_FD_BY_ID, struct.pack("=I", identifiers[0]))[0]
    wanted = _load(rules)
    try:
        return _digest(found) == _digest(wanted)
    finally:
        os.close(found)
        os.close(wanted)


def _digest(program: int) -> bytes:
    information = ctypes.create_string_buffer(64)  # struct bpf_prog_info: type, id, tag[8], ...
    request = struct.pack("=IIQ", program, len(information), ctypes.addressof(information))
    _bpf(_OBJ_GET_INFO_BY_FD, request)
    return information.raw[8:16]


def _load(rules: Sequence[Rule]) -> int:
    code = ctypes.create_string_buffer(_program(rules))
    licence = ctypes.create_string_buffer(_LICENSE)
    count = (len(code) - 1) // 8
    attributes = struct.pack("=IIQQ", _TYPE_CGROUP_DEVICE, count, ctypes.addressof(code), ctypes.addressof(licence))
    return _bpf(_PROG_LOAD, attributes)[0]


def _bpf(command: int, attributes: bytes) -> tuple[int, bytes]:
    """bpf(2); its result, and the attributes as the kernel has left them."""
    buffer = ctypes.create_string_buffer(attributes, _ATTRIBUTES)
    result = syscall("bpf", command, ctypes.byref(buffer), _ATTRIBUTES)
    return result, buffer.raw


def _program(rules: Sequence[Rule]) -> bytes:
    code = [
        _instruction(_LOAD, _TYPE, _CONTEXT, _OFFSETS["access_type"]),
        _instruction(_COPY, _WANTED, _TYPE),
        _instruction(_SHIFT_RIGHT, _WANTED, immediate=_ACCESS_SHIFT),
        _instruction(_AND, _TYPE, immediate=_TYPE_MASK),
        _instruction(_LOAD, _MAJOR, _CONTEXT, _OFFSETS["major"]),
        _instruction(_LOAD, _MINOR, _CONTEXT, _OFFSETS["minor"]),
    ]
    for rule in rules:
        code += _rule(rule)
    code += [_instruction(_SET, _RESULT, immediate=0), _instruction(_EXIT)]
    return b"".join(code)


def _rule(rule: Rule) -> list[bytes]:
    """Say "yes" and end if the rule is met, else come out at the end."""
    refused = 0b111 & ~sum(_ACCESS[letter] for letter in rule.access)
    compared = [(_TYPE, _KINDS[rule.kind]), (_MAJOR, rule.major)]
    if rule.minor is not None:
        compared.append((_MINOR, rule.minor))
    left = len(compared) + 5  # instructions after the present one, the two of the "yes" included
    code = []
    for register, value in compared:
        left -= 1
        code.append(_instruction(_JUMP_UNLESS_EQUAL, register, offset=left, immediate=value))
    code.append(_instruction(_COPY, _RESULT, _WANTED))
    code.append(_instruction(_AND, _RESULT, immediate=refused))
    code.append(_instruction(_JUMP_UNLESS_EQUAL, _RESULT, offset=2, immediate=0))
    return [*code, _instruction(_SET, _RESULT, immediate=1), _instruction(_EXIT)]


def _instruction(opcode: int, to: int = 0, source: int = 0, offset: int = 0, immediate: int = 0) -> bytes:
    """``struct bpf_insn``."""
    return struct.pack("=BBhi", opcode, to | source << 4, offset, immediate)
