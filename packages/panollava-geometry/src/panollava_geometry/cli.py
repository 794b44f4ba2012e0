"""The console script `panollava-geometry`, and its command `crop` for other programs to mount."""

import sys

try:
    from panollava_geometry._crop_command import app, crop
except ModuleNotFoundError as error:
    if (error.name or "").split(".")[0] not in {"typer", "rich"}:
        raise
    print("the command line needs typer and rich: pip install 'panollava-geometry[cli]'", file=sys.stderr)
    raise SystemExit(2) from error

__all__ = ["app", "crop", "main"]


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
