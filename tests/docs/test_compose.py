"""compose.yaml, as far as it can be checked without an engine: it is parsed, never run here."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from server.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]


def of_profile(profile: str) -> set[str]:
    return {name for name, service in SERVICES.items() if profile in service["profiles"]}


def test_there_is_a_server_alone_and_one_with_its_replica_set() -> None:
    assert of_profile("alone") == {"server"}
    assert of_profile("mongo") == {"server-1", "server-2", "mongo", "mongo-setup"}
    assert OURS == ["server", "server-1", "server-2"]


@pytest.mark.parametrize("name", OURS)
def test_every_variable_of_a_server_is_a_setting(name: str) -> None:
    variables = SERVICES[name]["environment"]
    unknown = {
        v for v in variables if v.removeprefix("TELLONCE_").lower() not in Settings.model_fields
    }
    assert unknown == set()


@pytest.mark.parametrize("name", OURS)
def test_a_server_is_built_from_the_dockerfile_of_this_folder(name: str) -> None:
    build = SERVICES[name]["build"]
    assert (ROOT / build["context"] / build["dockerfile"]).is_file()
    assert SERVICES[name]["read_only"]
    assert SERVICES[name]["cap_drop"] == ["ALL"]


def test_ports_are_those_of_this_machine_and_the_database_has_none() -> None:
    published = {name: service.get("ports", []) for name, service in SERVICES.items()}
    assert published == {
        "server": ["127.0.0.1:8080:8080"],
        "server-1": ["127.0.0.1:8080:8080"],
        "server-2": ["127.0.0.1:8081:8080"],
        "mongo": [],
        "mongo-setup": [],
    }
    assert SERVICES["mongo"]["networks"] == ["store"]
    assert COMPOSE["networks"]["store"] == {"internal": True}


def test_secrets_are_files_and_in_no_variable() -> None:
    used = {secret for service in SERVICES.values() for secret in service.get("secrets", ())}
    assert used == set(COMPOSE["secrets"])
    for secret in COMPOSE["secrets"].values():
        assert secret["file"].startswith("./secrets/")
    assert "/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            assert "mongodb://" not in value
            assert "PASSWORD" not in variable or value.startswith("/run/secrets/")
    for name in ("server-1", "server-2"):
        assert SERVICES[name]["environment"]["TELLONCE_STORE_URI_FILE"] == "/run/secrets/store-uri"


def test_the_servers_start_behind_the_replica_set() -> None:
    for name in ("server-1", "server-2"):
        assert SERVICES[name]["depends_on"] == {
            "mongo-setup": {"condition": "service_completed_successfully"}
        }
    setup = SERVICES["mongo-setup"]
    assert setup["depends_on"] == {"mongo": {"condition": "service_healthy"}}
    assert "rs.initiate" in setup["entrypoint"][-1]
    assert SERVICES["mongo"]["healthcheck"]["test"][0] == "CMD"
    assert "--replSet=rs0" in SERVICES["mongo"]["command"]


def test_what_is_mounted_is_declared() -> None:
    mounted = {
        volume.partition(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", ())
    }
    assert mounted == set(COMPOSE["volumes"])


def test_the_image_has_the_driver_of_the_distributed_store() -> None:
    assert '.whl)[mongo]"' in (ROOT / "Dockerfile").read_text()
