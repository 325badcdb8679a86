"""The parts of ``scripts/bench.py``.

``cells``, ``scenes`` and ``protocol`` need nothing but the standard library and NumPy: they are
also loaded in the peers' environments, which have no segpaste of this repository.
"""
