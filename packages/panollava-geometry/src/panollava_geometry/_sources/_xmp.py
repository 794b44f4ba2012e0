"""The XMP packets of an image, and the properties in them by namespace.

A packet is scanned once, from left to right, without an XML parser: entities are never expanded, damaged packets are
read as far as possible, and the time is bounded.
"""

import html
import re
import struct
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from PIL import Image

#: Bytes that are read in all packets of an image together.
_MAX_BYTES = 4 * 2**20
#: Elements, comments and the like that are read in a packet.
_MAX_MARKUP = 50_000
_MAX_VALUE = 256
_STANDARD = b"http://ns.adobe.com/xap/1.0/\0"
#: Text chunks in which ImageMagick and ExifTool store XMP, in lower case.
_RAW_PROFILES = ("raw profile type xmp", "raw profile type app1")
_EXTENDED = b"http://ns.adobe.com/xmp/extension/\0"
#: Possessive quantifiers keep every attempt linear.
_NAME = re.compile(r"[^\s<>/=\"'!?]++")
_ATTRIBUTE = re.compile(r"\s*+([^\s<>/=\"']++)\s*+=\s*+(?:\"([^\"<]*+)\"|'([^'<]*+)')")
_TAG_END = re.compile(r"[^<>]*+(>|(?=<)|$)")


def packets(image: Image.Image) -> Iterator[str]:
    """The XMP packets of an image as text: every segment of a JPEG, text chunks of a PNG, the tag of a TIFF."""
    seen: set[bytes] = set()
    left = _MAX_BYTES
    for packet in _raw_packets(image):
        data = as_bytes(packet, image)[:left]
        if data and data not in seen:
            seen.add(data)
            left -= len(data)
            yield _as_text(data)


def _raw_packets(image: Image.Image) -> Iterator[object]:
    extended: dict[bytes, list[tuple[int, bytes]]] = defaultdict(list)
    for kind, data in getattr(image, "applist", ()):
        if kind != "APP1":
            continue
        if data.startswith(_STANDARD):
            yield data[len(_STANDARD) :]
        elif data.startswith(_EXTENDED):
            body = data[len(_EXTENDED) :]  # 32 bytes of identifier, the length of all parts, the offset of this one
            if len(body) >= 40:
                extended[body[:32]].append((struct.unpack(">I", body[36:40])[0], body[40:]))
    for parts in extended.values():
        yield b"".join(part for _, part in sorted(parts, key=lambda part: part[0]))
    for key in ("xmp", "XML:com.adobe.xmp"):
        yield image.info.get(key)
    for name, text in image.info.items():
        if isinstance(name, str) and name.lower() in _RAW_PROFILES:
            profile = raw_profile(text)
            yield profile.removeprefix(_STANDARD) if b"<" in profile else b""


def raw_profile(text: object) -> bytes:
    """The bytes of a `Raw profile type …` text of ImageMagick: a name, a length, and hexadecimal digits."""
    if not isinstance(text, str):
        return b""
    _, _, digits = text[: 4 * _MAX_BYTES].replace("\r", "").lstrip("\n").partition("\n")[2].lstrip().partition("\n")
    try:
        return bytes.fromhex("".join(digits.split()))
    except ValueError:
        return b""


def as_bytes(packet: object, image: Image.Image) -> bytes:
    """A packet of any type that Pillow returns: bytes, text, or the numbers of a TIFF tag."""
    if isinstance(packet, bytes | bytearray | memoryview):
        return bytes(packet)
    if isinstance(packet, str):
        return packet.encode("utf-8", "replace")
    if not isinstance(packet, tuple) or not all(isinstance(value, int) for value in packet):
        return b""
    if all(-128 <= value <= 255 for value in packet):
        return bytes(value & 0xFF for value in packet)
    size = 2 if all(-(2**15) <= value < 2**16 for value in packet) else 4
    order: Literal["big", "little"] = (
        "big" if getattr(getattr(image, "tag_v2", None), "prefix", b"") == b"MM" else "little"
    )
    return b"".join((value % 2 ** (8 * size)).to_bytes(size, order) for value in packet)


def _as_text(data: bytes) -> str:
    """Decode a packet. The zero bytes around its first `<` give the encoding, so a byte order mark is not needed."""
    first = data.find(b"<")
    for size in (4, 2):
        zeros = bytes(size - 1)
        if first < 0 or not data.startswith(zeros, first + 1):  # a lone zero in front of `<` is padding of UTF-8
            continue
        is_big = first % size == size - 1 and data.endswith(zeros, 0, first)
        begin, order = (first - len(zeros), "be") if is_big else (first, "le")
        return data[begin:].decode(f"utf-{8 * size}-{order}", "replace")
    return data.decode("utf-8", "replace")


def properties(text: str, is_namespace: Callable[[str | None, str], bool]) -> list[dict[str, str]]:
    """The properties of a namespace in a packet, by local name.

    Args:
        text: The packet.
        is_namespace: Whether an address (None: the prefix is not declared) with this prefix is the namespace.

    Returns:
        One dictionary per description that has such properties, in order. The first value of a property counts.
    """
    scanner = _Scanner(is_namespace)
    scanner.scan(text)
    return [group for group in scanner.groups if group]


class _Scanner:
    """Namespaces in scope, open elements, and the properties found so far."""

    def __init__(self, is_namespace: Callable[[str | None, str], bool]) -> None:
        self.is_namespace = is_namespace
        self.groups: list[dict[str, str]] = [{}]
        self._scope: dict[str, list[str]] = defaultdict(list)
        self._declared: list[Sequence[str]] = []  # prefixes declared by every open element
        self._open: tuple[int, str] | None = None  # depth and name of the property whose text is being read
        self._value, self._is_read = "", False

    def scan(self, text: str) -> None:
        position = 0
        for _ in range(_MAX_MARKUP):
            start = text.find("<", position)
            if start < 0:
                return
            self._text(text, position, start)
            position = self._markup(text, start)

    def _markup(self, text: str, start: int) -> int:
        """Read what begins with `<`; the position behind it."""
        for opening, closing in (("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>")):
            if text.startswith(opening, start):
                end = text.find(closing, start + len(opening))
                end = len(text) if end < 0 else end
                if opening == "<![CDATA[":
                    self._text(text, start + len(opening), end)
                return end + len(closing)
        if text.startswith("</", start):
            self._close()
        else:
            name = _NAME.match(text, start + 1)
            if name is not None:  # otherwise `<!DOCTYPE …`, `<!ENTITY …`, or a lone `<`
                return self._element(text, name)
        return self._tag_end(text, start + 1)

    def _element(self, text: str, name: re.Match[str]) -> int:
        attributes: list[tuple[str, str]] = []
        position = name.end()
        while found := _ATTRIBUTE.match(text, position):
            value = found[2] if found[2] is not None else found[3]
            attributes.append((found[1], html.unescape(value[:_MAX_VALUE])))
            position = found.end()
        end = self._tag_end(text, position)
        self._start(name[0], attributes)
        if text.startswith("/>", end - 2):
            self._close()
        return end

    @staticmethod
    def _tag_end(text: str, position: int) -> int:
        found = _TAG_END.match(text, position)
        return len(text) if found is None else max(found.end(), position)

    def _start(self, name: str, attributes: list[tuple[str, str]]) -> None:
        declared = []
        for key, value in attributes:
            if key == "xmlns" or key.startswith("xmlns:"):
                declared.append(key[6:])
                self._scope[key[6:]].append(value)
        self._declared.append(declared or ())
        if name.rpartition(":")[2] == "Description":
            self.groups.append({})
        for key, value in attributes:
            if ":" in key and (local := self._local(key)):
                self.groups[-1].setdefault(local, value.strip())
        if self._open is None and (local := self._local(name)):
            self._open, self._value, self._is_read = (len(self._declared), local), "", False

    def _close(self) -> None:
        if not self._declared:
            return
        if self._open is not None and self._open[0] == len(self._declared):
            if value := html.unescape(self._value).strip():
                self.groups[-1].setdefault(self._open[1], value)
            self._open = None
        elif self._value.strip():  # the first item of a list or of alternatives counts
            self._is_read = True
        for prefix in self._declared.pop():
            self._scope[prefix].pop()

    def _local(self, name: str) -> str:
        """The local name of a property of the namespace; empty for others."""
        prefix, _, local = name.rpartition(":")
        addresses = self._scope.get(prefix)
        return local if self.is_namespace(addresses[-1] if addresses else None, prefix) else ""

    def _text(self, text: str, start: int, end: int) -> None:
        if self._open is not None and not self._is_read and len(self._value) < _MAX_VALUE:
            self._value += text[start : min(end, start + _MAX_VALUE)]
