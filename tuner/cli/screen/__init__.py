"""The live screen and the progress lines of a terminal."""
