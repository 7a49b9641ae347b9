"""gradio for the tests of the page, imported as app.py imports it."""

from atldiff.web.serving import without_stubs

with without_stubs():
    import gradio  # noqa: F401
