"""References to exported code in the files of a checkpoint that the installed package saves."""

from typing import Any

__all__ = ["forget_exported_code"]


def forget_exported_code(part: Any) -> None:
    """Remove `auto_map` from a config or processor that came from an export, before the installed package saves it.

    The package saves no code, so the new folder would name files that it does not have. Parts whose code was loaded
    from the export save it with them. References to a repository of the Hub stay.

    Args:
        part: A config or image processor of this package.

    Example:
        >>> from panollava_hf import PanoLLaVaImageProcessor
        >>> processor = PanoLLaVaImageProcessor(auto_map={"AutoImageProcessor": "image_processing_panollava.X"})
        >>> forget_exported_code(processor)
        >>> hasattr(processor, "auto_map")
        False
    """
    if type(part).__module__.partition(".")[0] == "transformers_modules":
        return
    names = getattr(part, "auto_map", None)
    if isinstance(names, dict) and not any("--" in str(name) for name in names.values()):
        del part.auto_map
