"""Files that are not in the package: downloads, the cache that keeps them, and files provided by hand."""
