"""Attack the library with damaged and hostile input: `python -m tools.attack --n 1200 --seed 0`.

Every input ends in a result or in one of our own errors. Anything else is counted: an accepted input that must be
refused, other exceptions, crashes, more than 10 seconds or 2 GB, code of the input that ran, a secret in a message.

- `_kinds` is the registry; each kind of input makes its inputs from a random generator and tries them in a worker.
- `_images`, `_float_images`, `_camera_files`, `_tables`, `_settings`, `_checkpoints`, `_pickles`, `_addresses` and
  `_pushing` hold the kinds.
- `_mutations` changes bytes, texts and trees of values; `_pool` runs inputs in worker processes with limits.
"""
