"""Drawing bodies: two rasterisers, condition maps, visibility, dressed people, overlays."""
