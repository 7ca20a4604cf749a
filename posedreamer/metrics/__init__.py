"""Arrays in, numbers out: keypoint similarity, pose errors, distances between sets of pictures."""
