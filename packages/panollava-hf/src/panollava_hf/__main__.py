"""`python -m panollava_hf` is the command `panollava`."""

import sys

from panollava_hf._start_up import this_is_a_command


def main() -> None:
    """Entry point of the console script. An interrupt during the imports of the command line is one line, too."""
    this_is_a_command()
    try:
        from panollava_hf.cli import main as run
    except KeyboardInterrupt:
        print("panollava: interrupted", file=sys.stderr)
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
