"""Files from elsewhere: downloaded, provided by hand, and read as images and kernels."""
