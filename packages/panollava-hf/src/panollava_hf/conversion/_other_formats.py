"""What a path holds that is not a Lightning checkpoint in one file, and what to do with it."""

import os
import re
from itertools import islice
from pathlib import Path

from panollava_hf._errors import CheckpointError
from panollava_hf.outside._json_file import require_file

#: Most names of a folder that are looked at.
MAX_NAMES = 5000
SAVE_AGAIN = "load it with torch and save it again with torch.save(checkpoint, path)"

DISTRIBUTED = (
    "a sharded checkpoint of FSDP (torch.distributed.checkpoint): merge it into one file first, with "
    "torch.distributed.checkpoint.format_utils.dcp_to_torch_save(FOLDER, 'merged.ckpt')"
)
DEEPSPEED = (
    "a sharded checkpoint of DeepSpeed: merge it into one file first, with DeepSpeed's zero_to_fp32.py or Lightning's "
    "convert_zero_checkpoint_to_fp32_state_dict(FOLDER, 'merged.ckpt')"
)
#: Files of one process: of ZeRO, of a model that is split, and of a pipeline.
DEEPSPEED_NAME = re.compile(r"((\w+_)?zero_pp_rank_\d+_mp_rank|mp_rank|layer)_\d+(-model|-model_\d+)*[_-]\w*states\.pt")
#: The first bytes of other files, and what they are.
BEGINNINGS = {
    # torch.save before PyTorch 1.6: its magic number, pickled
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.": f"a file in the format of PyTorch before 1.6: {SAVE_AGAIN}",
    b"\x80": f"a plain pickle, expected the zip archive of torch.save: {SAVE_AGAIN}",
    b"\x1f\x8b": "compressed with gzip: unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: unpack it first",
    b"BZh": "compressed with bzip2: unpack it first",
    b"\xfd7zXZ\x00": "compressed with xz: unpack it first",
    b"\x89HDF": "an HDF5 file; give the .ckpt file that Lightning wrote",
    b"<": "a web page or XML file; download the checkpoint again",
}


def refuse_other_formats(path: Path) -> None:
    """Check that a path is a file that begins like a zip archive, which is what torch.save writes.

    Args:
        path: The path that was given as checkpoint.

    Raises:
        CheckpointError: It is missing, a folder, or a file of another kind; the message says which, and what to do.
    """
    if os.path.isdir(path):
        raise CheckpointError(f"{path} is a folder: {_folder(path)}")
    if advice := _shard(path.name):
        raise CheckpointError(f"{path} is one part of {advice}")
    require_file(path, kind=CheckpointError, remedy="give the .ckpt file that Lightning wrote")
    with path.open("rb") as stream:
        head = stream.read(512)
    if not head.startswith(b"PK"):
        raise CheckpointError(f"{path}: not a Lightning checkpoint: it is {_beginning(head)}")


def _beginning(head: bytes) -> str:
    """What a file is, by its first 512 bytes."""
    if not head:
        return "empty; copy the file again"
    for start, kind in BEGINNINGS.items():
        if head.startswith(start):
            return kind
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 10**9:
        return "a safetensors file, which has no hyper_parameters; give the .ckpt file that Lightning wrote"
    if head[257:262] == b"ustar":
        return f"a tar archive; unpack it, or for a very old PyTorch file, {SAVE_AGAIN}"
    return (
        "another format; expected the zip archive that torch.save writes since PyTorch 1.6. "
        f"For an older PyTorch file, {SAVE_AGAIN}"
    )


def _shard(name: str) -> str | None:
    """The advice for a file name that only sharded checkpoints have."""
    if name == ".metadata" or name.endswith(".distcp"):
        return DISTRIBUTED
    return DEEPSPEED if DEEPSPEED_NAME.fullmatch(name) else None


def _folder(path: Path) -> str:
    """What a folder holds, and what to do with it."""
    found = (os.path.join(place, name) for place, _, names in os.walk(path) for name in names)
    files = [Path(name) for name in islice(found, MAX_NAMES)]
    names = {file.name for file in files}
    for advice in filter(None, map(_shard, sorted(names))):
        return advice
    if names & {"zero_to_fp32.py", "latest"}:
        return DEEPSPEED
    if "config.json" in names and any(name.endswith((".safetensors", ".bin")) for name in names):
        return "it holds a Transformers model, which needs no conversion; use it with --model"
    checkpoints = sorted(file for file in files if file.suffix == ".ckpt")
    if checkpoints:
        more = f" ({len(checkpoints)} of them)" if len(checkpoints) > 1 else ""
        return f"give the .ckpt file inside it{more}, for example {checkpoints[0]}"
    return "expected a .ckpt file, which Lightning writes as runs/…/checkpoints/last.ckpt; it holds none"
