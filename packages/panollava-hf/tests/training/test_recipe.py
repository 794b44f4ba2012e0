import pytest
import yaml
from panollava_hf._errors import RecipeError
from panollava_hf.training import load_recipe, shipped


def write(tmp_path, change):
    values = yaml.safe_load(shipped()["tiny"].read_text())
    change(values)
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.mark.parametrize("name", ["original", "panoshapes", "panoshapes-pairs", "tiny"])
def test_shipped_recipes_are_sound(name):
    recipe = load_recipe(name)
    assert list(recipe.stages) == (["finetune"] if name == "panoshapes-pairs" else ["vicreg", "resampler", "finetune"])
    assert shipped()[name].read_text().startswith("# "), "the first line is what --list shows"


def test_a_stage_that_is_null_is_left_out():
    assert list(load_recipe("tiny", ["stages.vicreg=null"]).stages) == ["resampler", "finetune"]
    with pytest.raises(RecipeError, match="no stage: give one or more"):
        load_recipe("tiny", ["stages={vicreg: null}"])


def test_the_originals_defaults():
    recipe = load_recipe("original")
    config = recipe.model.config
    weights = [config[f"vicreg_{term}_weight"] for term in ("similarity", "variance", "covariance")]
    assert weights == [25.0, 25.0, 1.0]
    assert (config["lora_r"], config["lora_alpha"], config["lora_dropout"]) == (16, 32, 0.1)
    assert recipe.stages["finetune"].language_model == "lora"


def misspelt_top(values):
    values["sead"] = 1


def misspelt_stage(values):
    values["stages"]["finetun"] = values["stages"].pop("finetune")


def misspelt_setting(values):
    values["stages"]["vicreg"]["learning_rat"] = 1


def misspelt_data(values):
    values["data"]["sorce"] = "x"


def misspelt_stage_data(values):
    values["stages"]["vicreg"]["data"] = {"worker": 3}


def misspelt_model(values):
    values["model"]["pth"] = "x"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (misspelt_top, "unknown key 'sead'; did you mean 'seed'"),
        (misspelt_stage, "unknown stage 'finetun'; did you mean 'finetune'"),
        (misspelt_setting, "unknown key 'stages.vicreg.learning_rat'; did you mean 'learning_rate'"),
        (misspelt_data, "unknown key 'data.sorce'; did you mean 'source'"),
        (misspelt_stage_data, "unknown key 'stages.vicreg.data.worker'; did you mean 'workers'"),
        (misspelt_model, "unknown key 'model.pth'; did you mean 'path'"),
        (lambda v: v["stages"]["vicreg"].update(epochs=1), "stages.vicreg: give either steps or epochs"),
        (lambda v: v["stages"]["vicreg"].update(language_model="full"), "learns in the stage finetune only"),
        (
            lambda v: v["stages"]["vicreg"].update(batch_size=0),
            "stages.vicreg.batch_size: .*greater than or equal to 1",
        ),
        (lambda v: v["stages"]["vicreg"].update(learning_rate="fast"), "stages.vicreg.learning_rate: .*valid number"),
        (lambda v: v["model"].update(path="x"), "model: give exactly one start"),
        (lambda v: v.update(stages={}), "stages: no stage"),
        (lambda v: v.pop("data"), "data: Field required"),
    ],
)
def test_a_mistake_is_named(tmp_path, change, message):
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(write(tmp_path, change))
    assert "\n" not in str(caught.value)


def test_set_overrides(tmp_path):
    recipe = load_recipe("tiny", ["stages.vicreg.steps=3", "stages.vicreg.learning_rate=2e-4", "data.cache=null"])
    assert recipe.stages["vicreg"].steps == 3
    assert recipe.stages["vicreg"].learning_rate == pytest.approx(2e-4)
    assert recipe.data.cache is None
    assert recipe.data_of("vicreg").questions_per_panorama == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("seed", "expected key=value"),
        ("stages.vicreg.step=3", "did you mean 'steps'"),
        ("output.folder=3", "output is a value"),
        ("seed=[1", "no YAML"),
    ],
)
def test_set_mistakes(change, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe("tiny", [change])


@pytest.mark.parametrize(
    ("text", "message"), [("a: [", "cannot be read as YAML"), ("- a", "is no recipe"), ("", "is no recipe")]
)
def test_files_that_are_no_recipes(tmp_path, text, message):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_recipe(tmp_path / "x.yaml")


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(RecipeError, match="did you mean 'panoshapes'"):
        load_recipe("panoshape")
