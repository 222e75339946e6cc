"""Restores an image file: one image in, one image out, with what was found of noise, residual and memory."""
