import sys
from pathlib import Path

# `import counting` in the tests of this folder: pytest's import mode does not find modules next to a test.
sys.path.append(str(Path(__file__).parent))
