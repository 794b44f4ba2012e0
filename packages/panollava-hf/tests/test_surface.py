import ast
import importlib
import subprocess
import sys
import textwrap
from pathlib import Path

import panollava_hf
import pytest

SOURCE = Path(panollava_hf.__file__).parent

FACE = [
    "Answer",
    "Answerer",
    "PanoLLaVaCausalLMOutput",
    "PanoLLaVaConfig",
    "PanoLLaVaError",
    "PanoLLaVaFeatureOutput",
    "PanoLLaVaForConditionalGeneration",
    "PanoLLaVaForFeatureExtraction",
    "PanoLLaVaForVICReg",
    "PanoLLaVaImageProcessor",
    "PanoLLaVaModel",
    "PanoLLaVaPreTrainedModel",
    "PanoLLaVaProcessor",
    "PanoLLaVaVICRegOutput",
    "PanoramaAnswerer",
    "PanoramaCaptioner",
    "PanoramaCropper",
    "PanoramaEmbedder",
    "add_lora",
    "convert_lightning_checkpoint",
    "default_checkpoint",
    "merge_lora",
    "panorama_messages",
]


def test_inventory():
    assert sorted(panollava_hf.__all__) == FACE
    assert all(hasattr(panollava_hf, name) for name in FACE)


#: Public names of every folder; a change here is a change of the public surface.
FOLDERS = {
    "asking": "Answer Answerer Budget Conversation Cost Locations Region default_checkpoint panorama_messages",
    "asking.models": "",
    "asking.models.endpoint": "",
    "asking.strategies": "STRATEGIES Finished Look Outcome Steps Strategy check_strategy native native_messages "
    "needed_width run strategy_for",
    "checking": "Options Report check_data",
    "cli": "main run",
    "conversion": "CheckpointError Conversion convert_lightning_checkpoint",
    "demo": "DemoSettings Models build_app run_demo",
    "data": "Example TableError check_csv read_examples",
    "evidence": "Evidence METHODS explain explain_cost",
    "evaluation": "EvaluationError Options Question Questions evaluate normalise read_questions",
    "evaluation.metrics": "CAPTION_SCORES CaptionScore METRICS MetricResult",
    "hub": "CardFacts PushPlan export_checkpoint plan_push plan_space push read_results write_card",
    "jobs": "Job JobError PanoramaAnswerer PanoramaCaptioner PanoramaCropper PanoramaEmbedder Summary open_source "
    "run_job",
    "jobs.sources": "open_source",
    "outside": "",
    "panoshapes": "COLOURS DIRECTIONS Place Question SHAPES Scene answer questions read_scenes render_scene "
    "rotate_question sample_scene scene_rotation write_panoshapes",
    "panoshapes.wordings": "word_question",
    "panoshapes.families": "Family family_named family_names register_family unregister_family",
    "search": "Hit Query QueryEmbedder RetrievalResults VectorTable evaluate_retrieval read_vectors search",
    "serving": "",
    "training": "PanoLLaVaDataCollator Recipe RecipeError TrainingError load_recipe shipped_recipes train",
    "vllm": "register",
}


@pytest.mark.parametrize("folder", FOLDERS)
def test_inventory_of_each_folder(folder):
    module = importlib.import_module(f"panollava_hf.{folder}")
    assert sorted(module.__all__) == sorted(FOLDERS[folder].split())
    assert all(hasattr(module, name) for name in module.__all__)


def test_no_folder_is_missing_from_the_inventory():
    folders = {name.removeprefix("panollava_hf.") for name, path in modules().items() if path.name == "__init__.py"}
    assert folders - {"panollava_hf"} == FOLDERS.keys()


def dotted(path):
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(["panollava_hf", *(part for part in parts if part != "__init__")])


def modules():
    return {dotted(path): path for path in sorted(SOURCE.rglob("*.py"))}


def public_names(path):
    """Names without an underscore that a module defines, or lists in `__all__` where it has one."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    for node in body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    defined = {node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if hasattr(node, "target") else []
        defined |= {target.id for target in targets if isinstance(target, ast.Name)}
    return {name for name in defined if not name.startswith("_")}


def test_the_surface_stays_small():
    """At most 118 names can be reached without an underscore, in at most 413 modules.

    Fifty modules ask models: nine for endpoints, eleven for the other kinds, ten for strategies, and twenty for
    messages, answers, costs and boxes. Fifty-three more are jobs on many panoramas: fifteen kinds of sources, five for
    Ray, twenty for parts, files and resuming, thirteen for the four jobs and their models; twelve search. Thirteen are
    evidence, eleven check tables, eleven a server, two vLLM, twenty-four the page of `demo` and its Space. Twenty-four
    word questions, four say what a model does not know, eight write recipes for tables of one's own, ten measure while
    a model trains. Before these, there were 121.
    """
    found = {
        f"{name}:{public}"
        for name, path in modules().items()
        if not any(part.startswith("_") for part in name.split("."))
        for public in public_names(path)
    }
    assert len(modules()) <= 413
    assert len({entry.partition(":")[2] for entry in found}) <= 118, sorted(found)


def test_every_folder_has_a_face():
    """Below a folder everything is underscored; what is public stands in the `__all__` of its `__init__`."""
    for name, path in modules().items():
        folder = path.parent
        if folder != SOURCE and path.name != "__init__.py" and name not in DEPRECATED:
            assert path.name.startswith("_"), f"{name} is public"


DEPRECATED = {
    "panollava_hf.answering": ["Answer", "Answerer", "default_checkpoint"],
    "panollava_hf.lora": ["add_lora", "merge_lora", "lora_config", "lora_targets", "trainable_report"],
    "panollava_hf.data.panoshapes": ["Scene", "answer", "questions", "sample_scene", "write_panoshapes"],
}


@pytest.mark.parametrize("module", DEPRECATED)
def test_old_modules_still_work_and_name_the_new_place(module):
    old = importlib.import_module(module)
    for name in DEPRECATED[module]:
        with pytest.warns(
            DeprecationWarning, match=rf"{module}\.{name} is deprecated .*; use panollava_hf\."
        ) as caught:
            found = getattr(old, name)
        new = str(caught[0].message).rpartition("use ")[2]
        home, _, attribute = new.rpartition(".")
        assert found is getattr(importlib.import_module(home), attribute)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = old.nothing


def test_import_warns_nothing():
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import panollava_hf"], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


def loaded_after(program):
    """Heavy packages that are imported after a program, without those that old releases of typer import themselves."""
    heavy = ("torch", "transformers", "numpy", "rich", "datasets", "pydantic")
    program += f"\nimport sys; found = [name for name in {heavy!r} if name in sys.modules]"
    program += "\nif found:\n    import subprocess\n    code = 'import typer, sys; print(*sys.modules)'"
    program += "\n    own = subprocess.check_output([sys.executable, '-c', code], text=True).split()"
    program += "\n    found = [name for name in found if name not in own]"
    program += "\nprint(found)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return result.stdout.splitlines()[-1]


def test_import_loads_neither_torch_nor_transformers():
    assert loaded_after("import panollava_hf") == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        *([command, "--help"] for command in "ask locate crop embed join convert eval export push train".split()),
        ["data", "check", "--help"],
        ["data", "panoshapes", "--help"],
        ["aks", "x", "y"],
        ["ask", "x.jpg", "What?", "--modle", "x"],
        ["ask", "missing.jpg", "What?"],
        ["crop", "missing.jpg", "--output", "out"],
        ["embed", "missing", "--output", "out.parquet"],
        ["embed", ".", "--engine", "rya"],
        ["data", "check", "missing.csv"],
        ["convert", "--lightning-ckpt", "missing.ckpt", "--output-dir", "out"],
        ["eval", "--data", "missing.csv", "--output", "out"],
        ["train"],
        ["train", "--config", "missing.yaml"],
        ["train", "--list"],
        ["export", ".", "--model", "missing"],
        ["push", "missing", "owner/name"],
        ["push", "missing", "owner/name", "--space"],
        ["space", "--help"],
        ["space", "taken"],
    ],
    ids=" ".join,
)
def test_help_and_usage_errors_load_nothing_heavy(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("")
    loaded = loaded_after(f"from panollava_hf.cli import run\nrun({arguments!r})")
    assert "torch" not in loaded
    assert "transformers" not in loaded


ORDERS = {
    "ours first": "import panollava_hf",
    "theirs first": "import transformers; from transformers import AutoModel, AutoProcessor, AutoImageProcessor; "
    "import panollava_hf",
    "ours used first": "from panollava_hf import PanoLLaVaForConditionalGeneration",
    "one of our modules first": "from panollava_hf.processing_panollava import PanoLLaVaProcessor",
    "a sibling first": "import panollava_hf; from panollava_core import VisionBackbone",
    "config only first": "from transformers import AutoConfig; import panollava_hf",
    "something else of theirs first": "import panollava_hf; from transformers import GenerationMixin, pipeline",
    "the command first": "import panollava_hf.cli",
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS.keys())
def test_auto_classes_load_the_model_in_every_order_of_imports(checkpoint, order):
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


def test_no_table_of_transformers_is_changed_by_the_import():
    """Registration uses `register` of the Auto classes; the tables of names stay as they are shipped."""
    program = """
    import panollava_hf
    from transformers.models.auto import configuration_auto, image_processing_auto, modeling_auto, processing_auto
    for module in (configuration_auto, image_processing_auto, modeling_auto, processing_auto):
        for name, table in vars(module).items():
            if name.endswith("_NAMES") and "panollava" in table:
                print(name)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True
    )
    assert result.stdout == ""
