"""The Gateway: all accounts of this server. Whoever sends names one, or takes whichever can."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog

from ussd_server.channels.account import Account
from ussd_server.channels.sms import SendOutcome
from ussd_server.channels.ussd import Line

log = structlog.get_logger()


class Gateway:
    """All accounts of this server.

    Whoever sends has `slots` for SMS under way. Of several accounts each gets its share of them, so that one which is
    slow does not keep those of the others.
    """

    def __init__(self, accounts: Sequence[Account], slots: int) -> None:
        self.accounts: Mapping[str, Account] = {account.name: account for account in accounts}
        self._most = max(1, slots // max(1, len(accounts)))

    def send_sms(self, account: str, source: str, msisdn: str, text: str, id: str, tag: object) -> SendOutcome | None:
        """Send an SMS by this account, as it does.

        Where it has none (its order came from a terminal), or one that is no longer configured, it goes by the first
        that is bound.
        """
        chosen = self.accounts.get(account)
        if chosen is None:
            every = self.accounts.values()
            chosen = next((one for one in every if one.bound), next(iter(every), None))
        if chosen is None:
            return SendOutcome("later", "no SMSC is configured")
        if chosen.outgoing.sending >= self._most:
            return SendOutcome("later", "as many SMS wait for this SMSC as may", crowded=True)
        return chosen.outgoing.send_sms(source, msisdn, text, id, tag)

    def give_up(self) -> None:
        """Keep here every SMS and push that has not gone out yet."""
        for account in self.accounts.values():
            account.outgoing.clear()

    def line(self, account: str) -> Line | None:
        """Return this account, if it is bound here; any that can push where "" is given.

        Another server may have the account that this one has not, and another operator's does not know the number.
        """
        if account:
            chosen = self.accounts.get(account)
            return chosen if chosen is not None and chosen.bound else None
        return next((one for one in self.accounts.values() if one.bound and one.pushes), None)

    def delays(self) -> dict[str, float]:
        """Return for how long screens stand in line at each account, seconds."""
        return {name: account.backlog.delay for name, account in self.accounts.items()}

    def ticks(self) -> Mapping[str, Callable[[float], None]]:
        """Return by name what looks how many screens wait at each account: see `Account.tick`."""
        return {f"screens of {name}": account.tick for name, account in self.accounts.items()}

    def start(self) -> None:
        """Begin to connect every account."""
        accounts = self.accounts.values()
        if accounts and not any(account.pushes for account in accounts):
            log.info("no account's dialect takes pushes, they will wait and expire", smsc=[*self.accounts])
        for account in accounts:
            account.start()

    def leave(self) -> None:
        """From now on leave what comes in to other binds."""
        for account in self.accounts.values():
            account.leave()

    async def handed_in(self) -> None:
        """Return when every account has handed in all that it read."""
        await asyncio.gather(*(account.handed_in() for account in self.accounts.values()))

    async def stop(self, drain_ms: int) -> None:
        """Drain, unbind and close every account."""
        await asyncio.gather(*(account.stop(drain_ms) for account in self.accounts.values()))
