"""Subsets of a run by domain, and export to the formats of its consumers."""
