"""Numbers worked out by hand, by exact fractions and by closed forms."""
