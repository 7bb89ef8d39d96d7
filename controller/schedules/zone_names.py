"""Suggests an IANA time zone for names such as `PST`, `UTC+2` or `Berlin`.

Called by `parsing` for unknown names. `manifests` uses `FIXED` to warn about names that exist but are probably not
the intended zone.
"""

import re
from collections.abc import Collection

_ABBREVIATIONS = {
    "PST PDT PT PACIFIC": "America/Los_Angeles",
    "MDT MT MOUNTAIN": "America/Denver",
    "CST CDT CT CENTRAL": "America/Chicago",
    "EDT ET EASTERN": "America/New_York",
    "AKST AKDT": "America/Anchorage",
    "HDT": "America/Adak",
    "AST ADT": "America/Halifax",
    "NST NDT": "America/St_Johns",
    "BRT BRST": "America/Sao_Paulo",
    "ART": "America/Argentina/Buenos_Aires",
    "BST": "Europe/London",
    "CEST MEZ MESZ": "Europe/Berlin",
    "EEST": "Europe/Athens",
    "WEST": "Europe/Lisbon",
    "MSK": "Europe/Moscow",
    "TRT": "Europe/Istanbul",
    "SAST": "Africa/Johannesburg",
    "CAT": "Africa/Maputo",
    "EAT": "Africa/Nairobi",
    "WAT": "Africa/Lagos",
    "GST": "Asia/Dubai",
    "IST": "Asia/Kolkata",
    "PKT": "Asia/Karachi",
    "ICT": "Asia/Bangkok",
    "WIB": "Asia/Jakarta",
    "SGT": "Asia/Singapore",
    "HKT": "Asia/Hong_Kong",
    "JST": "Asia/Tokyo",
    "KST": "Asia/Seoul",
    "AWST": "Australia/Perth",
    "ACST ACDT": "Australia/Adelaide",
    "AEST AEDT": "Australia/Sydney",
    "NZST NZDT": "Pacific/Auckland",
    "Z": "UTC",
}
_PLACES = {name: zone for names, zone in _ABBREVIATIONS.items() for name in names.split()}
_WINDOWS = {
    "pacific standard time": "America/Los_Angeles",
    "mountain standard time": "America/Denver",
    "central standard time": "America/Chicago",
    "eastern standard time": "America/New_York",
    "gmt standard time": "Europe/London",
    "w. europe standard time": "Europe/Berlin",
    "romance standard time": "Europe/Paris",
    "central europe standard time": "Europe/Budapest",
    "central european standard time": "Europe/Warsaw",
    "fle standard time": "Europe/Kiev",
    "gtb standard time": "Europe/Bucharest",
    "russian standard time": "Europe/Moscow",
    "india standard time": "Asia/Kolkata",
    "china standard time": "Asia/Shanghai",
    "tokyo standard time": "Asia/Tokyo",
    "aus eastern standard time": "Australia/Sydney",
}
_OFFSET = re.compile(r"(?:UTC|GMT|Z)?\s*([+-])\s*(\d{1,2})(?::?(\d\d))?", re.ASCII | re.IGNORECASE)
_HALVES = {
    "+3:30": "Asia/Tehran",
    "+4:30": "Asia/Kabul",
    "+5:30": "Asia/Kolkata",
    "+5:45": "Asia/Kathmandu",
    "+6:30": "Asia/Yangon",
    "+8:45": "Australia/Eucla",
    "+9:30": "Australia/Darwin",
    "+10:30": "Australia/Lord_Howe",
    "+12:45": "Pacific/Chatham",
    "-3:30": "America/St_Johns",
    "-9:30": "Pacific/Marquesas",
}
_EXAMPLES = {
    -10: "Pacific/Honolulu",
    -9: "America/Anchorage",
    -8: "America/Los_Angeles",
    -7: "America/Denver",
    -6: "America/Chicago",
    -5: "America/New_York",
    -4: "America/Halifax",
    -3: "America/Sao_Paulo",
    0: "Europe/London",
    1: "Europe/Berlin",
    2: "Europe/Athens",
    3: "Europe/Moscow",
    4: "Asia/Dubai",
    5: "Asia/Karachi",
    6: "Asia/Dhaka",
    7: "Asia/Bangkok",
    8: "Asia/Singapore",
    9: "Asia/Tokyo",
    10: "Australia/Sydney",
    11: "Pacific/Noumea",
    12: "Pacific/Auckland",
}
FIXED = {"EST": ("-05:00", "America/New_York"), "MST": ("-07:00", "America/Denver")}
"""IANA names that look like zones with summer time, but keep the standard offset all year."""


def zone_hint(name: str, zone_names: Collection[str]) -> str | None:
    """Return a hint for an unknown name, or None if there is no suggestion. `zone_names` are the IANA names."""
    text = " ".join(name.split()).removeprefix("Etc/")
    if place := _PLACES.get(text.upper()) or _WINDOWS.get(text.lower()):
        return f"write {place}" if place in zone_names else None
    if offset := _OFFSET.fullmatch(text):
        sign, hours, minutes = offset.groups(default="0")
        return _offset_hint(sign, hours, minutes, zone_names)
    folded = text.casefold().replace(" ", "_")
    matches = [zone for zone in zone_names if folded in (zone.casefold(), zone.casefold().rpartition("/")[2])]
    return f"write {min(matches, key=lambda zone: (zone.casefold() != folded, zone))}" if matches else None


def _offset_hint(sign: str, hours: str, minutes: str, zone_names: Collection[str]) -> str | None:
    if int(minutes):
        place = _HALVES.get(f"{sign}{int(hours)}:{minutes}")
        return f"write {place}" if place in zone_names else None
    ahead = int(f"{sign}{hours}")
    fixed = f"Etc/GMT{-ahead:+d}" if ahead else "UTC"
    if fixed not in zone_names:
        return None
    place = _EXAMPLES.get(ahead)
    regional = f"a zone with summer time rules, such as {place}, or " if place in zone_names else ""
    return f"write {regional}{fixed}, which is {sign}{int(hours):02}:00 all year"
