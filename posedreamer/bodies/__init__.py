"""Parametric bodies in the SMPL-X layout: the embedded open body, official files, posing, and clothes."""
