"""One dataset a file: sharp images by name. Kernel sets are in `kernels/`."""

if __name__ == "datasets":  # found through the working directory, in place of Hugging Face's package of that name
    raise ImportError(
        "this folder is nidbench.datasets; start Python elsewhere, or with -P, to import Hugging Face datasets"
    )
