"""Names and numbers in the addresses of pages; impossible ones lead to no page."""

from starlette.convertors import Convertor, register_url_convertor


class StudyName(Convertor[str]):
    """The name of a study, by the rules of study files."""

    regex = r"[A-Za-z0-9._-]{1,64}"

    def convert(self, value: str) -> str:
        """Return the text unchanged."""
        return value

    def to_string(self, value: str) -> str:
        """Return the name unchanged."""
        return value


class TrialNumber(Convertor[int]):
    """A trial number of at most as many digits as the database's."""

    regex = r"[0-9]{1,18}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


def register() -> None:
    """Register the converters of routes: `{name:study}`, `{number:trial}`."""
    register_url_convertor("study", StudyName())
    register_url_convertor("trial", TrialNumber())
