"""For programs that take panoramas as paths or URLs: tell them apart, print them, and open those of other people.

Example:
    >>> from panollava_geometry.addresses import is_address, source_name
    >>> source_name("https://example.com/pano.jpg?token=secret"), is_address("pano.jpg")
    ('https://example.com/pano.jpg', False)
"""

from panollava_geometry._commands._crop_sources import is_hidden
from panollava_geometry._sources._address import is_address, untrusted_addresses
from panollava_geometry._sources._formats import SUFFIXES as IMAGE_SUFFIXES
from panollava_geometry._sources._source import source_name

__all__ = ["IMAGE_SUFFIXES", "is_address", "is_hidden", "source_name", "untrusted_addresses"]
