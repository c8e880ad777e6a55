"""Who the numbers of the demo's associates are; a real site asks its own records."""

FIRST = ("Anna", "Bo", "Siv", "Kåre", "Märta", "Jens", "Åse", "Örjan")
LAST = ("Berglie", "Tångring", "Fjellmo", "Skovlund", "Vindåsen")


def associate_name(context_identifier: str, associate_id: int) -> str:
    """Return a made-up name, the same whenever it is asked for."""
    first, last = FIRST[associate_id % len(FIRST)], LAST[associate_id % len(LAST)]
    return f"{first} {last}"
