"""The console script `panollava-geometry`. Its command `crop` and `run_app` are for use in other programs, too.

Importing this module does not import torch, numpy or Pillow.
"""

import sys
from importlib.util import find_spec

if find_spec("typer") is None or find_spec("rich") is None:
    print(
        "panollava-geometry: the command line needs typer and rich: pip install 'panollava-geometry[cli]'",
        file=sys.stderr,
    )
    raise SystemExit(2)

from panollava_geometry._command_line import run_app
from panollava_geometry._crop_command import app, crop
from panollava_geometry._crop_sources import check_writable

__all__ = ["app", "check_writable", "crop", "main", "run_app"]


def main() -> None:
    """Run the command line."""
    sys.exit(run_app(app, program="panollava-geometry"))


if __name__ == "__main__":
    main()
