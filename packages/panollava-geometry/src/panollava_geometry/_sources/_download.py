"""Download an image over http or https, limited in size and time."""

import http.client
import os
import re
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
import zlib
from contextlib import AbstractContextManager, closing

from panollava_geometry._errors import PanoramaError, boundary
from panollava_geometry._sources import _address
from panollava_geometry._sources._address import (
    Address,
    follow_redirect,
    private_addresses_allowed,
    private_redirect_option,
    read_address,
)
from panollava_geometry._sources._connection import DeadlineError, Exchange, TooMuchDataError

#: Maximum size in bytes.
MAX_BYTES = 256 * 2**20
#: Maximum time in seconds: for a reply of the server, and for the whole download with all redirects.
TIMEOUT, MAX_SECONDS = 20.0, 300.0
MAX_REDIRECTS = 10
#: What allows redirects to private addresses: nothing needs to (None), or the named argument.
_ALLOWED_BY = {True: None, False: "private_redirects=True"}


def download(url: str, name: str, *, private_redirects: bool | None = None) -> bytes:
    """Download a URL. Redirects are followed.

    Args:
        url: An http or https URL, as a person writes it.
        name: Its name in error messages, without query and credentials.
        private_redirects: Follow a redirect from a public address to a private one. None: unless the call is in a
            block of `untrusted_addresses`.

    Raises:
        PanoramaError: The URL is invalid or of another scheme, the server does not return the file, or the file exceeds
            a limit. The message contains nothing of the URL except `name`.
    """
    option = private_redirect_option() if private_redirects is None else _ALLOWED_BY[private_redirects]
    exchange = Exchange(TIMEOUT, MAX_SECONDS, 2 * MAX_BYTES + 2**20)
    address = read_address(url, name)
    from_public = option is not None and not private_addresses_allowed()  # then a private address is refused at once
    for number in range(MAX_REDIRECTS + 1):
        proxied = _is_proxied(address)
        refused = _private_address(name, option, redirected=number > 0) if option is not None and from_public else None
        if proxied and option is not None:  # the proxy connects, so only what the name resolves to can be checked
            exchange.reached_private = _resolves_to_private(address)
            if refused and exchange.reached_private:
                raise refused
        exchange.refuse_private = None if proxied else refused
        with closing(_open(address, name, exchange)) as response:
            location = response.headers.get("Location")
            if response.status not in (301, 302, 303, 307, 308) or not location:
                return _read(response, name)
        address = follow_redirect(address, location, name)
        from_public = from_public or not exchange.reached_private
    raise PanoramaError(f"{name}: the server redirects more than {MAX_REDIRECTS} times; check the URL")


def _open(address: Address, name: str, exchange: Exchange) -> http.client.HTTPResponse:
    request = urllib.request.Request(address.url, headers={"User-Agent": "panollava-geometry"})
    with _boundary(name):
        response: http.client.HTTPResponse = exchange.opener().open(request, timeout=exchange.wait())
    return response


def _read(response: http.client.HTTPResponse, name: str) -> bytes:
    """The file of a response.

    Raises:
        PanoramaError: The response is an error or not whole, or its file is empty or too large.
    """
    if not 200 <= response.status < 300:
        status = f"{response.status} {http.client.responses.get(response.status, '')}".rstrip()
        raise PanoramaError(f"{name}: the server returned {status}; check the URL")
    if (response.length or 0) > MAX_BYTES:
        raise _too_large(name)
    data = bytearray()
    while True:
        with _boundary(name):
            chunk = response.read1(2**18)
        if not chunk:
            break
        data += chunk
        if len(data) > MAX_BYTES:
            raise _too_large(name)
    if response.length:  # `read1` does not report that the connection ended early
        with _boundary(name):
            raise http.client.IncompleteRead(b"", response.length)
    if data[:2] == b"\x1f\x8b":  # gzip, which no image begins with: some servers compress without being asked
        with _boundary(name):
            decoder = zlib.decompressobj(wbits=31)
            data = bytearray(decoder.decompress(data, MAX_BYTES + 1))
            if not decoder.eof and len(data) <= MAX_BYTES:
                raise http.client.IncompleteRead(b"")
        if len(data) > MAX_BYTES:
            raise _too_large(name)
    if not data:
        raise PanoramaError(f"{name}: the server returned an empty file; check the URL")
    return bytes(data)


def _boundary(name: str) -> AbstractContextManager[None]:
    return boundary(f"{name}: cannot be downloaded", "check the URL and the connection", _cause)


def _cause(error: BaseException) -> str:
    """A fixed text for each kind of failure, because the texts of exceptions may contain parts of the URL."""
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        error = error.reason
    match error:
        case DeadlineError():
            return f"it takes longer than {MAX_SECONDS:g} s"
        case TimeoutError():
            return f"the server does not answer within {TIMEOUT:g} s"
        case socket.gaierror():
            return (error.strerror or "the name cannot be resolved").lower()
        case ssl.SSLCertVerificationError():
            return "the server's certificate cannot be verified"
        case ssl.SSLError():
            return "the TLS connection failed"
        case ConnectionRefusedError():
            return "the connection was refused"
        case ConnectionError():
            return "the server closed the connection"
        case http.client.IncompleteRead():
            return "the server's answer is cut off"
        case http.client.HTTPException() | TooMuchDataError():
            return "the server's answer is malformed"
        case zlib.error():
            return "the server's compressed answer is damaged"
        case urllib.error.URLError():
            return "the proxy of the environment is not supported"
        case OSError() if error.errno:
            return os.strerror(error.errno).lower()
        case OSError():
            status = re.match(r"Tunnel connection failed: (\d{3})\b", str(error))
            return f"the proxy refused the connection with status {status[1]}" if status else "the connection failed"
    return f"the connection or the proxy of the environment failed: {type(error).__name__}"


def _is_proxied(address: Address) -> bool:
    """Whether a proxy of the environment connects in our place, as `urllib.request.ProxyHandler` decides it."""
    host = urllib.parse.urlsplit(address.url).netloc
    return address.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(host)


def _resolves_to_private(address: Address) -> bool:
    try:
        found = socket.getaddrinfo(address.host, address.port, 0, socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False  # behind a proxy, names need not resolve here
    return any(_address.is_private(str(target[0])) for *_, target in found)


def _private_address(name: str, option: str, *, redirected: bool) -> PanoramaError:
    what = "the server redirects to a private address" if redirected else "this is a private address"
    return PanoramaError(f"{name}: {what}; download the file yourself, or allow it with {option}")


def _too_large(name: str) -> PanoramaError:
    return PanoramaError(f"{name}: the file is larger than {MAX_BYTES >> 20} MB; download it and pass the file")
