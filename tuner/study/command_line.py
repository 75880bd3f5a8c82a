"""Commands of tuner in messages: they work as they are when they are pasted into a shell."""

import shlex


def study_command(verb: str, name: str, options: str = "", *, values: str = "") -> str:
    """`tuner VERB NAME VALUES OPTIONS`, where the name of the study may be any text.

    A name like an option follows `--`, as everything does that is not an option then.
    """
    if name.startswith("-"):
        words = ["tuner", verb, options, "--", quote_word(name), values]
    else:
        words = ["tuner", verb, quote_word(name), values, options]
    return " ".join(word for word in words if word)


def run_study_command(name: str, file: str = "") -> str:
    """`tuner run --study NAME`, after the study file where it is needed."""
    words = [*([file] if file else []), *study_option(name)]
    return f"tuner run {' '.join(map(quote_word, words))}"


def study_option(name: str) -> list[str]:
    """`--study NAME` as arguments; a name like an option belongs to the same word."""
    return [f"--study={name}"] if name.startswith("-") else ["--study", name]


def file_word(path: str) -> str:
    """A path as an argument that is no option."""
    return f"./{path}" if path.startswith("-") else path


def quote_word(word: str) -> str:
    """One word of a shell; what steers a terminal is written as `$'\\x1b'`."""
    if word.isprintable():
        return shlex.quote(word)
    parts = (
        c if c.isprintable() and c not in "'\\" else "".join(f"\\x{b:02x}" for b in c.encode())
        for c in word
    )
    return f"$'{''.join(parts)}'"
