"""When pipelines are due, and what becomes of each slot."""
