"""Events of the page: what a click, an upload or a change of a setting does."""
