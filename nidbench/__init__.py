"""nidbench: which dataset-free deconvolution method is better, by how much beyond luck, and at what cost."""

from importlib.metadata import version

__version__ = version("nidbench")
