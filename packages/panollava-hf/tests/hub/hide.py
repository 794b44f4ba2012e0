"""Run a script as if our packages and their own requirements were not installed: `python hide.py SCRIPT ARGUMENTS…`."""

import runpy
import sys

HIDDEN = ("panollava_geometry", "panollava_losses", "panollava_core", "panollava_hf", "jaxtyping", "beartype")


class Hide:
    """Import hook: the named packages cannot be found."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


if __name__ == "__main__":
    sys.meta_path.insert(0, Hide())
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
