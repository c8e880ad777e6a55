"""The questions that people and programs ask of the trail; admin and API ask them here."""
