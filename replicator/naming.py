"""How records are named to people: in logs, answers, reports and the audit log. Decided here and nowhere else.

Keys can be personal data. Where they are to be hashed, a name is a keyed hash: the same for a key throughout a
migration, and nothing to anybody without the state store, which holds the secret.
"""

import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Iterable

from replicator.ports import StateStore

PREFIX = "key-"

NAME = re.compile(PREFIX + "[0-9a-f]{32}")

NOTE = "naming"
EVERYWHERE = ""
"""The secret is a note of no pipeline, so no epoch ends it."""

MOST_REMEMBERED = 10_000


class Naming:
    """Without a secret a key's name is the key itself.

    The last names given are remembered, so that whoever gives one back need not be searched for.
    """

    def __init__(self, secret: bytes | None = None) -> None:
        self._secret = secret
        self._keys: OrderedDict[str, str] = OrderedDict()

    @property
    def hides(self) -> bool:
        """Whether names differ from keys."""
        return self._secret is not None

    def key(self, key: str) -> str:
        """The name of a record."""
        if self._secret is None:
            return key
        name = PREFIX + self._hashed(self._secret, key)
        self._keys[name] = key
        self._keys.move_to_end(name)
        if len(self._keys) > MOST_REMEMBERED:
            self._keys.popitem(last=False)
        return name

    def partition(self, id_: str) -> str:
        """The name of a partition: that of a range of keys is made of them."""
        return id_ if self._secret is None or not id_ else f"partition-{self._hashed(self._secret, id_)}"

    def text(self, text: str, keys: Iterable[str]) -> str:
        """A text that may hold some of these keys."""
        if self._secret is None:
            return text
        for key in sorted((k for k in keys if k and k in text), key=len, reverse=True):
            text = _replaced(text, key, self.key(key))
        return text

    def told(self, text: str) -> str:
        """The name in a text that is either a name as it was told, or a key."""
        return text if self.hides and NAME.fullmatch(text) else self.key(text)

    def remembered(self, name: str) -> str | None:
        """The key that was named so lately, None where that is forgotten or never was."""
        return self._keys.get(name)

    @staticmethod
    def _hashed(secret: bytes, text: str) -> str:
        return hmac.new(secret, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]


def without(text: str, key: str) -> str:
    """A text that may hold this key, as it would be of any other key."""
    return _replaced(text, key, "(key)") if key and key in text else text


def _replaced(text: str, key: str, name: str) -> str:
    return re.sub(rf"(?<!\w){re.escape(key)}(?!\w)", lambda _: name, text)


async def load_naming(store: StateStore, *, hashed: bool) -> Naming:
    """As the config says; the secret is minted on first use. Raises LeaseLostError."""
    if not hashed:
        return Naming()
    secret = await store.load_note(EVERYWHERE, NOTE)
    if secret is None:
        secret = secrets.token_hex(32)
        await store.save_note(EVERYWHERE, NOTE, secret)
    return Naming(bytes.fromhex(secret))
