"""Predictors on an image: keypoints and picture features."""
