"""Values of custom fields of sales, purchases and other resources, by key."""

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


def values_resource(resource: str) -> str:
    """The resource that holds the custom field values of a resource."""
    return f"custom_field_{resource}"


def sync(account: Account, resource: str, row_id: int, body: object) -> Document:
    """Set the values of custom fields of one row by their keys; returns the row.

    Raises:
        Problem: The row does not exist, or the body is not a list of keys and values.
    """
    wanted = validation.as_object(body).get("customFields")
    row = account.get(resource, row_id)
    if not isinstance(wanted, list):
        raise Problem(422, f"{_CODE}.missing", "customFields must be an array.")
    for entry in wanted:
        validation.require(validation.as_object(entry), f"{_CODE}.key_missing", "key")
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
    table = values_resource(resource)
    foreign_key = next(name for name, target in resources.references(table).items() if target == resource)
    value = entry.get("value")
    fields = {
        foreign_key: row_id,
        "customFieldId": custom_field["id"],
        "value": value if value is None else str(value),
    }
    rows = account.database.find(table, **{foreign_key: row_id}, customFieldId=custom_field["id"])
    if rows:
        account.change(table, rows[0], fields)
    else:
        account.create(table, fields)
