"""What the daemon tells whoever watches over it: probes, metrics, and which pipelines are overdue."""
