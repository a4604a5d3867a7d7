"""The store that several servers share: a Redis, with Sentinels, or a Cluster."""
