"""Runs in the foreground, for a person or a script that waits for them: alone or several at a time, and on the record.

Not to be confused with `launching`, by which the daemon runs, and which several runs at a time use here as well.
"""
