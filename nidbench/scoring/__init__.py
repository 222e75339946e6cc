"""Metrics, the protocols that define which pixels are compared, and further measures of a restoration."""
