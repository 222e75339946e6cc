"""One method a file: adapters of published methods to `nidbench.contract`. Shared parts are in _underscored files."""
