"""The line: sampling, generation, mining, filtering. No stage imports another."""
