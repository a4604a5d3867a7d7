"""Channels: how an input of a network becomes an event, and a screen becomes what the network carries."""
