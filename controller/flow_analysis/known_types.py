"""The supported type hints, by dotted name. `hint_resolution` and `type_check` look them up.

Values of any other type are not checked.
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
"""Collections of items of one type, with their names in messages."""

LOOSE = frozenset(("Sequence", "Iterable", "Collection", "Reversible"))
"""The collections of `ITEMS` that a string matches as well, as it is a sequence of strings."""

MAPPINGS = {
    "builtins.dict": "dict",
    "typing.Dict": "dict",
    "collections.OrderedDict": "dict",
    "typing.OrderedDict": "dict",
    "collections.defaultdict": "dict",
    "typing.DefaultDict": "dict",
    **{f"{home}.{name}": name for home in ("typing", "collections.abc") for name in ("Mapping", "MutableMapping")},
}
"""Mappings from keys of one type to values of one type, with their names in messages."""

TUPLES = frozenset(("builtins.tuple", "typing.Tuple"))

WRAPPERS = frozenset(
    (
        *("typing.Final", "typing.Required", "typing.NotRequired", "typing.ReadOnly", "typing.ClassVar"),
        "dataclasses.InitVar",
    )
)
"""Wrappers that do not change the accepted values."""

HARMLESS = frozenset(("Doc", "Field", "Gt", "Ge", "Lt", "Le", "Interval", "Len", "MinLen", "MaxLen", "MultipleOf"))
"""Calls in `Annotated` that restrict the accepted values; any other, such as `BeforeValidator`, may extend them."""
