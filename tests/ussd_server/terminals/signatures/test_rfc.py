"""The signature and the digest of the RFCs' own examples are the ones that are made here."""

import base64

from ussd_server.secrecy.secrets import Secret
from ussd_server.terminals import signatures
from ussd_server.terminals.signatures import Signer


def test_the_ed25519_example_of_the_rfc() -> None:
    """RFC 9421, B.1.4 (the key) and B.2.6 (the message)."""
    seed = base64.urlsafe_b64decode("n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU=")
    signer = Signer("test-key-ed25519", Secret(seed))
    assert base64.urlsafe_b64encode(signer.public) == b"JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs="
    values = {
        '"date"': "Tue, 20 Apr 2021 02:07:55 GMT",
        '"@method"': "POST",
        '"@path"': "/foo",
        '"@authority"': "example.com",
        '"content-type"': "application/json",
        '"content-length"': "18",
    }
    params = f'({" ".join(values)});created=1618884473;keyid="test-key-ed25519"'
    assert base64.b64encode(signer.sign(signatures.signature_base(values, values, params))) == (
        b"wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
    )


def test_the_content_digest_of_the_rfc() -> None:
    """RFC 9530, appendix B.1."""
    assert (
        signatures.content_digest(b'{"hello": "world"}\n') == "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
    )
