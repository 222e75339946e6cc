"""Cases: what names of datasets, images, kernels and noises stand for, made here or given."""
