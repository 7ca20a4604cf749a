"""Stage 3: scores of picture against label, and what they teach the next round."""
