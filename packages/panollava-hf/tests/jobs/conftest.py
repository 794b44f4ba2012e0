import sys
from pathlib import Path

# `import loopback`, and modules of this folder: pytest's import mode does not find modules next to a test.
sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "asking")]
