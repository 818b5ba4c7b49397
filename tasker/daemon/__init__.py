"""`tasker watch`: the long-running whole, from its main loop to what it takes up after a crash."""
