"""Which panoramas a path stands for, and the folder of views for each. Does not import torch."""

from pathlib import Path

from panollava_geometry._address import is_address, read_address, shown_address
from panollava_geometry._errors import PanoramaError
from panollava_geometry._source import check_path

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"})


def find_sources(source: str) -> list[str]:
    """The panoramas that a path or URL stands for: itself, or the images directly in a folder, sorted by name.

    Raises:
        PanoramaError: The path does not exist, or the folder contains no images.
    """
    if is_address(source):
        return [source]
    check_path(source)
    if not Path(source).is_dir():
        return [source]
    found = sorted(str(path) for path in Path(source).iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise PanoramaError(f"{source}: the folder contains no images ({', '.join(sorted(SUFFIXES))})")
    return found


def output_folders(sources: list[str], output: Path) -> dict[str, Path]:
    """A folder for every source, named after its stem, or after its full name where two stems are equal.

    Raises:
        PanoramaError: A URL is invalid.
    """
    names = [read_address(s, shown_address(s)).file_name if is_address(s) else Path(s).name for s in sources]
    stems = [Path(name).stem or "panorama" for name in names]
    folders = {}
    for source, name, stem in zip(sources, names, stems, strict=True):
        folders[source] = output / (stem if stems.count(stem) == 1 else name)
    return folders


def read_plan_file(path: Path) -> str:
    """The text of a plan file.

    Raises:
        PanoramaError: The file cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PanoramaError(f"{path}: the plan cannot be read ({error}); check the path") from error
