"""Maths only: rotations, cameras, alignment, joint tables. Leading batch dimensions are free."""
