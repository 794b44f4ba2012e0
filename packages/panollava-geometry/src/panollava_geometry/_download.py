"""Download an image over http or https, limited in size and time."""

import time
import urllib.error
import urllib.request

from panollava_geometry._errors import PanoramaError

#: Maximum size in bytes.
MAX_BYTES = 256 * 2**20
#: Maximum time in seconds: for a reply of the server, and for the whole download.
TIMEOUT, MAX_SECONDS = 20.0, 300.0


def download(url: str, name: str) -> bytes:
    """Download a URL.

    Args:
        url: An http or https URL.
        name: Its name in error messages, without credentials.

    Raises:
        PanoramaError: The URL is invalid or of another scheme, the server does not return the file, or the file exceeds
            a limit.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise PanoramaError(f"{name}: only http:// and https:// URLs are supported; for a local file pass its path")
    opener = urllib.request.OpenerDirector()  # the default opener would also follow redirects to ftp://
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    start, data = time.monotonic(), bytearray()
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "panollava-geometry"})
        with opener.open(request, timeout=TIMEOUT) as response:
            while chunk := response.read(2**18):
                data += chunk
                if len(data) > MAX_BYTES:
                    raise PanoramaError(
                        f"{name}: the file is larger than {MAX_BYTES >> 20} MB; download it and pass the file"
                    )
                if time.monotonic() - start > MAX_SECONDS:
                    raise PanoramaError(
                        f"{name}: the download takes longer than {MAX_SECONDS:.0f} s; download it and pass the file"
                    )
    except urllib.error.HTTPError as error:
        error.close()
        raise PanoramaError(f"{name}: the server returned {error.code} {error.reason}; check the URL") from error
    except (OSError, ValueError) as error:  # URLError is an OSError; http.client raises ValueError for an invalid URL
        reason = getattr(error, "reason", None) or error
        raise PanoramaError(f"{name}: cannot be downloaded ({reason}); check the URL and the connection") from error
    if not data:
        raise PanoramaError(f"{name}: the server returned an empty file; check the URL")
    return bytes(data)
