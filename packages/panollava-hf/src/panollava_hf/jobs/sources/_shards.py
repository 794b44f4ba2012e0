"""WebDataset shards: one sample is one row, with its image and its texts."""

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from panollava_geometry.addresses import IMAGE_SUFFIXES

from panollava_hf._errors import TableError
from panollava_hf._shown import listed, shown
from panollava_hf.data._columns import COLUMNS, find_column
from panollava_hf.data._json_rows import objects_in
from panollava_hf.jobs.sources._cells import OWN_KEYS, broken_row
from panollava_hf.jobs.sources._names import shown_name, text_of
from panollava_hf.jobs.sources._tar import Member, Sample, samples_in
from panollava_hf.jobs.sources._unique import Ids
from panollava_hf.jobs.sources._walk import Walked

#: Samples between two known places.
_EVERY = 512
#: Most bytes of an image, and of a text.
_MAX_IMAGE, _MAX_TEXT = 2**28, 2**20
#: Suffixes of members that are texts. The keys of a `.json` are fields of the row; others are fields of that name.
_TEXTS = ("txt", "text", "cls", "caption")
_LISTED = 3


class ShardSource(Walked):
    """The samples of tar archives; ids are `shard/key`.

    Args:
        paths: The archives, in order.
        given: What holds something under another name: `image` is the suffix of a member (`pano.jpg`), other keys are
            keys of the `.json` or suffixes of texts (`question: txt`).
        limit: Largest number of samples.
        name: The source as messages name it.

    Raises:
        TableError: An archive cannot be opened, there are no samples, or two samples have the same id.
    """

    def __init__(self, paths: Sequence[Path], given: Mapping[str, str], limit: int | None, name: str) -> None:
        super().__init__()
        self.name, self._given = name, dict(given)
        self._paths = [os.path.abspath(path) for path in paths]
        common = os.path.dirname(self._paths[0]) if len(self._paths) == 1 else os.path.commonpath(self._paths)
        self._shards = [text_of(os.path.relpath(path, common)).removesuffix(".tar") for path in self._paths]
        self._sizes = [os.stat(path).st_size for path in self._paths]
        self._starts: list[int] = []
        self._places: list[list[int]] = []
        ids, broken, good = Ids(), list[str](), 0
        for shard, path in enumerate(self._paths):
            self._starts.append(ids.count)
            self._places.append([])
            left = None if limit is None else limit - ids.count
            for number, sample in enumerate(islice(samples_in(Path(path)), left)):
                if number % _EVERY == 0:
                    self._places[-1].append(sample.place)
                if sample.problem:
                    broken.append(f"{shown_name(path)}: {sample.problem}")
                good += not sample.problem
                ids.add(self._id(shard, sample))
        self._count = ids.count
        if not good:
            raise TableError(
                listed(broken, _LISTED, "; ") or f"{name} has no samples: no files NAME.SUFFIX in the archive"
            )
        self._fingerprint = ids.fingerprint()
        self.notes: tuple[str, ...] = (f"damaged: {listed(broken, _LISTED, '; ')}",) if broken else ()
        ids.check(name, self._ids_with_places, "members of a sample must follow each other (tar --sort=name)")

    def _id(self, shard: int, sample: Sample) -> str:
        return f"{self._shards[shard]}/{sample.key or '(damaged)'}"

    def _ids_with_places(self) -> Iterator[tuple[str, str]]:
        for shard, sample in islice(self._walk(0, "ids"), self._count):
            yield self._id(shard, sample), f"{shown_name(self._paths[shard])} at byte {sample.place}"

    def _walk(self, start: int, part: str) -> Iterator[tuple[int, Sample]]:
        for shard, path in enumerate(self._paths):
            after = self._starts[shard + 1] if shard + 1 < len(self._starts) else self._count
            if after <= start or not self._places[shard]:
                continue
            if os.stat(path).st_size != self._sizes[shard]:
                raise TableError(f"{shown_name(path)} was changed while the job ran; start the job again")
            skip = max(0, start - self._starts[shard])
            place = self._places[shard][skip // _EVERY]
            samples = samples_in(Path(path), place)
            for sample in islice(samples, skip % _EVERY, after - self._starts[shard] - skip + skip % _EVERY):
                yield shard, sample

    def __len__(self) -> int:
        return self._count

    def fingerprint(self) -> str:
        """A hash of the ids in order."""
        return self._fingerprint

    def ids(self, start: int, stop: int) -> list[str]:
        """The ids of some rows."""
        return [self._id(*found) for found in self._stretch(start, min(stop, self._count), "ids")]

    def rows(self, start: int, stop: int) -> list[Mapping[str, Any]]:
        """Some rows: `id`, `path`, `image` (bytes) and texts; `error` in a row that cannot be read."""
        rows = []
        for shard, sample in self._stretch(start, min(stop, self._count)):
            rows.append(_row(self._id(shard, sample), self._paths[shard], sample, self._given))
        names = {name: None for row in rows for name in row if name != "error"}
        return [{**names, **row} for row in rows]


def _row(identity: str, path: str, sample: Sample, given: Mapping[str, str]) -> dict[str, Any]:
    if sample.problem:
        return broken_row(identity, f"{shown_name(path)}: {sample.problem}")
    image = _image_of(sample.members, given.get("image"))
    if image is None:
        wanted = f"member with the suffix {shown(given['image'])}" if "image" in given else "image"
        suffixes = listed([member.suffix for member in sample.members], 6)
        return broken_row(identity, f"the sample has no {wanted}; its members are {suffixes}")
    where = f"{text_of(path)}/{image.name}"
    fields: dict[str, Any] = {}
    try:
        with open(path, "rb") as stream:
            data = _read(stream, image, _MAX_IMAGE)
            for member in sample.members:
                kind = member.suffix.rpartition(".")[2]
                if kind == "json":
                    fields.update(_json(_read(stream, member, _MAX_TEXT), member))
                elif kind in _TEXTS:
                    fields[member.suffix] = _text(_read(stream, member, _MAX_TEXT), member).strip()
    except TableError as error:
        return broken_row(identity, str(error), path=where)
    except OSError as error:
        return broken_row(identity, f"{shown_name(path)} cannot be read: {error.strerror}", path=where)
    return {"id": identity, "path": where, "image": data, **_renamed(fields, given)}


def _image_of(members: list[Member], wanted: str | None) -> Member | None:
    """The panorama of a sample: the member with the wanted suffix, or the first image, preferably of a plain suffix."""
    if wanted is not None:
        return next((member for member in members if member.suffix == wanted.lower().lstrip(".")), None)
    images = [member for member in members if f".{member.suffix.rpartition('.')[2]}" in IMAGE_SUFFIXES]
    return min(images, key=lambda member: "." in member.suffix, default=None)


def _read(stream: Any, member: Member, most: int) -> bytes:
    if member.problem:
        raise TableError(f"{member.name}: {member.problem}")
    if member.size > most:
        raise TableError(f"{member.name} has {member.size:,} bytes; at most {most:,} are read")
    stream.seek(member.start)
    data: bytes = stream.read(member.size)
    if len(data) != member.size:
        raise TableError(f"{member.name}: the archive ends within it")
    return data


def _text(data: bytes, member: Member) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise TableError(f"{member.name} is not text in UTF-8") from None


def _json(data: bytes, member: Member) -> Mapping[str, Any]:
    """The keys of an object in JSON, with values as in a JSONL table."""
    rows = list(islice(objects_in(_text(data, member), 1), 2))
    if len(rows) != 1 or isinstance(rows[0][1], str):
        raise TableError(f"{member.name}: expected one object in JSON")
    return rows[0][1]


def _renamed(fields: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """The fields under the keys that a row has for them."""
    names = list(fields)
    targets = {column: role for role, column in given.items() if role not in ("image", "id")}
    if "question" not in given:
        question = next(filter(None, (find_column(names, name) for name in COLUMNS["question"])), None)
        if question is not None:
            targets[question] = "question"
    named = {name: targets.get(name, name) for name in names}
    return {
        target: fields[name]
        for name, target in named.items()
        if target not in OWN_KEYS and (name in targets or target not in targets.values())
    }
