import subprocess
import sys
import textwrap

import panollava_hf
import pytest


def test_inventory():
    assert sorted(panollava_hf.__all__) == [
        "PanoLLaVaCausalLMOutput",
        "PanoLLaVaConfig",
        "PanoLLaVaFeatureOutput",
        "PanoLLaVaForConditionalGeneration",
        "PanoLLaVaForFeatureExtraction",
        "PanoLLaVaForVICReg",
        "PanoLLaVaImageProcessor",
        "PanoLLaVaModel",
        "PanoLLaVaPreTrainedModel",
        "PanoLLaVaProcessor",
        "PanoLLaVaVICRegOutput",
        "convert_lightning_checkpoint",
    ]
    assert all(hasattr(panollava_hf, name) for name in panollava_hf.__all__)


def test_import_warns_nothing():
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import panollava_hf"], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_import_loads_neither_torch_nor_the_models():
    program = "import panollava_hf, sys; print([m for m in ('torch', 'transformers.models.auto') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


ORDERS = {
    "ours first": "import panollava_hf",
    "theirs first": "import transformers; from transformers import AutoModel, AutoProcessor, AutoImageProcessor; "
    "import panollava_hf",
    "ours used first": "from panollava_hf import PanoLLaVaForConditionalGeneration",
    "config only first": "from transformers import AutoConfig; import panollava_hf",
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS.keys())
def test_auto_classes_know_the_model_in_every_order_of_imports(checkpoint, order):
    program = f"""
    {order}
    import transformers
    from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageTextToText
    from transformers import AutoModelForPreTraining, AutoProcessor
    folder = {str(checkpoint)!r}
    config = AutoConfig.from_pretrained(folder)
    other = getattr(transformers, "AutoModelForMultimodalLM", None) or transformers.AutoModelForVision2Seq
    for auto in (AutoModel, AutoModelForImageTextToText, AutoModelForPreTraining, other):
        print(type(auto.from_config(config)).__name__)
    print(type(AutoModelForImageTextToText.from_pretrained(folder)).__name__)
    print(type(AutoProcessor.from_pretrained(folder)).__name__)
    print(type(AutoImageProcessor.from_pretrained(folder)).__name__)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False
    )
    assert result.stdout.split() == [
        "PanoLLaVaModel",
        "PanoLLaVaForConditionalGeneration",
        "PanoLLaVaForVICReg",
        "PanoLLaVaForConditionalGeneration",
        "PanoLLaVaForConditionalGeneration",
        "PanoLLaVaProcessor",
        "PanoLLaVaImageProcessor",
    ], result.stderr[-3000:]
