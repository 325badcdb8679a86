"""A preset over real data: every law on every sample, statistics, pictures."""
