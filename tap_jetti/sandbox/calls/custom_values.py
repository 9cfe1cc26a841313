"""Custom fields of sales, purchases and the like: values by key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_jetti.facts import resources
from tap_jetti.sandbox.calls import validation
from tap_jetti.sandbox.data import models
from tap_jetti.sandbox.http.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_jetti.sandbox.data.account import Account
    from tap_jetti.sandbox.data.documents import Document

_CODE = "api.sync_custom_fields"


def table(resource: str) -> str:
    """The resource that holds the values of a resource's custom fields."""
    return f"custom_field_{resource}"


def sync(account: Account, resource: str, row_id: int, body: object) -> Document:
    """Set custom fields of one row by their keys; answers the row.

    Raises:
        Problem: The row does not exist, or the body is not a list of keys and values.
    """
    wanted = validation.whole(body).get("customFields")
    row = account.get(resource, row_id)
    if not isinstance(wanted, list):
        raise Problem(422, f"{_CODE}.missing", "customFields must be an array.")
    for entry in wanted:
        validation.present(validation.whole(entry), f"{_CODE}.key_missing", "key")
    with account.database.transaction():
        for entry in wanted:
            _set(account, resource, row_id, entry)
    return row


def _set(account: Account, resource: str, row_id: int, entry: Mapping[str, Any]) -> None:
    key = str(entry["key"])
    custom_field = account.find("custom_fields", name=key) or account.create(
        "custom_fields",
        {"name": key, "label": key, "resource": models.singular(resource), "fieldType": "text"},
    )
    owner = next(name for name, target in resources.references(table(resource)).items() if target == resource)
    value = entry.get("value")
    fields = {
        owner: row_id,
        "customFieldId": custom_field["id"],
        "value": value if value is None else str(value),
    }
    rows = account.database.find(table(resource), **{owner: row_id}, customFieldId=custom_field["id"])
    if rows:
        account.change(table(resource), rows[0], fields)
    else:
        account.create(table(resource), fields)
