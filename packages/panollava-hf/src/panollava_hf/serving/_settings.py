"""The settings of a server, and the error that a client gets as a status and one sentence."""

from dataclasses import dataclass, field

#: Largest image in MB: a photograph of 8192x4096 pixels as PNG.
MAX_IMAGE_MB = 64
#: Requests that may wait, the one that is computed included.
MAX_WAITING = 32
#: Bytes of a request's body besides its images.
_TEXT_BYTES = 1 << 20


@dataclass(frozen=True)
class ServerSettings:
    """What a server accepts.

    Attributes:
        api_key: The key that requests need; None: none.
        max_image_bytes: Largest image file.
        max_panoramas: Panoramas in one request.
        max_waiting: Requests that wait or are computed; a further one gets status 503.
        default_tokens: Maximum length of an answer where the request does not say it.
    """

    api_key: str | None = field(default=None, repr=False)
    max_image_bytes: int = MAX_IMAGE_MB << 20
    max_panoramas: int = 1
    max_waiting: int = MAX_WAITING
    default_tokens: int = 256

    @property
    def max_body_bytes(self) -> int:
        """Largest body of a request: all its images in base64, and its texts."""
        return self.max_panoramas * (self.max_image_bytes * 4 // 3 + 1024) + _TEXT_BYTES


class RequestError(Exception):
    """A request that is not answered.

    Args:
        message: One sentence for the client.
        status: The HTTP status.
        kind: The type of the error in OpenAI's form.
    """

    def __init__(self, message: str, status: int = 400, kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.status, self.kind = status, kind
