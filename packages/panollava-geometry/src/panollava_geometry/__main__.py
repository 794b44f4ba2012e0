"""`python -m panollava_geometry` is the command `panollava-geometry`."""

import sys


def main() -> None:
    """Entry point of the console script. An interrupt during the imports of the command line is one line, too."""
    try:
        from panollava_geometry.cli import main as run
    except KeyboardInterrupt:
        print("panollava-geometry: interrupted", file=sys.stderr)
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
