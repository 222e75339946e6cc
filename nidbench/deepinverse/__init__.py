"""The bridge to DeepInverse: measurements as its physics, methods as its reconstructors, its package when needed.

DeepInverse (Tachella et al., BSD-3-Clause) is an extra, `pip install "nidbench[deepinv]"`: nothing here imports it
before it is used. The other direction, its reconstructors as a method, is `nidbench.methods.deepinverse`.
"""
