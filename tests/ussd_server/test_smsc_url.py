"""An SMSC's URL: every option is read, and every mistake says what is wrong, with the mend and without the password."""

import contextlib
import ssl
from dataclasses import fields
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from ussd_server.secrecy.secrets import Secret
from ussd_server.smsc_url import OPTIONS, SmscUrl


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


WRITTEN = {
    "bind": ("txrx", "txrx"),
    "binds": ("3", 3),
    "dialect": ("tata", "tata"),
    "window": ("3", 3),
    "rate": ("12.5", 12.5),
    "system_type": ("USSD", "USSD"),
    "address_range": ("%5E111", "^111"),
    "address_ton": ("2", 2),
    "address_npi": ("8", 8),
    "source_ton": ("6", 6),
    "source_npi": ("0", 0),
    "dest_ton": ("2", 2),
    "dest_npi": ("18", 18),
    "default_alphabet": ("latin-1", "latin-1"),
    "sms_gsm": ("0x0F", 0x0F),
    "sms_ucs2": ("0x18", 0x18),
    "ussd_gsm": ("15", 0x0F),
    "ussd_ucs2": ("0x48", 0x48),
    "response_id": ("hex", "hex"),
    "receipt_id": ("dec", "dec"),
    "long": ("sar", "sar"),
    "receipts": ("0", False),
    "retry": ("0x45,1025", frozenset({0x45, 0x401})),
    "enquire_s": ("20", 20.0),
    "response_s": ("5.5", 5.5),
    "bind_s": ("7", 7.0),
    "inactivity_s": ("600", 600.0),
    "tls": ("1", True),
    "server_name": ("smsc.example", "smsc.example"),
}
"""Every option that is no file, as it is written and as it is read."""


def test_every_part_of_an_smsc_url_is_read() -> None:
    query = "&".join(f"{key}={written}" for key, (written, _) in WRITTEN.items())
    smsc = SmscUrl.parse(f"smpps://us%40er:p%3Aw%2F%25@smsc.example:2776?{query}")
    assert smsc == SmscUrl(
        system_id="us@er",
        password=Secret("p:w/%"),
        host="smsc.example",
        port=2776,
        **{key: value for key, (_, value) in WRITTEN.items()},  # type: ignore[arg-type]
    )


def test_every_option_has_a_place_and_none_is_left_out_here() -> None:
    files = {"password_file", "ca_file", "certificate", "key"}
    called = {"outbind_id", "outbind_password_file"}
    assert set(WRITTEN) | files | called == set(OPTIONS)
    places = {field.name for field in fields(SmscUrl)} - {"system_id", "password", "host", "port"}
    assert places == set(OPTIONS) - {"password_file", "outbind_password_file"} | {"outbind_password"}


def test_what_is_not_written_is_as_most_smscs_want_it() -> None:
    smsc = SmscUrl.parse("smpp://a:b@h")
    assert {key: option.default for key, option in OPTIONS.items() if option.default} == {
        "bind": "trx",
        "binds": "1",
        "dialect": "standard",
        "window": "10",
        "address_ton": "0",
        "address_npi": "0",
        "source_ton": "0",
        "source_npi": "1",
        "dest_ton": "1",
        "dest_npi": "1",
        "sms_gsm": "0",
        "sms_ucs2": "8",
        "response_id": "opaque",
        "receipt_id": "opaque",
        "long": "udh8",
        "receipts": "1",
        "enquire_s": "30",
        "response_s": "30",
        "bind_s": "15",
        "inactivity_s": "0",
        "tls": "0",
    }
    assert smsc.rate is None
    assert smsc.context() is None
    assert smsc.check_name is None


def test_the_ports_have_defaults() -> None:
    assert SmscUrl.parse("smpp://a:b@h").port == 2775
    assert SmscUrl.parse("smpps://a:b@h").port == 3550
    assert SmscUrl.parse("smpp://a:b@h?tls=1").port == 3550
    assert SmscUrl.parse("smpp://a:b@[::1]:99").host == "::1"


def test_the_password_may_come_from_a_file() -> None:
    Path("password").write_text("s3cret\n", encoding="utf-8")
    assert SmscUrl.parse("smpp://a@h?password_file=password").password == Secret("s3cret")


def test_an_smsc_that_calls_us_is_known_by_its_password() -> None:
    Path("theirs").write_text("t0ken\n", encoding="utf-8")
    smsc = SmscUrl.parse("smpp://a:b@h?outbind_password_file=theirs&outbind_id=SMSC")
    assert (smsc.outbind_id, smsc.outbind_password) == ("SMSC", Secret("t0ken"))
    for more in ("binds=2", "bind=txrx", "tls=1"):
        with pytest.raises(ValueError, match="there is one transceiver, without TLS"):
            SmscUrl.parse(f"smpp://a:b@h?outbind_password_file=theirs&{more}")


def test_a_dialect_is_a_shipped_one_or_a_file(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("base: tata\n", encoding="utf-8")
    for dialect in ("comverse", str(own)):
        assert SmscUrl.parse(f"smpp://a:b@h?dialect={dialect}").dialect == dialect


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://a:b@h", "an SMSC is written smpp://SYSTEM_ID:PASSWORD@HOST:PORT, or smpps:// for TLS"),
        ("smpp://a@h", "no password: write SYSTEM_ID:PASSWORD@HOST, or add ?password_file=FILE"),
        ("smpp://a@h?password_file=none", "password_file none cannot be read: No such file or directory"),
        ("smpp://a:b@h?password_file=none", "give the password or password_file, not both"),
        ("smpp://a:b@h?windw=1", "unknown option 'windw' after the ?; did you mean window?"),
        ("smpp://a:b@h?window=1&window=2", "window is given twice"),
        ("smpp://a:b@h?window=0", "window=0: it is a whole number from 1 to 1000"),
        ("smpp://a:b@h?rate=0", "rate=0: it is submits a second, above 0"),
        ("smpp://a:b@h?rate=nan", "rate=nan: it is submits a second, above 0"),
        ("smpp://a:b@h?bind=rx", "bind=rx: it is trx (one transceiver) or txrx (a transmitter and a receiver)"),
        ("smpp://a:b@h?receipts=yes", "receipts=yes: it is 1 for receipts or 0"),
        ("smpp://a:b@h?long=udh", "long=udh: it is udh8 or udh16 or sar or payload"),
        ("smpp://a:b@h?binds=33", "binds=33: it is a whole number from 1 to 32"),
        ("smpp://a:b@h?rate=fast", "rate=fast: it is submits a second, above 0"),
        ("smpp://a:b@h?enquire_s=0", "enquire_s=0: it is seconds from 1 to 3600"),
        ("smpp://a:b@h?inactivity_s=0.5", "inactivity_s=0.5: it is seconds from 1 to 3600, or 0 for never"),
        ("smpp://a:b@h?inactivity_s=nan", "inactivity_s=nan: it is seconds from 1 to 3600, or 0 for never"),
        (
            "smpp://a:b@h?dest_ton=7",
            (
                "dest_ton=7: it is one of 0 unknown, 1 international, 2 national, 3 network specific, 4 subscriber, "
                "5 alphanumeric, 6 abbreviated"
            ),
        ),
        (
            "smpp://a:b@h?sms_ucs2=0",
            "sms_ucs2=0: that data_coding does not say ucs2; those that do: 0x08, 0x18, 0x19, 0x1A, 0x1B, 0x48",
        ),
        (
            "smpp://a:b@h?sms_gsm=8",
            "sms_gsm=8: that data_coding does not say gsm; those that do: 0x00, 0x0F, 0xF0, 0xF1, 0xF2, 0xF3",
        ),
        ("smpp://a:b@h?ussd_gsm=x", "ussd_gsm=x: it is a number from 0 to 255, or 0x00 to 0xFF"),
        (
            "smpp://a:b@h?default_alphabet=utf8",
            "default_alphabet=utf8: it is gsm or ascii or latin-1 or iso-8859-5 or iso-8859-8",
        ),
        ("smpp://a:b@h?receipt_id=octal", "receipt_id=octal: it is opaque (compared as it is), dec or hex"),
        ("smpp://a:b@h?retry=0x45,", "retry=0x45,: it is statuses with commas between, as in 0x45,0x401"),
        ("smpp://a:b@h?retry=0", "retry=0: it is statuses with commas between, as in 0x45,0x401"),
        (
            "smpp://a:b@h?system_type=1234567890123",
            "system_type=1234567890123: it is longer than the 12 octets that SMPP 3.4 carries",
        ),
        ("smpp://a:b@h?tls=yes", "tls=yes: it is 1 for TLS or 0"),
        ("smpps://a:b@h?tls=0", "tls=0 after smpps://: write smpp:// for a connection without TLS"),
        (
            "smpp://a:b@h?outbind_id=x",
            "outbind_id goes with outbind_password_file=FILE: an outbind is believed by its password",
        ),
        (
            "smpp://a:b@h?outbind_password_file=none",
            "outbind_password_file none cannot be read: No such file or directory",
        ),
        ("smpp://a:b@h?ca_file=x", "ca_file is for TLS: write smpps://, or add tls=1"),
        ("smpps://a:b@h?key=x", "key belongs to a certificate: add certificate=FILE"),
        (
            "smpps://a:b@h?ca_file=none",
            "ca_file=none: no certificates (PEM) can be read there: No such file or directory",
        ),
        ("smpps://a:b@h?ca_file=", "ca_file=: it is the path of a file"),
        (
            "smpps://a:b@h?certificate=none",
            (
                "certificate=none: the certificate (PEM) or its key cannot be used: No such file or directory; "
                "the key is unencrypted, in key=FILE or in the same file"
            ),
        ),
        ("smpp://a:123456789@h", "the password is longer than the 8 octets that SMPP 3.4 carries"),
        ("smpp://a:%D1%8F@h", "the password has characters outside printable ASCII"),
        ("smpp://abcdefghijklmnop:b@h", "SYSTEM_ID is longer than the 15 octets that SMPP 3.4 carries"),
    ],
)
def test_a_wrong_smsc_url_says_what_is_wrong(url: str, text: str) -> None:
    with pytest.raises(ValueError) as caught:
        SmscUrl.parse(url)
    assert str(caught.value) == text


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=15),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8),
)
def test_any_name_and_password_survive_percent_encoding(name: str, password: str) -> None:
    def quoted(text: str) -> str:
        return "".join(f"%{octet:02X}" for octet in text.encode())

    smsc = SmscUrl.parse(f"smpp://{quoted(name)}:{quoted(password)}@h:1")
    assert (smsc.system_id, smsc.password.reveal()) == (name, password)


@given(st.text())
def test_any_text_is_an_smsc_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert SmscUrl.parse("smpp://" + text).host


AUTHORITY = trustme.CA()


def test_only_the_authorities_of_the_file_are_trusted() -> None:
    AUTHORITY.cert_pem.write_to_path("ca.pem")
    context = SmscUrl.parse("smpps://a:b@h?ca_file=ca.pem").context()
    assert context is not None
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
    assert len(context.get_ca_certs()) == 1


def test_a_client_certificate_may_be_one_file_or_two() -> None:
    ours = AUTHORITY.issue_cert("ussd.example")
    ours.private_key_and_cert_chain_pem.write_to_path("both.pem")
    ours.private_key_pem.write_to_path("key.pem")
    ours.cert_chain_pems[0].write_to_path("chain.pem")
    assert SmscUrl.parse("smpps://a:b@h?certificate=both.pem").certificate == Path("both.pem")
    assert SmscUrl.parse("smpps://a:b@h?certificate=chain.pem&key=key.pem").key == Path("key.pem")
    with pytest.raises(ValueError, match=r"^certificate=chain\.pem: the certificate \(PEM\) or its key cannot be used"):
        SmscUrl.parse("smpps://a:b@h?certificate=chain.pem")


def options_table() -> str:
    def row(key: str) -> str:
        option = OPTIONS[key]
        default = f"`{option.default}`" if option.default else ""
        return f"| `{key}` | {option.form} | {default} | {option.meaning} |"

    return "\n".join(["| option | value | default | what |", "|---|---|---|---|", *map(row, OPTIONS)])


def test_the_documentation_has_the_options_as_they_are() -> None:
    """Where it fails, the right table is in the message: copy it between the marks."""
    text = (Path(__file__).parents[2] / "docs" / "smpp.md").read_text(encoding="utf-8")
    found = text.partition("differs -->\n")[2].partition("\n<!-- end of options -->")[0]
    assert found == options_table(), f"\n{options_table()}\n"
