"""Our classes in the tables by which transformers' suites recognise a kind of model."""

__all__ = ["register"]

TABLES = {
    "MODEL_MAPPING_NAMES": "PanoLLaVaModel",
    "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES": "PanoLLaVaForConditionalGeneration",
    "MODEL_FOR_PRETRAINING_MAPPING_NAMES": "PanoLLaVaForVICReg",
}


def register(suite):
    """Enter our classes in the copies that one module of the suites reads, not in transformers' own tables."""
    for table, name in TABLES.items():
        if hasattr(suite, table):
            setattr(suite, table, {**getattr(suite, table), "panollava": name})
