"""Keys are rotated under a server that runs: nothing stops, nothing is lost, and no server is restarted."""

import asyncio
import base64
import re
from pathlib import Path

from tests.acceptance.conftest import Service, new_phone
from tests.acceptance.gateway import Gateway
from tests.acceptance.harness import Phone, run_to_end, running
from ussd_server.secrecy.keys import Keyring, load, save
from ussd_server.secrecy.secrets import Secret
from ussd_server.secrecy.vault import Vault
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.codes import Access


def order_code(phone: Phone) -> Secret[str]:
    """Order an access code by SMS and return the one that comes."""
    assert phone.text("111", "parol") == 0
    while (found := re.search(r"\b\d{8}\b", phone.inbox())) is None:
        pass  # another SMS, such as the welcome; a code that never comes ends the wait for an SMS
    return Secret(found[0])


def access(data: Path, msisdn: str) -> Access:
    """Read the record beside the server that runs."""

    async def within() -> Access:
        store = SqliteStore(data / "ussd-server.db")
        try:
            return (await store.load(msisdn))[0].access
        finally:
            await store.close()

    return asyncio.run(within())


def right(ring: Keyring, kept: Access, code: Secret[str], msisdn: str) -> bool:
    """Return whether the code checks with these keys."""
    return Vault(ring).check(kept.sealed, code, msisdn, kept.generation).right


def test_the_kek_is_rotated_while_the_server_runs(service: Service) -> None:
    """The code that was there checks under the new key, the next one is sealed with it, and the old key can go."""
    phone, late, last = (service.phone().activated() for _ in range(3))
    code = order_code(phone)
    path = service.data / "keys.json"
    before = load(path)
    old = before.current("kek").id
    first = access(service.data, phone.msisdn)
    assert first.sealed is not None
    assert first.sealed.kid == old

    status, said = run_to_end("keys", "rotate", "kek", "--data", ".", cwd=service.data)
    assert status == 0, said
    after = load(path)
    new = after.current("kek").id
    moving = re.search(rf"^(\d+) codes? moved to {new}, in ", said, re.MULTILINE)  # other tests' too
    assert moving is not None, said
    kept = int(moving[1])

    without_old = after.retire(old)
    moved = access(service.data, phone.msisdn)
    assert moved.sealed is not None
    assert moved.sealed.kid == new
    assert right(without_old, moved, code, phone.msisdn)

    later = order_code(late)
    issued = access(service.data, late.msisdn)
    assert issued.sealed is not None
    assert issued.sealed.kid == new
    assert right(without_old, issued, later, late.msisdn)

    status, said = run_to_end("keys", "list", "--data", ".", cwd=service.data)
    assert status == 0, said
    counts = {line.split()[0]: line.split()[-2] for line in said.splitlines() if line.startswith("kek-")}
    assert kept >= 1
    assert counts == {old: "0", new: str(kept + 1)}
    status, said = run_to_end("keys", "retire", old, "--data", ".", cwd=service.data)
    assert (status, "less than 25 hours ago" in said) == (1, True)
    status, said = run_to_end("keys", "retire", old, "--force", "--data", ".", cwd=service.data)
    assert status == 0, said

    newest = order_code(last)
    assert right(without_old, access(service.data, last.msisdn), newest, last.msisdn)
    assert right(without_old, access(service.data, phone.msisdn), code, phone.msisdn)
    service.alive()
    shown = service.server.log + said
    for key in after.keys:
        assert base64.b64encode(key.secret.reveal()).decode() not in shown


def test_a_key_file_that_cannot_be_used_changes_nothing(service: Service) -> None:
    """The keys in force stay, the log says why, and the mended file is taken up."""
    path = service.data / "keys.json"
    path.chmod(0o644)
    service.server.wait_for_log("keys not taken up, the old ones stay", "chmod 600")
    phone = service.phone().activated()
    code = order_code(phone)
    path.chmod(0o600)
    assert right(load(path), access(service.data, phone.msisdn), code, phone.msisdn)


def test_a_key_file_of_an_older_version_gets_the_other_kinds(gateway: Gateway, tmp_path: Path) -> None:
    """What the old file can open stays so, and the log says what was added."""
    path = tmp_path / "keys.json"
    save(path, Keyring().rotate("kek", 1_763_881_200_000))
    kek = load(path).current("kek")
    with running(tmp_path, smsc=gateway.url) as server:
        gateway.accept()
        said = server.wait_for_log("keys added")
        assert all(f'"{kind}"' in said for kind in ("transport", "signing", "digest"))
        assert new_phone(gateway).dial("*111#").text
    assert load(path).missing() == ()
    assert load(path).current("kek") == kek
