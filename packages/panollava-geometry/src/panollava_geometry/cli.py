"""The console script `panollava-geometry`; its command `crop` and `run_app` are for other programs to use."""

import sys

try:
    from panollava_geometry._command_line import run_app
    from panollava_geometry._crop_command import app, crop
except ModuleNotFoundError as error:
    if (error.name or "").split(".")[0] not in {"typer", "rich"}:
        raise
    print("the command line needs typer and rich: pip install 'panollava-geometry[cli]'", file=sys.stderr)
    raise SystemExit(2) from error

__all__ = ["app", "crop", "main", "run_app"]


def main() -> None:
    """Run the command line."""
    sys.exit(run_app(app, program="panollava-geometry"))


if __name__ == "__main__":
    main()
