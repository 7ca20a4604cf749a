"""Preference alignment: of several pictures of one label the best is preferred over the worst, and the generator learns from it."""
