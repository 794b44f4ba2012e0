"""What can only be checked on a GPU: `python -m tools.gpu_check` runs it in under five minutes, and prints a table.

Each check compares with the CPU or with another way on the GPU. `--device cpu --small` runs the same code anywhere.
"""
