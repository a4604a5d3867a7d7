"""HTTP beside the service: whether it is alive and ready, and its numbers."""
