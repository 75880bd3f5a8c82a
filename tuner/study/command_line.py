"""Commands of tuner in messages, quoted so that they can be pasted into a shell."""

import shlex

UNKNOWN_FILE = "STUDY.yaml"  # stands for a study file whose path is not known here


def study_command(verb: str, name: str, options: str = "", *, values: str = "") -> str:
    """Render `tuner VERB NAME VALUES OPTIONS` for a study of any name.

    A name like an option follows `--`, after which nothing counts as an option.
    """
    if name.startswith("-"):
        words = ["tuner", verb, options, "--", quote_word(name), values]
    else:
        words = ["tuner", verb, quote_word(name), values, options]
    return " ".join(word for word in words if word)


def undrain_command(name: str | None, host: str, device: str | None, *, is_for_all: bool) -> str:
    """Render the command that lifts a drain; `name` is that of a study."""
    option = "" if device is None else f"--device {quote_word(device)}"
    if is_for_all or name is None:
        return f"tuner undrain --all-studies {option or '--'} {quote_word(host)}"
    return study_command("undrain", name, option, values=quote_word(host))


def file_option(path: str | None = None, *, is_needed: bool = True) -> str:
    """Render `--file FILE`, with a placeholder for a path that is not known."""
    file = UNKNOWN_FILE if path is None else quote_word(file_word(path))
    return f"--file {file}" if is_needed else ""


def run_study_command(name: str, file: str = "") -> str:
    """Render `tuner run --study NAME`, with the study file where it is needed."""
    words = [*([file] if file else []), *study_option(name)]
    return f"tuner run {' '.join(map(quote_word, words))}"


def study_option(name: str) -> list[str]:
    """Return `--study NAME` as arguments; a name like an option is joined to it."""
    return [f"--study={name}"] if name.startswith("-") else ["--study", name]


def file_word(path: str) -> str:
    """Return a path as an argument that is not an option."""
    return f"./{path}" if path.startswith("-") else path


def quote_word(word: str) -> str:
    r"""Quote one word for a shell; control characters are written as `$'\x1b'`."""
    if word.isprintable():
        return shlex.quote(word)
    parts = (
        c if c.isprintable() and c not in "'\\" else "".join(f"\\x{b:02x}" for b in c.encode())
        for c in word
    )
    return f"$'{''.join(parts)}'"
