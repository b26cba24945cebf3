"""What the settings say of the provider that people log in by."""

from pathlib import Path

from server.app.entrance import provider_of
from server.auth.pages import Provider
from server.settings import Settings


def test_no_provider_is_asked_unless_the_settings_name_one() -> None:
    assert provider_of(Settings()) is None


def test_a_provider_is_asked_for_what_the_settings_say(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a secret\n", "utf-8")
    settings = Settings(
        upstream_issuer="https://login.example",
        upstream_client="record",
        upstream_secret_file=secret,
        upstream_label="Hospital",
        upstream_aud="https://login.example/fhir",
    )
    assert provider_of(settings) == Provider(
        "https://login.example",
        "record",
        "a secret",
        label="Hospital",
        aud="https://login.example/fhir",
    )
