"""A payment terminal's touch screen: a page, and the process that holds the terminal's key and talks to the server."""
