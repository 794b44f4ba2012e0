"""What identifies the weights of a model: a digest of its files, or its commit on the Hub."""

import hashlib
from pathlib import Path
from typing import Any

from panollava_hf.asking._default_model import EMBEDDED, default_checkpoint

#: Files of a checkpoint folder that determine its answers.
CHECKPOINT_FILES = (".json", ".safetensors", ".bin", ".jinja", ".model", ".txt")


def fingerprint(name: str, config: Any) -> str | None:
    """Digest of the files of a checkpoint folder, or the commit of a Hub id; None if neither is known."""
    folder = default_checkpoint() if name == EMBEDDED else Path(name)
    if not folder.is_dir():
        commit: str | None = getattr(config, "_commit_hash", None)
        return commit
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in CHECKPOINT_FILES:
            digest.update(str(path.relative_to(folder)).encode())
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
