"""The type hints that are understood, by their dotted names. `hint_resolution` looks them up.

Only what is here is ever judged; a type that is missing is one about which nothing is said.
"""

from controller.flow_analysis.type_hints import Anything, Hint, Null, Scalar

PLAIN: dict[str, Hint] = {
    **{f"builtins.{name}": Scalar(name) for name in ("int", "float", "str", "bool", "bytes")},
    **{f"datetime.{name}": Scalar(name) for name in ("date", "datetime", "time", "timedelta")},
    **{f"pathlib.{name}": Scalar("Path") for name in ("Path", "PurePath", "PosixPath", "PurePosixPath")},
    "decimal.Decimal": Scalar("Decimal"),
    "uuid.UUID": Scalar("UUID"),
    "typing.Text": Scalar("str"),
    "typing.LiteralString": Scalar("str"),
    "builtins.object": Anything(),
    "typing.Any": Anything(),
    "types.NoneType": Null(),
}
"""Hints without brackets."""

ITEMS = {
    "builtins.list": "list",
    "typing.List": "list",
    "collections.deque": "deque",
    "typing.Deque": "deque",
    "builtins.set": "set",
    "typing.Set": "set",
    "builtins.frozenset": "frozenset",
    "typing.FrozenSet": "frozenset",
    "typing.AbstractSet": "Set",
    "collections.abc.Set": "Set",
    **{
        f"{home}.{name}": name
        for home in ("typing", "collections.abc")
        for name in ("Sequence", "MutableSequence", "MutableSet", "Iterable", "Collection", "Reversible")
    },
}
"""Collections of one kind of item, and how they are called in messages."""

LOOSE = frozenset(("Sequence", "Iterable", "Collection", "Reversible"))
"""Of `ITEMS` those that a text is one of too."""

MAPPINGS = {
    "builtins.dict": "dict",
    "typing.Dict": "dict",
    "collections.OrderedDict": "dict",
    "typing.OrderedDict": "dict",
    "collections.defaultdict": "dict",
    "typing.DefaultDict": "dict",
    **{f"{home}.{name}": name for home in ("typing", "collections.abc") for name in ("Mapping", "MutableMapping")},
}
"""Mappings from one kind of key to one kind of value."""

TUPLES = frozenset(("builtins.tuple", "typing.Tuple"))

WRAPPERS = frozenset(
    (
        *("typing.Final", "typing.Required", "typing.NotRequired", "typing.ReadOnly", "typing.ClassVar"),
        "dataclasses.InitVar",
    )
)
"""What says something about a name, and nothing about its values."""

HARMLESS = frozenset(("Doc", "Field", "Gt", "Ge", "Lt", "Le", "Interval", "Len", "MinLen", "MaxLen", "MultipleOf"))
"""Calls in `Annotated` that narrow what is accepted; any other may widen it (`BeforeValidator`)."""
