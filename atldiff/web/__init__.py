"""What the page and its API ask for, make, show and say."""
