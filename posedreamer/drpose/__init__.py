"""The consumer: a multi-view diffusion model that learns from shards which pose a picture shows (DrPose, arXiv 2603.02619)."""
