"""Panoramas that are kept for validation: a share of a table, or another split. No panorama is on both sides."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from panollava_geometry.addresses import is_address, source_name

from panollava_hf._errors import TableError
from panollava_hf._shown import shown
from panollava_hf.data._examples import Examples

Groups = list[list[int]]


def hold_out(examples: Examples, share: float, seed: int) -> tuple[Groups, Groups]:
    """Divide the panoramas of a table into those that are trained and those that are kept for validation.

    Rows with the same path, URL or scene stay together. The choice follows from the seed and from the texts of the
    table, not from the order of its rows.

    Args:
        examples: The table.
        share: Share of the panoramas that is kept; at least one panorama is.
        seed: Seed of the choice.

    Returns:
        The rows of each panorama that is trained, in the order of the table, and of those that are kept, in random
        order.

    Raises:
        TableError: All rows belong to one panorama.
    """
    groups = examples.groups()
    parts = _parts(examples, groups, seed)
    if len(parts) < 2:
        raise TableError(
            f"{examples.name}: data.validation.share needs at least two panoramas, but all rows share one path, URL or "
            "scene; name another split in data.validation.split, or remove data.validation"
        )
    count = min(max(1, round(share * len(parts))), len(parts) - 1)
    kept = [number for part in parts[:count] for number in part]
    trained = set(range(len(groups))) - set(kept)
    return [groups[number] for number in sorted(trained)], [groups[number] for number in kept]


def shuffled_groups(examples: Examples, seed: int) -> Groups:
    """The rows of each panorama of a table, in a random order that does not depend on the order of its rows."""
    groups = examples.groups()
    return [groups[number] for part in _parts(examples, groups, seed) for number in part]


def check_disjoint(trained: Examples, kept: Examples) -> None:
    """Check that two splits share no path, URL or scene.

    Raises:
        TableError: They do; the message has the number and the first of them.
    """
    before = {key for keys in _row_keys(trained) for key in keys}
    shared = dict.fromkeys(key for keys in _row_keys(kept) for key in keys if key in before)
    if shared:
        kind, name = next(iter(shared))
        name = source_name(name) if is_address(name) else name
        raise TableError(
            f"{kept.name}: {len(shared)} panoramas are also in {trained.name}, the first: {kind} {shown(name)}; remove "
            "them from one of the two, or use data.validation.share"
        )


def _parts(examples: Examples, groups: Sequence[Sequence[int]], seed: int) -> list[list[int]]:
    """Numbers of groups that share a path, URL or scene, part by part in random order."""
    owner: dict[tuple[str, str], int] = {}
    parent = list(range(len(groups)))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = number = parent[parent[number]]
        return number

    keys, texts = list(_row_keys(examples)), list(_texts(examples))
    for number, rows in enumerate(groups):
        for key in (key for row in rows for key in keys[row]):
            first, second = root(owner.setdefault(key, number)), root(number)
            parent[max(first, second)] = min(first, second)
    parts: dict[int, list[int]] = {}
    for number in range(len(groups)):
        parts.setdefault(root(number), []).append(number)

    def rank(numbers: list[int]) -> bytes:
        name = min(texts[row] for number in numbers for row in groups[number])
        return hashlib.sha256(f"{seed} {name}".encode("utf-8", "surrogatepass")).digest()

    return sorted(parts.values(), key=rank)


def _row_keys(examples: Examples) -> Iterator[list[tuple[str, str]]]:
    """For each row, what identifies its panorama: its path or URL, and its scene."""
    found: dict[str, str] = {}
    for row, (image, scene) in enumerate(_cells(examples)):
        keys = []
        if isinstance(image, str):
            if image not in found:
                found[image] = _place(examples, row, image)
            keys.append(("image", found[image]))
        if scene is not None:
            keys.append(("scene", str(scene)))
        yield keys


def _texts(examples: Examples) -> Iterator[str]:
    """For each row, a text of the table by which panoramas are put in an order."""
    for row, (image, scene) in enumerate(_cells(examples)):
        yield image if isinstance(image, str) else f"row {row}" if scene is None else str(scene)


def _cells(examples: Examples) -> Iterator[tuple[object, object]]:
    images = examples.cells(examples.columns["image"])
    if "scene" not in examples.columns:
        return ((image, None) for image in images)
    return zip(images, examples.cells(examples.columns["scene"]), strict=True)


def _place(examples: Examples, row: int, image: str) -> str:
    """The file that a table names, or the URL; the text itself where the file cannot be used."""
    try:
        located = examples[row].image
    except TableError:  # reported by the check of all images
        return image
    return str(located.resolve()) if isinstance(located, Path) else str(located)
