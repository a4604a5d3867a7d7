"""SMPP 3.4: a sans-I/O protocol for USSD and SMS, and one thin asyncio transport."""
