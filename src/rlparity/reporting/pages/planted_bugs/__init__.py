"""Parts of the page of planted bugs."""
