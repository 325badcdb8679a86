"""Mutation testing with mutmut: what is mutated, where, and what became of the mutants."""
