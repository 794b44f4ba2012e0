"""The documentation site: pages from docs/ and the packages, and a reference from the docstrings."""
