"""The dialects of USSD that operators' gateways speak: one file each, and what reads such a file."""
