"""The tests of transformers' suites that cannot apply to our classes, each with its reason.

Every key is a test's name, or the class of our adapters and the name. A test that fails for a fault of ours is not
listed here: it is repaired.
"""

__all__ = ["SKIPS", "reason"]

NO_TEXT = "the class reads no text: its input embedding is the convolution of the vision tower"
PANORAMAS = "its images are not twice as wide as high, so they are not panoramas; test_processing.py shows the same"

SKIPS: dict[str, str] = {
    # Models
    "VisionSuite.test_model_get_set_embeddings": NO_TEXT,
    "VisionSuite.test_tp_plan_matches_params": (
        "the config holds the language model's plan for tensor parallelism, and the class has no language model"
    ),
    "VisionSuite.test_sdpa_can_dispatch_composite_models": "it needs a language model; the text classes run it",
    "TestTowerFeatures.test_base_model_prefix_loads_base_weights": (
        "without a connector there is no base model: PanoLLaVaModel needs a connector and a language model"
    ),
    # Processors
    "test_get_num_multimodal_tokens_matches_processor_call": PANORAMAS,
    "test_apply_chat_template_video_frame_sampling": "the model reads no video",
    # Images
    "test_call_numpy_4_channels": (
        "it keeps four channels with do_convert_rgb=False; the vision tower needs three, so we refuse the image"
    ),
}


def reason(classes, test):
    """Why a test of a class with these bases is skipped, or None."""
    for cls in classes:
        if (found := SKIPS.get(f"{cls.__name__}.{test}")) is not None:
            return found
    return SKIPS.get(test)
