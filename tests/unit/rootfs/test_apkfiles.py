# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of Alpine repositories, taken apart before and after somebody has verified them."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.methods import alpinekeys, apkfiles
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.methods.apkfiles import Entry

KEY = "somebody@alpine.example-1.rsa.pub"
STANZA = {"C": "Q1" + base64.b64encode(bytes(20)).decode(), "P": "unbound", "V": "1.20.0-r1", "A": "x86_64", "S": "9"}


def tar(parts: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    """A tar archive without its end."""
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in parts.items():
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, len(content)
            archive.addfile(member, io.BytesIO(content))
        size = archive.offset
    return memory.getvalue()[:size]


def member(parts: dict[str, bytes]) -> bytes:
    return gzip.compress(tar(parts), mtime=0)


def index(*stanzas: dict[str, str]) -> bytes:
    text = "\n".join("".join(f"{name}:{value}\n" for name, value in stanza.items()) for stanza in stanzas)
    return member({"DESCRIPTION": b"", "APKINDEX": text.encode()})


def package(files: dict[str, bytes]) -> tuple[bytes, Entry]:
    data = member(files)
    information = f"pkgname = probe\ndatahash = {hashlib.sha256(data).hexdigest()}\n"
    control = member({".PKGINFO": information.encode()})
    content = member({f".SIGN.RSA.{KEY}": b"signature"}) + control + data
    return content, Entry("probe", "1-r0", "x86_64", hashlib.sha1(control).digest(), len(content))


def test_signatures_and_what_they_sign() -> None:
    signed = index(STANZA)
    first = member({f".SIGN.RSA.{KEY}": b"one", f".SIGN.RSA256.{KEY}": b"two", f".SIGN.DSA.{KEY}": b"three"})
    found = apkfiles.split(first + signed)
    assert found.signatures == [("sha1", KEY, b"one"), ("sha256", KEY, b"two")]
    assert found.signed == signed
    assert found.end == len(first + signed)


def test_what_nobody_has_signed() -> None:
    assert apkfiles.split(index(STANZA)) == ([], index(STANZA), len(index(STANZA)))
    large = member({"APKINDEX": bytes(1 << 20)})
    assert apkfiles.split(large).signed == large


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (b"", "is cut short"),
        (b"rubbish", "is damaged"),
        (member({f".SIGN.RSA.{KEY}": b"x" * (1 << 17)}), "has a larger beginning than any such file"),
        (member({f".SIGN.RSA.{KEY}": b""}) + index(), "has no signature where one belongs"),
        (gzip.compress(tar({f".SIGN.RSA.{KEY}": b"x"}, tarfile.SYMTYPE)) + index(), "has no signature where one"),
        (gzip.compress(tar({f".SIGN.RSA.{KEY}": b"x" * 900})[:1024]) + index(), "has no signature where one belongs"),
    ],
)
def test_what_begins_with_no_signature(first: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        apkfiles.split(first)


@given(st.binary(max_size=600), st.integers(0, 700), st.integers(0, 300))
def test_rubbish_is_told_in_a_sentence(rubbish: bytes, position: int, length: int) -> None:
    whole = member({f".SIGN.RSA.{KEY}": b"signature"}) + index(STANZA)
    plain = tar({f".SIGN.RSA.{KEY}": b"signature"})
    for content in (
        whole[:position] + rubbish + whole[position + length :],
        gzip.compress(plain[:position] + rubbish + plain[position + length :]) + index(STANZA),
        gzip.compress(rubbish) + gzip.compress(rubbish),
    ):
        with contextlib.suppress(ValueError):
            apkfiles.packages(apkfiles.split(content).signed)


def test_packages_of_an_index() -> None:
    other = {**STANZA, "P": "musl", "D": "so:libc.so", "F:unknown": "x"}
    assert apkfiles.packages(index(STANZA, other)) == [
        Entry("unbound", "1.20.0-r1", "x86_64", bytes(20), 9),
        Entry("musl", "1.20.0-r1", "x86_64", bytes(20), 9),
    ]
    assert apkfiles.packages(index()) == []
    assert apkfiles.packages(index(STANZA))[0].file == "unbound-1.20.0-r1.apk"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"P": "../../etc/x"}, "has a package of a name that none can have"),
        ({"P": "-x"}, "has a package of a name that none can have"),
        ({"V": "1/../../x"}, "has a package of a name that none can have"),
        ({"A": "../x"}, "has a package of a name that none can have"),
        ({"S": "many"}, "has a package without what each must have"),
        ({"C": "Q1" + base64.b64encode(bytes(19)).decode()}, "checksum"),
        ({"C": "Q2" + base64.b64encode(bytes(20)).decode()}, "checksum"),
        ({"C": "Q1*"}, "checksum"),
    ],
)
def test_an_index_with_odd_packages(change: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        apkfiles.packages(index({**STANZA, **change}))


def test_an_index_with_half_a_package() -> None:
    with pytest.raises(ValueError, match="has a package without what each must have: 'C'"):
        apkfiles.packages(index({"P": "x", "V": "1-r0", "A": "x86_64"}))


def test_a_package_and_its_program() -> None:
    content, entry = package({"sbin/apk.static": b"\x7fELF", "other": b"x"})
    beginning = apkfiles.check_package(io.BytesIO(content), entry)
    assert apkfiles.program(io.BytesIO(content), beginning, "sbin/apk.static") == b"\x7fELF"
    with pytest.raises(ValueError, match="has no sbin/apk"):
        apkfiles.program(io.BytesIO(content), beginning, "sbin/apk")


def test_a_link_is_no_program() -> None:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w") as archive:
        link = tarfile.TarInfo("sbin/apk.static")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/shadow"
        archive.addfile(link)
    data = gzip.compress(memory.getvalue())
    control = member({".PKGINFO": f"datahash = {hashlib.sha256(data).hexdigest()}\n".encode()})
    content = member({f".SIGN.RSA.{KEY}": b"x"}) + control + data
    entry = Entry("probe", "1-r0", "x86_64", hashlib.sha1(control).digest(), len(content))
    beginning = apkfiles.check_package(io.BytesIO(content), entry)
    with pytest.raises(ValueError, match=r"has no sbin/apk\.static"):
        apkfiles.program(io.BytesIO(content), beginning, "sbin/apk.static")


@given(st.data())
def test_whatever_is_changed_in_a_package_is_noticed(data: st.DataObject) -> None:
    content, entry = package({"file": b"content"})
    start = len(member({f".SIGN.RSA.{KEY}": b"signature"}))
    position = data.draw(st.integers(start, len(content) - 1))
    changed = bytearray(content)
    changed[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match=r"is not the package|has files|is damaged|is cut short"):
        apkfiles.check_package(io.BytesIO(bytes(changed)), entry)


@given(st.integers(0, 400))
def test_a_package_that_is_cut_short_is_noticed(size: int) -> None:
    content, entry = package({"file": b"content"})
    with pytest.raises(ValueError, match=r"has files|is cut short"):
        apkfiles.check_package(io.BytesIO(content[: min(size, len(content) - 1)]), entry)


def test_the_keys_of_alpine_are_those_that_their_fingerprints_say() -> None:
    assert set(alpinekeys.ARCHITECTURES) == {"x86_64", "aarch64"}
    for arch, names in alpinekeys.ARCHITECTURES.items():
        keys = alpinekeys.of_architecture(arch)
        assert list(keys) == [f"alpine-devel@lists.alpinelinux.org-{name}.rsa.pub" for name in names]
        for name, pem in zip(names, keys.values()):
            lines = pem.decode().splitlines()
            assert (lines[0], lines[-1]) == ("-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----")
            der = base64.b64decode("".join(lines[1:-1]), validate=True)
            assert hashlib.sha256(der).hexdigest() == alpinekeys._KEYS[name].fingerprint
    assert alpinekeys.of_architecture("riscv64") == {}
