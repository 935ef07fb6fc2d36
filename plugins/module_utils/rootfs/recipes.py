# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what the user wrote to the recipe of a template and its key.

Pure: check mode computes a key too, without network and disk.

Two jails whose options say the same, in whatever order, get the same recipe, the same key, and so one template. What
a recipe holds goes to command lines and files of the host: every value has a strict grammar, and none may begin with
``-``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Callable, Optional

from . import repositories

Recipe = dict[str, Any]
"""JSON-able. Every recipe has ``method``, ``version`` and ``trust_group``; the rest are the options of the method."""

VARIANTS = ("minbase", "buildd", "standard")
"""What debootstrap(8) installs; ``standard`` is the default of debootstrap itself, which has no name there."""

PLACES = ("path", "url")
"""Where an archive is to be had. What is in it is said by its ``checksum``, wherever it comes from."""

TOOLS = ("debootstrap", "mmdebstrap")
"""The programs of method ``debootstrap``. They differ in details of what they make, so each has templates of its
own."""

_SUITE = re.compile(r"[a-z][a-z0-9.+~-]*")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")  # Debian Policy 5.6.7
_COMPONENT = re.compile(r"[a-z][a-z0-9/-]*")
_ARCHITECTURE = re.compile(r"[a-z][a-z0-9-]*")
_MACHINE = re.compile(r"[a-z][a-z0-9_]*")
_GROUP = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_PROGRAM = re.compile(r"[A-Za-z0-9_\[][A-Za-z0-9_.+\[-]*")
_ALPINE_RELEASE = re.compile(r"v[0-9]+\.[0-9]+|edge|latest-stable")
_RPM_RELEASE = re.compile(r"[a-z0-9][a-z0-9.~-]*")
# apk and dnf take an argument that ends like the name of a package's file for a file, whatever directory they are in.
_APK_PACKAGE = re.compile(r"(?!.*\.apk)[A-Za-z0-9_][A-Za-z0-9+_.-]*")
_RPM_PACKAGE = re.compile(r"(?!.*\.rpm)(@\^?)?[A-Za-z0-9_][A-Za-z0-9+_.-]*")

# It is given to no shell and to no program: any URL but one with a password, which would end up in a log.
_URL = re.compile(r"https?://[A-Za-z0-9.\[\]:_-]+(/[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]*)?")
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")

_Reader = Callable[[Any], Any]
_TextReader = Callable[[Any], Optional[str]]


def parse(options: Mapping[str, Any]) -> Recipe:
    """The canonical recipe.

    :param options: ``method`` and the options of that method; an option that is ``None`` counts as not given.
    :raises ValueError: a sentence that begins with the option's name and says what would be right.
    """
    given = {name: value for name, value in options.items() if value is not None}
    method = given.pop("method", None)
    if not isinstance(method, str) or method not in METHODS:
        raise ValueError(f"method: must be one of {', '.join(sorted(_METHODS))}, not {method!r}")
    version, readers = _METHODS[method]
    strangers = sorted(set(given) - set(readers))
    if strangers:
        raise ValueError(f"{strangers[0]}: means nothing to method {method}, leave it out")
    if all(name in given for name in PLACES):
        raise ValueError("url: path says already where the archive is, leave one of them out")
    recipe: Recipe = {"method": method, "version": version}
    for name, read in readers.items():
        try:
            value = read(given.get(name))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        if name not in _ADDED or _ADDED[name] != value:
            recipe[name] = value
    _check_whole(recipe)
    return recipe


def _check_whole(recipe: Recipe) -> None:
    """What the options of a method have to do with each other."""
    both = sorted(set(recipe.get("packages", [])) & set(recipe.get("exclude", [])))
    if both:
        raise ValueError(f"exclude: {both[0]} is in packages too, take it out of one of them")
    if recipe["method"] == "apk" and recipe["release"] is None:
        named = [name for name in recipe["repositories"] if not repositories.is_url(name)]
        if named:
            raise ValueError(f"release: repository {named[0]} needs one, such as v3.22")
    if recipe["method"] == "dnf" and not recipe["gpgkeys"]:
        keyless = [each["name"] for each in recipe["repositories"] if each["gpgkey"] is None]
        if keyless:
            raise ValueError(f"gpgkeys: give the keys that must have signed the packages of {keyless[0]}")


def key(recipe: Recipe) -> str:
    """The name of the template: a readable beginning and 16 hexadecimal digits of the recipe's SHA-256.

    It is a safe file name: lower case letters, digits and ``.+~-``, and it begins with a letter.
    """
    content = {name: value for name, value in recipe.items() if name not in PLACES}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    words = [recipe["method"], recipe.get("suite") or recipe.get("release"), hashlib.sha256(canonical).hexdigest()[:16]]
    return "-".join(word for word in words if word)


def _text(grammar: re.Pattern[str], meaning: str, default: str | None = None) -> _TextReader:
    """A reader of one word; ``meaning`` says what it is and shows one."""

    def read(value: Any) -> str | None:
        if value is None:
            return default
        if not isinstance(value, str) or not grammar.fullmatch(value):
            raise ValueError(f"{value!r} is not {meaning}")
        return value

    return read


def _needed(reader: _Reader, advice: str) -> _Reader:
    def read(value: Any) -> Any:
        if value is None:
            raise ValueError(advice)
        return reader(value)

    return read


def _set(reader: _Reader, default: tuple[str, ...] = ()) -> _Reader:
    """A reader of a list whose order and repetitions mean nothing: sorted, each once."""

    def read(value: Any) -> list[str]:
        if value is None:
            return sorted(default)
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"{value!r} is not a list")
        return sorted({_needed(reader, "an item of the list is empty")(item) for item in value})

    return read


def _at_least_one(reader: _Reader) -> _Reader:
    def read(value: Any) -> Any:
        found = reader(value)
        if not found:
            raise ValueError("the list is empty")
        return found

    return read


def _one_of(choices: tuple[str, ...]) -> _Reader:
    """A reader of one of some words; the first is the default."""

    def read(value: Any) -> str:
        if value is None:
            return choices[0]
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}, not {value!r}")
        return str(value)

    return read


def _yes_or_no(value: Any) -> bool:
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {value!r}")
    return bool(value)


def _mirror(value: Any) -> str | None:
    text = _text(repositories.MIRROR, "a mirror such as http://mirror.example/debian, without user or password")(value)
    return text.rstrip("/") if text else None


def _path(value: Any) -> str | None:
    return None if value is None else repositories.path(value)


def _binary(value: Any) -> str | None:
    if isinstance(value, str) and value.startswith("/"):
        return _path(value)
    return _text(_PROGRAM, "a program's name or absolute path")(value)


def host_path(value: Any) -> str:
    """The canonical form of option ``path``, which is read before there is a recipe.

    :raises ValueError: as :func:`parse` does.
    """
    try:
        return str(_needed(_path, "it is empty")(value))
    except ValueError as error:
        raise ValueError(f"path: {error}") from None


def _checksum(value: Any) -> str | None:
    small = value.lower() if isinstance(value, str) else value
    return _text(_CHECKSUM, "a checksum: sha256: or sha512: and its hexadecimal digits")(small)


def _dnf_repositories(value: Any) -> list[repositories.Repository]:
    return [] if value is None else repositories.of_dnf(value)


_PACKAGES = _set(_text(_PACKAGE, "a package name such as nginx-light (a version or architecture cannot be chosen)"))
_APK_PACKAGES = _set(_text(_APK_PACKAGE, "a package name such as unbound (a version cannot be chosen)"))
_RPM_PACKAGES = _set(_text(_RPM_PACKAGE, "a package name such as httpd or a group such as @core"))
_TRUST_GROUP = _text(_GROUP, "a name of 1 to 32 lower case letters, digits, _ and -", "default")

# Options that a method got later, and what they are by default: that is left out of the recipe, so that keys stay.
_ADDED = {"tool": TOOLS[0]}
# The number goes up when a builder comes to make something else of the same recipe: templates are built anew then.
_METHODS: Mapping[str, tuple[int, Mapping[str, _Reader]]] = {
    "archive": (
        1,
        {
            "path": _path,
            "url": _text(_URL, "a URL such as https://images.example/root.tar.xz, without user or password"),
            "checksum": _needed(_checksum, "method archive needs one with url, such as sha256:0123..., all 64 digits"),
            "trust_group": _TRUST_GROUP,
        },
    ),
    "debootstrap": (
        2,
        {
            "suite": _needed(
                _text(_SUITE, "a suite such as bookworm"), "method debootstrap needs one, such as bookworm"
            ),
            "mirror": _mirror,
            "components": _at_least_one(_set(_text(_COMPONENT, "a component such as main"), ("main",))),
            "variant": _one_of(VARIANTS),
            "packages": _PACKAGES,
            "exclude": _PACKAGES,
            "keyring": _path,
            "arch": _text(_ARCHITECTURE, "an architecture such as amd64, as dpkg calls it"),
            "trust_group": _TRUST_GROUP,
            "tool": _one_of(TOOLS),
        },
    ),
    "apk": (
        1,
        {
            "release": _text(_ALPINE_RELEASE, "a release of Alpine: v3.22, edge or latest-stable, for example"),
            "mirror": _mirror,
            "repositories": _at_least_one(_set(repositories.of_apk, ("main", "community"))),
            "packages": _APK_PACKAGES,
            "arch": _text(_MACHINE, "an architecture such as x86_64, as apk calls it"),
            "keys": _path,
            "apk": _path,
            "allow_untrusted": _yes_or_no,
            "trust_group": _TRUST_GROUP,
        },
    ),
    "dnf": (
        1,
        {
            "release": _needed(_text(_RPM_RELEASE, "a release such as 43"), "method dnf needs one, such as 43"),
            "repositories": _dnf_repositories,
            "packages": _needed(_at_least_one(_RPM_PACKAGES), "method dnf needs some, such as [bash, dnf]"),
            "gpgkeys": _set(_path),
            "arch": _text(_MACHINE, "an architecture such as x86_64, as rpm calls it"),
            "trust_group": _TRUST_GROUP,
        },
    ),
    "skeleton": (2, {"binaries": _set(_binary), "trust_group": _TRUST_GROUP}),
}

METHODS = tuple(sorted(_METHODS))
"""The methods of building a root file system."""
