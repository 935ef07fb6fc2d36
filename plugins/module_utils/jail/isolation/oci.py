# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seccomp profiles in JSON, as the OCI runtime specification has them (config-linux.md, "Seccomp"), with what
container engines add to it: entries that hold only for some capabilities, architectures or kernels (``includes``,
``excludes``), and architectures by the native one (``archMap``).

Nothing is passed over: what is not understood is an error, for a filter that is not what its author meant protects
from something else. System calls that this host's libseccomp does not know are no error; profiles are written for all
architectures and kernels.
"""

from __future__ import annotations

import errno
import platform
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from ...kernel import capabilities as names_of_capabilities
from ...kernel import seccomp
from ...kernel.seccomp import Argument, Filter, Rule

_PLAIN = {
    "SCMP_ACT_ALLOW": seccomp.ALLOW,
    "SCMP_ACT_LOG": seccomp.LOG,
    "SCMP_ACT_TRAP": seccomp.TRAP,
    "SCMP_ACT_KILL": seccomp.KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": seccomp.KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": seccomp.KILL_PROCESS,
}
_COMPARISONS = {
    "SCMP_CMP_NE": "!=",
    "SCMP_CMP_LT": "<",
    "SCMP_CMP_LE": "<=",
    "SCMP_CMP_EQ": "==",
    "SCMP_CMP_GE": ">=",
    "SCMP_CMP_GT": ">",
    "SCMP_CMP_MASKED_EQ": "masked==",
}
_NATIVE = {"x86_64": ("SCMP_ARCH_X86_64", "amd64"), "aarch64": ("SCMP_ARCH_AARCH64", "arm64")}
"""By machine: the specification's name and the one that engines use in ``arches``."""
_ARCHITECTURE = re.compile(r"SCMP_ARCH_([A-Z0-9_]+)")
_VERSION = re.compile(r"([0-9]+)\.([0-9]+)")

_KEYS = {
    "defaultAction", "defaultErrnoRet", "defaultErrno", "architectures", "archMap", "flags", "syscalls", "listenerPath",
    "listenerMetadata",
}  # fmt: skip
_CALL_KEYS = {"names", "name", "action", "errnoRet", "errno", "args", "comment", "includes", "excludes"}
_CONDITION_KEYS = {"caps", "arches", "minKernel"}
_ARGUMENT_KEYS = {"index", "value", "valueTwo", "op"}
_UINT64_MAX = (1 << 64) - 1
_ERRNO_MAX = 4095  # MAX_ERRNO of linux/err.h


class Surroundings(NamedTuple):
    """What conditional entries are asked of."""

    capabilities: Collection[str]
    machine: str
    kernel: str


def surroundings(capabilities: Collection[str]) -> Surroundings:
    """This host, for a jail with these capabilities."""
    return Surroundings(capabilities, platform.machine(), platform.release())


def parse(profile: Any, here: Surroundings) -> Filter:
    """The filter that a profile (decoded JSON) means here.

    :raises ValueError: when it is no profile, or asks for what cannot be given; the text says where.
    """
    _expect(profile, "the profile", _KEYS)
    for key in ("listenerPath", "listenerMetadata"):
        if profile.get(key):
            raise ValueError(f"{key}: there is no process beside a jail that could answer its system calls")
    if any(flag != "SECCOMP_FILTER_FLAG_TSYNC" for flag in _list(profile, "flags", "flags")):
        raise ValueError(f"flags: {profile['flags']} is not supported, but for SECCOMP_FILTER_FLAG_TSYNC")
    default = _action(profile, "defaultAction", ("defaultErrno", "defaultErrnoRet"), "defaultAction")
    rules: list[Rule] = []
    for number, entry in enumerate(_list(profile, "syscalls", "syscalls")):
        rules += _rules(entry, f"syscalls[{number}]", here)
    return Filter(default, default, tuple(rules), _architectures(profile, here))


def _expect(value: Any, where: str, keys: Collection[str]) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is not a JSON object")
    unknown = sorted(set(value) - set(keys))
    if unknown:
        raise ValueError(f"{where} has keys that no profile has: {', '.join(unknown)}")


def _list(value: Mapping[str, Any], key: str, where: str) -> list[Any]:
    found = value.get(key)
    if found is None:
        return []
    if not isinstance(found, list):
        raise ValueError(f"{where} is not a list")
    return found


def _word(value: Mapping[str, Any], key: str) -> str | None:
    found = value.get(key)
    return found if isinstance(found, str) else None


def _number(value: Any, where: str, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"{where}: {value!r} is not a number from 0 to {most}")
    return value


def _action(value: Mapping[str, Any], key: str, errno_keys: tuple[str, str], where: str) -> int:
    """An action of its name and error, whose own name goes before its number where both are there."""
    name = _word(value, key)
    if name in _PLAIN:
        return _PLAIN[name]
    number = _error(value, errno_keys, where)
    if name == "SCMP_ACT_ERRNO":
        return seccomp.answer(number)
    if name == "SCMP_ACT_TRACE":
        return seccomp.trace(number)
    if name == "SCMP_ACT_NOTIFY":
        raise ValueError(f"{where}: SCMP_ACT_NOTIFY needs a process beside the jail, and there is none")
    raise ValueError(f"{where}: {name!r} is not an action")


def _error(value: Mapping[str, Any], keys: tuple[str, str], where: str) -> int:
    by_name, by_number = keys
    name, number = value.get(by_name), value.get(by_number)
    if name:
        numbers = {word: code for code, word in errno.errorcode.items()}
        if not isinstance(name, str) or name not in numbers:
            raise ValueError(f"{where}: {by_name}: {name!r} is not the name of an error")
        return numbers[name]
    return errno.EPERM if number is None else _number(number, f"{where}: {by_number}", _ERRNO_MAX)


def _rules(entry: Any, where: str, here: Surroundings) -> list[Rule]:
    """The rules of an entry; none where its conditions do not hold."""
    _expect(entry, where, _CALL_KEYS)
    action = _action(entry, "action", ("errno", "errnoRet"), where)
    calls = [*_list(entry, "names", f"{where}.names"), *([entry["name"]] if entry.get("name") else [])]
    if not calls or not all(isinstance(call, str) for call in calls):
        raise ValueError(f"{where} names no system call")
    arguments = [_argument(each, f"{where}.args") for each in _list(entry, "args", f"{where}.args")]
    if not _holds(entry, where, here):
        return []
    # Two conditions on one argument are alternatives: libseccomp compares each once in a rule, and runc, which the
    # profiles are written for, makes a rule of each then.
    if any(count > 1 for count in Counter(argument.position for argument in arguments).values()):
        return [Rule(call, action, (argument,)) for call in calls for argument in arguments]
    return [Rule(call, action, tuple(arguments)) for call in calls]


def _argument(value: Any, where: str) -> Argument:
    _expect(value, where, _ARGUMENT_KEYS)
    comparison = _word(value, "op")
    if comparison not in _COMPARISONS:
        raise ValueError(f"{where}: {comparison!r} is not a comparison")
    return Argument(
        _number(value.get("index"), f"{where}.index", 5),
        _COMPARISONS[comparison],
        _number(value.get("value"), f"{where}.value", _UINT64_MAX),
        _number(value.get("valueTwo") or 0, f"{where}.valueTwo", _UINT64_MAX),
    )


def _holds(entry: Mapping[str, Any], where: str, here: Surroundings) -> bool:
    """Everything that is included must be the case, and nothing that is excluded."""
    included = _conditions(entry.get("includes"), f"{where}.includes", here)
    excluded = _conditions(entry.get("excludes"), f"{where}.excludes", here)
    return all(every for every, _any in included) and not any(some for _every, some in excluded)


def _conditions(value: Any, where: str, here: Surroundings) -> list[tuple[bool, bool]]:
    """For each condition: whether it holds wholly, and whether any part of it does."""
    if value is None:
        return []
    _expect(value, where, _CONDITION_KEYS)
    found = []
    capabilities = _list(value, "caps", f"{where}.caps")
    if capabilities:
        had = [_capability(each, where) in here.capabilities for each in capabilities]
        found.append((all(had), any(had)))
    architectures = _list(value, "arches", f"{where}.arches")
    if architectures:
        ours = _NATIVE.get(here.machine, (None, here.machine))[1] in architectures
        found.append((ours, ours))
    if value.get("minKernel"):
        new = _version(here.kernel, where) >= _version(value["minKernel"], f"{where}.minKernel")
        found.append((new, new))
    return found


def _capability(value: Any, where: str) -> str:
    if not isinstance(value, str) or value.partition("CAP_")[2] not in names_of_capabilities.NAMES:
        raise ValueError(f"{where}: {value!r} is not a capability")
    return value.partition("CAP_")[2]


def _version(value: Any, where: str) -> tuple[int, int]:
    match = _VERSION.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{where}: {value!r} is not a kernel's version")
    return int(match.group(1)), int(match.group(2))


def _architectures(profile: Mapping[str, Any], here: Surroundings) -> tuple[str, ...]:
    """Libseccomp's names of all architectures but the native one, which a filter always has."""
    native = _NATIVE.get(here.machine, (None, ""))[0]
    named = _list(profile, "architectures", "architectures")
    mapped = _list(profile, "archMap", "archMap")
    if named and mapped:
        raise ValueError("architectures and archMap exclude each other")
    for entry in mapped:
        _expect(entry, "archMap", ("architecture", "subArchitectures"))
        if entry.get("architecture") == native:
            named = _list(entry, "subArchitectures", "archMap.subArchitectures")
    return tuple(_architecture(name) for name in _distinct(named) if name != native)


def _distinct(values: Sequence[Any]) -> list[Any]:
    return [value for number, value in enumerate(values) if value not in values[:number]]


def _architecture(name: Any) -> str:
    match = _ARCHITECTURE.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        raise ValueError(f"architectures: {name!r} is none")
    return match.group(1).lower()
