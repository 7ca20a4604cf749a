"""Stage 4: checks that turn a picture into scores, and scores into a verdict."""
