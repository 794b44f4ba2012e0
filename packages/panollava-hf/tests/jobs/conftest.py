import sys
from pathlib import Path

# `import counting` and `import loopback`: pytest's import mode does not find modules next to a test or in other folders.
sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "asking")]
