"""Jobs on many panoramas, on one machine and on Ray."""

from typing import TYPE_CHECKING

from panollava_hf._errors import JobError
from panollava_hf._faces import lazy

if TYPE_CHECKING:
    from panollava_hf.jobs._answerer import PanoramaAnswerer
    from panollava_hf.jobs._captioner import PanoramaCaptioner
    from panollava_hf.jobs._cropper import PanoramaCropper
    from panollava_hf.jobs._embedder import PanoramaEmbedder
    from panollava_hf.jobs._job import Job
    from panollava_hf.jobs._run import run_job
    from panollava_hf.jobs._summary import Summary
    from panollava_hf.jobs.sources import open_source

#: Module of each public name.
_HOMES = {
    "Job": "_job",
    "PanoramaAnswerer": "_answerer",
    "PanoramaCaptioner": "_captioner",
    "PanoramaCropper": "_cropper",
    "PanoramaEmbedder": "_embedder",
    "Summary": "_summary",
    "open_source": "sources",
    "run_job": "_run",
}

__all__ = [
    "Job",
    "JobError",
    "PanoramaAnswerer",
    "PanoramaCaptioner",
    "PanoramaCropper",
    "PanoramaEmbedder",
    "Summary",
    "open_source",
    "run_job",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
