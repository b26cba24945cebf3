from pathlib import Path

import pytest
from pydantic import ValidationError

from server.settings import Settings


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"host": "0.0.0.0"}, "0.0.0.0 is not loopback: give --tls-cert and --tls-key"),
        ({"host": "0.0.0.0", "open": True}, "--open works on loopback only, not on 0.0.0.0"),
        (
            {"host": "::", "open": True, "behind_tls_proxy": True},
            "--open works on loopback only, not on ::",
        ),
        ({"tls_cert": "c.pem"}, "--tls-cert and --tls-key come together"),
        ({"mllp_host": "10.1.2.3"}, "MLLP on 10.1.2.3 would be readable on the network"),
        ({"mllp_tls_cert": "c.pem"}, "TELLONCE_MLLP_TLS_CERT and TELLONCE_MLLP_TLS_KEY come tog"),
        ({"mllp_tls_client_ca": "a.pem"}, "CLIENT_CA needs TELLONCE_MLLP_TLS_CERT"),
        ({"base_url": "https://fhir.example/r4"}, "--base-url .* does not end in /fhir"),
        ({"base_url": "https://fhir.example/xfhir"}, "--base-url .* does not end in /fhir"),
        ({"base_url": "https://fhir.example/fhir?a=b"}, "--base-url .* does not end in /fhir"),
        ({"base_url": "http://fhir.example/fhir"}, "--base-url .* is not https"),
        ({"port": 65536}, "less than or equal to 65535"),
        ({"store": "postgres://x/y"}, "URL scheme should be 'sqlite', 'mongodb'"),
    ],
)
def test_an_unsafe_or_wrong_setting_is_refused(given: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Settings(_env_file=None, **given)


@pytest.mark.parametrize(
    "given",
    [
        {"open": True},
        {"host": "::1", "open": True},
        {"base_url": "https://fhir.example/r4", "open": True},
        {"base_url": "https://fhir.example/fhir/"},
        {"base_url": "https://example/x/fhir"},
        {"base_url": "http://localhost:9000/fhir"},
        {"host": "0.0.0.0", "behind_tls_proxy": True},
        {"host": "0.0.0.0", "tls_cert": "c.pem", "tls_key": "k.pem"},
        {"mllp_host": "10.1.2.3", "mllp_insecure": True},
        {"mllp_host": "10.1.2.3", "mllp_tls_cert": "c.pem", "mllp_tls_key": "k.pem"},
    ],
)
def test_a_safe_setting_is_taken(given: dict[str, object]) -> None:
    Settings(_env_file=None, **given)


@pytest.mark.parametrize(
    ("name", "text", "read"),
    [
        ("maps", "site", (Path("site"),)),
        ("maps", '["site", "more"]', (Path("site"), Path("more"))),
        ("maps", "", ()),
        ("cors_origins", "https://app.example.org", ("https://app.example.org",)),
        ("mllp_port", "none", None),
        ("mllp_port", "", None),
        ("mllp_port", "2576", 2576),
    ],
)
def test_the_environment_has_lists_and_nothing(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, read: object
) -> None:
    monkeypatch.setenv(f"TELLONCE_{name.upper()}", text)
    assert getattr(Settings(_env_file=None), name) == read


def test_a_list_that_is_no_json_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELLONCE_MAPS", '["site",')
    with pytest.raises(ValidationError, match="not a list in JSON") as caught:
        Settings(_env_file=None)
    assert caught.value.errors()[0]["loc"] == ("maps",)


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELLONCE_PAGE_SIZE", "33")
    assert Settings(_env_file=None).page_size == 33


@pytest.mark.parametrize(
    ("given", "file"),
    [
        ({}, Path("tellonce-data/record.db")),
        ({"data": "d"}, Path("d/record.db")),
        ({"store": "sqlite:///x/y.db"}, Path("x/y.db")),
        ({"store": "sqlite:////x/y.db"}, Path("/x/y.db")),
    ],
)
def test_where_the_record_lives(given: dict[str, object], file: Path) -> None:
    assert Settings(_env_file=None, **given).store_file == file
