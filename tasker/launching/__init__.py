"""Launchers, the processes that have the tasks imported: what they validate and run, and the daemon's side of them."""
