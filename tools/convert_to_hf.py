"""Convert a Lightning checkpoint of the original code: the same as the command `panollava convert`.

python tools/convert_to_hf.py --lightning-ckpt runs/…/last.ckpt --output-dir DIR --model-type conditional-generation
"""

import sys

from panollava_hf.cli import run

if __name__ == "__main__":
    sys.exit(run(["convert", *sys.argv[1:]]))
