"""Binary as what it holds."""

import httpx

from tests.rest.house import told

PAGE = b"<script>alert(1)</script>"
FHIR = {"Accept": "application/fhir+json"}


async def test_content_goes_in_and_comes_out_harmless(client: httpx.AsyncClient) -> None:
    created = await client.post("/Binary", content=PAGE, headers={"Content-Type": "text/html"})
    id_ = created.json()["id"]

    answer = await client.get(f"/Binary/{id_}")

    assert created.status_code == 201
    assert answer.content == PAGE
    assert answer.headers["content-type"] == "text/html"
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["etag"] == 'W/"1"'


async def test_a_resource_comes_when_fhir_is_asked_for(client: httpx.AsyncClient) -> None:
    created = await client.post("/Binary", content=b"abc", headers={"Content-Type": "text/plain"})
    address = f"/Binary/{created.json()['id']}"

    by_header = await client.get(address, headers=FHIR)
    by_format = await client.get(f"{address}?_format=json")

    assert by_header.json()["data"] == "YWJj"
    assert by_header.content == by_format.content


async def test_put_of_content(client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/pdf", "X-Security-Context": "Patient/a"}
    answer = await client.put("/Binary/b", content=b"%PDF", headers=headers)

    assert answer.status_code == 201
    assert answer.json()["securityContext"] == {"reference": "Patient/a"}
    assert (await client.get("/Binary/b")).content == b"%PDF"


async def test_a_resource_goes_in_as_fhir(client: httpx.AsyncClient) -> None:
    resource = {"resourceType": "Binary", "id": "b", "contentType": "text/plain", "data": "YWJj"}
    headers = {"Content-Type": "application/fhir+json"}

    created = await client.put("/Binary/b", json=resource, headers=headers)
    wrong = await client.put("/Binary/c", json=resource, headers=headers)

    assert created.status_code == 201
    assert (await client.get("/Binary/b")).content == b"abc"
    assert told(wrong) == (400, "invalid", ["Binary.id"])


async def test_a_type_that_is_none_is_served_as_bytes(client: httpx.AsyncClient) -> None:
    resource = {"resourceType": "Binary", "id": "b", "contentType": "text/html\r\nX-Evil: 1"}
    headers = {"Content-Type": "application/fhir+json"}
    created = await client.put("/Binary/b", json=resource, headers=headers)
    if created.status_code == 201:
        answer = await client.get("/Binary/b")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert "x-evil" not in answer.headers
    else:
        assert created.status_code == 422
