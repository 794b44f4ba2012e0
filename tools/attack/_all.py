"""All kinds of input, by name."""

import tools.attack._addresses
import tools.attack._camera_files
import tools.attack._checkpoints
import tools.attack._float_images
import tools.attack._images
import tools.attack._pickles
import tools.attack._pushing
import tools.attack._settings
import tools.attack._tables  # noqa: F401
from tools.attack._kinds import KINDS, Kind, Try


def load_kinds() -> dict[str, Kind]:
    """All kinds of input."""
    return KINDS


def find_run(name: str) -> Try:
    """What a worker calls for a kind."""
    return KINDS[name].run
