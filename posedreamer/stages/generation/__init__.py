"""Stage 2: a picture for each label, made by a diffusion pipeline with a ControlNet."""
