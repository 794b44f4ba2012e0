"""Where the rows of a job come from: folders, tables, lists, datasets of the Hub, WebDataset shards."""

from panollava_hf.jobs.sources._open import open_source

__all__ = ["open_source"]
