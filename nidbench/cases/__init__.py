"""Cases: what names of datasets, images, kernels and noises stand for, made here or given."""

from .request import CaseRequest as CaseRequest
from .source import cases as cases
