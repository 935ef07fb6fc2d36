# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seccomp profiles in the OCI format: what each key means, and what is no profile."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cellblock.jails.plugins.module_utils.jail.isolation import oci
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import seccomp
from ansible_collections.cellblock.jails.plugins.module_utils.kernel.seccomp import (
    ALLOW,
    Argument,
    Filter,
    Rule,
    answer,
)

HERE = oci.Surroundings({"CHOWN", "NET_RAW"}, "x86_64", "6.1.0-18-amd64")
DENY: dict[str, Any] = {"defaultAction": "SCMP_ACT_ERRNO"}
READ: dict[str, Any] = {"names": ["read"], "action": "SCMP_ACT_ALLOW"}


def rules(**entry: Any) -> tuple[Rule, ...]:
    """The rules of a profile with one entry."""
    return oci.parse({**DENY, "syscalls": [{**READ, **entry}]}, HERE).rules


def test_a_small_profile() -> None:
    """Default, entries by several names and by the old single one, an error number, a condition."""
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 38,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        "flags": [],
        "syscalls": [
            {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW", "comment": "plain"},
            {"name": "mount", "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "args": None},
            {
                "names": ["socket"],
                "action": "SCMP_ACT_ALLOW",
                "args": [
                    {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"},
                    {"index": 1, "value": 15, "valueTwo": 1, "op": "SCMP_CMP_MASKED_EQ"},
                ],
            },
        ],
    }
    assert oci.parse(profile, HERE) == Filter(
        answer(errno.ENOSYS),
        answer(errno.ENOSYS),
        (
            Rule("read", ALLOW),
            Rule("write", ALLOW),
            Rule("mount", answer(errno.EPERM)),
            Rule("socket", ALLOW, (Argument(0, "==", 2), Argument(1, "masked==", 15, 1))),
        ),
        ("x86",),
    )


def test_an_error_without_a_number_is_the_usual_one() -> None:
    """EPERM, as the specification says."""
    assert oci.parse(DENY, HERE).default == answer(errno.EPERM)


def test_an_error_by_its_name() -> None:
    """As podman's profiles have it beside the number, and before it."""
    named = {**DENY, "defaultErrnoRet": 1, "defaultErrno": "ENOSYS"}
    assert oci.parse(named, HERE).default == answer(errno.ENOSYS)
    assert rules(action="SCMP_ACT_ERRNO", errno="EDOM") == (Rule("read", answer(errno.EDOM)),)
    assert rules(action="SCMP_ACT_ERRNO", errno="", errnoRet=7) == (Rule("read", answer(7)),)
    with pytest.raises(ValueError, match="'EWHAT' is not the name of an error"):
        rules(action="SCMP_ACT_ERRNO", errno="EWHAT")
    with pytest.raises(ValueError, match="38 is not the name of an error"):
        rules(action="SCMP_ACT_ERRNO", errno=38)


@pytest.mark.parametrize(
    ("action", "meant"),
    [
        ("SCMP_ACT_ALLOW", ALLOW),
        ("SCMP_ACT_LOG", seccomp.LOG),
        ("SCMP_ACT_TRAP", seccomp.TRAP),
        ("SCMP_ACT_KILL", seccomp.KILL_THREAD),
        ("SCMP_ACT_KILL_PROCESS", seccomp.KILL_PROCESS),
        ("SCMP_ACT_TRACE", seccomp.trace(1)),
    ],
)
def test_actions(action: str, meant: int) -> None:
    """Each by its number in the kernel's header."""
    assert rules(action=action) == (Rule("read", meant),)


def test_two_conditions_on_one_argument_are_alternatives() -> None:
    """As runc has it, for which the profiles are written."""
    arguments = [{"index": 0, "value": value, "op": "SCMP_CMP_EQ"} for value in (1, 2)]
    assert rules(args=arguments) == tuple(Rule("read", ALLOW, (Argument(0, "==", value),)) for value in (1, 2))


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ({"includes": {"caps": ["CAP_CHOWN"]}}, True),
        ({"includes": {"caps": ["CAP_CHOWN", "CAP_SYS_ADMIN"]}}, False),
        ({"includes": {"caps": ["CAP_CHOWN"], "arches": ["arm64"]}}, False),
        ({"includes": {"arches": ["arm64", "amd64"]}}, True),
        ({"includes": {"minKernel": "4.8"}}, True),
        ({"includes": {"minKernel": "6.1"}}, True),
        ({"includes": {"minKernel": "6.10"}}, False),
        ({"excludes": {"caps": ["CAP_SYS_ADMIN", "CAP_NET_RAW"]}}, False),
        ({"excludes": {"caps": ["CAP_SYS_ADMIN"]}}, True),
        ({"excludes": {"arches": ["amd64"]}}, False),
        ({"excludes": {"arches": ["s390x"], "minKernel": "9.0"}}, True),
        ({"includes": {"caps": ["CAP_CHOWN"]}, "excludes": {"minKernel": "5.0"}}, False),
        ({"includes": {}, "excludes": None}, True),
    ],
)
def test_conditions(conditions: dict[str, Any], holds: bool) -> None:
    """All that is included must be the case, nothing that is excluded."""
    assert bool(rules(**conditions)) is holds


def test_architectures_by_the_native_one() -> None:
    """``archMap`` adds those of the native architecture only."""
    maps = [
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
        {"architecture": "SCMP_ARCH_RISCV64", "subArchitectures": None},
    ]
    assert oci.parse({**DENY, "archMap": maps}, HERE).architectures == ("x86", "x32")
    assert oci.parse({**DENY, "archMap": maps}, HERE._replace(machine="aarch64")).architectures == ("arm",)
    assert oci.parse({**DENY, "archMap": maps}, HERE._replace(machine="sparc64")).architectures == ()


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ([], "the profile is not a JSON object"),
        ({}, "defaultAction: None is not an action"),
        ({**DENY, "sycalls": []}, "keys that no profile has: sycalls"),
        ({**DENY, "syscalls": {}}, "syscalls is not a list"),
        ({**DENY, "syscalls": ["read"]}, "syscalls[0] is not a JSON object"),
        ({**DENY, "syscalls": [{"action": "SCMP_ACT_ALLOW"}]}, "syscalls[0] names no system call"),
        ({**DENY, "syscalls": [{**READ, "action": "ALLOW"}]}, "'ALLOW' is not an action"),
        ({**DENY, "syscalls": [{**READ, "arg": []}]}, "keys that no profile has: arg"),
        ({**DENY, "syscalls": [{**READ, "includes": {"cap": []}}]}, "keys that no profile has: cap"),
        ({**DENY, "syscalls": [{**READ, "includes": {"caps": ["CHOWN"]}}]}, "'CHOWN' is not a capability"),
        ({**DENY, "syscalls": [{**READ, "includes": {"minKernel": "new"}}]}, "'new' is not a kernel's version"),
        ({**DENY, "syscalls": [{**READ, "action": "SCMP_ACT_ERRNO", "errnoRet": 5000}]}, "5000 is not a number from 0"),
        (
            {**DENY, "syscalls": [{**READ, "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}]},
            "6 is not a",
        ),
        ({**DENY, "syscalls": [{**READ, "args": [{"index": 0, "value": -1, "op": "SCMP_CMP_EQ"}]}]}, "-1 is not a num"),
        ({**DENY, "syscalls": [{**READ, "args": [{"index": 0, "value": 0, "op": "=="}]}]}, "'==' is not a comparison"),
        ({"defaultAction": "SCMP_ACT_NOTIFY"}, "SCMP_ACT_NOTIFY needs a process"),
        ({**DENY, "listenerPath": "/run/agent.sock"}, "listenerPath: there is no process"),
        ({**DENY, "flags": ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]}, "flags: "),
        ({**DENY, "architectures": ["X86"]}, "architectures: 'X86' is none"),
        ({**DENY, "architectures": ["SCMP_ARCH_X86"], "archMap": [{}]}, "exclude each other"),
    ],
)
def test_what_is_no_profile(profile: Any, said: str) -> None:
    """Is refused with the place and the reason: a filter that was half understood protects from something else."""
    with pytest.raises(ValueError, match=r".") as caught:
        oci.parse(profile, HERE)
    assert said in str(caught.value)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(oci._KEYS | oci._CALL_KEYS)), inner)
    ),
    max_leaves=12,
)


@given(_JSON)
def test_anything_else_is_refused_in_words(profile: Any) -> None:
    """Whatever JSON a file holds, it is a filter or a ``ValueError``."""
    try:
        found = oci.parse(profile, HERE)
    except ValueError:
        return
    assert isinstance(found, Filter)
