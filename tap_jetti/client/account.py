"""Which account a rate limit, or anything else that processes share, belongs to."""

from __future__ import annotations

import hashlib


def account_key(account: str | None, *, host: str, token: str) -> str:
    """The key under which processes share what belongs to one account: 32 hexadecimal digits, for files and stores.

    Args:
        account: The setting ``account``, any text. All API users of an account that set it share.
        host: Host and port of the API. It counts only without `account`: an account may be reached by several names.
        token: The token. It counts only without `account`. It cannot be found out from the key.
    """
    name = f"{host.lower()}\n{token}" if account is None else f"account\n{account.strip()}"
    return hashlib.sha256(name.encode()).hexdigest()[:32]
