import sys
from pathlib import Path

# `import counting` and `import loopback`: pytest's import mode finds no modules next to a test.
sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "asking")]
