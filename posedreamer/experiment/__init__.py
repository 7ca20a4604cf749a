"""What data is worth: one learner, trained from one beginning on sets that differ in one thing, measured on people it never saw."""
