"""The server: channels, stores, the operator port, the simulator and the command line around `smpp` and `menus`."""
