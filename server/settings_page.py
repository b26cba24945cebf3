"""The page docs/settings.md, made from :class:`server.settings.Settings`."""

from server.settings import Settings

_HEAD = """# Settings

Made from `server/settings.py`; change it there. Precedence: command line, environment, `.env`,
default.
A setting `page_size` is `--page-size` where a command has it, and `TELLONCE_PAGE_SIZE` everywhere.
A list of one is written as it is, a longer one as JSON: `TELLONCE_MAPS=site-maps`,
`TELLONCE_CORS_ORIGINS='["https://a.example", "https://b.example"]'`.

| environment | default | what it is for |
|---|---|---|
"""


def settings_page() -> str:
    """Return the page as Markdown, one row per setting in the order of the class."""
    rows = []
    for name, field in Settings.model_fields.items():
        shown = "" if field.default in (None, ()) else f"`{field.default}`"
        rows.append(f"| `TELLONCE_{name.upper()}` | {shown} | {field.description} |")
    return _HEAD + "\n".join(rows) + "\n"
