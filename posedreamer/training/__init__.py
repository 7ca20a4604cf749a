"""Loops for what is trained from scratch or on shards."""
