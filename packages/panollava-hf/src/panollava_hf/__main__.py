"""`python -m panollava_hf` is the command `panollava`."""

from panollava_hf.cli import main

if __name__ == "__main__":
    main()
