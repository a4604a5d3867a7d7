"""An SMSC and USSD gateway with phones: what a newcomer, a test and a demonstration talk to."""
