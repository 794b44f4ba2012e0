"""Files and settings from outside: read as data, within bounds, and checked before a library loads them.

`_checkpoint_folder` says what is in a folder, `_hub_source` where the files of a Hub id are; the others read one kind
of file each. Nothing here imports torch or transformers.
"""

__all__: list[str] = []
