"""One run: its order, its processes, and the loop around them."""
