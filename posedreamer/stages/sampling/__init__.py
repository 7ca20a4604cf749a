"""Stage 1: from a key to a body, a camera, a prompt and the condition maps. `stage.py` is its face."""
