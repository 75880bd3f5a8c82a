"""The live web page of studies: server-rendered pages, figures of `results`, a stream of changes."""
