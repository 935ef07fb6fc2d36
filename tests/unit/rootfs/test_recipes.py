# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipes and keys: the same wish gives the same template, another one another; nothing odd reaches a command line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import recipes

Options = dict[str, Any]
SUM = {"checksum": "sha256:" + "0" * 64}
SAFE_FILE_NAME = re.compile(r"[a-z][a-z0-9.+~-]*")

suites = st.from_regex(r"[a-z][a-z0-9.+~-]{0,15}", fullmatch=True)
packages = st.from_regex(r"[a-z0-9][a-z0-9+.-]{1,15}", fullmatch=True)
groups = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,31}", fullmatch=True)
mirrors = st.sampled_from(
    ["http://mirror.example/debian", "https://archive.example:8080/d/", "http://[fd00::1]/debian", "file:///srv/mirror"]
)
debootstraps = st.fixed_dictionaries(
    {"method": st.just("debootstrap"), "suite": suites},
    optional={
        "mirror": mirrors,
        "components": st.lists(st.sampled_from(["main", "contrib", "non-free"]), min_size=1),
        "variant": st.sampled_from(recipes.VARIANTS),
        "packages": st.lists(packages),
        "keyring": st.just("/usr/share/keyrings/archive.gpg"),
        "arch": st.sampled_from(["amd64", "arm64"]),
        "tool": st.sampled_from(recipes.TOOLS),
        "trust_group": groups,
    },
)
releases = st.sampled_from(["v3.20", "v3.22", "edge", "latest-stable"])
apks = st.fixed_dictionaries(
    {"method": st.just("apk"), "release": releases},
    optional={
        "mirror": mirrors,
        "repositories": st.lists(
            st.sampled_from(["main", "community", "https://mirror.example/alpine/edge/testing", "file:///srv/own"]),
            min_size=1,
        ),
        "packages": st.lists(st.sampled_from(["unbound", "gcc-avr", "py3-yaml", "libstdc++", "R"])),
        "arch": st.sampled_from(["x86_64", "aarch64"]),
        "keys": st.just("/etc/keys"),
        "apk": st.just("/usr/local/sbin/apk.static"),
        "allow_untrusted": st.booleans(),
        "trust_group": groups,
    },
)
NAMED = {"name": "own", "baseurl": "https://mirror.example/own", "gpgkey": "/etc/own.asc"}
dnfs = st.fixed_dictionaries(
    {
        "method": st.just("dnf"),
        "release": st.sampled_from(["43", "9.4", "rawhide", "9-stream"]),
        "packages": st.lists(st.sampled_from(["bash", "gcc-c++", "@core", "@^minimal-environment"]), min_size=1),
        "gpgkeys": st.lists(st.sampled_from(["/etc/one.asc", "/etc/two.asc"]), min_size=1),
    },
    optional={
        "repositories": st.lists(
            st.sampled_from(["https://mirror.example/$releasever/$basearch/os/", "file:///srv/rpms", NAMED])
        ),
        "arch": st.sampled_from(["x86_64", "aarch64"]),
        "trust_group": groups,
    },
)
skeletons = st.fixed_dictionaries(
    {"method": st.just("skeleton")},
    optional={
        "binaries": st.lists(st.sampled_from(["busybox", "/bin/sh", "/usr/sbin/nginx", "["])),
        "trust_group": groups,
    },
)
checksums = st.one_of(
    st.from_regex(r"sha256:[0-9a-fA-F]{64}", fullmatch=True), st.from_regex(r"SHA512:[0-9a-f]{128}", fullmatch=True)
)
places = st.sampled_from([{"path": "/srv/root.tar"}, {"url": "https://images.example/root.tar.xz?size=1&name=a@b"}, {}])
archives = st.builds(
    lambda place, options: {"method": "archive", **place, **options},
    places,
    st.fixed_dictionaries({"checksum": checksums}, optional={"trust_group": groups}),
)
wishes = st.one_of(apks, archives, debootstraps, dnfs, skeletons)
anything = st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.lists(st.text()), st.binary())


@given(wishes)
def test_key_is_a_safe_file_name_and_the_recipe_survives_json(options: Options) -> None:
    recipe = recipes.parse(options)
    key = recipes.key(recipe)
    assert SAFE_FILE_NAME.fullmatch(key)
    assert key.startswith(options["method"])
    assert recipes.key(json.loads(json.dumps(recipe))) == key


@given(wishes, st.randoms(use_true_random=False))
def test_order_repetition_and_defaults_do_not_matter(options: Options, random: Random) -> None:
    other = dict(options)
    for name, value in options.items():
        if isinstance(value, list):
            again = value + value
            random.shuffle(again)
            other[name] = again
    other.setdefault("trust_group", None)
    assert recipes.parse(other) == recipes.parse(options)


@given(wishes, wishes)
def test_keys_differ_exactly_when_recipes_do(one: Options, other: Options) -> None:
    first, second = recipes.parse(one), recipes.parse(other)
    content = [{**recipe, "path": None, "url": None} for recipe in (first, second)]
    assert (recipes.key(first) == recipes.key(second)) == (content[0] == content[1])


@given(archives, places)
def test_an_archive_is_the_same_wherever_it_lies(options: Options, place: Options) -> None:
    elsewhere = {"method": "archive", **place, "checksum": options["checksum"].upper()}
    if "trust_group" in options:
        elsewhere["trust_group"] = options["trust_group"]
    assert recipes.key(recipes.parse(elsewhere)) == recipes.key(recipes.parse(options))


@given(wishes, groups, groups)
def test_trust_groups_share_nothing(options: Options, one: str, other: str) -> None:
    assume(one != other)
    keys = {recipes.key(recipes.parse({**options, "trust_group": group})) for group in (one, other)}
    assert len(keys) == 2


@given(
    st.dictionaries(
        st.sampled_from(
            [
                *recipes.parse({"method": "skeleton"}),
                *("suite", "mirror", "packages", "path", "url", "checksum"),
                *("release", "repositories", "keys", "apk", "allow_untrusted", "gpgkeys", "tool"),
            ]
        ),
        anything,
    )
)
def test_bad_input_is_a_sentence_that_names_the_option(options: Options) -> None:
    said = "fine: it was accepted"
    try:
        recipes.parse(options)
    except ValueError as error:
        said = str(error)
    assert re.match(r"[a-z_]+: \S", said)


def strings_of(recipe: recipes.Recipe) -> Iterator[str]:
    for value in recipe.values():
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            for item in value:
                yield from [item] if isinstance(item, str) else [text for text in item.values() if text is not None]


@given(debootstraps, st.sampled_from(["suite", "mirror", "packages", "components", "keyring", "arch"]), st.text())
def test_what_is_accepted_can_stand_on_a_command_line(options: Options, name: str, text: str) -> None:
    value = [text] if name in ("packages", "components") else text
    try:
        recipe = recipes.parse({**options, name: value})
    except ValueError:
        return
    for string in strings_of(recipe):
        assert not string.startswith("-")
        assert not re.search(r"[\x00-\x20\x7f-\U0010ffff$`'\"\\;|&<>*?]", string)


APK_OPTIONS = ["release", "mirror", "repositories", "packages", "arch", "keys", "apk"]
DNF_OPTIONS = ["release", "repositories", "packages", "arch", "gpgkeys"]


@given(apks, st.sampled_from(APK_OPTIONS), st.text())
def test_nothing_odd_reaches_apk(options: Options, name: str, text: str) -> None:
    accepted_is_harmless({**options, name: [text] if name in ("repositories", "packages") else text}, "")


@given(dnfs, st.sampled_from(DNF_OPTIONS), st.text(), st.booleans())
def test_nothing_odd_reaches_dnf(options: Options, name: str, text: str, named: bool) -> None:
    one = {**NAMED, "baseurl": text, "name": text} if named and name == "repositories" else text
    value = [one] if name in ("repositories", "packages", "gpgkeys") else text
    accepted_is_harmless({**options, name: value}, "$")  # only in URLs, and there only as variables of dnf


def accepted_is_harmless(options: Options, more: str) -> None:
    try:
        recipe = recipes.parse(options)
    except ValueError:
        return
    for string in strings_of(recipe):
        assert not string.startswith("-")
        odd = re.findall(r"[\x00-\x20\x7f-\U0010ffff$`'\"\\;|&<>*?]", string)
        assert set(odd) <= set(more)
        assert not string.endswith((".apk", ".rpm")) or "/" in string, "it would be taken for a file"


@given(st.one_of(apks, debootstraps, dnfs))
def test_what_was_recorded_is_understood_again(options: Options) -> None:
    recipe = recipes.parse(options)
    again = {name: value for name, value in json.loads(json.dumps(recipe)).items() if name != "version"}
    assert recipes.parse(again) == recipe


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "method: must be one of apk, archive, debootstrap, dnf, skeleton"),
        ({"method": "rpm"}, "method: must be one of apk, archive, debootstrap, dnf, skeleton, not 'rpm'"),
        ({"method": ["debootstrap"]}, "method: must be one of"),
        ({"method": "debootstrap"}, "suite: method debootstrap needs one, such as bookworm"),
        ({"method": "debootstrap", "suite": "bookworm\n"}, "suite: 'bookworm\\n' is not a suite"),
        ({"method": "debootstrap", "suite": "../x"}, "suite: '../x' is not a suite"),
        ({"method": "debootstrap", "suite": "--help"}, "suite: '--help' is not a suite"),
        ({"method": "debootstrap", "suite": "sid", "packages": ["-x"]}, "packages: '-x' is not a package name"),
        ({"method": "debootstrap", "suite": "sid", "packages": ["a,b"]}, "packages: 'a,b' is not a package name"),
        ({"method": "debootstrap", "suite": "sid", "packages": "nginx"}, "packages: 'nginx' is not a list"),
        ({"method": "debootstrap", "suite": "sid", "packages": [None]}, "packages: an item of the list is empty"),
        ({"method": "debootstrap", "suite": "sid", "components": []}, "components: the list is empty"),
        ({"method": "debootstrap", "suite": "sid", "variant": "fakechroot"}, "variant: must be one of minbase"),
        ({"method": "debootstrap", "suite": "sid", "mirror": "ftp://x/y"}, "mirror: 'ftp://x/y' is not a mirror"),
        ({"method": "debootstrap", "suite": "sid", "mirror": "http://u:p@x/y"}, "without user or password"),
        ({"method": "debootstrap", "suite": "sid", "mirror": "http://x/\ndeb evil"}, "is not a mirror"),
        ({"method": "debootstrap", "suite": "sid", "keyring": "x.gpg"}, "keyring: 'x.gpg' is not an absolute path"),
        ({"method": "debootstrap", "suite": "sid", "keyring": "/a/../b"}, "which is /b"),
        (
            {"method": "debootstrap", "suite": "sid", "binaries": ["sh"]},
            "binaries: means nothing to method debootstrap",
        ),
        ({"method": "skeleton", "suite": "sid"}, "suite: means nothing to method skeleton, leave it out"),
        ({"method": "skeleton", "binaries": ["bin/sh"]}, "binaries: 'bin/sh' is not a program's name or absolute path"),
        ({"method": "skeleton", "binaries": ["/bin/../sh"]}, "which is /sh"),
        ({"method": "skeleton", "binaries": ["//bin/sh"]}, "is not an absolute path"),
        ({"method": "archive", "path": "/x"}, "checksum: method archive needs one with url"),
        ({"method": "archive", "path": "x", **SUM}, "path: 'x' is not an absolute path"),
        ({"method": "archive", "path": "/x", "url": "http://x/", **SUM}, "url: path says already where the archive is"),
        ({"method": "archive", "url": "ftp://x/", **SUM}, "url: 'ftp://x/' is not a URL"),
        ({"method": "archive", "url": "file:///etc/passwd", **SUM}, "is not a URL"),
        ({"method": "archive", "url": "http://me:secret@x/", **SUM}, "without user or password"),
        ({"method": "archive", "url": "http://x/ HTTP/1.0\r\nX: y", **SUM}, "is not a URL"),
        ({"method": "archive", "url": "http://x/", "checksum": "md5:" + "0" * 32}, "checksum: 'md5:"),
        ({"method": "archive", "url": "http://x/", "checksum": "sha256:" + "0" * 63}, "is not a checksum"),
        ({"method": "archive", "url": "http://x/", "checksum": "sha256:" + "g" * 64}, "is not a checksum"),
        ({"method": "archive", "url": "http://x/", "checksum": "0" * 64}, "is not a checksum"),
        ({"method": "archive", "suite": "sid", **SUM}, "suite: means nothing to method archive"),
        ({"method": "skeleton", "trust_group": ""}, "trust_group: '' is not a name"),
        (
            {"method": "debootstrap", "suite": "sid", "packages": ["vim"], "exclude": ["vim"]},
            "exclude: vim is in packages too",
        ),
        ({"method": "debootstrap", "suite": "sid", "tool": "cdebootstrap"}, "tool: must be one of debootstrap, mmdeb"),
        ({"method": "apk"}, "release: repository community needs one, such as v3.22"),
        ({"method": "apk", "release": "3.22"}, "release: '3.22' is not a release of Alpine: v3.22, edge"),
        ({"method": "apk", "release": "v3.22/../x"}, "release: 'v3.22/../x' is not a release"),
        ({"method": "apk", "release": "edge", "repositories": []}, "repositories: the list is empty"),
        (
            {"method": "apk", "release": "edge", "repositories": ["Main"]},
            "repositories: 'Main' is neither a repository",
        ),
        ({"method": "apk", "repositories": ["ftp://x/main"]}, "repositories: 'ftp://x/main' is neither a repository"),
        ({"method": "apk", "repositories": ["https://u:p@x/main"]}, "without user or password"),
        ({"method": "apk", "release": "edge", "packages": ["x=1"]}, "packages: 'x=1' is not a package name"),
        ({"method": "apk", "release": "edge", "packages": ["x.apk"]}, "packages: 'x.apk' is not a package name"),
        ({"method": "apk", "release": "edge", "packages": ["-t"]}, "packages: '-t' is not a package name"),
        ({"method": "apk", "release": "edge", "keys": "keys"}, "keys: 'keys' is not an absolute path"),
        ({"method": "apk", "release": "edge", "allow_untrusted": "no"}, "allow_untrusted: must be true or false"),
        ({"method": "apk", "release": "edge", "gpgkeys": ["/x"]}, "gpgkeys: means nothing to method apk"),
        ({"method": "dnf"}, "release: method dnf needs one, such as 43"),
        ({"method": "dnf", "release": "43"}, "packages: method dnf needs some"),
        ({"method": "dnf", "release": "43", "packages": []}, "packages: the list is empty"),
        ({"method": "dnf", "release": "43", "packages": ["x.rpm"]}, "packages: 'x.rpm' is not a package name"),
        ({"method": "dnf", "release": "43", "packages": ["/etc/x"]}, "packages: '/etc/x' is not a package name"),
        (
            {"method": "dnf", "release": "43", "packages": ["bash"], "repositories": ["https://x/os"]},
            "gpgkeys: give the keys that must have signed the packages of x-os",
        ),
        (
            {"method": "dnf", "release": "43", "packages": ["bash"], "repositories": ["https://x/$HOME"]},
            "repositories: 'https://x/$HOME' is not a URL",
        ),
        (
            {
                "method": "dnf",
                "release": "43",
                "packages": ["bash"],
                "repositories": [{"name": "main", "baseurl": "x"}],
            },
            "repositories: 'main' is not a name of a repository",
        ),
        (
            {"method": "dnf", "release": "43", "packages": ["bash"], "repositories": [{**NAMED, "exec": "x"}]},
            "is neither a URL nor a name, a baseurl and perhaps a gpgkey",
        ),
        (
            {
                "method": "dnf",
                "release": "43",
                "packages": ["bash"],
                "repositories": [NAMED, {**NAMED, "gpgkey": None}],
            },
            "repositories: two of them are called own",
        ),
        (
            {"method": "dnf", "release": "43", "packages": ["bash"], "repositories": [{**NAMED, "gpgkey": "own.asc"}]},
            "repositories: 'own.asc' is not an absolute path",
        ),
    ],
)
def test_messages(options: Options, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        recipes.parse(options)


def test_a_mirror_with_and_without_a_slash_is_one() -> None:
    keys = {
        recipes.key(recipes.parse({"method": "debootstrap", "suite": "sid", "mirror": mirror}))
        for mirror in ("http://mirror.example/debian", "http://mirror.example/debian/")
    }
    assert len(keys) == 1


def test_the_default_tool_is_no_part_of_a_key() -> None:
    options = {"method": "debootstrap", "suite": "bookworm"}
    plain = recipes.parse(options)
    assert recipes.parse({**options, "tool": "debootstrap"}) == plain
    assert recipes.key(recipes.parse({**options, "tool": "mmdebstrap"})) != recipes.key(plain)


def test_the_key_of_a_released_recipe_stays() -> None:
    """A key that changes makes every host build every template again: raise the method's version when that is meant."""
    recipe = recipes.parse({"method": "debootstrap", "suite": "bookworm", "packages": ["nginx-light"]})
    assert recipes.key(recipe) == "debootstrap-bookworm-d2d5d5a74991c333"
