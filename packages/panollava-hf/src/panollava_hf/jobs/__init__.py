"""Jobs on many panoramas, on one machine and on Ray."""

from panollava_hf._errors import JobError
from panollava_hf.jobs._job import Job
from panollava_hf.jobs._run import run_job
from panollava_hf.jobs._summary import Summary

__all__ = ["Job", "JobError", "Summary", "run_job"]
