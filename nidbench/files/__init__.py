"""Files that are not in the package: downloads, files provided by hand, and the reading of images and kernels."""
