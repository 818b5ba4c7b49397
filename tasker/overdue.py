"""Whether a pipeline's work did not happen when it should have: pure, and without a clock."""
