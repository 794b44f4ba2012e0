import subprocess
import sys

import panollava_hf


def test_inventory():
    assert sorted(panollava_hf.__all__) == [
        "PanoLLaVaCausalLMOutput",
        "PanoLLaVaConfig",
        "PanoLLaVaForConditionalGeneration",
        "PanoLLaVaImageProcessor",
        "PanoLLaVaModel",
        "PanoLLaVaPreTrainedModel",
        "PanoLLaVaProcessor",
    ]
    assert all(hasattr(panollava_hf, name) for name in panollava_hf.__all__)


def test_import_warns_nothing():
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import panollava_hf"], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
