"""Limits of the page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from panollava_hf.demo._samples import Sample


@dataclass(frozen=True)
class DemoSettings:
    """Limits of the page.

    Attributes:
        max_upload_mb: Largest image file of an upload, in MB.
        max_waiting: Most questions that wait or are answered at the same time.
        max_sessions: Most open sessions. If there are more, the one that was used least recently ends.
        max_new_tokens: Maximum length of an answer, in tokens.
        private_urls: Whether URLs of private addresses, such as `localhost`, may be loaded.
        title: Title of the page.
        samples: The panoramas that can be chosen, by their titles; None: those of this package.
    """

    max_upload_mb: int = 64
    max_waiting: int = 32
    max_sessions: int = 64
    max_new_tokens: int = 256
    private_urls: bool = True
    title: str = "PanoLLaVA: look around and ask"
    samples: "Mapping[str, Sample] | None" = None
