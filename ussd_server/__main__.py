"""`python -m ussd_server` is `ussd-server`."""

from ussd_server.cli import main

main()
