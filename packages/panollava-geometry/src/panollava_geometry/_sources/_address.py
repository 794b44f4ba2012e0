"""Addresses (URLs) as people write them: recognised, encoded as browsers do, and shown without secrets."""

import ipaddress
import re
import stringprep
import unicodedata
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import PurePosixPath

from panollava_geometry._errors import PanoramaError, boundary

_MAX_SHOWN = 160  # characters of an address in a message
_PORTS = {"http": 80, "https": 443}
#: Characters that browsers send as they are, after the letters, digits and `_.-~`. Existing %XX are among them.
_PATH_SAFE, _QUERY_SAFE = "/%!$&'()*+,;=:@[]|", "/%!$&()*+,;=:@[]|?`{}^"
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):(.*)", re.IGNORECASE | re.DOTALL)
_IPV6, _PORT = re.compile(r"^\[([^\]]*)\]"), re.compile(r"(?::(\d{0,5}))?", re.ASCII)

#: None: redirects to private addresses are followed. Otherwise, how the user can allow them.
_private_option: ContextVar[str | None] = ContextVar("private_option", default=None)
#: Whether URLs of private addresses may be read at all.
_private_allowed: ContextVar[bool] = ContextVar("private_allowed", default=True)


@dataclass(frozen=True)
class Address:
    """An http or https URL in ASCII, without user name, password and fragment."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def url(self) -> str:
        """The URL as it is sent."""
        host = f"[{urllib.parse.quote(self.host, safe=':')}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{'' if self.port == _PORTS[self.scheme] else f':{self.port}'}{self.target}"

    @property
    def file_name(self) -> str:
        """The last part of the path, as the name of a file; empty if there is none."""
        name = PurePosixPath(urllib.parse.unquote(self.target.partition("?")[0])).name
        return "" if name == ".." else "".join(c if c.isprintable() and c not in '\\/:*?"<>|' else "_" for c in name)


def is_address(text: str) -> bool:
    """Whether a text is meant as a URL, and not as the path of a file."""
    return "://" in text or re.match(r"[\s<\"']*https?:[/\\]", text, re.IGNORECASE) is not None


def shown_address(text: str, *, shorten: bool = True) -> str:
    """A URL as messages show it: scheme, host and path, of bounded length with `shorten`, for malformed URLs too.

    Query, fragment, user name and password are left out. If the text may contain a password, everything is left out
    up to the last `@`.
    """
    start = re.search(r"[a-z][a-z0-9+.-]*:(?=[/\\])", text, re.IGNORECASE)
    scheme, _, rest = text[start.start() if start else 0 :].strip(" \t\r\n<>\"'").partition(":")
    head, *tail = re.split(r"[?#]", rest, maxsplit=1)
    authority, slash, path = head.replace("\\", "/").lstrip("/").partition("/")
    authority = unicodedata.normalize("NFKC", urllib.parse.unquote(authority))
    before = unicodedata.normalize("NFKC", urllib.parse.unquote(f"{authority}{slash}{path}"))
    secret, at, after = before.rpartition("@")
    marked = "@" in authority or (at and ":" in _IPV6.sub("", secret))
    if marked:
        authority, slash, path = after.partition("/")
    found = _IPV6.match(authority)
    host = found[0] if found else authority.partition(":")[0]
    port = authority[len(host) :]
    if (":" in _IPV6.sub("", before) and "@" in urllib.parse.unquote("".join(tail))) or not _PORT.fullmatch(port):
        port = slash = path = ""
    name = f"{scheme.lower()}://{'…@' if marked else ''}{host}{'' if marked else port}{slash}{path}"
    name = "".join(character if character.isprintable() else "\ufffd" for character in name)
    return name if len(name) <= _MAX_SHOWN or not shorten else f"{name[: _MAX_SHOWN - 60]}…{name[-59:]}"


def read_address(text: str, name: str) -> Address:
    """Read a URL as a person writes it.

    Blanks, quotes or <> around the URL are removed. A backslash before the query is a slash. The host is encoded by
    IDNA, path and query by UTF-8 and %XX; existing %XX stay as they are. The fragment is dropped.

    Args:
        text: The URL.
        name: What error messages begin with, usually `shown_address(text)`.

    Raises:
        PanoramaError: The URL is not http or https, contains a user name, password or control character, or its host or
            port is invalid. The message shows nothing of the text except the scheme.
    """
    text = text.strip().strip("\u200b\u2060\ufeff")
    if len(text) > 1 and (text[0], text[-1]) in (("<", ">"), ('"', '"'), ("'", "'")):
        text = text[1:-1].strip()
    found = _SCHEME.fullmatch(text)
    scheme, rest = (found[1].lower(), found[2]) if found else ("", text)
    if scheme not in _PORTS:
        got = f", got {scheme[:20]}:" if scheme else ""
        raise PanoramaError(
            f"{name}: only http:// and https:// URLs are supported{got}; for a local file pass its path"
        )
    if any(ord(character) < 32 or 127 <= ord(character) < 160 for character in rest):
        raise PanoramaError(f"{name}: the URL contains a control character or line break; remove it")
    if any("\ud800" <= character <= "\udfff" for character in rest):
        raise PanoramaError(f"{name}: the URL is not valid Unicode; write it again")
    rest, _, _ = rest.partition("#")
    head, mark, query = rest.partition("?")
    head = head.replace("\\", "/")
    if not head.startswith("//"):
        raise PanoramaError(f"{name}: the URL is invalid, two slashes must follow '{scheme}:'; write {scheme}://host/…")
    authority, _, path = head[2:].partition("/")
    host, port = _host_and_port(authority, "@" in text, scheme, name)
    target = f"/{urllib.parse.quote(path, safe=_PATH_SAFE)}{mark}{urllib.parse.quote(query, safe=_QUERY_SAFE)}"
    return Address(scheme, host, port, target)


def follow_redirect(address: Address, location: str, name: str) -> Address:
    """The address that a server's `Location` header names, relative to the address that was asked for.

    Raises:
        PanoramaError: As in `read_address`. The message does not show the location.
    """
    problem = f"{name}: the server redirects to an address that cannot be used"
    try:  # http.client reads headers as Latin-1, servers write UTF-8
        location = location.encode("latin-1").decode()
    except UnicodeError:
        pass
    location = location.strip()
    if _SCHEME.fullmatch(location):
        return read_address(location, problem)
    path, mark, query = location.partition("?")
    location = path.replace("\\", "/") + mark + query
    if location.startswith("//"):
        return read_address(f"{address.scheme}:{location}", problem)
    with boundary(problem, "check the URL", lambda _: "it is malformed"):
        joined = urllib.parse.urljoin(address.url, location)
    return read_address(joined, problem)


@contextmanager
def untrusted_addresses(option: str, *, private: bool = True) -> Iterator[None]:
    """In this block, a public address must not redirect to a private one.

    For URLs that come from a table instead of a person: a server could otherwise make this machine read from its own
    network. It holds for downloads in the same thread, or asyncio task.

    Args:
        option: How the user can allow it, for the error message, such as `--private-redirects`.
        private: Whether a private address may be read that is not the target of a redirect. False for the URLs that
            visitors of a public page give.
    """
    tokens = _private_option.set(option), _private_allowed.set(private)
    try:
        yield
    finally:
        _private_option.reset(tokens[0])
        _private_allowed.reset(tokens[1])


def private_redirect_option() -> str | None:
    """How the user can allow redirects to private addresses, or None where they are allowed."""
    return _private_option.get()


def private_addresses_allowed() -> bool:
    """Whether private addresses may be read at all."""
    return _private_allowed.get()


def is_private(ip: str) -> bool:
    """Whether an IP address is private, loopback, link-local, reserved or multicast, also inside an IPv6 address."""
    address = ipaddress.ip_address(ip)
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in ipaddress.ip_network("64:ff9b::/96"):  # NAT64, RFC 6052
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        address = inner or address
    return not address.is_global or address.is_multicast


def _host_and_port(authority: str, with_at: bool, scheme: str, name: str) -> tuple[str, int]:
    authority = unicodedata.normalize("NFKC", urllib.parse.unquote(authority, errors="replace"))
    ipv6 = _IPV6.match(authority)
    if ipv6:
        host = ipv6[0]
    else:
        host = authority if authority.startswith("[") else authority.partition(":")[0]
    found = _PORT.fullmatch(authority[len(host) :])
    port = int(found[1] or _PORTS[scheme]) if found else 0
    if "@" in authority or (with_at and not 0 < port < 65536):
        raise PanoramaError(
            f"{name}: the URL contains a user name or password, which is not supported; "
            "download the file yourself and pass its path"
        )
    if not 0 < port < 65536:
        raise PanoramaError(f"{name}: the port of the URL is invalid; expected a number from 1 to 65535")
    try:
        host = str(ipaddress.IPv6Address(ipv6[1])) if ipv6 else _ascii_host(host)
    except ValueError:
        raise PanoramaError(f"{name}: the host name of the URL is invalid; check the URL") from None
    return host, port


def _ascii_host(host: str) -> str:
    """A host name in the ASCII form of IDNA, as browsers make it (UTS 46: ß and final sigma stay distinct letters).

    Raises:
        ValueError: It is empty, has an invalid character, or a label that is too long.
    """
    host = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", host).lower()).replace("。", ".")
    labels = host.removesuffix(".").split(".")
    for index, label in enumerate(labels):
        if not label.isascii():
            label = "".join(c for c in label if not stringprep.in_table_b1(c) or c in "\u200c\u200d")
            if any(unicodedata.category(c)[0] in "CZ" and c not in "\u200c\u200d" for c in label):
                raise ValueError("invalid character")
            label = label if label.isascii() else "xn--" + label.encode("punycode").decode()
        if not re.fullmatch(r"[a-z0-9_-]{1,63}", label):
            raise ValueError("invalid label")
        labels[index] = label
    name = ".".join(labels)
    if len(name) > 253:
        raise ValueError("too long")
    return name
