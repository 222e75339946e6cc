"""The tables of the paper: published numbers, how to measure them, and both side by side."""
