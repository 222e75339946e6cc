"""Marks tests that need the package DeepInverse, an extra that most environments here do without."""

from importlib.util import find_spec

import pytest

WITH_DEEPINVERSE = pytest.mark.skipif(find_spec("deepinv") is None, reason='needs pip install "nidbench[deepinv]"')
