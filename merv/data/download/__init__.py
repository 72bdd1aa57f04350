"""Published datasets and base models onto this disk: recipes, transfers that go on, archives, checksums, trees."""
