"""What a run looks like: figures, gallery, dataset card."""
